use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use lapidary_core::budget::WallClock;
use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::{Artefact, EvalContext, MetricInfo, evaluate_again};
use lapidary_core::fit::Verdict;
use lapidary_core::log::Log;
use lapidary_core::model::Model;
use lapidary_core::registry::{Registry, SearchInit};
use lapidary_core::study::Finished;
use lapidary_core::trial::{Metrics, Origin, Outcome, Report, Trial};
use lapidary_model::GraphModel;

use super::*;
use crate::artefacts::{Keeper, Shelf};
use crate::file::Overrides;

const TRAIN: &str = r#"
[study]
seed = 3
strategy = "random"

[budget]
trials = 4

[goal]
maximize = ["accuracy"]
minimize = ["bytes"]

[evaluate]
kind = "train"
family = "mlp"
data = "digits"
limit = 200
epochs = 2
batch = 50

[space]
lr = { float = [1e-3, 0.1], log = true }
depth = { int = [0, 2] }
width = { int = [4, 12] }
optimizer = { choice = ["sgd", "adamw"] }
momentum = { float = [0.0, 0.95], when = "optimizer == sgd" }
activation = "relu"
"#;

fn registry() -> Registry {
    let mut entries = vec![&lapidary_random::ENTRY, &lapidary_prune::ENTRY];
    entries.extend(lapidary_zoo::ENTRIES);
    entries.extend(lapidary_model::ENTRIES);
    entries.extend(ENTRIES);
    Registry::new(&entries).unwrap()
}

fn parse(text: &str) -> StudyFile {
    StudyFile::parse(
        Path::new("study.toml"),
        text,
        &Overrides::default(),
        &registry(),
    )
    .unwrap()
}

/// The message of the mistake in the file that replacing `from` by `to` makes.
fn mistake(from: &str, to: &str) -> String {
    assert!(TRAIN.contains(from), "{from}");
    let registry = registry();
    let file = parse(&TRAIN.replacen(from, to, 1));
    match evaluator(&file, &registry, Host::default()) {
        Ok(_) => panic!("{to} is accepted"),
        Err(error) => error.to_string(),
    }
}

fn run(file: &StudyFile, jobs: usize) -> Finished {
    let registry = registry();
    let evaluator = evaluator(file, &registry, Host::default()).unwrap();
    run_with(file, evaluator.as_ref(), jobs, &mut ())
}

fn run_with(
    file: &StudyFile,
    evaluator: &dyn Evaluator,
    jobs: usize,
    log: &mut dyn Log,
) -> Finished {
    let registry = registry();
    let init = SearchInit {
        space: file.space.clone(),
        seed: file.seed,
        objectives: file.goal.objectives.len(),
        trials: file.budget.trials,
        installed: None,
    };
    let mut searcher = registry
        .searcher(&file.strategy, &file.settings, &init)
        .unwrap();
    file.study()
        .run(
            searcher.as_mut(),
            evaluator,
            jobs,
            log,
            &WallClock::start(),
            &Cancel::new(),
        )
        .unwrap()
}

#[test]
fn trials_of_training_are_the_same_at_any_number_of_threads_and_jobs() {
    let file = parse(TRAIN);
    let one = run(&file, 1);
    assert_eq!(one.failed(), 0, "{:?}", one.trials[0].outcome);
    assert_eq!(one.trials.len(), 4);
    assert!(one.trials.iter().all(|t| t.curve.len() == 2));
    for threads in [2, 5] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        assert_eq!(pool.install(|| run(&file, threads)).trials, one.trials);
    }
}

/// What is measured of a model on the digits that `file` trains on.
fn measured_again(file: &StudyFile, model: &dyn Model) -> Metrics {
    let registry = registry();
    let evaluate = file.evaluate.as_ref().unwrap();
    let (settings, _) = train::TrainSettings::read(&evaluate.settings).unwrap();
    let init = init(file, evaluate, &registry, Host::default());
    let (data, _) =
        data::OpenData::open(&settings.data, &init.source, &train::ENTRY.info, None).unwrap();
    let gauge = gauge::Gauge::new(&init).unwrap();
    gauge
        .measure(gauge.busy(), model, &data.split.valid)
        .unwrap()
}

