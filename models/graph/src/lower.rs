//! Writing a graph in the terms that rten takes: what nodes leave to defaults of the standard is said, what only
//! training needs is left out, and some operators it lacks (or computes otherwise) are put together from others.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use lapidary_core::model::ModelError;
use lapidary_core::tensor::{Dense, array};

use crate::graph::{Attribute, Graph, Node, fresh_name};
use crate::ops::{self, Operator};
use crate::opset::convert;
use crate::shape::Shapes;

/// The graph in operator set 13 or later, as rten takes it.
///
/// # Errors
/// When padding depends on extents that are not known before running.
pub fn lower(graph: &Graph) -> Result<Graph, ModelError> {
    // What cannot be converted is left for rten to judge.
    let mut graph = convert(graph, 13).unwrap_or_else(|_| graph.clone());
    // Files may say more of values in between than is true once the sample axis is free.
    graph.values.clear();
    let mut lowering = Lowering {
        shapes: Shapes::infer(&graph, 1),
        taken: graph.names(),
        nodes: Vec::with_capacity(graph.nodes.len()),
        constants: Vec::new(),
    };
    for mut node in std::mem::take(&mut graph.nodes) {
        while node.inputs.last().is_some_and(String::is_empty) {
            node.inputs.pop();
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
    Ok(graph)
}

/// The error that rten lacks `what` a node needs.
pub(crate) fn refusal(node: &Node, what: &str) -> ModelError {
    ModelError::Engine {
        engine: "rten".into(),
        reason: format!("node `{}` ({}): it has no {what}", node.name, node.op),
    }
}

/// The lowered nodes so far, and the constants they need.
pub(crate) struct Lowering {
    pub shapes: Shapes,
    taken: HashSet<String>,
    nodes: Vec<Node>,
    constants: Vec<(String, Dense)>,
}

impl Lowering {
    /// Adds a node that needs no other form.
    pub fn push(&mut self, node: Node) {
        self.nodes.push(node);
    }

    /// Number of axes of input `i`, where known.
    pub fn rank(&self, node: &Node, i: usize) -> Option<usize> {
        self.shapes.shape(node.input(i)?).map(<[_]>::len)
    }

    /// A new name for a part of what stands for the node `around`.
    pub fn name(&mut self, around: &str, part: &str) -> String {
        fresh_name(&mut self.taken, &format!("{around}_{part}"))
    }

    /// A constant list of axes.
    pub fn axes(&mut self, around: &str, list: Vec<i64>) -> String {
        let name = self.name(around, "axes");
        let list = array(&[list.len()], list).expect("one axis of its length");
        self.constants.push((name.clone(), Dense::I64(list)));
        name
    }

    /// A constant number.
    pub fn number(&mut self, around: &str, value: f32) -> String {
        let name = self.name(around, "number");
        let value = array(&[], vec![value]).expect("one element");
        self.constants.push((name.clone(), Dense::F32(value)));
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
