//! Running graphs through rten.
//!
//! rten holds 64-bit integers and booleans as 32-bit integers and has no blocked or 4-bit quantization: quantized
//! weights run as the values they stand for.

use lapidary_core::model::{Dim, ModelError};
use lapidary_core::rng::Rng;
use lapidary_core::tensor::{DType, Dense, array};
use lapidary_graph::build::BATCH;
use lapidary_graph::lower::lower;
use lapidary_graph::{Attribute, Graph, ValueInfo, fresh_name};
use lapidary_onnx::Form;
use rten::{NodeId, Value};
use rten_tensor::prelude::*;

/// How outputs of two ways to run a model may differ: relative to the largest element, and absolutely.
const TOLERANCE: (f32, f32) = (1e-4, 1e-6);

/// A graph loaded by rten.
pub(crate) struct Engine {
    model: rten::Model,
    inputs: Vec<(String, DType, Option<NodeId>)>,
    outputs: Vec<Source>,
}

/// Where an output comes from.
enum Source {
    /// rten computes it.
    Node(NodeId, DType),
    /// It is an input as it stands.
    Input(usize),
    /// It is a constant.
    Constant(Dense),
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("inputs", &self.inputs)
            .finish_non_exhaustive()
    }
}

fn failure(reason: impl Into<String>) -> ModelError {
    ModelError::Engine {
        engine: "rten".into(),
        reason: reason.into(),
    }
}

impl Engine {
    /// Loads a graph that gives the values `outputs`; what they do not need is left out.
    ///
    /// # Errors
    /// When rten lacks an operator or a form of one, naming the node.
    pub(crate) fn load(graph: &Graph, outputs: &[ValueInfo]) -> Result<Self, ModelError> {
        let mut graph = lower(graph)?;
        // Values computed by nodes are what rten is asked for; each once.
        let producers = graph.producers();
        let mut computed: Vec<ValueInfo> = Vec::new();
        for o in outputs
            .iter()
            .filter(|o| producers.contains_key(o.name.as_str()))
        {
            if computed.iter().all(|c| c.name != o.name) {
                computed.push(o.clone());
            }
        }
        graph.outputs = computed;
        let weights = graph.weights.clone();
        graph.prune_unused();
        name_nodes_apart(&mut graph);
        let bytes = lapidary_onnx::to_bytes(&graph, Form::Dense)?;
        let model = rten::Model::load(bytes).map_err(|e| failure(chain(&e)))?;
        let inputs = (graph.inputs.iter())
            .map(|i| (i.name.clone(), i.dtype, model.find_node(&i.name)))
            .collect::<Vec<_>>();
        let outputs = outputs
            .iter()
            .map(|o| {
                if let Some(i) = inputs.iter().position(|(name, ..)| *name == o.name) {
                    return Ok(Source::Input(i));
                }
                if let Some(weight) = weights.get(&o.name) {
                    return match (weight.as_dense(), weight.to_f32()) {
                        (Some(dense), _) => Ok(Source::Constant(dense.clone())),
                        (None, Some(values)) => Ok(Source::Constant(Dense::F32(values))),
                        (None, None) => Err(failure(format!("`{}` holds no numbers", o.name))),
                    };
                }
                let id = model.node_id(&o.name).map_err(|e| failure(chain(&e)))?;
                Ok(Source::Node(id, o.dtype))
            })
            .collect::<Result<_, ModelError>>()?;
        Ok(Self {
            model,
            inputs,
            outputs,
        })
    }