/// The model of a trial that went on from no other, made again.
fn model_again(evaluator: &dyn Evaluator, trial: &Trial, seed: u64) -> Box<dyn Model> {
    let left = evaluate_again(evaluator, trial, &[], seed, &Cancel::new()).unwrap();
    let model = left.into_iter().find_map(|(_, artefact)| match artefact {
        Artefact::Model(model) => Some(model),
        Artefact::Bytes(_) => None,
    });
    model.unwrap()
}

#[test]
fn training_learns_and_the_best_model_can_be_made_again() {
    let text = TRAIN
        .replace("limit = 200\n", "")
        .replace("epochs = 2", "epochs = 6")
        .replace("trials = 4", "trials = 3")
        .replace("int = [4, 12]", "int = [24, 32]");
    let file = parse(&text);
    let finished = run(&file, 2);
    let best = finished
        .trials
        .iter()
        .max_by(|a, b| {
            let accuracy =
                |t: &lapidary_core::trial::Trial| t.outcome.metrics().unwrap()["accuracy"];
            accuracy(a).total_cmp(&accuracy(b))
        })
        .unwrap();
    let metrics = best.outcome.metrics().unwrap();
    assert!(metrics["accuracy"] > 0.8, "{metrics:?}");

    let registry = registry();
    let evaluator = evaluator(&file, &registry, Host::default()).unwrap();
    let model = model_again(evaluator.as_ref(), best, file.seed);
    let again = measured_again(&file, model.as_ref());
    for (name, value) in again {
        assert_eq!(metrics[&name].to_bits(), value.to_bits(), "{name}");
    }
}

/// Counts the evaluations of another evaluator.
struct Counted<'a> {
    inner: &'a dyn Evaluator,
    evaluations: AtomicUsize,
}

impl Evaluator for Counted<'_> {
    fn evaluate(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Outcome {
        self.evaluations.fetch_add(1, Ordering::Relaxed);
        self.inner.evaluate(candidate, cx)
    }

    fn metrics(&self) -> Option<Vec<MetricInfo>> {
        self.inner.metrics()
    }
}

#[test]
fn the_best_model_is_kept_and_not_trained_twice_and_a_lost_one_is_made_again_to_the_bit() {
    let registry = registry();
    let file = parse(TRAIN);
    let inner = evaluator(&file, &registry, Host::default()).unwrap();
    let counted = Counted {
        inner: inner.as_ref(),
        evaluations: AtomicUsize::new(0),
    };
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(folder.path(), &file.identity());
    let mut keeper = Keeper::new(shelf.clone(), &file.goal, &registry);
    let finished = run_with(&file, &counted, 2, &mut keeper);
    for trial in &finished.trials {
        let on_front = finished.front().contains(&trial);
        let kept = shelf.files(&trial.candidate);
        assert_eq!(kept.contains_key(Artefact::MODEL), on_front, "{trial:?}");
    }
    let best = finished.best().unwrap();
    let left = || {
        let left = shelf.left(best, &finished.trials, &counted, file.seed, &Cancel::new());
        let model = left
            .unwrap()
            .into_iter()
            .find(|(n, _)| n == Artefact::MODEL);
        match model.unwrap().1 {
            Artefact::Bytes(bytes) => bytes,
            Artefact::Model(model) => {
                let model = model.as_any().downcast_ref::<GraphModel>().unwrap();
                model.to_bytes().unwrap()
            }
        }
    };
    let evaluations = || counted.evaluations.load(Ordering::Relaxed);
    assert_eq!(evaluations(), 4);
    let kept = left();
    assert_eq!(evaluations(), 4);
    std::fs::remove_dir_all(folder.path()).unwrap();
    assert!(left() == kept);
    assert_eq!(evaluations(), 5);
}

