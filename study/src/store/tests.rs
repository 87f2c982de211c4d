use std::collections::VecDeque;
use std::sync::Arc;

use lapidary_core::budget::{Budget, WallClock};
use lapidary_core::cancel::Cancel;
use lapidary_core::condition::Condition;
use lapidary_core::evaluator::{EvalContext, Evaluator, MetricInfo};
use lapidary_core::goal::{Constraint, Direction, Goal, Objective};
use lapidary_core::log::Log;
use lapidary_core::registry::SearchInit;
use lapidary_core::space::{Axis, Domain, Space};
use lapidary_core::study::{Finished, Study, StudyError};
use lapidary_core::trial::{Metrics, Outcome, Report};
use rusqlite::types::Value;
use serde_json::json;
use tempfile::TempDir;

use super::*;

fn identity() -> Identity {
    let float = |low, high, log| Domain::Float {
        low,
        high,
        log,
        step: None,
    };
    let options = vec!["sgd".into(), "adam".into()];
    let mut axes = vec![
        Axis::new("rate", float(1e-5, 1.0, true)),
        Axis::new("shift", float(-1.0, 1.0, false)),
        Axis::new("kind", Domain::Choice { options }),
        Axis::new("momentum", float(0.0, 0.9, false)),
        Axis::new(
            "depth",
            Domain::Int {
                low: 1,
                high: 9,
                log: false,
                step: 2,
            },
        ),
    ];
    axes[3].when = Some(Condition::parse("kind == sgd").unwrap());
    let space = Arc::new(Space::new(axes).unwrap());
    let objective = |metric: &str, direction| Objective {
        metric: metric.into(),
        direction,
    };
    Identity {
        goal: Goal::new(
            vec![
                objective("loss", Direction::Minimize),
                objective("share", Direction::Maximize),
            ],
            vec![Constraint::parse("cost <= 0.5").unwrap()],
            vec![],
        )
        .unwrap(),
        strategy: "random".into(),
        settings: Json::Null,
        seed: 7,
        window: 3,
        repeats: false,
        start: vec![space.middle()],
        stop: None,
        evaluate: Json::Null,
        runtime: crate::measure::RUNTIME.into(),
        plugins: Default::default(),
        space,
    }
}

/// Measures, fails and stops by the point alone.
struct Measure;

impl Evaluator for Measure {
    fn evaluate(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Outcome {
        let unit = candidate.point.to_unit();
        let at = |i: usize| unit[i].unwrap_or(0.25);
        let metrics: Metrics = [
            ("loss", -at(0) * at(1)),
            ("share", at(2) - at(4)),
            ("cost", at(1)),
            ("other", if at(4) < 0.3 { f64::INFINITY } else { 0.1 }),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        (cx.report)(1, &metrics);
        match candidate.id % 5 {
            1 => Outcome::Failed {
                reason: "it \"breaks\"".into(),
            },
            2 => Outcome::Stopped {
                metrics,
                reason: "too slow".into(),
            },
            _ => Outcome::Measured { metrics },
        }
    }

    fn metrics(&self) -> Option<Vec<MetricInfo>> {
        None
    }
}

fn run(identity: &Identity, trials: u64, log: &mut dyn Log) -> Result<Finished, StudyError> {
    let budget = Budget {
        // Besides the starting points.
        trials: Some(trials + identity.start.len() as u64),
        time: None,
    };
    run_for(identity, budget, log)
}

fn run_for(identity: &Identity, budget: Budget, log: &mut dyn Log) -> Result<Finished, StudyError> {
    let study = Study {
        space: identity.space.clone(),
        goal: identity.goal.clone(),
        budget,
        seed: identity.seed,
        window: identity.window,
        repeats: identity.repeats,
        start: identity.start.clone(),
        stop: identity.stop.clone(),
    };
    let init = SearchInit {
        space: identity.space.clone(),
        seed: identity.seed,
        objectives: 2,
        trials: budget.trials,
        installed: None,
    };
    let lapidary_core::registry::Factory::Searcher(make) = lapidary_random::ENTRY.factory else {
        panic!("random is a searcher")
    };
    let mut searcher = make(&Json::Null, &init).unwrap();
    let clock = WallClock::start();
    study.run(searcher.as_mut(), &Measure, 2, log, &clock, &Cancel::new())
}

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("study.db")
    }

