//! The papers under `docs/`: what they show is run, and prints what they say.
//!
//! In the order of a page, in a folder of its own:
//!
//! - a block ` ```toml study file=NAME ` is written there and must be a study that the program can begin; with ` file=NAME ` alone a block
//!   of any language is just written;
//! - of a ` ```console ` block every line behind `$ ` is run, must succeed, and must print the lines below it, in that order; a
//!   number may be another, but for exit codes, and `…` stands for anything;
//! - of a ` ```session STUDY ` block the lines behind `> ` are sent to a session, whose answers are those behind `< `;
//! - a ` ```toml dependencies ` block names crates that are published, in their version.
//!
//! Blocks of other kinds are for reading. The guide to strategies has a test of its own in `authors.rs`, the reference in `schema.rs`.

use std::path::Path;
use std::process::Command;

use lapidary_tests::{blocks, files, lapidary, root, run_in};
use serde_json::Value;
use tempfile::TempDir;

#[test]
fn exit_codes() {
    page("exit-codes.md", None);
}

#[test]
fn metrics() {
    page("metrics.md", None);
}

#[test]
fn recipes() {
    page("recipes.md", None);
}

#[test]
fn search() {
    page("search.md", None);
}

#[test]
fn session_protocol() {
    page("session-protocol.md", None);
}

#[test]
fn store_and_resume() {
    page("store-and-resume.md", None);
}

#[test]
fn editors() {
    page("editors.md", None);
}

#[test]
fn compress_my_model() {
    page("compress-my-model.md", None);
}

#[test]
#[ignore = "needs Python with onnxruntime; run by cargo xtask test"]
fn compress_my_model_with_python() {
    let python = std::env::var_os("LAPIDARY_PYTHON").expect("LAPIDARY_PYTHON names a Python");
    page("compress-my-model.md", Some(Path::new(&python)));
}

#[test]
fn the_guide_names_crates_that_are_published() {
    let blocks = blocks(&text("docs/writing-a-strategy.md"));
    let named = blocks
        .iter()
        .filter(|(header, _)| header == "toml dependencies");
    assert_eq!(named.map(|(_, body)| dependencies(body)).count(), 3);
}

#[test]
fn every_page_is_tested_and_in_the_index() {
    let tests = text("tests/tests/docs.rs");
    let index = text("docs/README.md");
    // The index itself, and those that have tests of their own: in `authors.rs` and `schema.rs`.
    let others = [
        "README.md",
        "writing-a-strategy.md",
        "writing-an-evaluator.md",
        "reference.md",
    ];
    for page in files(&root().join("docs")) {
        assert!(
            others.contains(&page.as_str()) || tests.contains(&format!("page(\"{page}\"")),
            "{page} has no test"
        );
        assert!(
            page == "README.md" || index.contains(&format!("({page})")),
            "{page} is not in the index"
        );
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let pages = files(&root().join("docs"))
        .into_iter()
        .map(|page| format!("docs/{page}"));
    for page in pages.chain(["README.md".to_owned()]) {
        let folder = root().join(&page).parent().unwrap().to_owned();
        for link in text(&page)
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            if file.contains("://") {
                continue;
            }
            let target = if file.is_empty() {
                root().join(&page)
            } else {
                folder.join(file)
            };
            assert!(target.exists(), "{page} links to {link}");
            let headings = std::fs::read_to_string(&target).unwrap_or_default();
            let found = headings
                .lines()
                .any(|line| line.starts_with('#') && anchor(line) == heading);
            assert!(heading.is_empty() || found, "{page} links to {link}");
        }
    }
}

