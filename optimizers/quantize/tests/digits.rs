//! Quantization of models trained on the digits.

use std::sync::Mutex;

use lapidary_core::model::{Edit, Model, Size};
use lapidary_core::optimizer::{OptimizeError, Optimized};
use lapidary_core::tensor::{Dense, Granularity, Tensor};
use lapidary_core::trial::Metrics;
use lapidary_quantize::ENTRY;
use lapidary_testkit::optimizer::{World, accuracy, digits, family, trained};
use serde_json::{Value, json};

fn run(model: &dyn Model, settings: Value) -> Optimized {
    World::digits().run(&ENTRY, &settings, model).unwrap()
}

/// The quantized weights of a model by name, with bits and granularity.
fn quantized(model: &dyn Model) -> Vec<(&str, u8, Granularity)> {
    (model.weights().iter())
        .filter_map(|(name, tensor)| match tensor.as_ref() {
            Tensor::Quantized(q) => Some((name.as_str(), q.bits, q.granularity)),
            Tensor::Dense(_) => None,
        })
        .collect()
}

#[test]
fn every_form_is_smaller_and_as_good() {
    let convnet = trained("convnet", &json!({"width": 12, "skip": true}), 6);
    let mlp = trained("mlp", &json!({"depth": 2, "width": 64}), 12);
    let test = &digits().0.test;
    let cases = [
        json!({}),
        json!({"calibration": "mse"}),
        json!({"calibration": "percentile", "per_channel": false}),
        json!({"scheme": "weight_only"}),
        json!({"bits": 4}),
    ];
    for (name, model) in [("convnet", convnet), ("mlp", mlp)] {
        let before = accuracy(model.as_ref(), test).unwrap();
        let bytes = model.file_bytes().unwrap() as f64;
        for settings in &cases {
            let result = run(model.as_ref(), settings.clone()).model;
            let after = accuracy(result.as_ref(), test).unwrap();
            let smaller = bytes / result.file_bytes().unwrap() as f64;
            assert!(
                after > before - 0.02,
                "{name} {settings}: {before} became {after}"
            );
            assert!(smaller > 2.0, "{name} {settings}: {smaller} times smaller");
        }
    }
}

#[test]
fn activations_are_rounded_where_asked_only() {
    let model = family("mlp", &json!({"depth": 1, "width": 16}), 1).unwrap();
    let ops = |m: &dyn Model| {
        m.topology()
            .nodes
            .iter()
            .filter(|n| n.op == "QuantizeLinear")
            .count()
    };
    assert_eq!(ops(run(model.as_ref(), json!({})).model.as_ref()), 2);
    assert_eq!(
        ops(run(model.as_ref(), json!({"scheme": "weight_only"}))
            .model
            .as_ref()),
        0
    );
}

#[test]
fn layers_are_chosen_by_globs() {
    let model = family("mlp", &json!({"depth": 2, "width": 16}), 1).unwrap();
    let names = |settings: Value| quantized(run(model.as_ref(), settings).model.as_ref()).len();
    assert_eq!(names(json!({})), 3);
    assert_eq!(names(json!({"layers": ["hidden*"]})), 2);
    assert_eq!(names(json!({"exclude": ["logits"]})), 2);
    let wrong = World::digits().run(&ENTRY, &json!({"layers": ["head"]}), model.as_ref());
    assert!(matches!(wrong, Err(OptimizeError::NoLayer { glob, .. }) if glob == "head"));
}

#[test]
fn four_bits_go_to_matrices_in_blocks_and_convolutions_keep_eight() {
    let model = family("convnet", &json!({"width": 8}), 1).unwrap();
    let result = run(model.as_ref(), json!({"bits": 4, "block": 16}));
    let weights = quantized(result.model.as_ref());
    let blocks: Vec<_> = (weights.iter())
        .filter(|(_, bits, g)| *bits == 4 && matches!(g, Granularity::Block { size: 16, .. }))
        .collect();
    assert_eq!(blocks.len(), 1, "{weights:?}");
    assert!(
        weights
            .iter()
            .all(|(_, bits, g)| *bits == 4 || *g == Granularity::Axis(0)),
        "{weights:?}"
    );
    assert!(
        result
            .notes
            .iter()
            .any(|n| n.starts_with("8 bits where 4 are not possible")),
        "{:?}",
        result.notes
    );
}

#[test]
fn static_without_samples_says_what_it_needs() {
    let model = family("mlp", &json!({"depth": 1, "width": 8}), 1).unwrap();
    let world = World {
        train: None,
        ..World::digits()
    };
    let error = world.run(&ENTRY, &json!({}), model.as_ref()).err().unwrap();
    assert_eq!(
        error.to_string(),
        "quantize needs samples to see activations on for `scheme = \"static\"`: --data, or --calibration, which needs no targets (or use `scheme = \"weight_only\"`)"
    );
}