    fn begin(&self, name: &str, resume: bool) -> Result<StudyLog, StoreError> {
        Store::create(&self.path())?.begin(name, &identity(), Some(20), resume)
    }

    fn run(&self, name: &str, trials: u64, resume: bool) -> Finished {
        let mut log = self.begin(name, resume).unwrap();
        run(&identity(), trials, &mut log).unwrap()
    }

    fn stored(&self, name: &str) -> Stored {
        Store::open(&self.path()).unwrap().read(name).unwrap()
    }

    fn sql(&self, text: &str) {
        let connection = Connection::open(self.path()).unwrap();
        let text = format!("PRAGMA foreign_keys = OFF; {text}");
        connection.execute_batch(&text).unwrap();
    }
}

/// All rows of a table in their order.
fn dump(path: &Path, table: &str, columns: &str) -> Vec<Vec<Value>> {
    let connection = Connection::open(path).unwrap();
    let query = format!("SELECT {columns} FROM {table} ORDER BY {columns}");
    let mut rows = connection.prepare(&query).unwrap();
    let width = rows.column_count();
    rows.query_map([], |row| (0..width).map(|i| row.get(i)).collect())
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

/// What Optuna sees of trials.
fn optuna_rows(path: &Path) -> Vec<Vec<Vec<Value>>> {
    [
        (
            "trials",
            "trial_id, number, study_id, state, datetime_start, datetime_complete",
        ),
        (
            "trial_params",
            "trial_id, param_name, param_value, distribution_json",
        ),
        ("trial_values", "trial_id, objective, value, value_type"),
        ("trial_user_attributes", "trial_id, \"key\", value_json"),
        ("trial_system_attributes", "trial_id, \"key\", value_json"),
        ("study_directions", "study_id, objective, direction"),
        ("study_system_attributes", "study_id, \"key\", value_json"),
    ]
    .map(|(table, columns)| dump(path, table, columns))
    .into()
}

#[test]
fn a_study_is_read_again_as_it_was() {
    let place = Place::new();
    let finished = place.run("one", 20, false);
    assert_eq!(finished.trials.len(), 21);
    assert!(finished.failed() > 3);
    let stored = place.stored("one");
    assert_eq!(stored.identity, identity());
    assert_eq!(stored.trials, finished.trials);
    assert!(stored.pending.is_empty());
    assert!(stored.times.iter().all(|[asked, told]| asked <= told));
    // A study without a store has the same trials.
    assert_eq!(
        run(&identity(), 20, &mut ()).unwrap().trials,
        finished.trials
    );
}

#[test]
fn a_study_goes_on_after_any_number_of_records() {
    let whole = Place::new();
    let finished = whole.run("one", 12, false);
    let records = dump(&whole.path(), "lapidary_log", "seq").len();
    for kept in 0..=records {
        let place = Place::new();
        std::fs::copy(whole.path(), place.path()).unwrap();
        place.sql(&format!("DELETE FROM lapidary_log WHERE seq >= {kept}"));
        let connection = Connection::open(place.path()).unwrap();
        let unknown = "NOT IN (SELECT trial_id FROM lapidary_log WHERE study_id = ?1)";
        optuna::forget_trials(&connection, unknown, 1).unwrap();
        drop(connection);
        let log = place.begin("one", true).unwrap();
        assert!(log.recalled() <= kept / 2 + 1);
        drop(log);
        assert_eq!(
            place.run("one", 12, true).trials,
            finished.trials,
            "{kept} records"
        );
        assert_eq!(
            place.stored("one").trials,
            finished.trials,
            "{kept} records"
        );
    }
}

#[test]
fn a_larger_budget_goes_on_where_a_smaller_one_ended() {
    let (small, large) = (Place::new(), Place::new());
    // A budget smaller than the window, too.
    for trials in [1, 2, 9, 9, 30] {
        let resume = trials > 1;
        assert_eq!(
            small.run("one", trials, resume).trials.len() as u64,
            trials + 1
        );
    }
    let finished = large.run("one", 30, false);
    assert_eq!(small.stored("one").trials, finished.trials);
    assert_eq!(small.begin("one", true).unwrap().planned(), Some(20));
}

#[test]
fn time_that_earlier_runs_took_counts() {
    let place = Place::new();
    let finished = place.run("one", 9, false);
    let budget = Budget {
        trials: None,
        time: Some(Duration::from_millis(1)),
    };
    place.sql("UPDATE lapidary_log SET at = at + 1000 WHERE kind != 3");
    let mut log = place.begin("one", true).unwrap();
    assert!(log.spent() >= Duration::from_millis(1));
    // What was asked is told again, and nothing more.
    let resumed = run_for(&identity(), budget, &mut log).unwrap();
    assert_eq!(resumed.trials, finished.trials);
    drop(log);

    // Two runs of 3 and 5 seconds with an hour between, then one that noted nothing.
    place.sql("DELETE FROM lapidary_log");
    for (seq, (kind, seconds)) in [
        (3, 100),
        (0, 101),
        (1, 103),
        (3, 3700),
        (1, 3705),
        (3, 9000),
    ]
    .into_iter()
    .enumerate()
    {
        place.sql(&format!(
            "INSERT INTO lapidary_log VALUES (1, {seq}, {kind}, 0, 0, {seconds} * 1000000, '')"
        ));
    }
    let store = Store::open(&place.path()).unwrap();
    assert_eq!(
        history::spent(&store.connection, 1).unwrap(),
        Duration::from_secs(3 + 5)
    );
}

#[test]
fn numbers_are_kept_to_the_bit() {
    let place = Place::new();
    let mut identity = identity();
    identity.repeats = true;
    let values = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -0.0,
        f64::MIN_POSITIVE / 4.0,
        f64::MAX,
        0.1 + 0.2,
    ];
    let bits = |metrics: &Metrics| -> Vec<u64> { metrics.values().map(|v| v.to_bits()).collect() };
    let mut metrics: Metrics = (values.iter().enumerate())
        .map(|(i, v)| (format!("m{i}"), *v))
        .collect();
    metrics.extend(["loss", "share", "cost"].map(|name| (name.to_owned(), -0.0)));
    let trial = Trial {
        candidate: Candidate {
            id: 0,
            point: identity.space.at_unit(&[0.3; 5]),
            fidelity: 1.0 / 3.0,
            parent: None,
        },
        origin: Origin::Foreign,
        outcome: Outcome::Stopped {
            metrics: metrics.clone(),
            reason: String::new(),
        },
        score: None,
        curve: vec![Report {
            step: u64::MAX,
            metrics: metrics.clone(),
        }],
        repeats: None,
    };
    let store = Store::create(&place.path()).unwrap();
    let mut log = store.begin("one", &identity, None, false).unwrap();
    log.asked(&trial.candidate).unwrap();
    log.told(&trial).unwrap();
    log.commit().unwrap();
    drop(log);
    let stored = place.stored("one");
    let read = &stored.trials[0];
    assert_eq!(read.candidate, trial.candidate);
    assert_eq!(bits(read.outcome.metrics().unwrap()), bits(&metrics));
    assert_eq!(bits(&read.curve[0].metrics), bits(&metrics));
    assert_eq!(read.curve[0].step, u64::MAX);
    let line: Json = serde_json::from_str(&export::json_lines(&stored)).unwrap();
    assert_eq!(line["outcome"]["metrics"]["m0"], "nan");
    assert_eq!(line["outcome"]["metrics"]["m2"], "-inf");
}