    /// Runs the graph on tensors in the order of its inputs.
    ///
    /// # Errors
    /// When a tensor is of a type rten does not take, or an operation fails, naming the node.
    pub(crate) fn run(&self, given: &[Dense]) -> Result<Vec<Dense>, ModelError> {
        let mut inputs = Vec::new();
        for ((name, dtype, id), dense) in self.inputs.iter().zip(given) {
            if let Some(id) = id {
                inputs.push((*id, to_value(name, *dtype, dense)?.into()));
            }
        }
        let wanted: Vec<NodeId> = (self.outputs.iter())
            .filter_map(|o| match o {
                Source::Node(id, _) => Some(*id),
                _ => None,
            })
            .fold(Vec::new(), |mut ids, id| {
                if !ids.contains(&id) {
                    ids.push(id);
                }
                ids
            });
        let values = self
            .model
            .run(inputs, &wanted, None)
            .map_err(|e| failure(chain(&e)))?;
        self.outputs
            .iter()
            .map(|o| match o {
                Source::Input(i) => Ok(given[*i].clone()),
                Source::Constant(dense) => Ok(dense.clone()),
                Source::Node(id, dtype) => {
                    let at = wanted
                        .iter()
                        .position(|w| w == id)
                        .expect("it was asked for");
                    from_value(&values[at], *dtype)
                }
            })
            .collect()
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// rten looks up nodes and values by name in one map: a node must not be named as a value is.
fn name_nodes_apart(graph: &mut Graph) {
    for node in &mut graph.nodes {
        node.name = format!("{} ({})", node.name, node.op);
        for attribute in node.attributes.values_mut() {
            match attribute {
                Attribute::Graph(g) => name_nodes_apart(g),
                Attribute::Graphs(gs) => gs.iter_mut().for_each(name_nodes_apart),
                _ => {}
            }
        }
    }
}

fn to_value(name: &str, dtype: DType, dense: &Dense) -> Result<Value, ModelError> {
    let shape = dense.shape();
    let misfit = || {
        failure(format!(
            "input `{name}` wants {dtype}, given was {}",
            dense.dtype()
        ))
    };
    macro_rules! value {
        ($variant:ident, $data:expr) => {
            Ok(Value::$variant(rten_tensor::Tensor::from_data(
                shape, $data,
            )))
        };
    }
    let narrow = |v: i64| {
        i32::try_from(v).map_err(|_| {
            failure(format!(
                "input `{name}` holds {v}; integers have 32 bits here"
            ))
        })
    };
    match (dtype, dense) {
        (DType::F32 | DType::F64 | DType::F16 | DType::BF16, Dense::F32(a)) => {
            value!(FloatTensor, a.iter().copied().collect::<Vec<f32>>())
        }
        (DType::F32 | DType::F64, Dense::F64(a)) => {
            value!(
                FloatTensor,
                a.iter().map(|&v| v as f32).collect::<Vec<f32>>()
            )
        }
        (DType::I64 | DType::I32, Dense::I64(a)) => {
            value!(
                Int32Tensor,
                a.iter()
                    .map(|&v| narrow(v))
                    .collect::<Result<Vec<i32>, _>>()?
            )
        }
        (DType::I64 | DType::I32, Dense::I32(a)) => {
            value!(Int32Tensor, a.iter().copied().collect::<Vec<i32>>())
        }
        (DType::Bool, Dense::Bool(a)) => {
            value!(
                Int32Tensor,
                a.iter().map(|&v| i32::from(v)).collect::<Vec<i32>>()
            )
        }
        (DType::I8, Dense::I8(a)) => value!(Int8Tensor, a.iter().copied().collect::<Vec<i8>>()),
        (DType::U8, Dense::U8(a)) => value!(UInt8Tensor, a.iter().copied().collect::<Vec<u8>>()),
        _ => Err(misfit()),
    }
}

fn from_value(value: &Value, dtype: DType) -> Result<Dense, ModelError> {
    match value {
        Value::FloatTensor(t) => Ok(Dense::F32(array(t.shape(), t.to_vec())?)),
        Value::Int32Tensor(t) => {
            let data = t.to_vec();
            Ok(match dtype {
                DType::I32 => Dense::I32(array(t.shape(), data)?),
                DType::Bool => Dense::Bool(array(
                    t.shape(),
                    data.into_iter().map(|v| v != 0).collect(),
                )?),
                _ => Dense::I64(array(t.shape(), data.into_iter().map(i64::from).collect())?),
            })
        }
        Value::Int8Tensor(t) => Ok(Dense::I8(array(t.shape(), t.to_vec())?)),
        Value::UInt8Tensor(t) => Ok(Dense::U8(array(t.shape(), t.to_vec())?)),
        _ => Err(failure("an output is a sequence, not a tensor")),
    }
}

/// The number of samples that all inputs have fixed as their first axis, where they have.
pub(crate) fn fixed_batch(graph: &Graph) -> Option<usize> {
    let first = |v: &ValueInfo| match v.shape.as_ref()?.first()? {
        Dim::Fixed(n) if *n > 0 => Some(*n),
        _ => None,
    };
    let batch = first(graph.inputs.first()?)?;
    graph
        .inputs
        .iter()
        .all(|i| first(i) == Some(batch))
        .then_some(batch)
}

/// The graph with a free sample axis in place of one of `batch` samples. Only running it shows whether it means the
/// same for other numbers of samples.
pub(crate) fn free_batch(graph: &Graph, batch: usize) -> Graph {
    let mut graph = graph.clone();
    graph.values.clear();
    for input in &mut graph.inputs {
        if let Some(first) = input.shape.as_mut().and_then(|s| s.first_mut()) {
            *first = Dim::Symbol(BATCH.into());
        }
    }
    for output in &mut graph.outputs {
        output.shape = None;
    }
    // Exporters write the batch into target shapes; 0 takes the extent over from the value that is reshaped.
    let constants: std::collections::HashMap<String, Dense> = (graph.nodes.iter())
        .filter(|n| n.is("Constant"))
        .filter_map(|n| match n.attributes.get("value") {
            Some(Attribute::Tensor(dense)) => Some((n.outputs[0].clone(), dense.clone())),
            _ => None,
        })
        .collect();
    let mut taken = graph.names();
    let weights = &mut graph.weights;
    for node in graph
        .nodes
        .iter_mut()
        .filter(|n| n.is("Reshape") && n.int("allowzero", 0) == 0)
    {
        let Some(name) = node.input(1) else { continue };
        let target = weights
            .get(name)
            .and_then(|w| w.as_dense())
            .or(constants.get(name));
        let Some(Dense::I64(target)) = target else {
            continue;
        };
        if target.ndim() == 1 && target.first() == Some(&(batch as i64)) {
            let mut free = target.clone();
            free[[0]] = 0;
            let name = fresh_name(&mut taken, &format!("{name}_free"));
            weights.insert(name.clone(), std::sync::Arc::new(Dense::I64(free).into()));
            node.inputs[1] = name;
        }
    }
    graph
}

/// Inputs for trying out a graph, the same on every call: numbers in [0, 1), integers 0 and 1.
pub(crate) fn trial_inputs(inputs: &[ValueInfo], samples: usize) -> Option<Vec<Dense>> {
    let mut rng = Rng::keyed(0, 0, "onnx/batch");
    (inputs.iter())
        .map(|input| {
            let rest = input.shape.as_ref()?.iter().skip(1).map(|d| match d {
                Dim::Fixed(n) => *n,
                Dim::Symbol(_) => 2,
            });
            let shape: Vec<usize> = std::iter::once(samples).chain(rest).collect();
            let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
            let mut bits = || -> Vec<u64> { (0..count).map(|_| rng.below(2)).collect() };
            Some(match input.dtype {
                DType::F32 => {
                    let data = (0..count).map(|_| rng.unit() as f32).collect();
                    Dense::F32(array(&shape, data).ok()?)
                }
                DType::I64 => {
                    Dense::I64(array(&shape, bits().into_iter().map(|v| v as i64).collect()).ok()?)
                }
                DType::I32 => {
                    Dense::I32(array(&shape, bits().into_iter().map(|v| v as i32).collect()).ok()?)
                }
                DType::Bool => {
                    Dense::Bool(array(&shape, bits().into_iter().map(|v| v == 1).collect()).ok()?)
                }
                _ => return None,
            })
        })
        .collect()
}

/// Whether two runs gave the same but for rounding.
pub(crate) fn agree(a: &[Dense], b: &[Dense]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| match (a, b) {
            (Dense::F32(a), Dense::F32(b)) => {
                let largest = b.iter().fold(0.0f32, |m, v| m.max(v.abs()));
                let most = TOLERANCE.0 * largest + TOLERANCE.1;
                a.shape() == b.shape() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= most)
            }
            _ => a == b,
        })
}