#[test]
fn every_module_of_core_stands_on_its_front_page() {
    let front = text("core/src/lib.rs");
    let modules = front
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for module in modules {
        assert!(front.contains(&format!("[`{module}`]")), "{module}");
    }
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// What a link to a heading is made of.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words
        .chars()
        .filter(kept)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// Runs a page, its blocks for Python only where one with what they need is given.
#[track_caller]
fn page(name: &str, python: Option<&Path>) {
    let text = text(&format!("docs/{name}"));
    let folder = TempDir::new().unwrap();
    let mut done = 0;
    for (header, body) in blocks(&text) {
        let words: Vec<&str> = header.split(' ').collect();
        let file = words.iter().find_map(|word| word.strip_prefix("file="));
        if let Some(file) = file {
            std::fs::write(folder.path().join(file), &body).unwrap();
        }
        match (&words[..], file) {
            (["toml", "study", ..], Some(file)) => {
                let answer = run_in(folder.path(), &["session", file]);
                assert_eq!(answer.code, 0, "{name}, {file}: {}", answer.stderr);
            }
            (["console"], _) => console(folder.path(), &body, python),
            (["console", "python"], _) if python.is_some() => console(folder.path(), &body, python),
            (["session", study], _) => session(folder.path(), study, &body),
            (["toml", "dependencies"], _) => dependencies(&body),
            _ => continue,
        }
        done += 1;
    }
    assert!(done > 0, "{name} has nothing to run");
}

/// Runs the commands of a block, and looks for what it says they print.
#[track_caller]
fn console(folder: &Path, block: &str, python: Option<&Path>) {
    let path = |program: &Path| program.parent().unwrap().display().to_string();
    let mut places = vec![path(Path::new(lapidary().get_program()))];
    places.extend(python.map(path));
    places.push(std::env::var("PATH").unwrap());
    let environment = python.and_then(|python| python.parent()?.parent());
    for part in block.split("$ ").skip(1) {
        let (command, said) = part.split_once('\n').unwrap();
        let output = Command::new("bash")
            .args(["-c", &format!("{{ {command}\n}} 2>&1")])
            .current_dir(folder)
            .env("PATH", places.join(":"))
            .env("LAPIDARY", root())
            // Where onnxruntime is.
            .envs(environment.map(|folder| ("VIRTUAL_ENV", folder)))
            // The tables name the number of threads.
            .env("RAYON_NUM_THREADS", "2")
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command}\n{printed}");
        let mut lines = printed.lines();
        for line in said
            .lines()
            .filter(|line| !["", "…"].contains(&line.trim()))
        {
            let found = lines.any(|printed| same(line, printed));
            assert!(found, "$ {command}\ndoes not print\n{line}\nbut\n{printed}");
        }
    }
}

/// Whether a line was printed as a page says: word for word, but for numbers and what stands for anything.
fn same(said: &str, printed: &str) -> bool {
    let words = |line: &str| -> Vec<String> {
        let breaks = |c: char| c.is_whitespace() || "─,:{}[]=".contains(c);
        line.split(breaks)
            .filter(|w| !w.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let is_number = |word: &str| word.parse::<f64>().is_ok();
    let exact = said.starts_with("exit code");
    let (said, printed) = (words(said), words(printed));
    if let Some(end) = said.iter().position(|word| word == "…") {
        return printed.len() >= end && said[..end] == printed[..end];
    }
    said.len() == printed.len()
        && said
            .iter()
            .zip(&printed)
            .all(|(a, b)| a == b || !exact && is_number(a) && is_number(b))
}

/// Sends the lines of a block to a session, and compares its answers.
#[track_caller]
fn session(folder: &Path, study: &str, block: &str) {
    let lines = |sign: &str| -> Vec<&str> {
        block
            .lines()
            .filter_map(|line| line.strip_prefix(sign))
            .collect()
    };
    let output = lapidary()
        .current_dir(folder)
        .args(["session", study])
        .write_stdin(lines("> ").join("\n") + "\n")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let json = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    let answers: Vec<Value> = std::str::from_utf8(&output.stdout)
        .unwrap()
        .lines()
        .map(json)
        .collect();
    let said: Vec<Value> = lines("< ").into_iter().map(json).collect();
    assert_eq!(answers, said);
}

/// Holds dependencies to what is published.
#[track_caller]
fn dependencies(block: &str) {
    for line in block.lines().filter(|line| line.starts_with("lapidary-")) {
        let (name, how) = line.split_once(" = ").unwrap();
        let manifest = text("Cargo.toml");
        let known = manifest
            .lines()
            .find(|line| line.starts_with(&format!("{name} = ")))
            .unwrap();
        assert!(
            known.contains("version = \"0.1.0\""),
            "{name} is not published"
        );
        assert!(
            how.contains("\"0.1\"") || how.contains("git = ") || how.contains("path = "),
            "{line}"
        );
    }
}
