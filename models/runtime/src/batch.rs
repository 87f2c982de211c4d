//! Graphs that are fixed to a number of samples: making that number free, and joining runs where it cannot be.

use std::collections::HashSet;
use std::sync::Arc;

use lapidary_core::model::{Dim, ModelError};
use lapidary_core::rng::Rng;
use lapidary_core::tensor::{DType, Dense, array};
use lapidary_graph::build::BATCH;
use lapidary_graph::{Attribute, Graph, ValueInfo, fresh_name, ops};

/// How outputs of two ways to run a model may differ: relative to the largest element, and absolutely.
const TOLERANCE: (f32, f32) = (1e-4, 1e-6);

/// The number of samples that all inputs have fixed as their first axis, where they have.
pub(crate) fn fixed_batch(inputs: &[ValueInfo]) -> Option<usize> {
    let first = |v: &ValueInfo| match v.shape.as_ref()?.first()? {
        Dim::Fixed(n) if *n > 0 => Some(*n),
        _ => None,
    };
    let batch = first(inputs.first()?)?;
    inputs
        .iter()
        .all(|i| first(i) == Some(batch))
        .then_some(batch)
}

/// The inputs of `graph` that `outputs` depend on.
pub(crate) fn used_inputs(graph: &Graph, outputs: &[ValueInfo]) -> Vec<ValueInfo> {
    let mut live: HashSet<&str> = outputs.iter().map(|o| o.name.as_str()).collect();
    for node in graph.nodes.iter().rev() {
        if node.outputs.iter().any(|o| live.contains(o.as_str())) {
            live.extend(node.reads());
        }
    }
    let used = |input: &&ValueInfo| live.contains(input.name.as_str());
    graph.inputs.iter().filter(used).cloned().collect()
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
        .filter(|n| n.is(&ops::CONSTANT))
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
        .filter(|n| n.is(&ops::RESHAPE) && n.int("allowzero", 0) == 0)
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
            weights.insert(name.clone(), Arc::new(Dense::I64(free).into()));
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
                ModelError::Unsupported(
                    "a number of samples other than the one it is fixed to, as outputs of single samples differ in shape,".into(),
                )
            })?;
            Ok(match joined.shape().first() {
                Some(&n) if n > samples => joined.rows(0..samples)?,
                _ => joined,
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
