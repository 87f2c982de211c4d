use std::path::Path;
use std::time::Duration;

use lapidary_core::stop::Rule;

use super::*;
use crate::evaluate::ENTRIES;
use crate::evaluate::data::DataSettings;
use crate::evaluate::train::TrainSettings;

const GOOD: &str = r#"
[study]
name = "digits"
seed = 7
strategy = "random"

[strategy]
sampling = "uniform"

[budget]
trials = 200
time = "1h 30m"
threads = 2

[goal]
maximize = ["accuracy"]
minimize = "bytes"
subject_to = ["bytes <= 200KB"]
stop_at = "accuracy >= 99%"

[evaluate]
kind = "train"
family = "mlp"
data = "data/digits.csv"
target = "class"
epochs = 3

[space]
lr = { float = [1e-4, 0.1], log = true }
depth = { int = [1, 6] }
optimizer = { choice = ["sgd", "adamw"] }
momentum = { float = [0, 0.99], when = "optimizer == sgd" }
activation = "relu"

[[start]]
lr = 0.01
depth = 2
optimizer = "adamw"
activation = "relu"
"#;

fn registry() -> Registry {
    Registry::new(&[ENTRIES, lapidary_zoo::ENTRIES].concat()).unwrap()
}

fn parse(text: &str, set: &[&str]) -> Result<StudyFile, StudyFileError> {
    let overrides = Overrides {
        strategy: None,
        set: set.iter().map(|s| (*s).to_owned()).collect(),
    };
    StudyFile::parse(Path::new("here/study.toml"), text, &overrides, &registry())
}

/// The message of the mistake that replacing `from` by `to` makes.
fn mistake(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    parse(&GOOD.replacen(from, to, 1), &[])
        .unwrap_err()
        .to_string()
}

/// How a file that trains reads its data, where that lies, and what is fixed.
fn training(file: &StudyFile) -> (DataSettings, PathBuf, Json) {
    let registry = registry();
    let evaluate = file.evaluate.as_ref().unwrap();
    assert_eq!(evaluate.kind, "train");
    let (train, fixed) = TrainSettings::read(&evaluate.settings).unwrap();
    let data = train.data.path(&evaluate.source(&registry));
    (train.data.clone(), data, fixed.into())
}

