//! What a trial may take, what is left of it, and what later stages of it go on from, through the program.

mod common;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::Study;
use lapidary_tests::{lapidary, run};
use serde_json::Value;

/// A study of two trials that run `script` in a shell.
fn shell(script: &str, budget: &str) -> Study {
    Study::shell(2, "float = [0, 1]", script, budget)
}

/// A study that sends networks up the rungs.
fn rungs(more: &str) -> Study {
    Study::new(&format!(
        r#"
[study]
strategy = "halving"
[strategy]
searcher = "random"
reduction = 2
min_fidelity = 0.25
[budget]
trials = 14
{more}
[goal]
maximize = ["accuracy"]
[evaluate]
kind = "train"
family = "mlp"
data = "digits"
limit = 150
epochs = 8
batch = 25
[space]
width = {{ int = [4, 16] }}
learning_rate = {{ float = [1e-3, 0.1], log = true }}
"#
    ))
}

/// All trials of a study, as `--log` writes them.
fn trials(study: &Study, more: &[&str]) -> Vec<Value> {
    let log = study.beside("log.jsonl");
    let path = study.path();
    let args = [&["search", &path, "--log", &log], more].concat();
    run(&args).done();
    let lines = std::fs::read_to_string(log).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The reason why all trials of a study failed.
fn failure(study: &Study) -> String {
    let answer = run(&["search", &study.path(), "--json"]);
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    answer.stderr
}

/// Whether a process is there and has not ended.
fn lives(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap_or("Z").starts_with('Z'))
}

