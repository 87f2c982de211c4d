//! A graph made ready to run: only the nodes that are needed, values in numbered slots, weights as tensors, and which of
//! them are trained.

use std::collections::{BTreeMap, BTreeSet};

use lapidary_core::model::{Dim, ModelError};
use lapidary_core::tensor::{DType, Tensor};
use lapidary_core::text::listed;
use ndarray::{ArrayD, IxDyn};

use super::engine::DEVICE;
use lapidary_graph::tape::{Call, Forward, Pass, Tape, Value};
use lapidary_graph::{Attribute, Graph, Node, ops};

/// A weight of a program.
#[derive(Debug)]
pub(super) struct Weight {
    /// Name of the initialiser.
    pub name: String,
    /// Where the program reads it.
    pub slot: usize,
    /// Its value.
    pub value: Value,
    /// Whether training changes it (by gradient; running statistics are not among them).
    pub trained: bool,
}

/// A node with its values' slots.
#[derive(Debug)]
struct Step {
    node: Node,
    forward: Forward,
    inputs: Vec<Option<usize>>,
    /// Whether the input is not needed afterwards.
    last: Vec<bool>,
    outputs: Vec<Option<usize>>,
    signed: bool,
}

/// A graph made ready to run.
#[derive(Debug)]
pub(super) struct Program {
    steps: Vec<Step>,
    /// All weights, constants of the graph included.
    pub weights: Vec<Weight>,
    /// Names and slots of the inputs.
    pub inputs: Vec<(String, usize)>,
    outputs: Vec<usize>,
    slots: usize,
    opset: i64,
    /// The batch that the first input declares, where it is fixed.
    fixed_batch: Option<usize>,
}

