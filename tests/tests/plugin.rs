//! Plug-ins through the program: loaded, listed, checked, refused, and remembered by the store.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use lapidary_tests::{Answer, lapidary, root, run};
use serde_json::Value;
use tempfile::TempDir;

mod common;

use common::Study;

const STUDY: &str = r#"
[study]
name = "bowl"
strategy = "lattice"
seed = 5
[budget]
trials = 30
[goal]
minimize = ["value"]
[evaluate]
kind = "function"
name = "sphere"
[space]
a = { float = [-1.0, 2.0] }
b = { float = [-1.0, 2.0] }
"#;

/// Compiles the searcher in C that stands among the fixtures.
fn compile(folder: &Path, defines: &[&str]) -> PathBuf {
    let file = folder.join("lattice.so");
    let output = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-std=gnu11", "-O1", "-shared", "-fPIC", "-I"])
        .arg(root().join("core/plugin/include"))
        .args(defines)
        .arg(root().join("tests/fixtures/plugins/c/lattice.c"))
        .args(["-lm", "-o"])
        .arg(&file)
        .output()
        .expect("a C compiler is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    file
}

fn lattice() -> &'static str {
    static FILE: OnceLock<(TempDir, String)> = OnceLock::new();
    let (_, file) = FILE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let file = compile(folder.path(), &[]).to_str().unwrap().to_owned();
        (folder, file)
    });
    file
}

/// Runs the program with a folder of plug-ins.
fn run_with_folder(folder: &Path, args: &[&str]) -> Answer {
    let output = lapidary()
        .args(args)
        .env("LAPIDARY_PLUGINS", folder)
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    Answer {
        code: output.status.code().unwrap(),
        json: serde_json::from_str(&stdout).unwrap_or(Value::Null),
        stdout,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_study_runs_with_it_the_same_in_both_places() {
    let study = Study::new(STUDY);
    let search = |more: &[&str]| {
        let path = study.path();
        let args = [&["search", &path, "--json", "--plugin", lattice()], more].concat();
        run(&args).done().json
    };
    let child = search(&[]);
    assert_eq!(
        (&child["strategy"], &child["trials"]),
        (&"lattice".into(), &30.into())
    );
    let here = search(&["--in-process", "--jobs", "1"]);
    assert_eq!(child["best"], here["best"]);
    let error = run(&["search", &study.path()]).refused();
    assert!(error.contains("no searcher `lattice`"), "{error}");
}

#[test]
fn those_in_the_folder_are_installed_and_bad_ones_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = compile(folder.path(), &[]);
    std::fs::write(folder.path().join("text.so"), "no library").unwrap();
    std::fs::write(folder.path().join("readme.txt"), "nothing").unwrap();
    let listed = run_with_folder(folder.path(), &["list", "searchers", "--json"]).done();
    let lattice = (listed.json.as_array().unwrap().iter())
        .find(|line| line["name"] == "lattice")
        .unwrap();
    assert_eq!(lattice["origin"], "plugin");
    assert_eq!(
        lattice["file"],
        file.canonicalize().unwrap().to_str().unwrap()
    );
    assert!(listed.stderr.contains("a plug-in is left out") && listed.stderr.contains("text.so"));
    let plugins = run_with_folder(folder.path(), &["plugin", "list", "--json"])
        .done()
        .json;
    assert_eq!(plugins.as_array().unwrap().len(), 2);
    assert_eq!(plugins[0]["name"], "lattice");
    assert_eq!(
        (&plugins[0]["version"], &plugins[0]["abi"]),
        (&"1.2.3".into(), &"1.0".into())
    );
    assert!(plugins[0]["refused"].is_null());
    assert!(
        plugins[1]["refused"]
            .as_str()
            .unwrap()
            .contains("no shared library")
    );
    // Named, the bad one ends the command.
    let text = folder.path().join("text.so");
    let error = run(&["list", "--plugin", text.to_str().unwrap()]).refused();
    assert!(error.contains("no shared library"), "{error}");
}

#[test]
fn a_check_says_which_properties_hold() {
    // It takes a trial twice.
    let answer = run(&["plugin", "check", lattice(), "--in-process", "--json"]);
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    let holds = |name: &str| {
        let verdicts = answer.json.as_array().unwrap();
        let verdict = verdicts.iter().find(|v| v["property"] == name);
        verdict.unwrap()["holds"].as_bool().unwrap()
    };
    assert!(holds("values_are_in_the_space"));
    assert!(holds("ids_are_fresh_and_rise"));
    assert!(holds("asking_at_once_equals_asking_one_by_one"));
    assert!(!holds("wrong_tells_are_errors_that_change_nothing"));
    assert!(
        answer.stderr.contains("properties do not hold"),
        "{}",
        answer.stderr
    );
}

#[test]
fn a_crash_ends_the_study_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let defines = ["-DON_ASK=if(((lattice*)searcher)->next>=10)*(volatile int*)0=1"];
    let file = compile(folder.path(), &defines);
    let study = Study::new(STUDY);
    let store = study.beside("store.db");
    let path = study.path();
    let args = ["search", &path, "--store", &store, "--plugin"];
    let crashed = run(&[&args[..], &[file.to_str().unwrap()]].concat());
    assert_eq!(crashed.code, 1, "{}", crashed.stderr);
    let told = |text: &str| assert!(crashed.stderr.contains(text), "{}", crashed.stderr);
    told("lattice: the plug-in crashed with signal 11 (SIGSEGV) when it was ");
    told("asked for candidates");
    // Mended, it goes on where it was.
    let resumed = run(&[&args[..], &[lattice(), "--resume", "--json"]].concat()).done();
    assert!(
        resumed.stderr.contains("going on after"),
        "{}",
        resumed.stderr
    );
    assert_eq!(resumed.json["trials"], 30);
    // The store knows which plug-in it was.
    let error = run(&["search", &path, "--store", &store, "--resume"]).refused();
    assert!(
        error.contains("plugins") && error.contains("lattice"),
        "{error}"
    );
}
