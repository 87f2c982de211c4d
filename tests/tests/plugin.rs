//! Plug-ins through the program: loaded, listed, checked, refused, and remembered by the store.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::OnceLock;

use lapidary_builtin_plugins::{aborting, compiled, compiled_example};
use lapidary_tests::{Answer, lapidary, run};
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

fn lattice() -> &'static str {
    static FILE: OnceLock<(TempDir, String)> = OnceLock::new();
    let (_, file) = FILE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let file = compiled(folder.path(), "lattice", &[])
            .to_str()
            .unwrap()
            .to_owned();
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
    let file = compiled(folder.path(), "lattice", &[]);
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
fn a_check_ends_with_the_first_call_that_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let hangs = "-DON_ASK=while(((lattice*)searcher)->next>=10)*(volatile int*)searcher=0";
    let file = compiled(folder.path(), "lattice", &[hangs]);
    let file = file.to_str().unwrap();
    let answer = run(&["plugin", "check", file, "--plugin-time=1s", "--json"]);
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    let reasons = answer.json.as_array().unwrap().iter();
    let reasons: Vec<&str> = reasons.filter_map(|v| v["reason"].as_str()).collect();
    let hung = "the plug-in did not answer within 1 seconds and was killed when it was ";
    assert!(reasons[0].starts_with(hung), "{}", reasons[0]);
    assert!(
        reasons.len() > 10
            && reasons[1..]
                .iter()
                .all(|r| *r == "not run: the plug-in hung before")
    );
}

#[test]
fn a_check_takes_settings_of_optimizers_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = compiled_example(folder.path(), "fixed_point", &[]);
    let check = |more: &[&str]| run(&[&["plugin", "check", file.to_str().unwrap()], more].concat());
    check(&["--set", "bits=3"]).done();
    let error = check(&["--set", "bits=1"]).refused();
    assert!(error.contains("from 2 to 24"), "{error}");
    let error = check(&["--set", "bits"]).refused();
    assert!(
        error.contains("--set bits: `bits` is not key=value"),
        "{error}"
    );
    let error = run(&["plugin", "check", lattice(), "--set", "a=1"]).refused();
    assert!(error.contains("leave --set away"), "{error}");
}

/// A study on the unit square by the searcher called `name`.
fn study_of(name: &str, settings: &str) -> Study {
    let text = STUDY
        .replace("lattice", name)
        .replace("-1.0, 2.0", "0.0, 1.0");
    Study::new(&format!("{text}\n[strategy]\n{settings}\n"))
}

#[test]
fn what_it_does_wrong_ends_the_study_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mended = tempfile::tempdir().unwrap();
    let file = compiled(folder.path(), "hostile", &[]);
    let mended = compiled(mended.path(), "hostile", &["-DTAME"]);
    for (settings, limit, wanted) in [
        (
            "in = 'ask'\ndoes = 'crash'",
            "",
            "the plug-in crashed with signal 11 (SIGSEGV) when it was ",
        ),
        (
            "in = 'tell'\ndoes = 'crash'",
            "",
            "the plug-in crashed with signal 11 (SIGSEGV) when it was ",
        ),
        (
            "in = 'ask'\ndoes = 'loop'",
            "--plugin-time=2s",
            "the plug-in did not answer within 2 seconds and was killed when it was ",
        ),
        (
            "in = 'ask'\ndoes = 'hog'",
            "--plugin-memory=256MiB",
            "the plug-in crashed with signal 6 (SIGABRT), as one does that takes more than the \
             268435456 bytes of memory it may, when it was ",
        ),
        (
            "in = 'ask'\ndoes = 'billion'",
            "",
            "it gave 32000004096 bytes at once, 67108864 are the most",
        ),
        (
            "in = 'ask'\ndoes = 'billion'",
            "--in-process",
            "it gave 32000004096 bytes at once, 67108864 are the most",
        ),
        (
            "in = 'ask'\ndoes = 'leave'",
            "",
            "the plug-in ended its process (exit status: 0) when it was ",
        ),
        (
            "in = 'tell'\ndoes = 'panic'",
            "",
            "the plug-in panicked (as it was told) when it was told a trial",
        ),
        (
            "in = 'ask'\ngives = \"[{'id':99,'point':[0.5,1.5]}]\"",
            "",
            "what it gave when asked for 1 candidates: candidate 99: ",
        ),
        (
            "in = 'ask'\ngives = \"[{'id':3,'point':[0.5,0.5]}]\"",
            "",
            "it gave candidate 3 after candidate 9, but ids must rise",
        ),
    ] {
        let study = study_of("hostile", &format!("{settings}\nafter = 10"));
        let (path, store) = (study.path(), study.beside("store.db"));
        let search = |file: &Path, more: &[&str]| {
            let args = [
                "search",
                &path,
                "--store",
                &store,
                "--plugin",
                file.to_str().unwrap(),
                // One after the other: an outcome that comes early is kept too, and would be one more.
                "--jobs=1",
            ];
            run(&[&args[..], more].concat())
        };
        let limit: Vec<&str> = [limit].into_iter().filter(|l| !l.is_empty()).collect();
        let broken = search(&file, &limit);
        assert_eq!(broken.code, 1, "{settings}: {}", broken.stderr);
        let wanted = format!("hostile: {wanted}");
        assert!(
            broken.stderr.contains(&wanted),
            "{}\n{wanted}",
            broken.stderr
        );
        let show = ["study", "show", "bowl", "--store", &store, "--json"];
        let shown = run(&show).done().json;
        // It misbehaves in its tenth call or the one after; what was open then is evaluated again.
        let trials = shown["trials"].as_u64().unwrap();
        assert!((6..=11).contains(&trials), "{settings}: {shown}");
        assert!(
            shown["pending"].as_u64().unwrap() <= 4,
            "{settings}: {shown}"
        );
        // It does the same again, and nothing is lost by that.
        assert_eq!(search(&file, &[&limit[..], &["--resume"]].concat()).code, 1);
        assert!(run(&show).done().json["trials"].as_u64().unwrap() >= trials);
        // Mended, it goes on where it was.
        let resumed = search(&mended, &["--resume", "--json"]).done();
        assert!(
            resumed.stderr.contains("going on after"),
            "{}",
            resumed.stderr
        );
        assert_eq!(resumed.json["trials"], 30);
    }
}

