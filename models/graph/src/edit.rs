//! Changes to a graph.

use std::collections::HashMap;
use std::sync::Arc;

use lapidary_core::model::{Affine, Edit, ModelError};
use lapidary_core::tensor::{DType, Dense, Tensor, array};

use crate::graph::{Attribute, Graph, Node, fresh_name};
use crate::ops::{self, Operator};
use crate::opset::convert;
use crate::quantized;
use crate::structure::{self, Cut};
use crate::types;

/// The oldest operator set with `QuantizeLinear`.
const QUANTIZE_OPSET: i64 = 10;

/// The graph with `edits` made, in their order, in an operator set that has what they need.
///
/// # Errors
/// When an edit names something that is not there or does not fit, or the graph cannot be brought to the operator
/// set that is needed.
pub fn apply(graph: &Graph, edits: &[Edit]) -> Result<Graph, ModelError> {
    let mut graph = graph.clone();
    let mut rest = edits.iter().peekable();
    while let Some(edit) = rest.next() {
        match edit {
            // Cuts in a row are made together: cutting one group does not renumber the others.
            Edit::CutChannels { group, keep } => {
                let mut cuts = vec![Cut {
                    group: *group,
                    keep,
                }];
                while let Some(Edit::CutChannels { group, keep }) = rest.peek() {
                    cuts.push(Cut {
                        group: *group,
                        keep,
                    });
                    rest.next();
                }
                graph = structure::cut(&graph, &cuts)?;
            }
            Edit::SetWeight { name, tensor } => set_weight(&mut graph, name, tensor)?,
            Edit::QuantizeValue {
                node,
                value,
                affine,
            } => quantize_value(&mut graph, node, value, *affine)?,
            Edit::RenameValue { from, to } => rename_value(&mut graph, from, to)?,
            other => return Err(ModelError::Unsupported(format!("the edit {other:?}"))),
        }
    }
    let needed = quantized::required_opset(&graph);
    if needed > graph.opset() {
        graph = convert(&graph, needed)?;
    }
    graph.sort()?;
    Ok(graph)
}

/// Gives a value another name wherever it stands.
fn rename_value(graph: &mut Graph, from: &str, to: &str) -> Result<(), ModelError> {
    let is_value = |name: &str| {
        graph.inputs.iter().any(|i| i.name == name)
            || graph
                .nodes
                .iter()
                .any(|n| n.outputs.iter().any(|o| o == name))
    };
    if !is_value(from) {
        return Err(ModelError::UnknownValue {
            name: from.to_owned(),
        });
    }
    if from == to {
        return Ok(());
    }
    if to.is_empty() || is_value(to) || graph.weights.contains_key(to) {
        return Err(ModelError::Graph(format!(
            "`{from}` cannot be named `{to}`: the name is taken"
        )));
    }
    graph.rename(&HashMap::from([(from.to_owned(), to.to_owned())]));
    graph.carried = graph.carried.as_ref().map(|c| c.renamed(from, to));
    Ok(())
}

/// Replaces a weight for all nodes that read it.
fn set_weight(graph: &mut Graph, name: &str, tensor: &Arc<Tensor>) -> Result<(), ModelError> {
    let Some(weight) = graph.weights.get_mut(name) else {
        return Err(ModelError::UnknownWeight {
            name: name.to_owned(),
            known: graph.weights.keys().cloned().collect(),
        });
    };
    if weight.shape() != tensor.shape() {
        return Err(ModelError::WeightShape {
            weight: name.to_owned(),
            given: tensor.shape().to_vec(),
            wanted: weight.shape().to_vec(),
        });
    }
    if let Tensor::Quantized(q) = tensor.as_ref() {
        q.check()
            .map_err(|reason| ModelError::Graph(format!("weight `{name}`: {reason}")))?;
    }
    let seen = match weight.as_ref() {
        Tensor::Dense(dense) => dense.dtype(),
        Tensor::Quantized(_) => graph.stands_for.get(name).copied().unwrap_or(DType::F32),
    };
    // Codes stand for values of the type that nodes see.
    let given = match tensor.as_ref() {
        Tensor::Dense(dense) => dense.dtype(),
        Tensor::Quantized(_) if seen.is_float() => seen,
        Tensor::Quantized(_) => DType::F32,
    };
    if seen != given {
        return Err(ModelError::Graph(format!(
            "weight `{name}` holds {seen}, not {given}"
        )));
    }
    let quantized = matches!(tensor.as_ref(), Tensor::Quantized(_));
    match quantized && seen != DType::F32 {
        true => graph.stands_for.insert(name.to_owned(), seen),
        false => graph.stands_for.remove(name),
    };
    *weight = tensor.clone();
    Ok(())
}