#[test]
fn fidelity_is_a_share_of_the_epochs_and_a_verdict_stops() {
    let registry = registry();
    let file = parse(&TRAIN.replace("epochs = 2", "epochs = 4"));
    let evaluator = evaluator(&file, &registry, Host::default()).unwrap();
    let epochs = |fidelity: f64, verdict: Verdict| {
        let steps = Mutex::new(Vec::new());
        let candidate = Candidate {
            id: 0,
            point: file.space.middle(),
            fidelity,
            parent: None,
        };
        let cx = EvalContext {
            seed: 1,
            cancel: &Cancel::new(),
            lineage: &[],
            keep: &|_, _| {},
            report: &|step, metrics| {
                assert!(metrics.contains_key("accuracy") && metrics.contains_key("loss"));
                steps.lock().unwrap().push(step);
                verdict
            },
        };
        let outcome = evaluator.evaluate(&candidate, &cx);
        (steps.into_inner().unwrap(), outcome)
    };
    assert_eq!(epochs(1.0, Verdict::Continue).0, [1, 2, 3, 4]);
    assert_eq!(epochs(0.3, Verdict::Continue).0, [1, 2]);
    let (steps, outcome) = epochs(1.0, Verdict::Stop);
    assert_eq!(steps, [1]);
    assert!(
        matches!(&outcome, Outcome::Stopped { metrics, reason }
            if metrics.contains_key("bytes") && reason == "stopped after epoch 1"),
        "{outcome:?}"
    );
}

const STAGED: &str = r#"
goal = { maximize = "accuracy", minimize = "bytes" }
evaluate = { kind = "train", family = "mlp", data = "digits", limit = 120, epochs = 6, batch = 30 }
[space]
width = { int = [8, 9] }
patience = { choice = [2, 6] }
"#;

/// What an evaluation of a stage gave, and the steps it reported.
fn stage(
    evaluator: &dyn Evaluator,
    lineage: &[Candidate],
    candidate: &Candidate,
    stop_at: u64,
) -> (Outcome, Vec<Report>) {
    let curve = Mutex::new(Vec::new());
    let cx = EvalContext {
        seed: 1,
        cancel: &Cancel::new(),
        lineage,
        keep: &|_, _| {},
        report: &|step, metrics: &Metrics| {
            let metrics = metrics.clone();
            curve.lock().unwrap().push(Report { step, metrics });
            if step == stop_at {
                Verdict::Stop
            } else {
                Verdict::Continue
            }
        },
    };
    let outcome = evaluator.evaluate(candidate, &cx);
    (outcome, curve.into_inner().unwrap())
}

#[test]
fn a_later_stage_trains_what_is_missing_whether_the_earlier_state_was_kept_or_lost() {
    let registry = registry();
    let file = parse(STAGED);
    let lost = evaluator(&file, &registry, Host::default()).unwrap();
    for (at, point) in [[0.1, 0.1], [0.9, 0.9]].iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host {
            checkpoints: Some(folder.path()),
            ..Host::default()
        };
        let kept = evaluator(&file, &registry, host).unwrap();
        let stages = [(0, 1.0 / 6.0), (5, 0.5), (9, 1.0)].map(|(id, fidelity)| Candidate {
            id,
            point: file.space.at_unit(point),
            fidelity,
            parent: None,
        });
        // A trial of its own that draws what the first of the stages draws.
        let whole = Candidate {
            fidelity: 1.0,
            ..stages[0].clone()
        };
        let (at_once, whole_curve) = stage(lost.as_ref(), &[], &whole, 0);
        let mut curve = Vec::new();
        let mut last = None;
        for (n, candidate) in stages.iter().enumerate() {
            let (outcome, reports) = stage(kept.as_ref(), &stages[..n], candidate, 0);
            assert!(matches!(outcome, Outcome::Measured { .. }), "{outcome:?}");
            assert_eq!(
                stage(lost.as_ref(), &stages[..n], candidate, 0),
                (outcome.clone(), reports.clone())
            );
            curve.extend(reports);
            last = Some(outcome);
            let files = std::fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(files, usize::from(n < 2), "point {at}, stage {n}");
        }
        assert_eq!((last.unwrap(), curve), (at_once, whole_curve));
        // Nothing is taken from another point's training.
        let mut other = stages[1].clone();
        other.point = file.space.at_unit(&[0.1, 0.9]);
        let alone = stage(lost.as_ref(), &[], &other, 0);
        assert_eq!(stage(kept.as_ref(), &stages[..1], &other, 0), alone);
    }
}

