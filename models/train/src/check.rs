//! What the tests of training share: graphs written in a line, and gradients checked against central differences.

use std::collections::BTreeMap;
use std::sync::Arc;

use lapidary_core::model::{Dim, ModelError};
use lapidary_core::rng::Rng;
use lapidary_core::samples::Inputs;
use lapidary_core::tensor::{DType, Dense, Tensor};

use super::engine::{self, DEVICE, Gradients, data};
use super::program::Program;
use lapidary_graph::tape::{Pass, Value};
use lapidary_graph::{Attribute, Graph, Node, ValueInfo};

/// A node `name = op(inputs)`, written `"y = Conv x w b"`; further outputs are separated by commas.
pub(super) fn node(text: &str, attributes: &[(&str, Attribute)]) -> Node {
    let (outputs, rest) = text.split_once(" = ").expect("`outputs = Op inputs`");
    let mut words = rest.split(' ');
    let op = words.next().expect("an operator").to_owned();
    let outputs: Vec<String> = outputs.split(',').map(|o| o.trim().to_owned()).collect();
    Node {
        name: format!("node_{}", outputs[0]),
        op,
        inputs: words
            .map(|w| {
                if w == "_" {
                    String::new()
                } else {
                    w.to_owned()
                }
            })
            .collect(),
        outputs,
        attributes: attributes
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.clone()))
            .collect(),
        ..Node::default()
    }
}

pub(super) fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

pub(super) fn text(value: &str) -> Attribute {
    Attribute::String(value.as_bytes().to_vec())
}

/// A graph from `x` (a free batch of the given sample shape) to the last node's first output.
pub(super) fn graph(sample: &[usize], nodes: Vec<Node>, weights: &[(&str, Dense)]) -> Graph {
    let mut shape = vec![Dim::Symbol("batch".into())];
    shape.extend(sample.iter().map(|&e| Dim::Fixed(e)));
    let float = |name: &str, shape| ValueInfo {
        name: name.to_owned(),
        dtype: DType::F32,
        shape,
    };
    let output = nodes.last().expect("a node").outputs[0].clone();
    Graph {
        name: "test".into(),
        inputs: vec![float("x", Some(shape))],
        outputs: vec![float(&output, None)],
        nodes,
        weights: weights
            .iter()
            .map(|(name, d)| ((*name).to_owned(), Arc::new(Tensor::Dense(d.clone()))))
            .collect(),
        ..Graph::default()
    }
}

/// Distinct numbers around zero in random order, 0.1 apart and none within 0.04 of zero, so that small steps meet no kink.
pub(super) fn numbers(shape: &[usize], seed: u64) -> Dense {
    let n: usize = shape.iter().product();
    let mut values: Vec<f32> = (0..n)
        .map(|i| (2.0 * (i as f32 - (n / 2) as f32) + 1.0) * 0.05)
        .collect();
    Rng::keyed(seed, 0, "numbers").shuffle(&mut values);
    Dense::f32(shape, values).expect("as many numbers as the shape says")
}

/// Positive numbers from 0.5 on.
pub(super) fn positive(shape: &[usize], seed: u64) -> Dense {
    let Dense::F32(values) = numbers(shape, seed) else {
        unreachable!("numbers are f32")
    };
    Dense::F32(values.mapv(|v| 0.5 + v.abs()).into_shared())
}

/// Checks the gradient of `Σ c · output`, with fixed random c, by `x` and every trained weight, against central differences.
pub(super) fn gradients(graph: &Graph, x: &Dense, training: bool) -> Result<(), ModelError> {
    let output = graph.outputs[0].name.as_str();
    let program = Program::new(graph, &[output])?;
    let inputs = Inputs::from([("x".to_owned(), x.clone())]);
    let x = super::select(&program, &inputs, None)?;
    let batch = x.first().map_or(1, |x| x.shape()[0]);
    let pass = || {
        if training {
            Pass::Train {
                rng: Box::new(Rng::keyed(1, 2, "dropout")),
                batches: Vec::new(),
            }
        } else {
            Pass::Evaluate
        }
    };
    let run = |weights: Vec<Value>, x: Vec<Value>| -> Result<Vec<f32>, ModelError> {
        let out = program.run(DEVICE, weights, x, batch, &mut pass())?;
        Ok(DEVICE.read(&super::only(out)?))
    };
    let plain: Vec<Value> = program.plain().collect();
    let out = run(plain.clone(), x.clone())?;
    let mut rng = Rng::keyed(9, 0, "factors");
    let factors: Vec<f32> = out.iter().map(|_| rng.unit() as f32 + 0.1).collect();
    let sum = |out: Vec<f32>| -> f64 {
        out.iter()
            .zip(&factors)
            .map(|(y, c)| f64::from(y * c))
            .sum()
    };

    // All values, weights first; floats become leaves of the tape.
    let all: Vec<Value> = plain.iter().chain(&x).cloned().collect();
    let taped: Vec<Value> = all
        .iter()
        .map(|value| match value {
            Value::Float(x) => Value::Float(engine::leaf(x)),
            Value::Int(a) => Value::Int(a.clone()),
        })
        .collect();
    let (weights, inputs) = (taped[..plain.len()].to_vec(), taped[plain.len()..].to_vec());
    let output = super::only(program.run(DEVICE, weights, inputs, batch, &mut pass())?)?;
    for (taped, plain) in DEVICE.read(&output).iter().zip(&out) {
        assert!(
            (taped - plain).abs() <= 1e-5 * (1.0 + plain.abs()),
            "on the tape {taped}, off it {plain}"
        );
    }
    let gradients = Gradients::of(output, factors.clone());

    for (at, value) in all.iter().enumerate() {
        let (Value::Float(t), Value::Float(leaf)) = (value, &taped[at]) else {
            continue;
        };
        if program.weights.get(at).is_some_and(|w| !w.trained) {
            continue;
        }
        let found = gradients.by(leaf).map(<[f32]>::to_vec);
        let values = data(t).to_vec();
        for i in 0..values.len() {
            const STEP: f32 = 0.01;
            let at_step = |step: f32| {
                let mut moved = values.clone();
                moved[i] += step;
                let mut all = all.clone();
                all[at] = Value::Float(DEVICE.constant(moved, value.shape()));
                let inputs = all.split_off(plain.len());
                run(all, inputs).map(sum)
            };
            let expected = (at_step(STEP)? - at_step(-STEP)?) / f64::from(2.0 * STEP);
            let found = found.as_ref().map_or(0.0, |g| f64::from(g[i]));
            let name = program.weights.get(at).map_or("x", |w| w.name.as_str());
            let allowed = 0.01 + 0.01 * expected.abs().max(found.abs());
            assert!(
                (expected - found).abs() <= allowed,
                "{name}[{i}]: gradient {found}, by differences {expected}"
            );
        }
    }
    Ok(())
}

/// The output of a graph for `x`.
pub(super) fn output(graph: &Graph, x: &Dense) -> Result<Dense, ModelError> {
    let inputs = BTreeMap::from([("x".to_owned(), x.clone())]);
    super::run(graph, &inputs).map(|mut out| out.remove(0))
}
