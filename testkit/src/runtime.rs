//! Properties of runtimes, on small models of the zoo over the bundled digits.

use std::sync::Arc;

use lapidary_core::model::{Edit, ModelError, Tap, ValueId};
use lapidary_core::runtime::Runtime;
use lapidary_core::samples::Inputs;
use lapidary_core::tensor::{Dense, Tensor};

use crate::optimizer::{digits, models};

/// A property of a runtime: panics where it does not hold.
pub type Property = fn(&dyn Runtime);

/// All properties with their names.
pub const PROPERTIES: &[(&str, Property)] = &[
    ("runs_give_the_same_bits", runs_give_the_same_bits),
    (
        "rows_do_not_depend_on_their_batch",
        rows_do_not_depend_on_their_batch,
    ),
    (
        "observed_values_are_those_of_a_run",
        observed_values_are_those_of_a_run,
    ),
    (
        "a_set_weight_is_as_if_loaded_with_it",
        a_set_weight_is_as_if_loaded_with_it,
    ),
    ("operations_have_times", operations_have_times),
    ("what_is_not_there_is_named", what_is_not_there_is_named),
];

/// Samples that the models run on.
const SAMPLES: usize = 12;

fn inputs(samples: usize) -> Inputs {
    digits().0.valid.head(samples).inputs
}

/// The bits of all floats.
fn bits(values: &[Dense]) -> Vec<u32> {
    let floats = values
        .iter()
        .map(|v| v.as_f32().expect("the outputs are floats"));
    floats.flat_map(|a| a.iter().map(|v| v.to_bits())).collect()
}

fn near(a: &[Dense], b: &[Dense]) -> bool {
    let floats =
        |values: &[Dense]| -> Vec<f32> { bits(values).into_iter().map(f32::from_bits).collect() };
    let (a, b) = (floats(a), floats(b));
    a.len() == b.len()
        && a.iter()
            .zip(&b)
            .all(|(a, b)| (a - b).abs() <= 1e-4 * (1.0 + b.abs()))
}

/// Runs of one session, and sessions of one model, give the same bits.
///
/// # Panics
/// When they do not.
pub fn runs_give_the_same_bits(runtime: &dyn Runtime) {
    for (name, model) in models() {
        let mut loaded = runtime.load(model.as_ref(), &[]).expect(name);
        let first = loaded.run(&inputs(SAMPLES)).expect(name);
        assert_eq!(first.len(), model.signature().outputs.len(), "{name}");
        let again = loaded.run(&inputs(SAMPLES)).expect(name);
        assert_eq!(bits(&first), bits(&again), "{name}");
        let mut other = runtime.load(model.as_ref(), &[]).expect(name);
        let other = other.run(&inputs(SAMPLES)).expect(name);
        assert_eq!(bits(&first), bits(&other), "{name}");
    }
}

/// A sample's outputs are the same in whatever batch it runs, but for rounding.
///
/// # Panics
/// When they are not.
pub fn rows_do_not_depend_on_their_batch(runtime: &dyn Runtime) {
    for (name, model) in models() {
        let mut loaded = runtime.load(model.as_ref(), &[]).expect(name);
        let all = loaded.run(&inputs(SAMPLES)).expect(name);
        let few = loaded.run(&inputs(3)).expect(name);
        let all: Vec<Dense> = all.iter().map(|v| v.rows(0..3).expect(name)).collect();
        assert!(near(&all, &few), "{name}");
    }
}

#[derive(Default)]
struct Seen(Vec<(ValueId, Dense)>);

impl Tap for Seen {
    fn value(&mut self, id: &str, value: &Dense) {
        self.0.push((id.to_owned(), value.clone()));
    }
}