#[test]
fn a_stopped_trial_is_made_again_as_it_was_measured_and_sizes_are_reported_from_the_start() {
    let registry = registry();
    let file = parse(&STAGED.replace("[2, 6]", "[6]"));
    let evaluator = evaluator(&file, &registry, Host::default()).unwrap();
    let candidate = Candidate {
        id: 3,
        point: file.space.middle(),
        fidelity: 1.0,
        parent: None,
    };
    let (outcome, curve) = stage(evaluator.as_ref(), &[], &candidate, 2);
    assert_eq!(curve.len(), 2);
    let metrics = outcome.metrics().unwrap().clone();
    for report in &curve {
        for size in ["params", "macs", "bytes"] {
            assert_eq!(report.metrics[size], metrics[size], "{size}");
        }
    }
    let trial = Trial {
        candidate,
        origin: Origin::Own,
        outcome,
        score: None,
        curve,
        repeats: None,
    };
    let model = model_again(evaluator.as_ref(), &trial, 1);
    let again = measured_again(&file, model.as_ref());
    for (name, value) in again {
        assert_eq!(metrics[&name].to_bits(), value.to_bits(), "{name}");
    }
}

#[test]
fn a_stop_rule_reads_only_what_running_trials_report() {
    let registry = registry();
    let refused = |text: &str| {
        let file = parse(text);
        let found = evaluator(&file, &registry, Host::default());
        found.err().map(|error| error.to_string())
    };
    let stop = "stop.rule = \"median\"\n";
    assert_eq!(refused(&format!("{stop}{STAGED}")), None);
    let late = STAGED.replace("\"bytes\"", "\"log_loss\"");
    let message = refused(&format!("{stop}{late}")).unwrap();
    assert!(
        message.contains("study.toml:1:")
            && message.contains("`log_loss` is only known at a trial's end"),
        "{message}"
    );
    let named = format!("{stop}stop.metric = \"accuracy\"\n{late}");
    assert_eq!(refused(&named), None);
    let message = refused(&format!("{stop}{FUNCTION}")).unwrap();
    assert!(
        message.contains("report nothing") && message.contains("train, command"),
        "{message}"
    );
}

#[test]
fn volatile_metrics_are_measured_only_where_the_goal_reads_them() {
    let file = parse(&TRAIN.replace(
        "minimize = [\"bytes\"]",
        "minimize = [\"latency_ms\"]\nsubject_to = [\"seconds <= 1000\"]",
    ));
    let finished = run(&file, 2);
    for trial in &finished.trials {
        let metrics = trial.outcome.metrics().unwrap();
        assert!(metrics["latency_ms"] > 0.0 && metrics["seconds"] > 0.0);
    }
    let quiet = run(&parse(TRAIN), 1);
    let metrics = quiet.trials[0].outcome.metrics().unwrap();
    assert!(!metrics.contains_key("latency_ms") && !metrics.contains_key("seconds"));
}

