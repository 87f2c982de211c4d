//! Every combination of settings builds, runs and gives the shape the task asks for.

use lapidary_core::cancel::Cancel;
use lapidary_core::fit::{FitContext, FitPlan, Verdict};
use lapidary_core::json::Json;
use lapidary_core::model::{Model, Size, TaskShape};
use lapidary_core::registry::{BuildError, Kind, Linked, Registry};
use lapidary_core::rng::Rng;
use lapidary_core::samples::{Inputs, Samples, Targets, Task};
use lapidary_core::space::Space;
use lapidary_core::tensor::Dense;
use lapidary_zoo::ENTRIES;
use serde_json::json;

const ACTIVATIONS: [&str; 7] = [
    "relu",
    "leaky_relu",
    "tanh",
    "sigmoid",
    "gelu",
    "silu",
    "hardswish",
];

fn registry() -> Registry {
    Registry::new(ENTRIES).unwrap()
}

fn task(sample: &[usize], classes: usize) -> TaskShape {
    TaskShape {
        input: "x".into(),
        sample: sample.to_vec(),
        task: Task::Classification { classes },
    }
}

fn noise(sample: &[usize], n: usize) -> Inputs {
    let mut rng = Rng::keyed(1, 0, "noise");
    let shape: Vec<usize> = std::iter::once(n).chain(sample.iter().copied()).collect();
    let data = (0..shape.iter().product())
        .map(|_| rng.normal() as f32)
        .collect();
    Inputs::from([("x".into(), Dense::f32(&shape, data).unwrap())])
}

fn error(family: &str, settings: Json, sample: &[usize]) -> String {
    match registry().family(family, &settings, &task(sample, 10), 0) {
        Ok(_) => panic!("{family} {settings} was built"),
        Err(e) => e.to_string(),
    }
}

/// Builds the model, runs it, and checks the outputs' shape and that they are finite.
fn runs(family: &str, settings: &Json, sample: &[usize]) -> Box<dyn Model> {
    let model = registry()
        .family(family, settings, &task(sample, 7), 3)
        .unwrap_or_else(|e| panic!("{family} {settings}: {e}"));
    let outputs = model
        .forward(&noise(sample, 2))
        .unwrap_or_else(|e| panic!("{family} {settings} {sample:?}: {e}"));
    let logits = outputs[0].as_f32().unwrap();
    assert_eq!(logits.shape(), [2, 7], "{family} {settings} {sample:?}");
    assert!(
        logits.iter().all(|v| v.is_finite()),
        "{family} {settings} {sample:?}"
    );
    assert_ne!(
        logits.index_axis(ndarray::Axis(0), 0),
        logits.index_axis(ndarray::Axis(0), 1),
        "{family} {settings}: different samples give the same outputs"
    );
    model
}

#[test]
fn every_mlp_runs() {
    for activation in ACTIVATIONS {
        for normalization in ["none", "batch", "layer"] {
            for (depth, skip) in [(0, false), (1, true), (3, false), (3, true)] {
                let settings = json!({"depth": depth, "width": 9, "activation": activation,
                    "normalization": normalization, "skip": skip});
                runs("mlp", &settings, if skip { &[1, 8, 8] } else { &[5] });
            }
        }
    }
}

#[test]
fn every_convnet_runs() {
    for activation in ACTIVATIONS {
        for normalization in ["none", "batch"] {
            for skip in [false, true] {
                for separable in [false, true] {
                    for pooling in ["average", "flatten"] {
                        let settings = json!({"stages": 2, "width": 3, "growth": 1.5,
                            "activation": activation, "normalization": normalization,
                            "skip": skip, "separable": separable, "pooling": pooling});
                        runs("convnet", &settings, &[1, 8, 8]);
                    }
                }
            }
        }
    }
}

