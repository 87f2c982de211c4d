//! Broken weights, extreme weights, missing samples, and being stopped.

use std::time::{Duration, Instant};

use lapidary_core::json::Json;
use lapidary_core::model::{Edit, Model, ModelError, check_finite};
use lapidary_core::optimizer::OptimizeError;
use lapidary_core::registry::Entry;
use lapidary_core::samples::{Inputs, Samples, Targets};
use lapidary_core::tensor::{DType, Dense, Tensor};
use lapidary_graph::build::GraphBuilder;
use lapidary_graph::ops;
use lapidary_model::GraphModel;

use super::promises::rounded_to_nearest;
use super::world::{World, models};

/// Longest time between being told to stop and stopping.
const PROMPT: Duration = Duration::from_secs(10);

/// NaN and infinite weights are refused by the weight's name and the element's index.
pub fn weights_that_are_not_finite_are_named(entry: &Entry, settings: &Json) {
    let (_, model) = &models()[1];
    let floats = model
        .weights()
        .iter()
        .filter_map(|(name, tensor)| Some((name, tensor.to_f32()?)));
    for (i, (name, values)) in floats.enumerate() {
        let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][i % 3];
        let index = (7 * i + 3) % values.len();
        let mut data: Vec<f32> = values.iter().copied().collect();
        data[index] = bad;
        let tensor =
            Tensor::from(Dense::f32(values.shape(), data).expect("the shape is as before"));
        let edit = Edit::SetWeight {
            name: name.clone(),
            tensor: tensor.into(),
        };
        let broken = model.apply(&[edit]).expect("a weight can be set");
        match World::digits().run(entry, settings, broken.as_ref()) {
            Err(OptimizeError::Model(ModelError::NonFinite {
                weight, index: at, ..
            })) => {
                assert_eq!((&weight, at), (name, index));
            }
            Err(other) => panic!("`{name}` has {bad} at {index}, but the error is: {other}"),
            Ok(_) => panic!("`{name}` has {bad} at {index}, and was optimized"),
        }
    }
}

/// `x · w` with `w` of shape `[rows, columns]`.
fn product(rows: usize, columns: usize, w: Vec<f32>) -> Box<dyn Model> {
    let mut graph = GraphBuilder::new("product");
    let x = graph.input("x", DType::F32, &[rows]);
    let w = graph.weight(
        "w",
        Dense::f32(&[rows, columns], w).expect("as many elements as the shape takes"),
    );
    let y = graph.node(&ops::MAT_MUL, "product", &[&x, &w], []);
    graph.output(&y, DType::F32, &[columns]);
    let graph = graph.finish(17).expect("the graph is sound");
    Box::new(GraphModel::from_graph(graph).expect("the graph is sound"))
}

fn samples(rows: usize, columns: usize) -> Samples {
    let n = 8;
    let data: Vec<f32> = (0..n * rows)
        .map(|i| ((i * 7 % 11) as f32 - 5.0) / 5.0)
        .collect();
    Samples {
        inputs: Inputs::from([(
            "x".to_owned(),
            Dense::f32(&[n, rows], data).expect("n rows"),
        )]),
        targets: Some(Targets::Classes {
            labels: (0..n).map(|i| i % columns.max(1)).collect(),
            names: (0..columns).map(|c| c.to_string()).collect(),
        }),
    }
}

/// Empty, single, constant, zero, largest and subnormal weights give a sound model or a clear error.
pub fn extreme_weights_work(entry: &Entry, settings: &Json) {
    let (max, tiny) = (f32::MAX, f32::from_bits(1));
    let cases: Vec<(&str, usize, usize, Vec<f32>)> = vec![
        ("no column", 3, 0, vec![]),
        ("no row", 0, 3, vec![]),
        ("one element", 1, 1, vec![-0.3]),
        ("constant", 4, 3, vec![0.25; 12]),
        ("zero", 4, 3, vec![0.0; 12]),
        ("largest", 2, 2, vec![max, -max, -max, max]),
        ("largest and smallest", 2, 2, vec![max, tiny, -tiny, 0.0]),
        (
            "subnormal",
            2,
            2,
            vec![tiny, -tiny, 0.0, f32::MIN_POSITIVE / 2.0],
        ),
        (
            "zeros among others",
            4,
            2,
            vec![0.0, 1.0, -2.0, 0.0, 0.0, 0.5, 3.0, 0.0],
        ),
    ];
    for (name, rows, columns, w) in cases {
        let model = product(rows, columns, w);
        let samples = samples(rows, columns);
        let world = World {
            train: None,
            valid: None,
            calibration: Some(samples),
            ..World::digits()
        };
        let result = match world.run(entry, settings, model.as_ref()) {
            Ok(optimized) => optimized.model,
            Err(error) => {
                assert!(!error.to_string().is_empty(), "{name}");
                continue;
            }
        };
        check_finite(result.as_ref()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let Some(tensor) = result.weights().get("w") else {
            continue;
        };
        let values = tensor.to_f32().expect("a float weight stays one");
        assert!(values.iter().all(|v| v.is_finite()), "{name}: {values}");
        let old = model.weights()["w"].to_f32().expect("it is float");
        if let Tensor::Quantized(q) = tensor.as_ref() {
            if name.starts_with("largest") {
                // The scale is smaller there, so that all codes stand for finite values: up to one step is clipped.
                let step = q.scales.iter().fold(0f32, |m, s| m.max(*s));
                let off = (old.iter().zip(&values)).map(|(o, v)| f64::from(*o) - f64::from(*v));
                let off = off.fold(0f64, |m, d| m.max(d.abs()));
                assert!(off <= 1.001 * f64::from(step), "{name}: {values}");
            } else {
                rounded_to_nearest(&old, q, name);
            }
        }
        for (o, v) in old.iter().zip(&values) {
            assert!(*o != 0.0 || *v == 0.0, "{name}: zero became {v}");
        }
    }
}

/// Without samples an optimizer works all the same, or says what it needs.
pub fn missing_samples_are_named_or_not_needed(entry: &Entry, settings: &Json) {
    let (_, model) = &models()[0];
    let world = World {
        train: None,
        valid: None,
        calibration: None,
        ..World::digits()
    };
    match world.run(entry, settings, model.as_ref()) {
        Ok(_) => {}
        Err(OptimizeError::Needs { optimizer, what }) => {
            assert_eq!(optimizer, entry.info.name);
            assert!(what.contains("samples"), "needs {what}");
        }
        Err(other) => panic!("{other}"),
    }
}

/// Told to stop, before it starts or at its work, the optimizer returns soon and says that it was stopped.
pub fn cancelling_returns_promptly(entry: &Entry, settings: &Json) {
    for (name, model) in models() {
        let early = World::digits();
        early.cancel.cancel();
        let result = early.run(entry, settings, model.as_ref());
        assert!(
            matches!(result, Err(OptimizeError::Cancelled)),
            "{name}: cancelled before it began"
        );

        let late = World {
            cancels_at_work: true,
            ..World::digits()
        };
        let start = Instant::now();
        let result = late.run(entry, settings, model.as_ref());
        assert!(
            start.elapsed() < PROMPT,
            "{name}: stopped after {:?}",
            start.elapsed()
        );
        if late.cancel.is_cancelled() {
            assert!(
                matches!(result, Err(OptimizeError::Cancelled)),
                "{name}: cancelled at its work"
            );
        }
    }
}