#[test]
fn settings_that_nothing_knows_are_refused_where_they_stand() {
    for (from, to, wanted) in [
        (
            "depth = {",
            "dept = {",
            "study.toml:23:1: axis `dept` is no setting of the family `mlp` (depth, width,",
        ),
        (
            "epochs = 2",
            "epoch = 2",
            "study.toml:18:1: [evaluate] has no key `epoch` (did you mean `epochs`?); its keys are kind, family, data",
        ),
        (
            "epochs = 2",
            "learning_rate = 0.1",
            "18:17: `learning_rate` is fixed here, but `lr` is an axis of the space",
        ),
        (
            "epochs = 2",
            "epochs = \"two\"",
            "13:2: no model can be built: settings of the training: invalid type",
        ),
        (
            "epochs = 2",
            "smoothing = 1.5",
            "no model can be built: settings of the training: `smoothing` must be in [0, 1), found 1.5",
        ),
        (
            "activation = \"relu\"",
            "activation = \"rely\"",
            "13:2: no model can be built: settings of mlp: unknown variant `rely`",
        ),
        (
            "\"mlp\"",
            "\"mpl\"",
            "15:10: no family `mpl`; there are convnet, mlp",
        ),
        (
            "\"accuracy\"",
            "\"acuracy\"",
            "study.toml:10:13: no metric `acuracy` is reported; there are accuracy, balanced_accuracy",
        ),
        ("\"accuracy\"", "\"mse\"", "no metric `mse` is reported"),
        ("\"digits\"", "\"nowhere.csv\"", "nowhere.csv"),
    ] {
        let message = mistake(from, to);
        assert!(message.contains(wanted), "{to}: {message}");
    }
}

const FUNCTION: &str = r#"
[goal]
minimize = "value"
[evaluate]
kind = "function"
name = "rosenbrock"
[space]
x = { float = [-2, 2] }
y = { float = [-2, 2] }
"#;

#[test]
fn functions_are_found_by_name() {
    let registry = registry();
    assert!(evaluator(&parse(FUNCTION), &registry, Host::default()).is_ok());
    for (from, to, wanted) in [
        (
            "rosenbrock",
            "rosenbrok",
            "study.toml:6:8: no function `rosenbrok` (did you mean `rosenbrock`?); there are ackley",
        ),
        (
            "y = { float = [-2, 2] }",
            "",
            "6:8: rosenbrock needs at least 2 axes, the space has 1",
        ),
        (
            "\"value\"",
            "\"f1\"",
            "3:12: no metric `f1` is reported; there are value",
        ),
    ] {
        let message = evaluator(
            &parse(&FUNCTION.replacen(from, to, 1)),
            &registry,
            Host::default(),
        )
        .err()
        .unwrap()
        .to_string();
        assert!(message.contains(wanted), "{to}: {message}");
    }
}

#[test]
fn model_files_are_candidates() {
    let registry = registry();
    let folder = tempfile::tempdir().unwrap();
    let digits = lapidary_data::open("digits", &Default::default()).unwrap();
    let task = digits.task_shape().unwrap();
    for width in [4, 8] {
        let settings = serde_json::json!({ "width": width });
        let model = registry.family("mlp", &settings, &task, 1).unwrap();
        let onnx = GraphModel::of(model.as_ref()).unwrap();
        onnx.save(folder.path().join(format!("w{width}.onnx")))
            .unwrap();
    }
    std::fs::write(folder.path().join("broken.onnx"), b"\x08").unwrap();
    let text = r#"
        study.strategy = "random"
        budget.trials = 10
        goal.minimize = "params"
        evaluate = { kind = "models", models = ["w*.onnx", "broken.onnx"], data = "digits", limit = 20 }
    "#;
    let path = folder.path().join("study.toml");
    let file = StudyFile::parse(&path, text, &Overrides::default(), &registry).unwrap();
    let finished = run(&file, 2);
    assert_eq!(finished.trials.len(), 3);
    assert_eq!(finished.failed(), 1);
    let best = finished.best().unwrap();
    assert_eq!(best.candidate.point.to_json()["model"], "w4.onnx");

    let none = text.replace("w*.onnx", "x*.onnx");
    let message = StudyFile::parse(&path, &none, &Overrides::default(), &registry)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("5:49: `evaluate.models`: no file matches"),
        "{message}"
    );
    let other = format!("{text}\nspace.lr = 0.1");
    let file = StudyFile::parse(&path, &other, &Overrides::default(), &registry).unwrap();
    let message = evaluator(&file, &registry, Host::default())
        .err()
        .unwrap()
        .to_string();
    assert!(
        message.contains("the only axis is `model`, a choice among broken.onnx, w4.onnx, w8.onnx"),
        "{message}"
    );
}