#[test]
fn what_was_not_committed_never_was() {
    let place = Place::new();
    let mut log = place.begin("one", false).unwrap();
    let candidate = |id| Candidate {
        id,
        point: identity().space.middle(),
        fidelity: 1.0,
        parent: None,
    };
    log.asked(&candidate(0)).unwrap();
    log.commit().unwrap();
    log.asked(&candidate(1)).unwrap();
    // A reader is not blocked, and does not see it.
    assert_eq!(place.stored("one").pending.len(), 1);
    drop(log);
    assert_eq!(place.stored("one").pending, [candidate(0)]);
    assert_eq!(place.begin("one", true).unwrap().recalled(), 0);
}

#[test]
fn several_studies_live_in_a_file_and_one_is_removed_whole() {
    let place = Place::new();
    let one = place.run("one", 6, false);
    place.run("two", 4, false);
    assert_eq!(
        Store::open(&place.path()).unwrap().studies().unwrap(),
        ["one", "two"]
    );
    let mut store = Store::create(&place.path()).unwrap();
    store.remove("two").unwrap();
    assert_eq!(store.studies().unwrap(), ["one"]);
    drop(store);
    assert_eq!(place.stored("one").trials, one.trials);
    Store::create(&place.path()).unwrap().remove("one").unwrap();
    for rows in optuna_rows(&place.path()) {
        assert!(rows.is_empty());
    }
    assert!(dump(&place.path(), "lapidary_log", "seq").is_empty());
    assert!(dump(&place.path(), "lapidary_studies", "study_id").is_empty());
    // Its name and its rows are free again.
    assert_eq!(place.run("one", 6, false).trials, one.trials);
    let unknown = place.begin("three", true).err().unwrap().to_string();
    assert!(
        unknown.ends_with("no study `three`; there are one"),
        "{unknown}"
    );
    let taken = place.begin("one", false).err().unwrap().to_string();
    assert!(
        taken.contains("the study `one` is there already"),
        "{taken}"
    );
}

