//! The studies under `examples/`, each with a tiny budget.

use lapidary_tests::{data, root, run};

fn example(name: &str, more: &[&str]) -> serde_json::Value {
    let path = root().join("examples").join(name);
    let args = [&["search", path.to_str().unwrap(), "--json"], more].concat();
    let answer = run(&args);
    // A tiny budget need not meet the example's goal.
    assert!([0, 3].contains(&answer.code), "{name}: {}", answer.stderr);
    assert_eq!(answer.json["failed"], 0, "{name}: {}", answer.json);
    assert!(!answer.json["best"].is_null(), "{name}");
    answer.json
}

#[test]
fn digits() {
    let tiny = [
        "--trials",
        "2",
        "--set",
        "evaluate.epochs=1",
        "--set",
        "evaluate.limit=200",
    ];
    let json = example("digits.toml", &tiny);
    assert_eq!(json["trials"], 2, "the starting point is among them");
}

#[test]
fn fashion_mnist() {
    let tiny = [
        "--trials",
        "2",
        "--set",
        "evaluate.epochs=1",
        "--set",
        "evaluate.limit=200",
    ];
    assert_eq!(example("fashion_mnist.toml", &tiny)["trials"], 2);
}

#[test]
fn adult() {
    let named = |name: &str| data(name).to_str().unwrap().to_owned();
    let train = format!("evaluate.data=\"{}\"", named("census-train.csv"));
    let test = format!("evaluate.test=\"{}\"", named("census-test.csv"));
    let json = example(
        "adult.toml",
        &[
            "--trials",
            "2",
            "--set",
            &train,
            "--set",
            &test,
            "--set",
            "evaluate.no_header=false",
            "--set",
            "evaluate.epochs=2",
        ],
    );
    let accuracy = json["best"]["metrics"]["balanced_accuracy"]
        .as_f64()
        .unwrap();
    assert!(accuracy > 0.5, "{json}");
}

#[test]
fn function() {
    assert_eq!(example("function.toml", &["--trials", "20"])["trials"], 20);
}

#[test]
fn command() {
    assert_eq!(example("command.toml", &["--trials", "5"])["trials"], 5);
}

#[test]
#[ignore = "needs Python with scikit-learn; run by cargo xtask test"]
fn sklearn() {
    let python =
        std::env::var("LAPIDARY_PYTHON").expect("LAPIDARY_PYTHON names a Python with scikit-learn");
    let program = format!("evaluate.program=\"{python}\"");
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.jsonl");
    let log = log.to_str().unwrap();
    let tiny = ["--trials", "12", "--set", &program, "--log", log];
    let json = example(
        "sklearn.toml",
        &[&tiny[..], &["--set", "strategy.min_fidelity=0.3"]].concat(),
    );
    assert_eq!(json["trials"], 12);
    let loss = json["best"]["metrics"]["loss"].as_f64().unwrap();
    assert!(
        loss < std::f64::consts::LN_10,
        "no better than guessing: {json}"
    );
    for line in std::fs::read_to_string(log).unwrap().lines() {
        let trial: serde_json::Value = serde_json::from_str(line).unwrap();
        let epochs = trial["curve"].as_array().unwrap().len() as f64;
        let share = trial["fidelity"].as_f64().unwrap();
        let stopped = trial["outcome"]["state"] == "stopped";
        assert!(stopped || epochs == (27.0 * share).round(), "{trial}");
    }
}

#[test]
fn every_example_is_tested() {
    let mut names: Vec<String> = std::fs::read_dir(root().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "adult.toml",
            "command.toml",
            "digits.toml",
            "fashion_mnist.toml",
            "function.toml",
            "sklearn.toml"
        ]
    );
}
