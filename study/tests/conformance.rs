//! The properties every evaluator keeps, for those that are built in.

use std::path::PathBuf;
use std::sync::OnceLock;

use lapidary_core::json::Json;
use lapidary_core::registry::{Entry, Registry};
use lapidary_core::space::{Axis, Domain};
use lapidary_study::evaluate::{command, compress, function, models, train};
use lapidary_testkit::evaluator::Case;
use serde_json::json;
use tempfile::TempDir;

/// What is installed.
fn entries() -> Vec<&'static Entry> {
    [
        lapidary_zoo::ENTRIES,
        lapidary_model::ENTRIES,
        &[&lapidary_prune::ENTRY],
    ]
    .concat()
}

fn case(entry: &'static Entry, settings: Json, axes: &[(&str, Domain)]) -> Case {
    let axes = axes
        .iter()
        .map(|(name, domain)| Axis::new(*name, domain.clone()));
    Case::new(entry, settings)
        .with(&entries())
        .over(axes.collect())
}

fn float(low: f64, high: f64) -> Domain {
    Domain::Float {
        low,
        high,
        log: false,
        step: None,
    }
}

fn choice(options: &[&str]) -> Domain {
    Domain::Choice {
        options: options.iter().map(|option| (*option).into()).collect(),
    }
}

/// A folder with two small networks for the digits.
fn networks() -> PathBuf {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let made = || {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::new(&entries()).unwrap();
        let digits = lapidary_data::open("digits", &Default::default()).unwrap();
        for width in [6, 9] {
            let settings = json!({ "width": width });
            let task = digits.task_shape().unwrap();
            let model = registry.family("mlp", &settings, &task, 1).unwrap();
            let path = folder.path().join(format!("w{width}.onnx"));
            lapidary_study::models::save(&registry, model.as_ref(), None, &path).unwrap();
        }
        folder
    };
    FOLDER.get_or_init(made).path().to_owned()
}

mod train_conformance {
    use super::*;

    fn small() -> Case {
        let settings =
            json!({"family": "mlp", "data": "digits", "limit": 60, "epochs": 3, "batch": 20});
        let width = Domain::Int {
            low: 4,
            high: 12,
            log: false,
            step: 1,
        };
        case(&train::ENTRY, settings, &[("width", width)])
    }

    lapidary_testkit::evaluator_conformance!(small());
}

mod compress_conformance {
    use super::*;

    fn pruned() -> Case {
        let model = networks().join("w9.onnx");
        let settings = json!({
            "model": model.to_str().unwrap(),
            "data": "digits",
            "limit": 60,
            "recipe": ["prune:sparsity={share},finetune_epochs=1"],
        });
        case(&compress::ENTRY, settings, &[("share", float(0.1, 0.9))])
    }

    lapidary_testkit::evaluator_conformance!(pruned());
}

mod models_conformance {
    use super::*;

    fn both() -> Case {
        let all = networks().join("*.onnx");
        let settings = json!({"models": all.to_str().unwrap(), "data": "digits", "limit": 60});
        Case::new(&models::ENTRY, settings).with(&entries())
    }

    lapidary_testkit::evaluator_conformance!(both());
}

mod command_conformance {
    use super::*;

    /// A program that goes to the step that its fidelity says, and ends where nobody listens.
    const STEPS: &str = r#"
all=$(awk 'BEGIN { n = 4 * '"$FIDELITY"'; print (n > int(n)) ? int(n) + 1 : int(n) }')
for step in $(seq 1 $all); do
    echo "{\"step\": $step, \"loss\": $X}" || exit 1
    sleep 0.05
done
echo "{\"loss\": $X}""#;

    fn steps() -> Case {
        let settings = json!({
            "program": "sh",
            "args": ["-c", STEPS],
            "env": {"X": "{x}", "FIDELITY": "{fidelity}"},
        });
        case(&command::ENTRY, settings, &[("x", float(0.0, 1.0))])
    }

    lapidary_testkit::evaluator_conformance!(steps());
}

mod function_conformance {
    use super::*;

    fn sphere() -> Case {
        let axes = [("x", float(-1.0, 1.0)), ("kind", choice(&["a", "b"]))];
        case(&function::ENTRY, json!({"name": "sphere"}), &axes)
    }

    lapidary_testkit::evaluator_conformance!(sphere());
}