/// Waits until `done`, for as long as a busy machine may take.
fn soon(mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// A process in a session of its own, whose parents are gone; its number is appended to the file `pids`.
const STRAY: &str = r#"(setsid sh -c "echo \$\$ >> pids; exec sleep 1000" >/dev/null 2>&1 &)
while [ ! -s pids ]; do sleep 0.01; done"#;

/// Whether the processes that the trials of `study` have left are gone.
fn no_stray_lives(study: &Study) -> bool {
    let pids = std::fs::read_to_string(study.beside("pids")).unwrap();
    pids.lines().count() > 0 && soon(|| pids.lines().all(|pid| !lives(pid)))
}

#[test]
fn what_a_trial_leaves_behind_is_killed_however_the_trial_ends() {
    let ends = [
        ("echo '{\"loss\": 1}'", "", 0),
        ("sleep 1000 & sleep 1000", "trial_time = \"1s\"", 1),
        ("exit 3", "", 1),
        ("kill -9 $$", "", 1),
    ];
    for (end, budget, code) in ends {
        let study = shell(&format!("{STRAY}\n{end}"), budget);
        let answer = run(&["search", &study.path(), "--json"]);
        assert_eq!(answer.code, code, "{end}: {}", answer.stderr);
        assert!(no_stray_lives(&study), "{end}");
    }
}

#[test]
fn what_a_trial_has_started_is_killed_with_a_killed_search() {
    let study = shell(&format!("{STRAY}\nsleep 1000"), "");
    let mut search = Command::new(lapidary().get_program())
        .args(["search", &study.path(), "--jobs", "1"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pids = study.beside("pids");
    let started = || std::fs::read_to_string(&pids).is_ok_and(|text| text.ends_with('\n'));
    assert!(soon(started));
    search.kill().unwrap();
    search.wait().unwrap();
    assert!(no_stray_lives(&study));
}

#[test]
fn a_program_that_eats_memory_is_killed_with_all_that_eat_with_it() {
    // Ten gigabytes without a line's end, all of which `tail` keeps, in a session of its own that has lost its parents.
    let eater = r#"(setsid sh -c "echo \$\$ >> pids; head -c 10737418240 /dev/zero | tail" >/dev/null &)
sleep 1000"#;
    let study = shell(eater, "memory = \"200MB\"");
    let reason = failure(&study);
    assert!(
        reason.contains("killed for taking more than 200000000 bytes"),
        "{reason}"
    );
    assert!(no_stray_lives(&study));
}

#[test]
fn the_end_of_stderr_and_the_signal_are_kept_in_the_outcome() {
    let script =
        "head -c 100000 /dev/zero | tr \"\\\\000\" a >&2; echo the last words >&2; kill -11 $$";
    let reason = failure(&shell(script, ""));
    assert!(reason.contains("signal: 11"), "{reason}");
    assert!(
        reason.contains("aaa") && reason.contains("the last words"),
        "{reason}"
    );
    assert!(reason.len() < 5000, "{}", reason.len());
}

#[test]
fn a_trial_in_a_child_process_gives_the_very_same_numbers() {
    let study = rungs("");
    let here = trials(&study, &["--jobs", "1"]);
    assert_eq!(here.len(), 14);
    let steps = |trial: &Value| -> Vec<u64> {
        let curve = trial["curve"].as_array().unwrap().iter();
        curve
            .map(|report| report["step"].as_u64().unwrap())
            .collect()
    };
    let top = here.iter().find(|t| t["fidelity"] == 1.0);
    let top = top.expect("some trial reaches the top");
    assert_eq!(steps(top), [5, 6, 7, 8], "{top}");
    for limit in ["budget.trial_time=\"10m\"", "budget.memory=\"8GiB\""] {
        assert_eq!(
            trials(&study, &["--jobs", "2", "--set", limit]),
            here,
            "{limit}"
        );
    }
}

#[test]
fn stages_are_the_same_after_a_kill_and_with_their_checkpoints_lost() {
    let study = rungs("");
    let wanted = trials(&study, &["--jobs", "3"]);
    let store = study.beside("study.db");
    let path = study.path();
    let kept = ["--store", &store, "--resume"];
    let folder = study.beside("study.db.checkpoints");
    let begun = || std::fs::read_dir(format!("{folder}/study")).is_ok_and(|f| f.count() > 0);
    for round in 0..4 {
        let mut search = Command::new(lapidary().get_program())
            .args(["search", &path, "--jobs", "2"])
            .args(kept)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Killed once there is something that it could have gone on from.
        let ended = soon(|| begun() || search.try_wait().unwrap().is_some());
        assert!(ended);
        search.kill().unwrap();
        search.wait().unwrap();
        if round == 1 {
            let _ = std::fs::remove_dir_all(&folder);
        }
    }
    assert_eq!(trials(&study, &kept), wanted);
    assert!(!Path::new(&folder).exists(), "the study is at its end");
}

#[test]
fn a_reached_goal_and_a_spent_budget_end_what_runs() {
    // The first trial is good enough, the others never end.
    let script = r#"if [ {id} = 0 ]; then echo "{\"loss\": 0}"; else sleep 1000; fi"#;
    let study = shell(script, "time = \"1h\"");
    let path = study.path();
    let ended = |more: &[&str]| {
        let began = Instant::now();
        let answer = run(&[&["search", &path, "--jobs", "2", "--json"], more].concat()).done();
        assert!(began.elapsed() < Duration::from_secs(100));
        assert_eq!(answer.json["trials"], 1);
        answer.json["end"].as_str().unwrap().to_owned()
    };
    assert_eq!(ended(&["--set", "goal.stop_at=\"loss <= 0\""]), "reached");
    assert_eq!(ended(&["--time", "1s"]), "time");
}

#[test]
fn a_best_trial_that_was_stopped_is_written_as_it_was_measured() {
    let study = Study::new(
        r#"
[study]
strategy = "random"
[budget]
trials = 1
[goal]
maximize = ["accuracy"]
minimize = ["bytes"]
[stop]
rule = "patience"
patience = 1
metric = "bytes"
[evaluate]
kind = "train"
family = "mlp"
data = "digits"
limit = 200
epochs = 6
[space]
width = { int = [8, 12] }
"#,
    );
    let (path, out) = (study.path(), study.beside("best.onnx"));
    let logged = trials(&study, &[]);
    // The bytes never become fewer, so it stops after the second epoch.
    assert_eq!(logged[0]["outcome"]["state"], "stopped", "{}", logged[0]);
    let found = run(&["search", &path, "-o", &out, "--json"]).done().json;
    let eval = [
        "eval", &out, "--data", "digits", "--split", "valid", "--limit", "200", "--json",
    ];
    let eval = run(&eval).done().json;
    for metric in ["accuracy", "log_loss"] {
        assert_eq!(
            eval["metrics"][metric], found["best"]["metrics"][metric],
            "{metric}"
        );
    }
}

#[test]
fn limits_that_cannot_be_are_refused_where_they_stand() {
    let study = shell("true", "");
    let text = std::fs::read_to_string(study.path()).unwrap();
    let refused = |line: &str| {
        std::fs::write(study.path(), text.replace("trials = 2", line)).unwrap();
        run(&["search", &study.path()]).refused()
    };
    for (line, wanted) in [
        ("trial_time = \"0s\"", "5:14: `budget.trial_time`"),
        ("trial_time = \"3 parsecs\"", "5:14: `budget.trial_time`"),
        ("trial_time = -1", "5:14: `budget.trial_time`"),
        ("time = \"0s\"", "5:8: `budget.time`"),
        ("memory = 0", "5:10: `budget.memory`"),
        ("memory = \"2 Gallons\"", "5:10: `budget.memory`"),
        ("memory = \"-1GB\"", "5:10: `budget.memory`"),
        ("memory = true", "5:10: `budget.memory`"),
        ("threads = 0", "5:11: `budget.threads`"),
        ("trials = -1", "5:10: `budget.trials`"),
        ("trial_tim = \"1s\"", "5:1: [budget] has no key `trial_tim`"),
    ] {
        let message = refused(line);
        assert!(
            message.contains(&format!("study.toml:{wanted}")),
            "{line}: {message}"
        );
    }
    let message = run(&["search", &study.path(), "--time", "0s"]);
    assert_eq!(message.code, 2, "{}", message.stderr);
}

#[test]
fn a_strategy_by_stages_and_a_stop_rule_need_an_evaluator_by_steps() {
    let study = Study::new(
        r#"[study]
strategy = "random"
[budget]
trials = 3
[goal]
minimize = ["value"]
[evaluate]
kind = "function"
name = "sphere"
[space]
x = { float = [-1, 1] }
"#,
    );
    let path = study.path();
    let message = run(&["search", &path, "--strategy", "halving"]).refused();
    assert!(
        message.contains("study.toml:8:8: the strategy `halving`")
            && message.contains("train, command"),
        "{message}"
    );
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}[stop]\nrule = \"median\"\n")).unwrap();
    let message = run(&["search", &path]).refused();
    assert!(
        message.contains("study.toml:12:") && message.contains("train, command"),
        "{message}"
    );
}