#[test]
fn a_study_that_another_program_removes_takes_its_log_along() {
    let place = Place::new();
    place.run("one", 6, false);
    let connection = Connection::open(place.path()).unwrap();
    optuna::forget_trials(&connection, ">= ?1", 0).unwrap();
    drop(connection);
    place.sql(
        "DELETE FROM study_directions; DELETE FROM study_system_attributes; DELETE FROM studies;",
    );
    assert_eq!(place.run("one", 3, false).trials.len(), 4);
}

#[test]
fn tables_that_disagree_with_the_log_are_made_again() {
    let place = Place::new();
    place.run("one", 9, false);
    let before = optuna_rows(&place.path());
    assert!(before.iter().all(|rows| !rows.is_empty()));
    for wreck in [
        "DELETE FROM trials; DELETE FROM trial_params; DELETE FROM trial_values;
         DELETE FROM trial_user_attributes; DELETE FROM study_directions",
        "UPDATE trials SET state = 'RUNNING', number = 0; DELETE FROM trial_system_attributes",
        "DELETE FROM trials WHERE number = 3",
    ] {
        place.sql(wreck);
        assert_ne!(optuna_rows(&place.path()), before);
        drop(place.begin("one", true).unwrap());
        assert_eq!(optuna_rows(&place.path()), before, "{wreck}");
    }
}

/// A complete trial as Optuna adds it, with its choices in another order than ours.
const FROM_OUTSIDE: &str = r#"
INSERT INTO trials (trial_id, number, study_id, state) VALUES (1000, 500, 1, 'COMPLETE');
INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES
  (1000, 'rate', 0.5, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.1, "high": 1, "log": true}}'),
  (1000, 'shift', 0.25, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0, "high": 1, "log": false}}'),
  (1000, 'kind', 1.0, '{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "sgd"]}}'),
  (1000, 'momentum', 0.5, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0, "high": 1, "log": false}}'),
  (1000, 'depth', 3.0, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 9}}');
INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (1000, 0, -5.0, 'FINITE'), (1000, 1, 2.0, 'FINITE');
INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (1000, 'cost', '0.125'), (1000, 'note', '"text"');
INSERT INTO trials (trial_id, number, study_id, state) VALUES (1001, 501, 1, 'COMPLETE'), (1002, 502, 1, 'RUNNING');
"#;

#[test]
fn trials_of_another_program_become_foreign_ones_on_resume() {
    let place = Place::new();
    place.run("one", 2, false);
    place.sql(FROM_OUTSIDE);
    assert_eq!(place.begin("one", true).unwrap().foreign(), (1, 1));
    // With a budget smaller than the window, then with a larger one.
    let mut ends = VecDeque::from([2, 10]);
    let mut all = Vec::new();
    while let Some(trials) = ends.pop_front() {
        let finished = place.run("one", trials, true);
        assert_eq!(finished.trials.len() as u64, trials + 2);
        let foreign = &finished.trials[3];
        assert_eq!(foreign.origin, Origin::Foreign);
        assert_eq!(
            foreign.candidate.point.to_json(),
            json!({"rate": 0.5, "shift": 0.25, "kind": "sgd", "momentum": 0.5, "depth": 3})
        );
        let metrics = [("loss", -5.0), ("share", 2.0), ("cost", 0.125)];
        assert_eq!(
            foreign.outcome.metrics(),
            Some(&metrics.map(|(n, v)| (n.to_owned(), v)).into())
        );
        assert!(foreign.is_feasible());
        all = finished.trials;
    }
    assert_eq!(place.begin("one", true).unwrap().foreign(), (0, 1));
    assert_eq!(place.stored("one").trials, all);
    // Its rows keep their place; ours go on after it.
    let numbers = dump(&place.path(), "trials", "number");
    assert_eq!(numbers.last(), Some(&vec![Value::Integer(510)]));
    place.sql("DELETE FROM trials WHERE trial_id = 1000");
    drop(place.begin("one", true).unwrap());
    let numbers = dump(&place.path(), "trials", "number").len() as i64;
    let last = dump(&place.path(), "trials", "number").pop();
    assert_eq!(last, Some(vec![Value::Integer(numbers - 1)]));
}

#[test]
fn another_identity_is_refused_by_name() {
    let place = Place::new();
    place.run("one", 3, false);
    let refused = |change: fn(&mut Identity)| {
        let mut other = identity();
        change(&mut other);
        let store = Store::create(&place.path()).unwrap();
        let error = store.begin("one", &other, None, true).err().unwrap();
        error.to_string()
    };
    for (change, text) in [
        (
            (|i| i.seed = 8) as fn(&mut Identity),
            "another seed: 7 then, 8 now",
        ),
        (|i| i.window = 9, "another window: 3 then, 9 now"),
        (
            |i| i.strategy = "greedy".into(),
            "another strategy: random then, greedy now",
        ),
        (
            |i| i.settings = json!({"a": 1}),
            "another settings: nothing then, {\"a\":1} now",
        ),
        (
            |i| i.goal.constraints[0].bound = 0.6,
            "another goal constraints cost bound: 0.5 then, 0.6 now",
        ),
        (|i| i.start.clear(), "another start"),
    ] {
        let message = refused(change);
        assert!(message.contains(text), "{message}");
    }
}