/// The example at `examples/NAME.toml`, cut down to two short trials.
fn example(name: &str, set: &[&str]) -> StudyFile {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(name);
    let overrides = Overrides {
        strategy: Some("random".into()),
        set: ["budget.trials=2"]
            .iter()
            .chain(set)
            .map(|s| (*s).to_owned())
            .collect(),
    };
    StudyFile::load(&path, &overrides, &registry()).unwrap()
}

#[test]
fn every_example_runs() {
    let census = |part: &str| {
        format!(
            "{}/../tests/data/census-{part}.csv",
            env!("CARGO_MANIFEST_DIR")
        )
    };
    let data = format!("evaluate.data={}", census("train"));
    let test = format!("evaluate.test={}", census("test"));
    let tiny = ["evaluate.limit=64", "evaluate.epochs=1"];
    let table = [
        &data,
        &test,
        "evaluate.no_header=false",
        "evaluate.limit=200",
        "evaluate.epochs=1",
    ];
    for (name, set) in [
        ("function.toml", &[][..]),
        ("digits.toml", &tiny),
        ("fashion_mnist.toml", &tiny),
        ("adult.toml", &table),
    ] {
        let file = example(name, set);
        let finished = run(&file, 2);
        assert_eq!(finished.failed(), 0, "{name}: {:?}", finished.trials);
        assert_eq!(finished.trials.len(), 2, "{name}");
    }
}

#[test]
fn recipes_are_searched_on_a_model() {
    let registry = registry();
    let folder = tempfile::tempdir().unwrap();
    let digits = lapidary_data::open("digits", &Default::default()).unwrap();
    let task = digits.task_shape().unwrap();
    let model = registry
        .family("mlp", &Default::default(), &task, 1)
        .unwrap();
    let onnx = GraphModel::of(model.as_ref()).unwrap();
    onnx.save(folder.path().join("model.onnx")).unwrap();
    let text = r#"
[study]
strategy = "random"
[budget]
trials = 9
[goal]
minimize = ["sparsity"]
[evaluate]
kind = "compress"
model = "model.onnx"
data = "digits"
limit = 50
recipe = ["prune:sparsity={share},finetune_epochs=0"]
[space]
share = { choice = [0.25, 0.5] }
"#;
    let path = folder.path().join("study.toml");
    let parse =
        |text: &str| StudyFile::parse(&path, text, &Overrides::default(), &registry).unwrap();
    let finished = run(&parse(text), 2);
    assert_eq!(finished.trials.len(), 2, "{:?}", finished.trials);
    for trial in &finished.trials {
        let share = trial.candidate.point.to_json()["share"].as_f64().unwrap();
        let metrics = trial.outcome.metrics().unwrap();
        assert!((metrics["sparsity"] - share).abs() < 0.01, "{metrics:?}");
    }
    let evaluator_of = |text: &str| {
        evaluator(&parse(text), &registry, Host::default())
            .err()
            .map(|e| e.to_string())
    };
    for (from, to, wanted) in [
        (
            "{share}",
            "{sharp}",
            "study.toml:13:11: `{sharp}` is no axis of the space (did you mean `share`?); there are share",
        ),
        (
            "{share}",
            "0.5",
            "study.toml:15:1: no setting of the recipe reads `{share}`, so the axis `share` changes nothing",
        ),
        (
            "prune:",
            "shrink:",
            "study.toml:13:11: step 1: no optimizer `shrink`; there are prune",
        ),
        (
            "sparsity={share}",
            "sparsit={share}",
            "13:11: step 1: settings of prune: unknown field `sparsit`",
        ),
        ("model.onnx", "none.onnx", "none.onnx"),
    ] {
        let message = evaluator_of(&text.replacen(from, to, 1)).unwrap();
        assert!(message.contains(wanted), "{to}: {message}");
    }
}