#[test]
fn a_whole_file_is_read() {
    let file = parse(GOOD, &[]).unwrap();
    assert_eq!(
        (file.name.as_str(), file.seed, file.window),
        ("digits", 7, 4)
    );
    assert_eq!(file.settings.to_string(), r#"{"sampling":"uniform"}"#);
    assert_eq!(file.budget.trials, Some(200));
    assert_eq!(file.budget.time, Some(Duration::from_secs(5400)));
    assert_eq!(file.threads, Some(2));
    assert_eq!(file.goal.objectives.len(), 2);
    assert_eq!(file.goal.constraints[0].bound, 200_000.0);
    assert_eq!(file.goal.stop_at[0].bound, 0.99);
    let names: Vec<&str> = file.space.axes().iter().map(|a| a.name.as_str()).collect();
    assert_eq!(
        names,
        ["lr", "depth", "optimizer", "momentum", "activation"]
    );
    assert_eq!(
        file.start[0].to_json().to_string(),
        r#"{"lr":0.01,"depth":2,"optimizer":"adamw","activation":"relu"}"#
    );
    let (data, path, fixed) = training(&file);
    assert_eq!(path, Path::new("here/data/digits.csv"));
    assert_eq!(data.target.as_deref(), Some("class"));
    assert_eq!(fixed, serde_json::json!({"epochs": 3}));
}

#[test]
fn overrides_are_typed_and_placed() {
    let file = parse(
        GOOD,
        &[
            "sampling=sobol",
            "budget.trials=20",
            "evaluate.data=else/where",
            "evaluate.epochs=9",
            "space.depth={ int = [1, 4] }",
        ],
    )
    .unwrap();
    assert_eq!(file.space.axes()[1].domain.cardinality(), Some(4));
    assert_eq!(file.settings.to_string(), r#"{"sampling":"sobol"}"#);
    assert_eq!(file.budget.trials, Some(20));
    let (_, path, fixed) = training(&file);
    assert_eq!(path, Path::new("else/where"));
    assert_eq!(fixed, serde_json::json!({"epochs": 9}));

    let text = |set: &str| parse(GOOD, &[set]).unwrap_err().to_string();
    assert_eq!(
        text("budget.trials=many"),
        "--set budget.trials=many: `budget.trials` must be a whole number of at least 0, found the text \"many\""
    );
    assert!(text("budget.trails=9").contains("did you mean `trials`?"));
    assert!(text("trials").contains("key=value"));
    assert!(text("study.seed.x=1").contains("`study.seed` is not a table"));
}

#[test]
fn another_strategy_drops_the_settings_of_the_files() {
    let with = |strategy: &str| {
        let overrides = Overrides {
            strategy: Some(strategy.into()),
            set: vec!["population=10".into()],
        };
        StudyFile::parse(Path::new("study.toml"), GOOD, &overrides, &registry()).unwrap()
    };
    assert_eq!(
        with("random").settings.to_string(),
        r#"{"sampling":"uniform","population":10}"#
    );
    let other = with("genetic");
    assert_eq!(other.strategy, "genetic");
    assert_eq!(other.settings.to_string(), r#"{"population":10}"#);
}

#[test]
fn mistakes_are_named_with_line_and_column() {
    for (from, to, wanted) in [
        (
            "trials = 200",
            "trails = 200",
            "here/study.toml:11:1: [budget] has no key `trails` (did you mean `trials`?); its keys are trials, time, threads",
        ),
        (
            "trials = 200",
            "trials = \"many\"",
            "here/study.toml:11:10: `budget.trials` must be a whole number of at least 0, found the text \"many\"",
        ),
        (
            "trials = 200",
            "trials = -1",
            "11:10: `budget.trials` must be a whole number of at least 0, found -1",
        ),
        (
            "\"1h 30m\"",
            "\"soon\"",
            "12:8: `budget.time` must be a time such as \"10m\"",
        ),
        (
            "threads = 2",
            "memory = \"much\"",
            "13:10: `budget.memory` must be a number of bytes such as \"2GiB\" or \"300MB\", found the text \"much\"",
        ),
        (
            "threads = 2",
            "trial_time = 0",
            "13:14: `budget.trial_time` must be more than no time, found 0",
        ),
        (
            "[1e-4, 0.1]",
            "[0.1, 1e-4]",
            "29:16: axis `lr`: lower bound 0.1 is above upper bound 0.0001",
        ),
        (
            "[1e-4, 0.1]",
            "[0, 0.1]",
            "29:32: axis `lr`: log = true needs a lower bound above 0, found 0",
        ),
        (
            "int = [1, 6]",
            "int = [1, 6], step = 0",
            "30:32: axis `depth`: step 0 must be at least 1",
        ),
        (
            "int = [1, 6]",
            "int = [1.5, 6]",
            "30:18: `space.depth.int` must be a whole number, found 1.5",
        ),
        (
            "int = [1, 6]",
            "int = 6",
            "30:17: `space.depth.int` must be a list [lowest, highest], found 6",
        ),
        (
            "int = [1, 6]",
            "integer = [1, 6]",
            "30:11: [space.depth] has no key `integer` (did you mean `int`?); its keys are float, int, choice",
        ),
        (
            "depth = { int = [1, 6] }",
            "depth = [1, 6]",
            "30:9: `space.depth`: a list is not an axis; write `{ float",
        ),
        (
            "\"adamw\"] }",
            "\"sgd\"] }",
            "31:24: axis `optimizer`: option \"sgd\" is listed twice",
        ),
        (
            "optimizer == sgd",
            "optimiser == sgd",
            "32:40: axis `momentum`: condition `optimiser == sgd`: no axis `optimiser`; there are lr, depth",
        ),
        (
            "optimizer == sgd",
            "optimizer sgd",
            "32:40: `space.momentum.when`: `optimizer sgd` is not a condition",
        ),
        (
            "optimizer == sgd",
            "momentum < 1",
            "32:40: conditions depend on each other in a circle: momentum",
        ),
        (
            "bytes <= 200KB",
            "bytes 200KB",
            "18:15: `goal.subject_to`: `bytes 200KB` is not a constraint",
        ),
        (
            "minimize = \"bytes\"",
            "minimize = \"accuracy\"",
            "17:12: `goal.minimize`: metric `accuracy` is an objective twice",
        ),
        (
            "kind = \"train\"",
            "kind = \"tran\"",
            "22:8: `evaluate.kind`: no kind \"tran\" (did you mean `train`?); there are train, compress, models, command, function",
        ),
        (
            "kind = \"train\"",
            "kind = \"command\"",
            "23:1: [evaluate] has no key `family`; its keys are kind, program, args, env, checkpoints",
        ),
        (
            "family = \"mlp\"",
            "",
            "21:2: `evaluate.family` is missing; write for example family = \"mlp\"",
        ),
        (
            "depth = 2\n",
            "depth = 9\n",
            "37:1: `start`: axis `depth`: 9 is not a whole number in [1, 6]",
        ),
        (
            "[goal]",
            "[gaol]",
            "15:2: the file has no key `gaol` (did you mean `goal`?)",
        ),
        (
            "[[start]]\n",
            "[[start]]\nmomentum = 0.5\n",
            "36:1: `start`: axis `momentum` is not active at this point",
        ),
        (
            "lr = 0.01\n",
            "",
            "35:1: `start`: axis `lr` is active at this point and has no value",
        ),
        ("seed = 7", "seed = ", "here/study.toml:4:"),
        ("seed = 7", "seed = 7\nseed = 8", "5:1: "),
    ] {
        let message = mistake(from, to);
        assert!(message.contains(wanted), "{to}: {message}");
    }
}

#[test]
fn stop_rules_are_read_and_their_mistakes_are_named() {
    let stop = |text: &str| {
        let file = parse(&format!("{GOOD}\n[stop]\n{text}"), &[])?;
        Ok(file.stop.unwrap())
    };
    let rule = stop("rule = \"median\"").unwrap();
    assert_eq!(rule.rule, Rule::Median { min_trials: 5 });
    assert_eq!(rule.metrics, parse(GOOD, &[]).unwrap().goal.objectives);
    let text =
        "rule = \"percentile\"\npercentile = 25\nmin_trials = 2\nwarmup = 3\nmetric = \"accuracy\"";
    let rule = stop(text).unwrap();
    let percentile = Rule::Percentile {
        percentile: 25.0,
        min_trials: 2,
    };
    assert_eq!((rule.rule, rule.warmup), (percentile, 3));
    assert_eq!(rule.metrics.len(), 1);
    let rule = stop("rule = \"patience\"\npatience = 4").unwrap();
    assert_eq!(rule.rule, Rule::Patience { steps: 4 });
    assert_eq!(parse(GOOD, &[]).unwrap().stop, None);

    for (text, wanted) in [
        (
            "warmup = 3",
            "41:2: `stop.rule` is missing; write for example rule = \"median\"",
        ),
        (
            "rule = \"medan\"",
            "42:8: `stop.rule`: no rule \"medan\" (did you mean `median`?); there are median, percentile",
        ),
        (
            "rule = \"median\"\npatience = 3",
            "43:1: [stop] has no key `patience`; its keys are rule, warmup, metric, min_trials",
        ),
        (
            "rule = \"percentile\"",
            "41:2: `stop.percentile` is missing",
        ),
        (
            "rule = \"percentile\"\npercentile = 100",
            "43:14: `stop.percentile` must be above 0 and below 100",
        ),
        (
            "rule = \"patience\"\npatience = 0",
            "43:12: `stop.patience` must be at least 1",
        ),
        (
            "rule = \"median\"\nmin_trials = 0",
            "43:14: `stop.min_trials` must be at least 1",
        ),
        (
            "rule = \"median\"\nmetric = [\"accuracy\", \"byte\"]",
            "43:23: `stop.metric`: `byte` is no objective of the goal (did you mean `bytes`?); there are accuracy, bytes",
        ),
        (
            "rule = \"median\"\nmetric = []",
            "43:10: `stop.metric` must be an objective",
        ),
    ] {
        let message: StudyFileError = stop(text).unwrap_err();
        let message = message.to_string();
        assert!(message.contains(wanted), "{text}: {message}");
    }
}

#[test]
fn missing_parts_are_named() {
    let cut = |section: &str| {
        let start = GOOD.find(section).unwrap();
        let end = GOOD[start + 1..]
            .find("\n[")
            .map_or(GOOD.len(), |i| start + 1 + i);
        let text = format!("{}{}", &GOOD[..start], &GOOD[end..]);
        parse(&text, &[]).map_err(|e| e.to_string())
    };
    assert!(cut("[goal]").unwrap_err().contains("[goal] is missing"));
    let spaceless = format!("{}{}", &GOOD[..GOOD.find("[space]").unwrap()], "depth = 3");
    assert!(
        parse(
            &spaceless.replace("depth = 3", ""),
            &["evaluate.family=unknown"]
        )
        .unwrap_err()
        .to_string()
        .contains("21:2: [space] is missing")
    );
    assert!(cut("[evaluate]").unwrap().evaluate.is_none());
    let file = cut("[study]").unwrap();
    assert_eq!(
        (file.name.as_str(), file.strategy.as_str()),
        ("study", "genetic")
    );
}