#[test]
fn another_process_is_told_who_writes() {
    let place = Place::new();
    let log = place.begin("one", false).unwrap();
    let error = Store::create(&place.path()).unwrap_err().to_string();
    let holder = format!("another process ({}) is writing to it", std::process::id());
    assert!(error.contains(&holder), "{error}");
    drop(log);
    Store::create(&place.path()).unwrap();
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let place = Place::new();
    let refused = |text: &str| {
        let before = std::fs::read(place.path()).ok();
        for error in [Store::create(&place.path()), Store::open(&place.path())] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
            assert!(error.starts_with(place.path().to_str().unwrap()), "{error}");
        }
        assert_eq!(std::fs::read(place.path()).ok(), before);
    };
    std::fs::write(place.path(), "rate,loss\n0.1,2\n").unwrap();
    refused("this is no SQLite file");
    std::fs::remove_file(place.path()).unwrap();
    std::fs::create_dir(place.path()).unwrap();
    refused("this is a folder");
    std::fs::remove_dir(place.path()).unwrap();
    assert!(Store::open(&place.path()).is_err());
    place.run("one", 1, false);
    place.sql("UPDATE version_info SET schema_version = 13");
    refused(
        "the store has schema 13 (v3.2.0.a); this program reads and writes schema 12 (v3.2.0.a)",
    );
    place.sql("UPDATE version_info SET schema_version = 12; UPDATE alembic_version SET version_num = 'v4'");
    refused("schema 12 (v4)");
    place.sql("DELETE FROM version_info");
    refused("schema none");
    place.sql("DROP TABLE version_info");
    refused("no store of studies");
}

#[test]
fn a_log_of_another_version_or_a_damaged_one_is_refused() {
    let place = Place::new();
    place.run("one", 3, false);
    let refused = |text: &str| {
        let read = Store::open(&place.path()).unwrap().read("one").unwrap_err();
        let resumed = place.begin("one", true).err().unwrap();
        for error in [read.to_string(), resumed.to_string()] {
            assert!(error.contains(text), "{error}");
        }
    };
    for (damage, text) in [
        (
            "UPDATE lapidary_log SET body = '{\"at\":[1]}' WHERE seq = 2",
            "damaged: record 2",
        ),
        (
            "UPDATE lapidary_log SET body = 'x' WHERE kind = 1",
            "damaged: record",
        ),
        (
            "UPDATE lapidary_log SET body = x'ff' WHERE seq = 1",
            "damaged: record 1",
        ),
        (
            "UPDATE lapidary_log SET id = 77 WHERE seq = 1",
            "damaged: record 1",
        ),
        (
            "UPDATE lapidary_log SET kind = 9 WHERE seq = 1",
            "damaged: record 1",
        ),
        (
            "UPDATE lapidary_studies SET version = 2",
            "a log of version 2; this program reads and writes version 1",
        ),
        (
            "UPDATE lapidary_studies SET identity = '{'",
            "damaged: its identity",
        ),
        ("DELETE FROM lapidary_studies", "made by another program"),
    ] {
        let whole = std::fs::read(place.path()).unwrap();
        place.sql(damage);
        refused(text);
        std::fs::write(place.path(), whole).unwrap();
    }
    assert_eq!(place.stored("one").trials.len(), 4);
}

#[test]
fn a_candidate_that_differs_from_the_one_that_was_asked_is_refused() {
    let place = Place::new();
    place.run("one", 3, false);
    place.sql(
        "UPDATE lapidary_log SET body = (SELECT body FROM lapidary_log WHERE id = 0 AND kind = 0) \
         WHERE id = 2 AND kind = 0",
    );
    let mut log = place.begin("one", true).unwrap();
    let error = run(&identity(), 3, &mut log).unwrap_err().to_string();
    assert!(
        error.contains("trial 2 of study `one` was another candidate"),
        "{error}"
    );
}

