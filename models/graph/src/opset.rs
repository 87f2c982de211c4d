//! Bringing a graph to a newer version of the standard operator set.
//!
//! Most operators only took further element types or further attributes since version 9; a node of theirs means the
//! same in a newer set. Those whose definition changed say how a node is rewritten, or that it cannot be.
//! Versions are those of the ONNX operator changelog.

use std::collections::HashSet;
use std::sync::Arc;

use lapidary_core::tensor::{Dense, array};

use crate::error::GraphError;
use crate::graph::{Attribute, Graph, Node, fresh_name};
use crate::ops::{self, Operator};
use crate::shape::Shapes;

/// The oldest version of the standard operator set that is read.
pub const OLDEST_OPSET: i64 = 9;

/// The oldest version that conversion leads to.
const OLDEST_TARGET: i64 = 13;

/// The newest version that conversion leads to.
const NEWEST_TARGET: i64 = 21;

/// The graph in version `target` (13 to 21) of the standard operator set, or as it is where its version is that new.
///
/// # Errors
/// When an operator's definition changed in a way that cannot be written in the newer version, naming the node.
pub fn convert(graph: &Graph, target: i64) -> Result<Graph, GraphError> {
    let from = graph.opset();
    if from >= target {
        return Ok(graph.clone());
    }
    let to = target.max(OLDEST_TARGET);
    if to > NEWEST_TARGET {
        return Err(GraphError::Opset {
            found: from,
            wanted: format!("graphs are brought to versions up to {NEWEST_TARGET}, not to {to}"),
        });
    }
    let mut graph = graph.clone();
    let mut taken = graph.names();
    rewrite(&mut graph, (from, to), &mut taken)?;
    graph.opsets.insert(String::new(), to);
    Ok(graph)
}

/// Refuses a graph in an operator set that is too old; one without nodes of the standard set needs none.
///
/// # Errors
/// [`GraphError::Opset`] with the version found.
pub fn check_opset(graph: &Graph) -> Result<(), GraphError> {
    let found = graph.opset();
    if found < OLDEST_OPSET && graph.nodes.iter().any(Node::is_standard) {
        return Err(GraphError::Opset {
            found,
            wanted: format!("{OLDEST_OPSET} or newer is needed"),
        });
    }
    Ok(())
}

/// How nodes of an operator are brought over a version in which its meaning changed.
#[derive(Debug)]
pub(crate) struct Change {
    /// The version of the operator set.
    pub version: i64,
    /// Rewrites a node.
    pub rewrite: fn(&mut Rewriting<'_>, &mut Node) -> Result<(), GraphError>,
}

/// Brings the nodes of `graph` and of the graphs in it from one version to another.
fn rewrite(
    graph: &mut Graph,
    (from, to): (i64, i64),
    taken: &mut HashSet<String>,
) -> Result<(), GraphError> {
    let shapes = Shapes::infer(graph, 1);
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for mut node in std::mem::take(&mut graph.nodes) {
        for attribute in node.attributes.values_mut() {
            match attribute {
                Attribute::Graph(g) => rewrite(g, (from, to), taken)?,
                Attribute::Graphs(gs) => {
                    (gs.iter_mut()).try_for_each(|g| rewrite(g, (from, to), taken))?;
                }
                _ => {}
            }
        }
        let changes = ops::find(&node).map_or(&[][..], |operator| operator.changes);
        let mut rewriting = Rewriting {
            versions: (from, to),
            version: 0,
            graph,
            shapes: &shapes,
            taken,
            constants: Vec::new(),
            before: Vec::new(),
            behind: Vec::new(),
        };
        for change in changes {
            if from < change.version && change.version <= to {
                rewriting.version = change.version;
                (change.rewrite)(&mut rewriting, &mut node)?;
            }
        }
        let Rewriting {
            constants,
            before,
            behind,
            ..
        } = rewriting;
        nodes.extend(before);
        nodes.push(node);
        nodes.extend(behind);
        for (name, dense) in constants {
            graph.weights.insert(name, Arc::new(dense.into()));
        }
    }
    graph.nodes = nodes;
    Ok(())
}

/// A node that is being rewritten, and what becomes of it beside itself.
pub(crate) struct Rewriting<'a> {
    versions: (i64, i64),
    /// The version that is crossed.
    version: i64,
    graph: &'a Graph,
    pub shapes: &'a Shapes,
    taken: &'a mut HashSet<String>,
    /// New initialisers.
    constants: Vec<(String, Dense)>,
    /// New nodes in front of it.
    pub before: Vec<Node>,
    /// New nodes behind it.
    pub behind: Vec<Node>,
}

