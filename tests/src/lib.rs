//! What the end-to-end tests share: the program, the data that ships, and how answers are read.

use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::sync::OnceLock;

use assert_cmd::Command;
use serde_json::Value;

/// The `lapidary` program: the one that the variable LAPIDARY_PROGRAM names, else this workspace's in the profile the tests
/// are built in.
///
/// # Panics
/// When it cannot be built.
pub fn lapidary() -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let built = || build("lapidary");
    Command::new(
        PROGRAM
            .get_or_init(|| std::env::var_os("LAPIDARY_PROGRAM").map_or_else(built, PathBuf::from)),
    )
}

/// The program with evaluators of other crates, `tests/fixtures/evaluators`.
///
/// # Panics
/// When it cannot be built.
pub fn own_program() -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    Command::new(PROGRAM.get_or_init(|| build("lapidary-own-program")))
}

/// Builds a program of this workspace: cargo knows no dependency on another package's binary.
fn build(name: &str) -> PathBuf {
    let mut cargo = Process::new(env!("CARGO"));
    cargo
        // With the whole workspace and a test among the targets, all dependencies have the features they have under
        // `cargo test --workspace`, and none is built twice.
        .args([
            "build",
            "--workspace",
            "--bin",
            name,
            "--test",
            "registration",
        ])
        .args(["--message-format", "json-render-diagnostics", "--quiet"])
        .current_dir(root())
        .stderr(Stdio::inherit());
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "the program does not build");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| {
            (message["target"]["name"] == name)
                .then(|| message["executable"].as_str().map(PathBuf::from))
                .flatten()
        })
        .expect("cargo names the executable")
}

/// The root of the workspace.
///
/// # Panics
/// Never: this package lies one folder below it.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in the workspace")
}

/// A file or folder under `tests/data`.
pub fn data(name: &str) -> PathBuf {
    root().join("tests/data").join(name)
}

/// Runs a script of `tests/foreign` in the Python that `cargo xtask test` makes.
///
/// # Panics
/// When there is none, or the script finds fault.
pub fn python(script: &str, args: &[&str]) {
    let python = std::env::var_os("LAPIDARY_PYTHON")
        .expect("LAPIDARY_PYTHON names a Python with what tests/foreign/requirements.txt lists");
    let output = Process::new(python)
        .arg(root().join("tests/foreign").join(script))
        .args(args)
        .output()
        .expect("Python starts");
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The program's answer: exit code, the JSON document on stdout (null where there is none) and the text on stderr.
#[derive(Debug)]
pub struct Answer {
    /// Exit code.
    pub code: i32,
    /// What stdout holds, as JSON.
    pub json: Value,
    /// What stdout holds, as text.
    pub stdout: String,
    /// What stderr holds.
    pub stderr: String,
}

/// Runs the program with `args` and, for arguments that ask for `--json`, reads the document it prints.
///
/// # Panics
/// When the program was ended by a signal, or stdout is not one JSON document though it was asked for.
pub fn run<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Answer {
    run_in(Path::new("."), args)
}

/// The same as [`run`] with another working directory.
///
/// # Panics
/// As [`run`].
pub fn run_in<S: AsRef<std::ffi::OsStr>>(folder: &Path, args: &[S]) -> Answer {
    run_by(lapidary(), folder, args)
}

/// The same as [`run_in`] with another program.
///
/// # Panics
/// As [`run`].
pub fn run_by<S: AsRef<std::ffi::OsStr>>(
    mut program: Command,
    folder: &Path,
    args: &[S],
) -> Answer {
    let output = (program.current_dir(folder).args(args).output()).expect("the program starts");
    let stdout = String::from_utf8(output.stdout).expect("stdout is UTF-8");
    let stderr = String::from_utf8(output.stderr).expect("stderr is UTF-8");
    let code = output
        .status
        .code()
        .unwrap_or_else(|| panic!("ended by a signal: {stderr}"));
    let json = if stdout.is_empty() || !args.iter().any(|a| a.as_ref() == "--json") {
        Value::Null
    } else {
        serde_json::from_str(&stdout)
            .unwrap_or_else(|e| panic!("stdout is not one JSON document ({e}): {stdout}"))
    };
    Answer {
        code,
        json,
        stdout,
        stderr,
    }
}

impl Answer {
    /// The answer, if the program did all it was asked for.
    ///
    /// # Panics
    /// When the exit code is not 0.
    #[track_caller]
    pub fn done(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self
    }

    /// The one message of a program that refused its input.
    ///
    /// # Panics
    /// When the exit code is not 2, stdout is not empty, or stderr has not exactly one line that begins with `error: `.
    #[track_caller]
    pub fn refused(self) -> String {
        assert_eq!(self.code, 2, "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "");
        let errors: Vec<&str> = self
            .stderr
            .lines()
            .filter(|line| line.starts_with("error: "))
            .collect();
        assert_eq!(errors.len(), 1, "{}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        errors[0].to_owned()
    }
}

/// All files under `folder`, by their paths from there.
///
/// # Panics
/// When the folder cannot be read.
pub fn files(folder: &Path) -> Vec<String> {
    fn visit(folder: &Path, base: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                visit(&path, base, found);
            } else {
                let name = path.strip_prefix(base).expect("it lies below");
                found.push(name.to_string_lossy().into_owned());
            }
        }
    }
    let mut found = Vec::new();
    visit(folder, folder, &mut found);
    found.sort();
    found
}

/// The fenced blocks of a text: what stands behind the fence, and what is in it.
///
/// # Panics
/// When a block has no line.
pub fn blocks(text: &str) -> Vec<(String, String)> {
    let mut parts = text.split("```");
    parts.next();
    let mut blocks = Vec::new();
    while let (Some(block), Some(_)) = (parts.next(), parts.next()) {
        let (header, body) = block.split_once('\n').expect("a block has lines");
        blocks.push((header.to_owned(), body.to_owned()));
    }
    blocks
}