#[test]
fn a_full_disk_ends_the_study_and_loses_nothing_told() {
    let place = Place::new();
    let mut log = place.begin("one", false).unwrap();
    let connection = log.connection();
    let pages = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    let pages = connection
        .pragma_query_value(None, "page_count", pages)
        .unwrap();
    connection
        .pragma_update_and_check(None, "max_page_count", pages + 12, |_| Ok(()))
        .unwrap();
    let error = run(&identity(), 1000, &mut log).unwrap_err().to_string();
    assert!(
        error.contains("full") && error.contains("--resume"),
        "{error}"
    );
    drop(log);
    let kept = place.stored("one").trials;
    assert!(kept.len() > 5, "{}", kept.len());
    let finished = place.run("one", 200, true);
    // What came out before its turn is kept, too.
    for trial in kept {
        assert_eq!(finished.trials[trial.candidate.id as usize], trial);
    }
    assert_eq!(
        finished.trials,
        run(&identity(), 200, &mut ()).unwrap().trials
    );
}

#[test]
fn a_store_is_read_where_nothing_can_be_written_beside_it() {
    let place = Place::new();
    let finished = place.run("one", 5, false);
    // No index can be made beside the file, as in a folder that is not ours.
    let mut index = place.path().into_os_string();
    index.push("-shm");
    let _ = std::fs::remove_file(&index);
    std::fs::create_dir(&index).unwrap();
    assert_eq!(place.stored("one").trials, finished.trials);
}

#[test]
fn exports_say_all_there_is() {
    let place = Place::new();
    let finished = place.run("one", 7, false);
    let stored = place.stored("one");
    let lines = export::json_lines(&stored);
    assert_eq!(lines.lines().count(), 8);
    for (line, trial) in lines.lines().zip(&finished.trials) {
        let line: Json = serde_json::from_str(line).unwrap();
        assert_eq!(line["point"], trial.candidate.point.to_json());
        assert_eq!(
            line["violation"],
            json!(trial.score.as_ref().map(|s| s.violation))
        );
    }
    let table = export::csv(&stored).unwrap();
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let header: Vec<String> = reader
        .headers()
        .unwrap()
        .iter()
        .map(str::to_owned)
        .collect();
    let column = |name: &str| header.iter().position(|h| h == name).unwrap();
    for (row, trial) in reader.records().map(Result::unwrap).zip(&finished.trials) {
        let momentum = trial.candidate.point.to_json()["momentum"].as_f64();
        assert_eq!(row[column("point.momentum")].parse().ok(), momentum);
        let loss = trial.outcome.metrics().map(|m| m["loss"]);
        assert_eq!(row[column("metrics.loss")].parse().ok(), loss);
        if let Outcome::Failed { reason } = &trial.outcome {
            assert_eq!(&row[column("reason")], reason);
        }
    }
    let journal = export::optuna_journal(&stored);
    assert_eq!(journal.lines().count(), 2 + 8);
    let first: Json = serde_json::from_str(journal.lines().next().unwrap()).unwrap();
    assert_eq!(first["directions"], json!([1, 2]));
}

#[test]
fn a_link_and_its_file_are_one_store_with_one_lock() {
    let place = Place::new();
    let link = place.folder.path().join("link.db");
    std::os::unix::fs::symlink("study.db", &link).unwrap();
    // The link leads to what is not there yet.
    let held = Store::create(&link).unwrap();
    assert!(place.path().is_file() && place.folder.path().join("study.db.lock").is_file());
    let refused = |path: &Path| Store::create(path).unwrap_err().to_string();
    assert!(refused(&place.path()).contains("another process"));
    assert!(refused(&link).contains("another process"));
    drop(held);
    assert_eq!(artefacts(&link, "a"), artefacts(&place.path(), "a"));

    let second = place.folder.path().join("second.db");
    std::fs::hard_link(place.path(), &second).unwrap();
    assert!(refused(&second).contains("another name (a hard link)"));
    assert!(Store::open(&second).is_ok());
    let around = place.folder.path().join("around.db");
    std::os::unix::fs::symlink("around.db", &around).unwrap();
    assert!(
        refused(&around).contains("symbolic links"),
        "{}",
        refused(&around)
    );
}

