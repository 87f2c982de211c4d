//! Sessions through the program: killed and resumed, and driven by the Python client among the examples.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use common::Study;
use lapidary_core::rng::Rng;
use lapidary_tests::{lapidary, root, run};
use serde_json::{Value, json};

/// Candidates and what they cost are all that the caller has to do with.
const TRIALS: u64 = 120;

fn study(strategy: &str) -> Study {
    Study::new(&format!(
        r#"
[study]
name = "s"
seed = 3
strategy = "{strategy}"
[budget]
trials = {TRIALS}
[goal]
minimize = ["loss"]
[space]
x = {{ float = [-5, 5] }}
n = {{ int = [1, 100], log = true }}
c = {{ choice = ["a", "b"] }}
y = {{ float = [0, 1], when = "c == b" }}
"#
    ))
}

/// A session and its caller's ends of the lines.
struct SessionProcess {
    program: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl SessionProcess {
    fn start(args: &[&str]) -> Self {
        let mut program = Command::new(lapidary().get_program())
            .arg("session")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            input: program.stdin.take().unwrap(),
            output: BufReader::new(program.stdout.take().unwrap()),
            program,
        }
    }

    /// The answer to a line; `None` where the program was killed.
    fn say(&mut self, request: &Value) -> Option<Value> {
        writeln!(self.input, "{request}").ok()?;
        let mut line = String::new();
        self.output.read_line(&mut line).ok()?;
        let answer: Value = serde_json::from_str(&line).ok()?;
        assert_eq!(answer.get("error"), None, "{request}");
        Some(answer)
    }
}

/// What a caller knows of a study, over any number of sessions.
#[derive(Default)]
struct Caller {
    /// All candidates seen.
    seen: BTreeMap<u64, Value>,
    /// Those whose answers were sent.
    sent: BTreeSet<u64>,
    /// Those whose answers were taken.
    taken: BTreeSet<u64>,
}

impl Caller {
    fn see(&mut self, candidates: &Value) -> Vec<u64> {
        let candidates = candidates.as_array().unwrap().iter();
        candidates
            .map(|candidate| {
                let id = candidate["id"].as_u64().unwrap();
                let before = self.seen.insert(id, candidate.clone());
                assert!(before.is_none_or(|before| before == *candidate), "{id}");
                id
            })
            .collect()
    }

    /// Works until the study has ended, true, or the program was killed.
    fn work(&mut self, session: &mut SessionProcess) -> bool {
        self.try_work(session).is_some()
    }

    fn try_work(&mut self, session: &mut SessionProcess) -> Option<()> {
        let pending = session.say(&json!({"pending": true}))?;
        let mut ids = self.see(&pending["pending"]);
        for id in &ids {
            assert!(!self.taken.contains(id), "{id} is answered");
        }
        for id in self.seen.keys().filter(|id| !self.sent.contains(id)) {
            assert!(ids.contains(id), "{id} is not answered");
        }
        loop {
            // The last one first.
            while let Some(id) = ids.pop() {
                let point = &self.seen[&id]["point"];
                let loss = point["x"].as_f64()?.powi(2) + point["n"].as_f64()?;
                self.sent.insert(id);
                session.say(&json!({"tell": {"id": id, "metrics": {"loss": loss}}}))?;
                self.taken.insert(id);
            }
            let answer = session.say(&json!({"ask": 3}))?;
            ids = self.see(&answer["candidates"]);
            if answer.get("end").is_some() {
                return Some(());
            }
        }
    }
}

#[test]
fn a_session_killed_again_and_again_gives_the_candidates_of_an_undisturbed_one() {
    const KILLS: u64 = 20;
    for (seed, strategy) in ["genetic", "adaptive", "random"].into_iter().enumerate() {
        let study = study(strategy);
        let (path, store) = (study.path(), study.beside("s.db"));
        let mut whole = Caller::default();
        assert!(
            whole.work(&mut SessionProcess::start(&[&path])),
            "nobody kills it"
        );
        assert_eq!(whole.taken.len() as u64, TRIALS);

        let mut caller = Caller::default();
        let args = [path.as_str(), "--store", &store, "--resume"];
        let mut rng = Rng::keyed(seed as u64, 0, "kill");
        for _ in 0..KILLS {
            let mut session = SessionProcess::start(&args);
            let id = session.program.id().to_string();
            let wait = Duration::from_secs_f64(0.002 + 0.06 * rng.unit());
            let (ended, end) = mpsc::channel::<()>();
            let killer = std::thread::spawn(move || {
                if end.recv_timeout(wait).is_err() {
                    Command::new("kill").args(["-KILL", &id]).status().unwrap();
                }
            });
            if caller.work(&mut session) {
                ended.send(()).ok();
            }
            killer.join().unwrap();
            session.program.kill().ok();
            session.program.wait().unwrap();
        }
        assert!(
            caller.work(&mut SessionProcess::start(&args)),
            "nobody kills it"
        );
        assert_eq!(caller.seen, whole.seen, "{strategy}");
    }
}

#[test]
#[ignore = "needs Python; run by cargo xtask test"]
fn the_python_client_works_and_goes_on_where_it_was_killed() {
    let python = std::env::var_os("LAPIDARY_PYTHON").expect("LAPIDARY_PYTHON names a Python");
    let (study, program) = (root().join("examples/function.toml"), lapidary());
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("s.db").display().to_string();
    let client = || {
        let mut client = Command::new(&python);
        client
            .arg(root().join("examples/session_client.py"))
            .arg(program.get_program())
            .arg("session")
            .arg(&study)
            .args(["--store", &store, "--resume", "--set", "study.name=s"])
            .args(["--trials", "400"])
            .stdout(Stdio::piped());
        client
    };
    let mut killed = client().spawn().unwrap();
    let told = || {
        let answer = run(&["study", "show", "s", "--store", &store, "--json"]);
        answer.json["trials"].as_u64().unwrap_or(0)
    };
    while told() < 40 {
        assert!(killed.try_wait().unwrap().is_none(), "it ended early");
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let before = told();
    // The session that the killed client had started lets go of the store when it sees that nobody asks any more.
    let mut output = client().output().unwrap();
    for _ in 0..100 {
        if output.status.success() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        output = client().output().unwrap();
    }
    assert!(output.status.success());
    let best: Value = serde_json::from_slice(&output.stdout).unwrap();
    let search = root().join("examples/function.toml").display().to_string();
    let undisturbed = run(&["search", &search, "--trials", "400", "--json"]);
    assert!((40..400).contains(&before), "{before}");
    let (found, wanted) = (
        &best["metrics"]["value"],
        &undisturbed.json["best"]["metrics"]["value"],
    );
    let (found, wanted) = (found.as_f64().unwrap(), wanted.as_f64().unwrap());
    assert!((found - wanted).abs() < 1e-9, "{found}, not {wanted}");
}