/// Outputs of several runs joined along the sample axis, of which the first `samples` are kept.
///
/// # Errors
/// When outputs differ in another axis or in type.
pub(crate) fn join(runs: Vec<Vec<Dense>>, samples: usize) -> Result<Vec<Dense>, ModelError> {
    let outputs = runs.first().map_or(0, Vec::len);
    (0..outputs)
        .map(|o| {
            let parts: Vec<&Dense> = runs.iter().map(|r| &r[o]).collect();
            let joined = concatenate(&parts).ok_or_else(|| {
                failure("outputs of single samples differ in shape and cannot be joined")
            })?;
            let n = joined.shape().first().copied().unwrap_or(0);
            let indices: Vec<usize> = (0..n.min(samples)).collect();
            Ok(if indices.len() < n {
                joined.select(0, &indices)?
            } else {
                joined
            })
        })
        .collect()
}

/// Tensors joined along their first axis; scalars become the elements of a list.
fn concatenate(parts: &[&Dense]) -> Option<Dense> {
    macro_rules! joined {
        ($variant:ident) => {{
            let arrays = (parts.iter())
                .map(|p| match p {
                    Dense::$variant(a) if a.ndim() == 0 => {
                        Some(a.view().insert_axis(ndarray::Axis(0)))
                    }
                    Dense::$variant(a) => Some(a.view()),
                    _ => None,
                })
                .collect::<Option<Vec<_>>>()?;
            let joined = ndarray::concatenate(ndarray::Axis(0), &arrays).ok()?;
            Some(Dense::$variant(joined.into_shared()))
        }};
    }
    match parts.first()? {
        Dense::F32(_) => joined!(F32),
        Dense::F64(_) => joined!(F64),
        Dense::I8(_) => joined!(I8),
        Dense::U8(_) => joined!(U8),
        Dense::I32(_) => joined!(I32),
        Dense::I64(_) => joined!(I64),
        Dense::Bool(_) => joined!(Bool),
        Dense::Raw { .. } => None,
    }
}