impl Rewriting<'_> {
    /// The error that the node cannot be written in the newer version.
    pub fn refusal(&self, node: &Node) -> GraphError {
        let (from, to) = self.versions;
        GraphError::node(
            node,
            format!(
                "it changed its meaning in operator set {}; the graph, of set {from}, cannot be brought to set {to}",
                self.version
            ),
        )
    }

    /// The numbers of input `i`, where it is a constant.
    pub fn constant(&self, node: &Node, i: usize) -> Option<&Dense> {
        self.graph.weight(node.input(i)?)?.as_dense()
    }

    /// Turns the list attribute `name` into input `index`.
    pub fn list_to_input(&mut self, node: &mut Node, name: &str, index: usize) {
        if let Some(Attribute::Ints(list)) = node.attributes.remove(name) {
            self.set_input(node, name, index, list);
        }
    }

    /// Turns the number attribute `name` into input `index`.
    pub fn float_to_input(&mut self, node: &mut Node, name: &str, index: usize) {
        if let Some(Attribute::Float(v)) = node.attributes.remove(name) {
            let scalar = Dense::F32(array(&[], vec![v]).expect("one element"));
            self.set_constant(node, name, index, scalar);
        }
    }

    /// Makes a new constant list input `index`.
    pub fn set_input(&mut self, node: &mut Node, name: &str, index: usize, list: Vec<i64>) {
        let list = Dense::I64(array(&[list.len()], list).expect("one axis of its length"));
        self.set_constant(node, name, index, list);
    }

    fn set_constant(&mut self, node: &mut Node, name: &str, index: usize, value: Dense) {
        let constant = fresh_name(self.taken, &format!("{}_{name}", node.name));
        self.constants.push((constant.clone(), value));
        while node.inputs.len() <= index {
            node.inputs.push(String::new());
        }
        node.inputs[index] = constant;
    }

    /// A new name for what operator `op` gives beside the node `around`.
    pub fn name(&mut self, around: &Node, op: &str) -> String {
        let stem = format!("{}_{}", around.name, op.to_lowercase());
        fresh_name(self.taken, &stem)
    }

    /// A new node of operator `op` beside the node `around`; its one output bears its name.
    pub fn beside(&mut self, around: &Node, op: &Operator, inputs: Vec<String>) -> Node {
        let name = self.name(around, op.name);
        op.node(name.clone(), inputs, vec![name])
    }
}

/// A change that no node can be brought over.
pub(crate) fn refuse(rewriting: &mut Rewriting<'_>, node: &mut Node) -> Result<(), GraphError> {
    Err(rewriting.refusal(node))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::GraphBuilder;
    use lapidary_core::tensor::DType;

    #[test]
    fn attributes_become_inputs() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, &[4, 1]);
        let y = b.node("Squeeze", "squeeze", &[&x], [("axes", [2].into())]);
        let y = b.node("Clip", "clip", &[&y], [("max", 6.0f32.into())]);
        b.output(&y, DType::F32, &[4]);
        let old = b.finish(9).unwrap();
        let new = convert(&old, 13).unwrap();
        assert_eq!(new.opset(), 13);
        assert_eq!(new.nodes[0].inputs, ["x", "squeeze_axes"]);
        assert_eq!(new.nodes[1].inputs, ["squeeze", "", "clip_max"]);
        assert!(new.nodes.iter().all(|n| n.attributes.is_empty()));
        assert_eq!(
            new.weight("squeeze_axes"),
            Some(&Dense::i64(&[1], vec![2]).unwrap().into())
        );
    }

    #[test]
    fn softmax_over_several_axes_is_flattened() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, &[4, 3]);
        let y = b.node("Softmax", "s", &[&x], []);
        b.output(&y, DType::F32, &[4, 3]);
        let mut new = convert(&b.finish(11).unwrap(), 13).unwrap();
        let ops: Vec<_> = new.nodes.iter().map(|n| n.op.as_str()).collect();
        assert_eq!(ops, ["Shape", "Flatten", "Softmax", "Reshape"]);
        new.validate().unwrap();
    }

    #[test]
    fn what_cannot_be_converted_is_named() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, &[4, 3]);
        let w = b.weight("w", Dense::f32(&[4], vec![1.0; 4]).unwrap());
        let y = b.node_with_outputs("BatchNormalization", "bn", &[&x, &w, &w, &w, &w], 2, []);
        b.output(&y[0], DType::F32, &[4, 3]);
        b.output(&y[1], DType::F32, &[]);
        let graph = b.finish(9).unwrap();
        let error = convert(&graph, 21).unwrap_err().to_string();
        assert!(error.contains("`bn`"), "{error}");
        assert!(convert(&graph, 13).is_ok());
    }
}