#[test]
fn what_is_no_file_is_refused_and_not_waited_for() {
    let place = Place::new();
    let pipe = place.folder.path().join("pipe.db");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (path, what) in [
        (pipe.as_path(), "a pipe"),
        (place.folder.path(), "a folder"),
        (Path::new("/dev/null"), "a device"),
    ] {
        for error in [
            Store::create(path).unwrap_err(),
            Store::open(path).unwrap_err(),
        ] {
            let text = format!("{}: this is {what}, and a store is a file", path.display());
            assert_eq!(error.to_string(), text);
        }
    }
}

#[test]
fn failed_trials_are_tried_again_as_new_ones() {
    let place = Place::new();
    let first = place.run("one", 12, false);
    let failed: Vec<&Trial> = (first.trials.iter())
        .filter(|t| matches!(t.outcome, Outcome::Failed { .. }))
        .collect();
    assert!(failed.len() > 1);
    let retry = |trials: u64| {
        let mut log = place.begin("one", true).unwrap();
        (
            log.retry_failed(),
            run(&identity(), trials, &mut log).unwrap(),
        )
    };
    let (retried, again) = retry(12);
    assert_eq!(retried, failed.len());
    let (before, after) = again.trials.split_at(first.trials.len());
    assert_eq!(before, first.trials);
    assert_eq!(after.len(), failed.len());
    for (trial, failed) in after.iter().zip(&failed) {
        assert_eq!(trial.candidate.point, failed.candidate.point);
        assert_eq!((trial.origin, trial.repeats), (Origin::Foreign, None));
    }
    assert_eq!(place.stored("one").trials, again.trials);
    // It goes on from there to the bit, and what failed once more is all that is tried again.
    let longer = place.run("one", 15, true);
    assert_eq!(longer.trials[..again.trials.len()], again.trials);
    assert_eq!(longer.trials.len(), again.trials.len() + 3);
    let failed_again = longer.trials[first.trials.len()..].iter();
    let failed_again = failed_again.filter(|t| matches!(t.outcome, Outcome::Failed { .. }));
    assert_eq!(retry(15).0, failed_again.count());
}

#[test]
fn many_options_are_stored_once() {
    let options = (0..5000).map(|i| format!("option {i}").into()).collect();
    let space = Space::new(vec![Axis::new("c", Domain::Choice { options })]).unwrap();
    let space = Arc::new(space);
    let identity = Identity {
        start: vec![],
        goal: Goal::new(
            vec![Objective {
                metric: "loss".into(),
                direction: Direction::Minimize,
            }],
            vec![],
            vec![],
        )
        .unwrap(),
        space: space.clone(),
        ..identity()
    };
    let place = Place::new();
    let store = Store::create(&place.path()).unwrap();
    let mut log = store.begin("one", &identity, None, false).unwrap();
    for id in 0..9 {
        let candidate = Candidate {
            id,
            point: space.nth(7 * id),
            fidelity: 1.0,
            parent: None,
        };
        log.asked(&candidate).unwrap();
    }
    log.commit().unwrap();
    let rows = dump(
        &place.path(),
        "trial_params",
        "param_id, param_value, distribution_json",
    );
    let texts: Vec<&str> = (rows.iter())
        .map(|row| match &row[2] {
            Value::Text(text) => text.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(texts[0].len() > 50_000);
    let short = r#"{"name":"CategoricalDistribution","attributes":{"choices":["option 7"]}}"#;
    assert_eq!(texts[1], short);
    assert_eq!(rows[1][1], Value::Real(0.0));
    assert!(texts[1..].iter().all(|text| text.len() < 100));
    drop(log);
    let before = optuna_rows(&place.path());
    place.sql("DELETE FROM trials WHERE trial_id = 3");
    drop(
        Store::create(&place.path())
            .unwrap()
            .begin("one", &identity, None, true)
            .unwrap(),
    );
    assert_eq!(optuna_rows(&place.path()), before);
}
