//! Stored studies through the program: killed and resumed, refused, shared, looked at, and read by Optuna.

mod common;

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::Study;
use lapidary_core::rng::Rng;
use lapidary_tests::{Answer, lapidary, root, run, run_in};
use rusqlite::Connection;
use serde_json::Value;

/// A study of a cheap function over axes of every kind: a starting point and so many trials more.
fn study(strategy: &str, trials: u64) -> Study {
    let trials = trials + 1;
    Study::new(&format!(
        r#"
[study]
name = "front"
seed = 5
strategy = "{strategy}"
[budget]
trials = {trials}
[goal]
minimize = ["f1", "f2"]
subject_to = ["f1 <= 0.75"]
[evaluate]
kind = "function"
name = "zdt1"
[space]
a = {{ float = [0.0, 1.0] }}
b = {{ float = [1e-3, 1.0], log = true }}
c = {{ int = [0, 1] }}
d = {{ choice = [0.0, 0.5, 1.0] }}
e = {{ float = [0.0, 1.0], step = 0.25, when = "d == 0.5" }}
[[start]]
a = 0.1
b = 0.01
c = 1
d = 1.0
"#
    ))
}

/// `search` over the study with its store beside it.
fn search<'a>(study: &'a [String; 2], more: &[&'a str]) -> Vec<&'a str> {
    let [path, store] = study;
    [&["search", path, "--store", store], more].concat()
}

/// The paths of the study file and its store.
fn paths(study: &Study) -> [String; 2] {
    [study.path(), study.beside("study.db")]
}

fn spawn(args: &[&str]) -> Child {
    Command::new(lapidary().get_program())
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// All trials as the store has them, line by line.
fn trials(study: &Study) -> Vec<String> {
    let (out, store) = (study.beside("trials.jsonl"), study.beside("study.db"));
    let args = ["study", "export", "front", "--store", &store];
    run(&[&args[..], &["--format", "jsonl", "-o", &out]].concat()).done();
    lines(&out)
}

/// All trials of a run without a store, as `--log` writes them.
fn undisturbed(study: &Study, more: &[&str]) -> Vec<String> {
    let (path, log) = (study.path(), study.beside("log.jsonl"));
    run(&[&["search", &path, "--log", &log], more].concat()).done();
    lines(&log)
}

fn lines(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// What Optuna sees of the trials, without times.
fn rows(store: &str) -> Vec<Vec<rusqlite::types::Value>> {
    let connection = Connection::open(store).unwrap();
    let mut all = Vec::new();
    for table in [
        "SELECT trial_id, number, state FROM trials ORDER BY 1",
        "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params ORDER BY 1, 2",
        "SELECT trial_id, objective, value FROM trial_values ORDER BY 1, 2",
        "SELECT trial_id, \"key\", value_json FROM trial_system_attributes ORDER BY 1, 2",
        "SELECT trial_id, id, kind, body FROM lapidary_log ORDER BY id, kind",
    ] {
        let mut rows = connection.prepare(table).unwrap();
        let width = rows.column_count();
        let rows = rows.query_map([], |row| (0..width).map(|i| row.get(i)).collect());
        let before = all.len();
        all.extend(rows.unwrap().map(Result::unwrap));
        assert!(all.len() > before, "{table}");
    }
    all
}

#[test]
fn a_study_killed_again_and_again_has_the_trials_of_an_undisturbed_one() {
    const KILLS: u64 = 100;
    const KILLS_OF_ONE: u64 = 20;
    let mut kills = 0;
    for strategy in ["genetic", "greedy", "random"].iter().cycle() {
        let study = study(strategy, 600);
        let paths = paths(&study);
        let jobs = if kills % 2 == 0 { "1" } else { "2" };
        let args = search(&paths, &["--resume", "--jobs", jobs]);
        let until = KILLS.min(kills + KILLS_OF_ONE);
        while kills < until {
            let mut child = spawn(&args);
            let wait = 1.0 + 39.0 * Rng::keyed(1, kills, "kill").unit();
            std::thread::sleep(Duration::from_secs_f64(wait / 1e3));
            if child.try_wait().unwrap().is_some() {
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
        }
        run(&args).done();
        assert_eq!(trials(&study), undisturbed(&study, &[]), "{strategy}");
        let connection = Connection::open(&paths[1]).unwrap();
        let whole: String = connection
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(whole, "ok");
        if kills == KILLS {
            break;
        }
    }
}

#[test]
fn every_stored_trial_is_the_same_at_any_number_of_jobs() {
    let all = ["1", "2", "5"].map(|jobs| {
        let study = study("genetic", 100);
        let paths = paths(&study);
        run(&search(&paths, &["--jobs", jobs])).done();
        assert_eq!(trials(&study).len(), 101);
        (trials(&study), rows(&paths[1]))
    });
    assert!(all[0] == all[1] && all[0] == all[2]);
}

#[test]
fn only_the_budget_may_change_on_resume() {
    let study = study("genetic", 30);
    let paths = paths(&study);
    run(&search(&paths, &[])).done();
    let before = trials(&study);
    for (more, text) in [
        (["--seed", "6"], "another seed: 5 then, 6 now"),
        (
            ["--strategy", "random"],
            "another strategy: genetic then, random now",
        ),
        (
            ["--set", "population=9"],
            "another settings population: nothing then, 9 now",
        ),
        (["--set", "study.window=5"], "another window: 4 then, 5 now"),
        (
            ["--set", "study.repeats=true"],
            "another repeats: false then, true now",
        ),
        (
            ["--set", "evaluate.name=zdt2"],
            "another evaluate name: zdt1 then, zdt2 now",
        ),
        (
            ["--set", "space.b={ float = [1e-2, 1.0], log = true }"],
            "another space b float: [0.001,1.0] then, [0.01,1.0] now",
        ),
        (
            ["--set", "goal.subject_to=\"f1 <= 0.5\""],
            "another goal constraints f1 bound: 0.75 then, 0.5 now",
        ),
        (
            ["--set", "goal.stop_at=\"f1 <= 0.5\""],
            "another goal stop_at",
        ),
    ] {
        let message = run(&search(&paths, &[&["--resume"], &more[..]].concat())).refused();
        assert!(message.contains(text), "{message}");
        assert!(message.contains("only the budget may change"), "{message}");
    }
    let message = run(&search(&paths, &[])).refused();
    assert!(
        message.contains("the study `front` is there already"),
        "{message}"
    );
    let message = run(&["search", &paths[0], "--resume"]).refused();
    assert!(message.contains("required"), "{message}");
    assert_eq!(trials(&study), before);

    let answer = run(&search(
        &paths,
        &["--resume", "--trials", "70", "--time", "10m"],
    ))
    .done();
    assert!(
        answer.stderr.contains("going on after 31 trials"),
        "{}",
        answer.stderr
    );
    let larger = trials(&study);
    assert_eq!(larger.len(), 70);
    assert_eq!(larger[..31], before);
    assert_eq!(larger, undisturbed(&study, &["--trials", "70"]));
    // Nothing is to be done for a smaller one.
    run(&search(&paths, &["--resume", "--trials", "10"])).done();
    assert_eq!(trials(&study), larger);
}

/// Waits until `done` holds.
fn wait_until(mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "it takes too long"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_running_study_is_read_by_others_written_by_none_and_says_how_to_go_on() {
    let study = study("random", 100_000_000);
    let paths = paths(&study);
    let mut child = spawn(&search(&paths, &["--set", "study.name=the front"]));
    let show = ["study", "show", "the front", "--store", &paths[1], "--json"];
    let told = |answer: Answer| answer.json["trials"].as_u64().unwrap_or(0);
    wait_until(|| Path::new(&paths[1]).exists() && told(run(&show)) > 50);
    let first = told(run(&show).done());
    wait_until(|| told(run(&show).done()) > first);

    let other = search(&paths, &["--set", "study.name=other", "--trials", "3"]);
    let message = run(&other).refused();
    let holder = format!("another process ({}) is writing to it", child.id());
    assert!(message.contains(&holder), "{message}");
    let rm = ["study", "rm", "the front", "--yes", "--store", &paths[1]];
    assert!(run(&rm).refused().contains(&holder));

    let ended = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(ended.success());
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let hint = stderr
        .lines()
        .find(|line| line.contains("go on with:"))
        .unwrap();
    let (_, command) = hint.split_once("go on with: ").unwrap();
    assert!(
        command.ends_with("--set 'study.name=the front' --resume"),
        "{command}"
    );
    // The command does go on, and what it ends with is the last one's.
    run(&other).done();
    let kept = told(run(&show).done());
    let mut again = Command::new("timeout")
        .args(["-s", "INT", "0.5", "sh", "-c", &format!("exec {command}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    again.wait().unwrap();
    assert!(told(run(&show).done()) > kept);
}

#[test]
fn what_is_no_store_is_refused() {
    let study = study("random", 5);
    let paths = paths(&study);
    let refused = |text: &str| {
        let list = ["study", "list", "--store", &paths[1]];
        for args in [
            search(&paths, &[]),
            search(&paths, &["--resume"]),
            list.into(),
        ] {
            let message = run(&args).refused();
            assert!(
                message.contains(text) && message.contains("study.db"),
                "{message}"
            );
        }
    };
    std::fs::write(&paths[1], "no database").unwrap();
    refused("no SQLite file");
    std::fs::remove_file(&paths[1]).unwrap();
    std::fs::create_dir(&paths[1]).unwrap();
    refused("this is a folder");
    std::fs::remove_dir(&paths[1]).unwrap();
    let missing = study.beside("missing/study.db");
    let message = run(&["search", &paths[0], "--store", &missing]).refused();
    assert!(message.contains("No such file"), "{message}");
    for command in ["list", "rm", "show"] {
        let name: &[&str] = if command == "list" { &[] } else { &["front"] };
        let args = [&["study", command, "--store", &paths[1]], name].concat();
        assert!(run(&args).refused().contains("No such file"));
    }
    assert!(!Path::new(&paths[1]).exists());
    run(&search(&paths, &["--resume"])).done();
    let change = |text: &str| {
        let connection = Connection::open(&paths[1]).unwrap();
        connection.execute_batch(text).unwrap();
    };
    change("UPDATE version_info SET schema_version = 11");
    refused(
        "the store has schema 11 (v3.2.0.a); this program reads and writes schema 12 (v3.2.0.a)",
    );
    change("UPDATE version_info SET schema_version = 12; UPDATE lapidary_studies SET version = 2");
    let message = run(&search(&paths, &["--resume"])).refused();
    assert!(message.contains("a log of version 2"), "{message}");
}

#[test]
fn a_store_that_cannot_be_written_is_refused_and_still_read() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;

    let study = study("random", 20);
    let paths = paths(&study);
    run(&search(&paths, &[])).done();
    let before = trials(&study);
    let folder = Path::new(&paths[0]).parent().unwrap();
    // Readers leave an empty write-ahead log and an index behind; a folder brought from elsewhere has none.
    for name in ["study.db-wal", "study.db-shm", "study.db.lock"] {
        let _ = std::fs::remove_file(folder.join(name));
    }
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    mode(Path::new(&paths[1]), 0o444);
    mode(folder, 0o555);
    // Permissions do not bind root: it sends somebody else.
    let nobody = std::fs::metadata(folder).unwrap().uid() == 0;
    let ask = |args: &[&str]| {
        let mut command = Command::new(lapidary().get_program());
        command.args(args);
        if nobody {
            command.uid(65534).gid(65534);
        }
        command.output()
    };
    match ask(&["--version"]) {
        Ok(output) if output.status.success() => {
            let output = ask(&search(&paths, &["--resume", "--trials", "30"])).unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{stderr}");
            assert!(stderr.contains("study.db: Permission denied"), "{stderr}");
            let show = ["study", "show", "front", "--store", &paths[1], "--json"];
            let output = ask(&show).unwrap();
            assert!(output.status.success());
            let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(shown["trials"], 21);
        }
        _ => eprintln!("skipped: nobody may not run the program"),
    }
    mode(folder, 0o755);
    mode(Path::new(&paths[1]), 0o644);
    assert_eq!(trials(&study), before);
}

#[test]
fn a_file_that_cannot_grow_ends_the_study_and_loses_nothing() {
    let study = study("genetic", 2000);
    let paths = paths(&study);
    let program = lapidary().get_program().to_owned();
    // Files may have so many blocks of at least 512 bytes; a write beyond them fails.
    let limited = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 4000; exec \"$@\"", "sh"])
        .arg(program)
        .args(search(&paths, &[]))
        .output()
        .unwrap();
    let stderr = String::from_utf8(limited.stderr).unwrap();
    assert_eq!(limited.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("error: the study's log: "), "{stderr}");
    assert!(
        stderr.contains("study.db") && !stderr.contains("panicked"),
        "{stderr}"
    );
    let kept = trials(&study);
    assert!((10..2000).contains(&kept.len()), "{}", kept.len());
    run(&search(&paths, &["--resume"])).done();
    let whole = trials(&study);
    assert!(kept.iter().all(|trial| whole.contains(trial)));
    assert_eq!(whole, undisturbed(&study, &[]));
}

#[test]
fn stored_studies_are_listed_shown_exported_and_removed() {
    let study = study("genetic", 40);
    let paths = paths(&study);
    let found = run(&search(&paths, &["--json"])).done().json;
    run(&search(
        &paths,
        &["--set", "study.name=second", "--strategy", "random"],
    ))
    .done();
    let store = ["--store", &paths[1], "--json"];
    let ask = |args: &[&str]| run(&[args, &store].concat());

    let list = ask(&["study", "list"]).done().json;
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(list[0]["study"], "front");
    assert_eq!(list[1]["strategy"], "random");
    assert_eq!(list[1]["measured"], 41);
    assert_eq!(list[0]["best"], found["best"]);
    let shown = ask(&["study", "show", "front"]).done().json;
    for key in [
        "study", "strategy", "seed", "trials", "failed", "best", "front", "goal_met",
    ] {
        assert_eq!(shown[key], found[key], "{key}");
    }
    let text = run(&["study", "show", "front", "--store", &paths[1]])
        .done()
        .stdout;
    assert!(
        text.contains("41 trials of genetic (0 failed; 0 pending)"),
        "{text}"
    );
    let text = run(&["study", "list", "--store", &paths[1]]).done().stdout;
    assert!(text.contains("second"), "{text}");

    let out = study.beside("table.csv");
    let export = ask(&["study", "export", "second", "--format", "csv", "-o", &out]).done();
    assert_eq!(export.json["trials"], 41);
    let table = lines(&out);
    assert_eq!(table.len(), 42);
    assert!(table[0].ends_with("point.a,point.b,point.c,point.d,point.e,metrics.f1,metrics.f2"));
    let message = ask(&["study", "export", "third", "--format", "csv", "-o", &out]).refused();
    assert!(
        message.contains("no study `third`; there are front, second"),
        "{message}"
    );

    let message = ask(&["study", "rm", "second"]).refused();
    assert!(
        message.contains("--yes removes without asking"),
        "{message}"
    );
    let message = ask(&["study", "rm", "third", "--yes"]).refused();
    assert!(message.contains("no study `third`"), "{message}");
    assert_eq!(
        ask(&["study", "list"])
            .done()
            .json
            .as_array()
            .unwrap()
            .len(),
        2
    );
    ask(&["study", "rm", "second", "--yes"]).done();
    assert_eq!(
        ask(&["study", "list"])
            .done()
            .json
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(ask(&["study", "show", "front"]).done().json, shown);
}

/// Runs `tests/foreign/store.py`.
fn optuna(args: &[&str]) {
    python("store.py", args);
}

/// Runs a script of `tests/foreign`.
fn python(script: &str, args: &[&str]) {
    let python =
        std::env::var_os("LAPIDARY_PYTHON").expect("LAPIDARY_PYTHON names a Python with optuna");
    let output = Command::new(python)
        .arg(root().join("tests/foreign").join(script))
        .args(args)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
}

#[test]
#[ignore = "needs Python with optuna; run by cargo xtask test"]
fn optuna_reads_a_study_goes_on_with_it_and_is_learnt_from() {
    let study = study("genetic", 60);
    let paths = paths(&study);
    run(&search(&paths, &[])).done();
    trials(&study);
    let exported = study.beside("trials.jsonl");
    optuna(&["sqlite", &paths[1], "front", &exported]);
    let journal = study.beside("journal.log");
    let export = ["study", "export", "front", "--store", &paths[1]];
    run(&[&export[..], &["--format", "optuna-journal", "-o", &journal]].concat()).done();
    optuna(&["journal", &journal, "front", &exported]);

    // Five trials of Optuna come between ours, and once more.
    for (more, trials_then) in [("80", 80 + 5), ("100", 100 + 5 + 5)] {
        optuna(&["go-on", &paths[1], "front", "5"]);
        let answer = run(&search(&paths, &["--resume", "--trials", more])).done();
        let learnt = "5 trials of another program are learnt from";
        assert!(answer.stderr.contains(learnt), "{}", answer.stderr);
        let all = trials(&study);
        assert_eq!(all.len(), trials_then);
        let foreign = |line: &&String| line.contains("\"origin\":\"foreign\"");
        let ours_or_start = if more == "80" { 5 } else { 10 };
        assert_eq!(all[1..].iter().filter(foreign).count(), ours_or_start);
        optuna(&["sqlite", &paths[1], "front", &exported]);
    }
    // With the foreign trials in its log, the study is still resumed to the bit.
    let before = trials(&study);
    run(&search(&paths, &["--resume", "--trials", "100"])).done();
    assert_eq!(trials(&study), before);
}

#[test]
#[ignore = "needs Python with optuna; run by cargo xtask test"]
fn optuna_reads_a_study_that_runs() {
    let study = study("random", 100_000_000);
    let paths = paths(&study);
    let mut child = spawn(&search(&paths, &[]));
    let show = ["study", "show", "front", "--store", &paths[1], "--json"];
    wait_until(|| {
        Path::new(&paths[1]).exists() && run(&show).json["trials"].as_u64().unwrap_or(0) > 20
    });
    optuna(&["running", &paths[1], "front"]);
    assert!(
        child.try_wait().unwrap().is_none(),
        "the reader ended the writer"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
#[ignore = "needs Python with optuna-dashboard; run by cargo xtask test"]
fn optuna_dashboard_shows_studies() {
    // Trials of a shell script that report three steps; some fail, some break the constraint.
    let reports = Study::new(
        r#"
[study]
name = "front"
strategy = "random"
[budget]
trials = 40
[goal]
minimize = ["loss"]
subject_to = ["cost <= 15"]
[evaluate]
kind = "command"
program = "sh"
args = ["-c", """
[ {n} = 3 ] && { echo no luck >&2; exit 1; }
for step in 1 2 3; do echo "{\"step\": $step, \"loss\": {x}}"; done
echo '{"loss": {x}, "cost": '{n}'}'"""]
[space]
x = { float = [0.001, 1.0], log = true }
n = { int = [1, 20] }
c = { choice = [true, false] }
y = { float = [0, 1], step = 0.25, when = "c == true" }
"#,
    );
    for study in [reports, study("genetic", 40)] {
        let paths = paths(&study);
        let mut child = spawn(&search(&paths, &[]));
        child.wait().unwrap();
        let lines = trials(&study);
        assert!(lines.len() >= 40);
        let exported = study.beside("trials.jsonl");
        python("dashboard.py", &[&paths[1], "front", &exported]);
    }
}

#[test]
fn names_that_mean_something_else_to_sqlite_are_files() {
    let study = study("random", 3);
    let folder = Path::new(&study.path()).parent().unwrap().to_owned();
    for name in [":memory:", "file:x.db", "file:y.db?mode=memory"] {
        run_in(&folder, &["search", "study.toml", "--store", name]).done();
        assert!(folder.join(name).is_file(), "{name}");
        let list = run_in(&folder, &["study", "list", "--store", name, "--json"]).done();
        assert_eq!(list.json[0]["trials"], 4, "{name}");
    }
}

#[test]
fn a_damaged_study_hides_no_other() {
    let study = study("random", 3);
    let paths = paths(&study);
    for name in ["front", "second", "third"] {
        run(&search(&paths, &["--set", &format!("study.name={name}")])).done();
    }
    let connection = Connection::open(&paths[1]).unwrap();
    let damage = "UPDATE lapidary_log SET body = 'no record' WHERE study_id = 2 AND seq = 3";
    assert_eq!(connection.execute(damage, []).unwrap(), 1);
    let list = run(&["study", "list", "--store", &paths[1], "--json"]).done();
    let reason = "the log of study `second` is damaged: record 3";
    assert!(list.stderr.contains(reason), "{}", list.stderr);
    let damaged = list.json[1]["damaged"].as_str().unwrap();
    assert!(damaged.contains(reason), "{damaged}");
    assert_eq!(
        (&list.json[0]["trials"], &list.json[2]["trials"]),
        (&4.into(), &4.into())
    );
    run(&["study", "show", "third", "--store", &paths[1]]).done();
}

#[test]
fn failed_trials_are_tried_again_after_a_repair() {
    let study = Study::shell(
        8,
        "float = [0, 1]",
        "[ -e fixed ] || exit 7; echo '{\"loss\": 1}'",
        "",
    );
    let paths = paths(&study);
    let search = |more: &[&str]| {
        let named = [&["--set", "study.name=front"], more].concat();
        run(&search(&paths, &named))
    };
    assert_eq!(search(&[]).code, 1);
    std::fs::write(study.beside("fixed"), "").unwrap();
    let before = search(&["--resume", "--json"]);
    assert_eq!(before.json["failed"], 8, "nothing is tried again unasked");
    let again = search(&["--resume", "--retry-failed", "--json"]).done();
    assert!(
        again.stderr.contains("8 failed trials are tried again"),
        "{}",
        again.stderr
    );
    assert_eq!(
        (&again.json["trials"], &again.json["failed"]),
        (&16.into(), &8.into())
    );
    let lines = trials(&study);
    let point = |line: &String| serde_json::from_str::<Value>(line).unwrap()["point"].clone();
    let points: Vec<Value> = lines.iter().map(point).collect();
    assert_eq!(points[..8], points[8..]);
    // All are measured now; the study goes on as it stands.
    let more = search(&["--resume", "--retry-failed", "--trials", "10", "--json"]).done();
    assert!(more.stderr.contains("0 failed trials"), "{}", more.stderr);
    assert_eq!(more.json["trials"], 18);
    assert_eq!(trials(&study)[..16], lines);
    let refused = search(&["--retry-failed"]).refused();
    assert!(refused.contains("required"), "{refused}");
}

#[test]
fn names_with_control_characters_reach_no_terminal() {
    let study = study("random", 3);
    let paths = paths(&study);
    let name = "study.name=\"a\\nb\\u001b[31mc\\u009bd\"";
    run(&search(&paths, &["--set", name])).done();
    let list = run(&["study", "list", "--store", &paths[1]]).done().stdout;
    assert!(list.contains("a\\nb\\u{1b}[31mc\\u{9b}d"), "{list}");
    let json = run(&["study", "list", "--store", &paths[1], "--json"]).done();
    assert_eq!(json.json[0]["study"], "a\nb\u{1b}[31mc\u{9b}d");
    let unknown = run(&["study", "show", "\u{1b}[31m", "--store", &paths[1]]).refused();
    for text in [&list, &json.stdout, &unknown] {
        assert!(!text.contains(['\u{1b}', '\u{9b}']), "{text:?}");
    }
}