#[test]
fn what_it_prints_does_not_get_among_what_the_program_prints() {
    let folder = tempfile::tempdir().unwrap();
    let file = compiled(folder.path(), "hostile", &[]);
    let study = study_of("hostile", "in = 'ask'\ndoes = 'print'");
    let args = [
        "search",
        &study.path(),
        "--plugin",
        file.to_str().unwrap(),
        "--json",
    ];
    let answer = run(&args).done();
    assert_eq!(answer.json["trials"], 30);
    assert!(answer.stderr.contains("the program's"), "{}", answer.stderr);
}

#[test]
fn what_must_not_be_opened_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |file: &Path, more: &[&str]| {
        let args = ["list", "--plugin", file.to_str().unwrap()];
        let error = run(&[&args[..], more].concat()).refused();
        assert!(
            error.contains(file.file_name().unwrap().to_str().unwrap()),
            "{error}"
        );
        error
    };
    let named = compiled(folder.path(), "hostile", &["-DNAME=\"random\""]);
    let error = refused(&named, &[]);
    assert!(
        error.contains("two searchers are called `random`"),
        "{error}"
    );
    set_permissions(&named, Permissions::from_mode(0o777)).unwrap();
    assert!(refused(&named, &[]).contains("chmod go-w"));
    let file = compiled(folder.path(), "hostile", &["-DON_OPEN=*nowhere=1"]);
    let error = refused(&file, &[]);
    assert!(
        error.contains("crashed with signal 11 (SIGSEGV) when it was opened"),
        "{error}"
    );
    // A panic that aborts would take the program along.
    let aborts = aborting(folder.path());
    assert!(refused(&aborts, &["--in-process"]).contains("panic = \"abort\""));
    let study = study_of("aborts", "");
    let broken = run(&[
        "search",
        &study.path(),
        "--plugin",
        aborts.to_str().unwrap(),
    ]);
    let wanted = "aborts: the plug-in crashed with signal 6 (SIGABRT), as one does that panics";
    assert_eq!(broken.code, 1, "{}", broken.stderr);
    assert!(broken.stderr.contains(wanted), "{}", broken.stderr);
}

#[test]
fn a_crash_ends_the_study_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let defines = ["-DON_ASK=if(((lattice*)searcher)->next>=10)*(volatile int*)0=1"];
    let file = compiled(folder.path(), "lattice", &defines);
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
    assert!(error.contains("no searcher `lattice`"), "{error}");
    let other = tempfile::tempdir().unwrap();
    let other = compiled(other.path(), "lattice", &["-DVERSION=\"2.0\""]);
    let error = run(&[&args[..], &[other.to_str().unwrap(), "--resume"]].concat()).refused();
    assert!(
        error.contains("the study `bowl` was begun with plug-in lattice 1.2.3; this is 2.0"),
        "{error}"
    );
}