#[test]
fn every_operator_of_a_family_can_be_trained() {
    let nets = |activation: &str| {
        [
            (
                "mlp",
                json!({"depth": 2, "width": 6, "activation": activation,
                "normalization": "layer", "skip": true}),
            ),
            (
                "mlp",
                json!({"depth": 2, "width": 6, "activation": activation,
                "normalization": "batch"}),
            ),
            (
                "convnet",
                json!({"width": 3, "activation": activation, "skip": true,
                "separable": true}),
            ),
            (
                "convnet",
                json!({"width": 3, "activation": activation, "normalization": "none",
                "pooling": "flatten"}),
            ),
        ]
    };
    let sample = [1, 6, 6];
    let samples = Samples {
        inputs: noise(&sample, 12),
        targets: Some(Targets::Classes {
            labels: (0..12).map(|i| i % 7).collect(),
            names: (0..7).map(|i| i.to_string()).collect(),
        }),
    };
    let plan = FitPlan {
        epochs: 8,
        batch: 6,
        learning_rate: 0.01,
        ..FitPlan::default()
    };
    let cx = FitContext {
        cancel: &Cancel::default(),
        epoch: &|_| Verdict::Continue,
    };
    for activation in ACTIVATIONS {
        for (family, settings) in nets(activation) {
            let model = runs(family, &settings, &sample);
            let fitted = model
                .trainable()
                .unwrap()
                .fit(&plan, &samples, None, &cx)
                .unwrap_or_else(|e| panic!("{family} {settings}: {e}"));
            let (first, last) = (&fitted.history[0], &fitted.history[plan.epochs - 1]);
            assert!(
                last.loss < first.loss,
                "{family} {settings}: {first:?} {last:?}"
            );
        }
    }
}

#[test]
fn maps_of_any_size_and_kernels_larger_than_them_run() {
    for sample in [
        &[1, 8, 8][..],
        &[1, 28, 28],
        &[3, 32, 32],
        &[2, 1, 1],
        &[1, 2, 5],
    ] {
        for kernel in [1, 3, 5, 9] {
            let settings = json!({"stages": 3, "width": 2, "kernel": kernel, "skip": true,
                "pooling": "flatten"});
            runs("convnet", &settings, sample);
        }
    }
}

#[test]
fn sizes_are_those_of_the_layers() {
    let mlp = runs("mlp", &json!({"depth": 2, "width": 16}), &[1, 8, 8]);
    let size = Size::of(mlp.as_ref());
    assert_eq!(size.params, 64 * 16 + 16 + 16 * 16 + 16 + 16 * 7 + 7);
    assert_eq!(size.macs, 64 * 16 + 16 * 16 + 16 * 7);
    let plain = json!({"stages": 2, "width": 4, "growth": 2.0, "normalization": "none"});
    let convnet = runs("convnet", &plain, &[1, 8, 8]);
    let size = Size::of(convnet.as_ref());
    let weights = [9 * 4, 9 * 4 * 4, 9 * 4 * 8, 8 * 7];
    assert_eq!(size.params, weights.iter().sum::<usize>() + 4 + 4 + 8 + 7);
    let macs = weights[0] * 64 + weights[1] * 64 + weights[2] * 16 + weights[3];
    assert_eq!(size.macs, macs as u64);
}

#[test]
fn the_same_seed_gives_the_same_weights() {
    let build = |seed| {
        registry()
            .family("convnet", &json!({}), &task(&[1, 8, 8], 10), seed)
            .unwrap()
    };
    assert_eq!(build(5).weights(), build(5).weights());
    assert_ne!(build(5).weights(), build(6).weights());
}

#[test]
fn numbers_are_predicted_as_values() {
    let task = TaskShape {
        task: Task::Regression { values: 3 },
        ..task(&[4], 0)
    };
    let model = registry().family("mlp", &Json::Null, &task, 0).unwrap();
    assert_eq!(model.signature().outputs[0].name, "values");
}