/// Lets `node` read `value` through a pair of `QuantizeLinear` and `DequantizeLinear`; nodes that round the same
/// value in the same way share the pair.
fn quantize_value(
    graph: &mut Graph,
    node: &str,
    value: &str,
    affine: Affine,
) -> Result<(), ModelError> {
    let Some(at) = graph.position(node) else {
        return Err(ModelError::UnknownNode {
            name: node.to_owned(),
            known: graph.nodes.iter().map(|n| n.name.clone()).collect(),
        });
    };
    if !graph.nodes[at].inputs.iter().any(|i| i == value) {
        return Err(ModelError::Node {
            node: node.to_owned(),
            op: graph.nodes[at].op.clone(),
            reason: format!("it does not read `{value}`"),
        });
    }
    if !affine.scale.is_finite() || affine.scale < f32::MIN_POSITIVE {
        return Err(ModelError::Node {
            node: node.to_owned(),
            op: graph.nodes[at].op.clone(),
            reason: format!("{} is no scale for `{value}`", affine.scale),
        });
    }
    if graph.opset() < QUANTIZE_OPSET {
        *graph = convert(graph, QUANTIZE_OPSET)?;
    }
    let rounded = match existing_pair(graph, value, affine) {
        Some(rounded) => rounded,
        None => insert_pair(graph, value, affine),
    };
    // Conversion and insertion may have moved it.
    if let Some(at) = graph.position(node) {
        for input in graph.nodes[at].inputs.iter_mut().filter(|i| *i == value) {
            input.clone_from(&rounded);
        }
    }
    Ok(())
}

/// The rounded form of `value` by the same quantizer, where there is one.
fn existing_pair(graph: &Graph, value: &str, affine: Affine) -> Option<String> {
    let constant = |name: Option<&str>| graph.weight(name?)?.as_dense();
    let same_scale = |name: Option<&str>| match constant(name) {
        Some(Dense::F32(s)) => s.len() == 1 && s.first() == Some(&affine.scale),
        _ => false,
    };
    let same_zero = |name: Option<&str>| match constant(name) {
        Some(Dense::U8(z)) => z.len() == 1 && z.first() == Some(&affine.zero_point),
        _ => false,
    };
    let same = |n: &Node| same_scale(n.input(1)) && same_zero(n.input(2));
    let reader = |value: &str, op: &Operator| -> Option<String> {
        let reads = |n: &&Node| {
            n.is(op) && n.input(0) == Some(value) && (op.name == ops::CAST.name || same(n))
        };
        Some(graph.nodes.iter().find(reads)?.outputs[0].clone())
    };
    let rounded = |value: &str| {
        let codes = reader(value, &ops::QUANTIZE_LINEAR)?;
        reader(&codes, &ops::DEQUANTIZE_LINEAR)
    };
    rounded(value).or_else(|| {
        // A value of another type is cast before the pair and behind it.
        let wide = reader(value, &ops::CAST)?;
        reader(&rounded(&wide)?, &ops::CAST)
    })
}

/// Adds a pair behind `value` and returns the name of the rounded value.
fn insert_pair(graph: &mut Graph, value: &str, affine: Affine) -> String {
    let mut taken = graph.names();
    let mut name = |suffix: &str| fresh_name(&mut taken, &format!("{value}_{suffix}"));
    let (scale, zero) = (name("act_scale"), name("act_zero_point"));
    let (codes, rounded) = (name("act_codes"), name("act_rounded"));
    let scalar = "one element";
    let tensors = [
        (
            scale.clone(),
            Dense::F32(array(&[], vec![affine.scale]).expect(scalar)),
        ),
        (
            zero.clone(),
            Dense::U8(array(&[], vec![affine.zero_point]).expect(scalar)),
        ),
    ];
    for (name, dense) in tensors {
        graph.weights.insert(name, Arc::new(dense.into()));
    }
    let node = |op: &Operator, name: String, input: &str, output: &str| {
        let inputs = vec![input.to_owned(), scale.clone(), zero.clone()];
        op.node(name, inputs, vec![output.to_owned()])
    };
    // Pairs are of `f32`: a value of another type is cast before and behind.
    let dtype = types::infer(graph, &types::Known::new())
        .get(value)
        .copied();
    let other = dtype.filter(|dtype| dtype.is_float() && *dtype != DType::F32);
    let (wide, given) = match other {
        Some(_) => (name("act_wide"), name("act_given")),
        None => (value.to_owned(), rounded.clone()),
    };
    let cast = |op: String, from: &str, to: &str, dtype: DType| {
        let mut cast = ops::CAST.node(op, vec![from.to_owned()], vec![to.to_owned()]);
        let number = Attribute::Int(types::number_of(dtype));
        cast.attributes.insert("to".into(), number);
        cast
    };
    let mut pair = vec![
        node(&ops::QUANTIZE_LINEAR, name("quantize"), &wide, &codes),
        node(&ops::DEQUANTIZE_LINEAR, name("dequantize"), &codes, &given),
    ];
    if let Some(dtype) = other {
        pair.insert(0, cast(name("cast"), value, &wide, DType::F32));
        pair.push(cast(name("cast"), &given, &rounded, dtype));
    }
    let behind = graph.producers().get(value).map_or(0, |&i| i + 1);
    graph.nodes.splice(behind..behind, pair);
    rounded
}