impl Program {
    /// Prepares `graph` to compute the values named `wanted`.
    ///
    /// # Errors
    /// [`ModelError::Node`] for the first needed node whose operator is not in the table, and for weights of a type that cannot be computed with.
    pub(super) fn new(graph: &Graph, wanted: &[&str]) -> Result<Self, ModelError> {
        let mut needed: BTreeSet<&str> = wanted.iter().copied().collect();
        let mut live: Vec<&Node> = Vec::new();
        for node in graph.nodes.iter().rev() {
            if node.outputs.iter().any(|o| needed.contains(o.as_str())) {
                needed.extend(
                    node.inputs
                        .iter()
                        .map(String::as_str)
                        .filter(|i| !i.is_empty()),
                );
                live.push(node);
            }
        }
        live.reverse();

        let trained = trained(graph, &live);
        let mut slots: BTreeMap<&str, usize> = BTreeMap::new();
        let mut weights = Vec::new();
        let mut inputs = Vec::new();
        for input in &graph.inputs {
            if needed.contains(input.name.as_str()) {
                inputs.push((input.name.clone(), slots.len()));
                slots.insert(&input.name, slots.len());
            }
        }
        let mut signed = BTreeSet::new();
        for (name, weight) in &graph.weights {
            if !needed.contains(name.as_str()) || slots.contains_key(name.as_str()) {
                continue;
            }
            let slot = slots.len();
            let value = value_of(weight).map_err(|reason| reader_error(&live, name, reason))?;
            if weight.as_dense().is_some_and(|d| d.dtype() == DType::I8) {
                signed.insert(slot);
            }
            weights.push(Weight {
                name: name.clone(),
                slot,
                value,
                trained: trained.contains(name.as_str()),
            });
            slots.insert(name, slot);
        }
        let mut steps = Vec::new();
        for node in live {
            if node.is(&ops::CONSTANT) {
                let name = node.outputs.first().map_or("", String::as_str);
                let value = constant(node).map_err(|reason| fault(node, reason))?;
                weights.push(Weight {
                    name: name.to_owned(),
                    slot: slots.len(),
                    value,
                    trained: false,
                });
                slots.insert(name, slots.len());
                continue;
            }
            let Some(forward) = ops::find(node).and_then(|operator| operator.forward) else {
                let known = listed(&ops::runnable().collect::<Vec<_>>());
                let reason = format!(
                    "no gradient is known for this operator; models can be trained through {known}"
                );
                return Err(fault(node, reason));
            };
            let mut read = Vec::with_capacity(node.inputs.len());
            for name in &node.inputs {
                let slot = slots.get(name.as_str()).copied();
                if slot.is_none() && !name.is_empty() {
                    return Err(ModelError::UnknownValue { name: name.clone() });
                }
                read.push(slot);
            }
            let mut written = Vec::with_capacity(node.outputs.len());
            for name in &node.outputs {
                written.push((!name.is_empty()).then_some(slots.len()));
                if !name.is_empty() {
                    let slot = slots.len();
                    slots.insert(name, slot);
                }
            }
            steps.push(Step {
                node: node.clone(),
                forward,
                last: vec![false; read.len()],
                signed: read
                    .get(2)
                    .copied()
                    .flatten()
                    .is_some_and(|slot| signed.contains(&slot)),
                inputs: read,
                outputs: written,
            });
        }
        let outputs = wanted
            .iter()
            .map(|&name| {
                slots
                    .get(name)
                    .copied()
                    .ok_or_else(|| ModelError::UnknownValue { name: name.into() })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut seen: BTreeSet<usize> = outputs.iter().copied().collect();
        for step in steps.iter_mut().rev() {
            for (input, last) in step.inputs.iter().zip(&mut step.last).rev() {
                *last = input.is_some_and(|slot| seen.insert(slot));
            }
        }
        let fixed_batch = graph
            .inputs
            .first()
            .and_then(|i| match i.shape.as_deref()?.first()? {
                Dim::Fixed(n) => Some(*n),
                Dim::Symbol(_) => None,
            });
        Ok(Self {
            // A graph without a version is one made by hand, to today's rules.
            opset: if graph.opset() == 0 {
                i64::MAX
            } else {
                graph.opset()
            },
            slots: slots.len(),
            steps,
            weights,
            inputs,
            outputs,
            fixed_batch,
        })
    }

    /// Runs the program on `tape` with `weights` (as in [`Self::weights`]) and `inputs` (as in [`Self::inputs`]) of `batch` samples.
    pub(super) fn run(
        &self,
        tape: &dyn Tape,
        weights: impl IntoIterator<Item = Value>,
        inputs: Vec<Value>,
        batch: usize,
        pass: &mut Pass,
    ) -> Result<Vec<Value>, ModelError> {
        let mut values: Vec<Option<Value>> = vec![None; self.slots];
        for (weight, value) in self.weights.iter().zip(weights) {
            values[weight.slot] = Some(value);
        }
        for ((_, slot), value) in self.inputs.iter().zip(inputs) {
            values[*slot] = Some(value);
        }
        for step in &self.steps {
            let inputs = step
                .inputs
                .iter()
                .zip(&step.last)
                .map(|(slot, last)| {
                    slot.and_then(|s| {
                        if *last {
                            values[s].take()
                        } else {
                            values[s].clone()
                        }
                    })
                })
                .collect();
            let mut call = Call {
                node: &step.node,
                tape,
                inputs,
                slots: &step.inputs,
                opset: self.opset,
                signed: step.signed,
                pass,
                batch: (batch, self.fixed_batch),
            };
            let results = (step.forward)(&mut call).map_err(|reason| fault(&step.node, reason))?;
            for (slot, value) in step.outputs.iter().zip(results) {
                if let Some(slot) = slot {
                    values[*slot] = Some(value);
                }
            }
        }
        self.outputs
            .iter()
            .map(|&slot| {
                values[slot].clone().ok_or_else(|| {
                    ModelError::Unsupported(
                        "a second output of a node, which training does not compute,".into(),
                    )
                })
            })
            .collect()
    }

    /// The weights as they are, for evaluation.
    pub(super) fn plain(&self) -> impl Iterator<Item = Value> + '_ {
        self.weights.iter().map(|w| w.value.clone())
    }
}

/// An error at a node.
pub(super) fn fault(node: &Node, reason: impl Into<String>) -> ModelError {
    ModelError::Node {
        node: node.name.clone(),
        op: node.op.clone(),
        reason: reason.into(),
    }
}

/// An error about a weight, told by the node that reads it.
fn reader_error(live: &[&Node], weight: &str, reason: String) -> ModelError {
    match live.iter().find(|n| n.inputs.iter().any(|i| i == weight)) {
        Some(node) => fault(node, format!("weight `{weight}` {reason}")),
        None => ModelError::Fit(format!("weight `{weight}` {reason}")),
    }
}

fn value_of(weight: &Tensor) -> Result<Value, String> {
    match weight {
        Tensor::Dense(dense) => Value::of(dense, DEVICE),
        Tensor::Quantized(_) => {
            Err("is quantized; only dense weights can be trained: dequantize it first".into())
        }
    }
}

/// The value of a `Constant` node.
fn constant(node: &Node) -> Result<Value, String> {
    let ints = |values: &[i64], shape: &[usize]| {
        ArrayD::from_shape_vec(IxDyn(shape), values.to_vec())
            .map(Value::Int)
            .map_err(|e| e.to_string())
    };
    match node.attributes.iter().next() {
        Some((_, Attribute::Tensor(dense))) => Value::of(dense, DEVICE),
        Some((_, Attribute::Float(v))) => Ok(Value::Float(DEVICE.constant(vec![*v], &[]))),
        Some((_, Attribute::Floats(v))) => Ok(Value::Float(DEVICE.constant(v.clone(), &[v.len()]))),
        Some((_, Attribute::Int(v))) => ints(&[*v], &[]),
        Some((_, Attribute::Ints(v))) => ints(v, &[v.len()]),
        _ => Err("the constant has no numbers".into()),
    }
}

/// Names of the float weights that the live nodes learn from.
fn trained<'g>(graph: &'g Graph, live: &[&'g Node]) -> BTreeSet<&'g str> {
    let operators: Vec<_> = (live.iter())
        .filter_map(|&node| Some((node, ops::find(node)?)))
        .collect();
    let products: BTreeSet<&str> = (operators.iter())
        .filter(|(_, operator)| operator.bias_behind)
        .flat_map(|(node, _)| &node.outputs)
        .map(String::as_str)
        .collect();
    // Backwards, so that what stands behind a node that hands on is known when the node is met.
    let mut wanted: BTreeSet<&str> = BTreeSet::new();
    for (node, operator) in operators.iter().rev() {
        let handed_on =
            operator.hands_on && node.outputs.iter().any(|o| wanted.contains(o.as_str()));
        let product = node.inputs.iter().any(|i| products.contains(i.as_str()));
        for (index, name) in node.inputs.iter().enumerate() {
            let shape = graph.weights.get(name).map(|w| w.shape());
            // A value in between has no shape here; it matters only where it is a weight handed on by a node of that kind.
            let shape = shape.unwrap_or(&[2, 2]);
            if operator.learns(index, shape, product) || handed_on && index == 0 {
                wanted.insert(name);
            }
        }
    }
    wanted.retain(|name| {
        graph
            .weights
            .get(*name)
            .and_then(|w| w.as_dense())
            .is_some_and(|d| d.dtype() == DType::F32)
    });
    // A mask of −∞ is no weight, though it is added.
    wanted.retain(|name| {
        let weight = graph.weights.get(*name);
        weight.is_none_or(|w| w.first_non_finite().is_none())
    });
    wanted
}