/// A network with one layer that does not bear quantization with one scale: its weights differ by a factor of 10⁴.
fn with_a_sensitive_layer() -> Box<dyn Model> {
    let model = trained("mlp", &json!({"depth": 2, "width": 32}), 12);
    let layer = |name: &str| {
        let layers = &model.topology().layers;
        layers.iter().find(|l| l.name == name).unwrap().clone()
    };
    // Neurons of the second hidden layer scaled up, and what reads them scaled down: the same outputs with rectifiers.
    let factor = |neuron: usize| if neuron.is_multiple_of(2) { 1e4 } else { 1.0 };
    let scaled = |name: &str, axis: usize, factor: &dyn Fn(usize) -> f32| {
        let mut values = model.weights()[name].to_f32().unwrap().into_owned();
        for (i, mut part) in values.axis_iter_mut(ndarray::Axis(axis)).enumerate() {
            part.mapv_inplace(|v| v * factor(i));
        }
        Edit::SetWeight {
            name: name.to_owned(),
            tensor: Tensor::from(Dense::from(values)).into(),
        }
    };
    let (hidden, last) = (layer("hidden2"), layer("logits"));
    let edits = [
        scaled(
            hidden.weight.as_deref().unwrap(),
            hidden.channel_axis,
            &factor,
        ),
        scaled(hidden.bias.as_deref().unwrap(), 0, &factor),
        scaled(
            last.weight.as_deref().unwrap(),
            1 - last.channel_axis,
            &|n| 1.0 / factor(n),
        ),
    ];
    model.apply(&edits).unwrap()
}

#[test]
fn sensitive_layers_stay_in_float_where_the_goal_asks_for_it() {
    let model = with_a_sensitive_layer();
    let world = World::digits();
    let valid = world.valid.clone().unwrap();
    let before = accuracy(model.as_ref(), &valid).unwrap();
    let settings = json!({"per_channel": false});
    let plain = run(model.as_ref(), settings.clone()).model;
    assert!(
        accuracy(plain.as_ref(), &valid).unwrap() < before - 0.1,
        "the case is hard"
    );

    let measured = Mutex::new(0);
    let accept = |m: &Metrics| {
        *measured.lock().unwrap() += 1;
        m["accuracy"] >= before - 0.01
    };
    let result = world
        .run_with(&ENTRY, &settings, model.as_ref(), &accept)
        .unwrap();
    assert!(accuracy(result.model.as_ref(), &valid).unwrap() >= before - 0.01);
    let left = 3 - quantized(result.model.as_ref()).len();
    assert!(
        (1..3).contains(&left),
        "{left} layers in float: {:?}",
        result.notes
    );
    assert!(
        result
            .notes
            .iter()
            .any(|n| n.starts_with("kept in float to meet the goal")),
        "{:?}",
        result.notes
    );
    let measured = *measured.lock().unwrap();
    assert!(measured <= 2 + 12, "{measured} measurements");
}

#[test]
fn a_goal_only_the_float_model_meets_leaves_it_as_it_is() {
    let model = with_a_sensitive_layer();
    let params = Size::of(model.as_ref()).params;
    let bytes = model.file_bytes().unwrap() as f64;
    let result = World::digits()
        .run_with(&ENTRY, &json!({}), model.as_ref(), &|m| m["bytes"] >= bytes)
        .unwrap();
    assert!(quantized(result.model.as_ref()).is_empty());
    assert_eq!(Size::of(result.model.as_ref()).params, params);
    assert!(
        result.notes[0].starts_with("the model is left as it is"),
        "{:?}",
        result.notes
    );
}

#[test]
fn four_bits_become_eight_before_they_become_float() {
    let model = with_a_sensitive_layer();
    let bytes = |settings| run(model.as_ref(), settings).model.file_bytes().unwrap() as f64;
    let (four, eight) = (
        bytes(json!({"bits": 4})),
        bytes(json!({"scheme": "weight_only"})),
    );
    let result = World::digits()
        .run_with(&ENTRY, &json!({"bits": 4}), model.as_ref(), &|m| {
            m["bytes"] > four && m["bytes"] < eight
        })
        .unwrap();
    let bits: Vec<u8> = quantized(result.model.as_ref())
        .iter()
        .map(|w| w.1)
        .collect();
    assert!(
        bits.len() == 3 && bits.contains(&4) && bits.contains(&8),
        "{bits:?} {:?}",
        result.notes
    );
}