#[test]
fn a_search_that_is_stopped_and_goes_on_fails_no_trial_for_it() {
    let study = shell(
        "echo > begun; sleep 0.4; echo '{\"loss\": 1}'",
        "trial_time = \"1500ms\"",
    );
    let search = Command::new(lapidary().get_program())
        .args(["search", &study.path(), "--jobs", "1", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let signal = |name: &str| {
        let pid = search.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    };
    let begun = study.beside("begun");
    assert!(soon(|| Path::new(&begun).exists()));
    signal("-STOP");
    std::thread::sleep(Duration::from_secs(3));
    signal("-CONT");
    let found: Value = serde_json::from_slice(&search.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!((&found["trials"], &found["failed"]), (&2.into(), &0.into()));
}

#[test]
#[cfg(target_os = "linux")]
fn no_zombie_is_left_to_a_process_that_looks_after_none() {
    // As process 1 of a container does where it reaps nothing, this one gets what has lost its parents.
    nix::sys::prctl::set_child_subreaper(true).unwrap();
    let strays = "[ -e stray ] || cp \"$(command -v sleep)\" stray\n\
                  for i in 1 2 3; do (setsid ./stray 1000 >/dev/null 2>&1 &); done";
    for (end, budget, code) in [
        ("echo '{\"loss\": 1}'", "", 0),
        ("sleep 1000", "trial_time = \"1s\"", 1),
    ] {
        let study = shell(&format!("{strays}\n{end}"), budget);
        let answer = run(&["search", &study.path(), "--jobs", "1"]);
        assert_eq!(answer.code, code, "{}", answer.stderr);
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let stats =
            processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
        let left: Vec<String> = stats.filter(|stat| stat.contains("(stray)")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
