//! Writing a graph in the terms that rten takes: functions are written out, what nodes leave to defaults of the standard is
//! said, what only training needs is left out, numbers are of the types it has, and some operators it lacks (or computes
//! otherwise) are put together from others.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use lapidary_core::model::ModelError;
use lapidary_core::tensor::{DType, Dense, Tensor, array};

use crate::codes::codes;
use crate::graph::{Attribute, Graph, Node, fresh_name};
use crate::inline::inlined;
use crate::ops::{self, Operator};
use crate::opset::{check_opset, convert};
use crate::shape::Shapes;
use crate::types;

/// The graph in operator set 13 or later, as rten takes it.
///
/// # Errors
/// When a node needs something that rten lacks, or padding depends on extents that are not known before running.
pub fn lower(graph: &Graph) -> Result<Graph, ModelError> {
    let graph = inlined(graph);
    // What cannot be converted is left for rten to judge, unless it is older than anything it knows.
    let mut graph = match convert(&graph, 13) {
        Ok(graph) => graph,
        Err(_) => {
            check_opset(&graph)?;
            graph.into_owned()
        }
    };
    // Files may say more of values in between than is true once the sample axis is free.
    graph.values.clear();
    let mut taken = graph.names();
    let opset = graph.opset();
    lower_within(
        &mut graph,
        &Shapes::of_opset(opset),
        &types::Known::new(),
        &mut taken,
    )?;
    Ok(graph)
}

fn lower_within(
    graph: &mut Graph,
    around: &Shapes,
    types_around: &types::Known,
    taken: &mut HashSet<String>,
) -> Result<(), ModelError> {
    let mut lowering = Lowering {
        shapes: Shapes::within(graph, 1, around),
        types: types::infer(graph, types_around),
        taken,
        nodes: Vec::with_capacity(graph.nodes.len()),
        constants: Vec::new(),
    };
    for mut node in std::mem::take(&mut graph.nodes) {
        while node.inputs.last().is_some_and(String::is_empty) {
            node.inputs.pop();
        }
        for attribute in node.attributes.values_mut() {
            if let Attribute::Tensor(dense) = attribute
                && let Some(held) = held(dense)
            {
                *dense = held;
            }
        }
        for inner in node.subgraphs_mut() {
            lower_within(inner, &lowering.shapes, &lowering.types, lowering.taken)?;
        }
        match ops::find(&node).and_then(|operator| operator.lower) {
            Some(lower) => lower(&mut lowering, node)?,
            None => lowering.push(node),
        }
    }
    graph.nodes = lowering.nodes;
    for (name, dense) in lowering.constants {
        graph.weights.insert(name, Arc::new(dense.into()));
    }
    for weight in graph.weights.values_mut() {
        if let Some(held) = weight.as_dense().and_then(held) {
            *weight = Arc::new(Tensor::Dense(held));
        }
    }
    for port in graph.inputs.iter_mut().chain(&mut graph.outputs) {
        port.dtype = held_as(port.dtype);
    }
    graph.stands_for.clear();
    graph.kept_as.clear();
    Ok(())
}

/// The type in which rten holds elements of a type.
pub fn held_as(dtype: DType) -> DType {
    match dtype {
        _ if dtype.is_float() => DType::F32,
        DType::I16 | DType::U16 | DType::U32 | DType::U64 => DType::I32,
        other => other,
    }
}

/// A tensor in the type in which rten holds its elements, where that is another.
fn held(dense: &Dense) -> Option<Dense> {
    match dense {
        Dense::F32(_) | Dense::I8(_) | Dense::U8(_) => None,
        _ if dense.dtype().is_float() => dense.to_f32().map(Dense::F32),
        Dense::Raw {
            dtype,
            shape,
            bytes,
        } => {
            let values: Vec<i32> = match dtype {
                DType::I16 => (bytes.as_chunks::<2>().0.iter())
                    .map(|b| i16::from_le_bytes(*b).into())
                    .collect(),
                DType::U16 => (bytes.as_chunks::<2>().0.iter())
                    .map(|b| u16::from_le_bytes(*b).into())
                    .collect(),
                DType::U32 => (bytes.as_chunks::<4>().0.iter())
                    .map(|b| i32::try_from(u32::from_le_bytes(*b)).ok())
                    .collect::<Option<_>>()?,
                DType::U64 => (bytes.as_chunks::<8>().0.iter())
                    .map(|b| i32::try_from(u64::from_le_bytes(*b)).ok())
                    .collect::<Option<_>>()?,
                _ => codes(dense)?.0.iter().map(|&c| c.into()).collect(),
            };
            Some(Dense::I32(array(shape, values).ok()?))
        }
        _ => None,
    }
}

/// The error that rten lacks `what` a node needs.
pub(crate) fn refusal(node: &Node, what: &str) -> ModelError {
    ModelError::Engine {
        engine: "rten".into(),
        reason: format!(
            "node `{}` ({}): it has no {what}; onnxruntime may run it (--runtime ort)",
            node.name, node.op
        ),
    }
}

/// The lowered nodes so far, and the constants they need.
pub(crate) struct Lowering<'t> {
    pub shapes: Shapes,
    pub types: types::Known,
    taken: &'t mut HashSet<String>,
    nodes: Vec<Node>,
    constants: Vec<(String, Dense)>,
}

impl Lowering<'_> {
    /// Adds a node that needs no other form.
    pub fn push(&mut self, node: Node) {
        self.nodes.push(node);
    }

    /// Number of axes of input `i`, where known.
    pub fn rank(&self, node: &Node, i: usize) -> Option<usize> {
        self.shapes.shape(node.input(i)?).map(<[_]>::len)
    }

    /// Element type of input `i`, where known.
    pub fn dtype(&self, node: &Node, i: usize) -> Option<DType> {
        self.types.get(node.input(i)?).copied()
    }

    /// A new name for a part of what stands for the node `around`.
    pub fn name(&mut self, around: &str, part: &str) -> String {
        fresh_name(self.taken, &format!("{around}_{part}"))
    }

    /// A constant list of integers.
    pub fn list(&mut self, around: &str, list: Vec<i64>) -> String {
        let list = array(&[list.len()], list).expect("one axis of its length");
        self.constant(around, Dense::I64(list))
    }

    /// A constant number.
    pub fn number(&mut self, around: &str, value: f32) -> String {
        let value = array(&[], vec![value]).expect("one element");
        self.constant(around, Dense::F32(value))
    }

    /// A constant.
    pub fn constant(&mut self, around: &str, value: Dense) -> String {
        let name = self.name(around, "constant");
        self.constants.push((name.clone(), value));
        name
    }

    /// Adds the node that gives what `around` gave.
    pub fn finish(
        &mut self,
        around: &str,
        op: &Operator,
        inputs: Vec<String>,
        outputs: Vec<String>,
    ) {
        let name = self.name(around, &op.name.to_lowercase());
        self.nodes.push(op.node(name, inputs, outputs));
    }

    /// Adds a node with one new output, whose name is given back.
    pub fn step(
        &mut self,
        around: &str,
        op: &Operator,
        inputs: &[&String],
        attributes: &[(&str, Attribute)],
    ) -> String {
        let out = self.name(around, "part");
        let name = self.name(around, &op.name.to_lowercase());
        let inputs = inputs.iter().map(|&i| i.clone()).collect();
        let mut node = op.node(name, inputs, vec![out.clone()]);
        node.attributes = attributes
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.clone()))
            .collect::<BTreeMap<_, _>>();
        self.nodes.push(node);
        out
    }
}