/// Values are observed in the order in which they were named, an output among them as a run gives it.
///
/// # Panics
/// When they are not.
pub fn observed_values_are_those_of_a_run(runtime: &dyn Runtime) {
    for (name, model) in models() {
        let output = model.signature().outputs[0].name.clone();
        let first = model.topology().nodes[0].outputs[0].clone();
        let input = model.signature().inputs[0].name.clone();
        let named = [output, input.clone(), first];
        let mut loaded = runtime.load(model.as_ref(), &named).expect(name);
        let run = loaded.run(&inputs(SAMPLES)).expect(name);
        let mut seen = Seen::default();
        loaded.observe(&inputs(SAMPLES), &mut seen).expect(name);
        let names: Vec<&ValueId> = seen.0.iter().map(|(id, _)| id).collect();
        assert_eq!(names, named.iter().collect::<Vec<_>>(), "{name}");
        assert!(near(&[seen.0[0].1.clone()], &run[..1]), "{name}");
        assert_eq!(seen.0[1].1, inputs(SAMPLES)[&input], "{name}");
    }
}

/// Replacing a weight of a session is as loading the model that has it.
///
/// # Panics
/// When it is not.
pub fn a_set_weight_is_as_if_loaded_with_it(runtime: &dyn Runtime) {
    for (name, model) in models() {
        let layers = &model.topology().layers;
        let weight = layers.iter().find_map(|l| l.weight.clone()).expect(name);
        let values = model.weights()[&weight].to_f32().expect(name);
        let tensor: Arc<Tensor> =
            Arc::new(Dense::F32(values.mapv(|v| 0.5 - v).into_shared()).into());
        let edit = Edit::SetWeight {
            name: weight.clone(),
            tensor: tensor.clone(),
        };
        let changed = model.apply(&[edit]).expect(name);
        let mut wanted = runtime.load(changed.as_ref(), &[]).expect(name);
        let wanted = wanted.run(&inputs(SAMPLES)).expect(name);
        let mut loaded = runtime.load(model.as_ref(), &[]).expect(name);
        let before = loaded.run(&inputs(SAMPLES)).expect(name);
        loaded.set_weight(&weight, tensor).expect(name);
        let after = loaded.run(&inputs(SAMPLES)).expect(name);
        assert_ne!(bits(&before), bits(&after), "{name}");
        assert_eq!(bits(&wanted), bits(&after), "{name}");
    }
}

/// Every operation has a name, an operator and a time; so has the whole.
///
/// # Panics
/// When they have not.
pub fn operations_have_times(runtime: &dyn Runtime) {
    assert!(runtime.threads() > 0);
    for (name, model) in models() {
        let mut loaded = runtime.load(model.as_ref(), &[]).expect(name);
        let nodes = loaded.profile(&inputs(SAMPLES), 3).expect(name);
        assert!(!nodes.is_empty(), "{name}");
        for node in &nodes {
            assert!(
                !node.operator.is_empty() && node.ms >= 0.0,
                "{name}: {node:?}"
            );
        }
        assert!(nodes.iter().map(|n| n.ms).sum::<f64>() > 0.0, "{name}");
        let operators = loaded.operators(&inputs(SAMPLES)).expect(name);
        assert!(
            operators.is_sorted() && !operators.is_empty(),
            "{operators:?}"
        );
        assert!(
            loaded.latency_ms(&inputs(1), 0).expect(name) > 0.0,
            "{name}"
        );
    }
}

/// Unknown values, weights and inputs are errors that name them.
///
/// # Panics
/// When they are not.
pub fn what_is_not_there_is_named(runtime: &dyn Runtime) {
    let (name, model) = &models()[0];
    let named = |error: ModelError, what: &str| {
        let text = error.to_string();
        assert!(text.contains(what), "{text}");
    };
    let loaded = runtime.load(model.as_ref(), &["no such value".to_owned()]);
    named(loaded.err().expect(name), "no such value");
    let mut loaded = runtime.load(model.as_ref(), &[]).expect(name);
    let tensor: Arc<Tensor> = Arc::new(Dense::f32(&[1], vec![0.0]).expect(name).into());
    let error = loaded.set_weight("no such weight", tensor.clone());
    named(error.expect_err(name), "no such weight");
    let weight = model.weights().keys().next().expect(name);
    named(loaded.set_weight(weight, tensor).expect_err(name), weight);
    let input = &model.signature().inputs[0].name;
    named(loaded.run(&Inputs::new()).expect_err(name), input);
    assert!(loaded.run(&inputs(2)).is_ok(), "it still runs");
}