#[test]
fn what_cannot_be_built_is_refused_with_the_reason() {
    for (family, settings, sample, text) in [
        (
            "mlp",
            json!({"width": 0}),
            &[4][..],
            "`width` must be in 1..=65536, found 0",
        ),
        ("mlp", json!({"widht": 8}), &[4], "unknown field `widht`"),
        (
            "mlp",
            json!({"depth": 2, "width": 8192}),
            &[4],
            "smaller depth or width",
        ),
        ("mlp", json!({}), &[1 << 40, 1 << 40], "too large"),
        ("mlp", json!({}), &[0], "hold nothing"),
        (
            "convnet",
            json!({"kernel": 4}),
            &[1, 8, 8],
            "`kernel` must be one of 1, 3, 5, 7, 9, 11, 13, 15, found 4",
        ),
        (
            "convnet",
            json!({"normalization": "layer"}),
            &[1, 8, 8],
            "`normalization` must be one of \"none\", \"batch\", found \"layer\"",
        ),
        (
            "convnet",
            json!({"growth": f64::MAX}),
            &[1, 8, 8],
            "`growth` must be in [0.25, 4]",
        ),
        (
            "convnet",
            json!({}),
            &[64],
            "samples of shape [64] are no images",
        ),
        (
            "convnet",
            json!({"stages": 6, "width": 4096, "growth": 4.0}),
            &[1, 8, 8],
            "too large",
        ),
    ] {
        let message = error(family, settings.clone(), sample);
        assert!(message.contains(text), "{family} {settings}: {message}");
    }
    let none = TaskShape {
        task: Task::Classification { classes: 0 },
        ..task(&[4], 0)
    };
    let error = registry()
        .family("mlp", &Json::Null, &none, 0)
        .err()
        .unwrap();
    assert!(matches!(error, BuildError::Unfit { .. }));
}

#[test]
fn listed_and_submitted_families_are_the_ones_there_are() {
    let listed: Vec<&str> = ENTRIES.iter().map(|e| e.info.name).collect();
    let mut submitted: Vec<&str> = (lapidary_core::inventory::iter::<Linked>.into_iter())
        .filter(|linked| linked.0.kind() == Kind::Family)
        .map(|linked| linked.0.info.name)
        .collect();
    submitted.sort_unstable();
    assert_eq!(listed, ["convnet", "mlp"]);
    assert_eq!(submitted, listed);
}

#[test]
fn documented_settings_are_the_settings_there_are() {
    for entry in ENTRIES {
        let settings = entry.info.settings.list();
        let defaults: Json = (settings.iter())
            .map(|s| {
                let default = s.default.as_deref().unwrap();
                let default: Json = serde_json::from_str(default).unwrap();
                (s.name.clone(), default)
            })
            .collect::<serde_json::Map<_, _>>()
            .into();
        let own = match entry.info.name {
            "mlp" => serde_json::to_value(lapidary_zoo::mlp::Mlp::default()),
            _ => serde_json::to_value(lapidary_zoo::convnet::Convnet::default()),
        };
        assert_eq!(defaults, own.unwrap());
        let words = &settings
            .iter()
            .find(|s| s.name == "activation")
            .unwrap()
            .kind;
        assert!(ACTIVATIONS.iter().all(|a| words.contains(a)));
    }
}

#[test]
fn default_axes_are_settings_and_all_their_points_build() {
    for entry in ENTRIES {
        assert_eq!(entry.kind(), Kind::Family);
        let axes = registry().family_axes(entry.info.name).unwrap();
        let space = std::sync::Arc::new(Space::new(axes).unwrap());
        for axis in space.axes() {
            assert!(
                entry.info.settings.names().contains(&axis.name),
                "{}",
                axis.name
            );
        }
        let mut rng = Rng::keyed(4, 0, "points");
        for _ in 0..20 {
            let point = space.sample(&mut rng).to_json();
            runs(entry.info.name, &point, &[1, 8, 8]);
        }
    }
    assert!(registry().family_axes("rnn").is_err());
}
