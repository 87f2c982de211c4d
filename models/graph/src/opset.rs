//! Bringing a graph to a newer version of the standard operator set.
//!
//! Most operators only took further element types or further attributes since version 9; a node of theirs means the
//! same in a newer set. The operators whose definition changed are rewritten one by one; the few that cannot be are
//! refused by name. Versions are those of the ONNX operator changelog.

use std::collections::HashSet;
use std::sync::Arc;

use lapidary_core::tensor::Dense;

use crate::error::GraphError;
use crate::graph::{Attribute, Graph, Node, fresh_name};
use crate::shape::Shapes;
use lapidary_core::tensor::array;

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
    Conversion {
        from,
        to,
        taken: &mut taken,
    }
    .graph(&mut graph)?;
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

struct Conversion<'a> {
    from: i64,
    to: i64,
    taken: &'a mut HashSet<String>,
}

/// New initialisers of the graph that is converted.
type Constants = Vec<(String, Dense)>;

impl Conversion<'_> {
    fn graph(&mut self, graph: &mut Graph) -> Result<(), GraphError> {
        let shapes = Shapes::infer(graph, 1);
        let mut nodes = Vec::with_capacity(graph.nodes.len());
        for mut node in std::mem::take(&mut graph.nodes) {
            for attribute in node.attributes.values_mut() {
                match attribute {
                    Attribute::Graph(g) => self.graph(g)?,
                    Attribute::Graphs(gs) => gs.iter_mut().try_for_each(|g| self.graph(g))?,
                    _ => {}
                }
            }
            if !node.is_standard() {
                nodes.push(node);
                continue;
            }
            let mut constants = Constants::new();
            let scales = node
                .input(1)
                .and_then(|name| graph.weight(name)?.as_dense());
            self.node(node.clone(), scales, &shapes, &mut nodes, &mut constants)?;
            for (name, dense) in constants {
                graph.weights.insert(name, Arc::new(dense.into()));
            }
        }
        graph.nodes = nodes;
        Ok(())
    }

    /// Whether the definition of version `version` comes into force.
    fn crosses(&self, version: i64) -> bool {
        self.from < version && version <= self.to
    }

    fn node(
        &mut self,
        mut node: Node,
        scales: Option<&Dense>,
        shapes: &Shapes,
        nodes: &mut Vec<Node>,
        constants: &mut Constants,
    ) -> Result<(), GraphError> {
        match node.op.as_str() {
            "Squeeze" | "Unsqueeze" | "ReduceSum" if self.crosses(13) => {
                self.list_to_input(&mut node, "axes", 1, constants);
            }
            "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceL1" | "ReduceL2"
            | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceSumSquare"
                if self.crosses(18) =>
            {
                self.list_to_input(&mut node, "axes", 1, constants);
            }
            "Split" => {
                if self.crosses(13) {
                    self.list_to_input(&mut node, "split", 1, constants);
                }
                if self.crosses(18) && node.input(1).is_none() {
                    let parts = node.outputs.len() as i64;
                    node.attributes.insert("num_outputs".into(), parts.into());
                }
            }
            "Softmax" | "LogSoftmax" | "Hardmax" if self.crosses(13) => {
                self.softmax(node, shapes, nodes);
                return Ok(());
            }
            "Clip" if self.crosses(11) => {
                self.float_to_input(&mut node, "min", 1, constants);
                self.float_to_input(&mut node, "max", 2, constants);
            }
            "Pad" if self.crosses(11) => {
                self.list_to_input(&mut node, "pads", 1, constants);
                self.float_to_input(&mut node, "value", 2, constants);
            }
            "Slice" if self.crosses(10) => {
                let axes = node.ints("starts").map_or(0, <[i64]>::len) as i64;
                let all = || Attribute::Ints((0..axes).collect());
                node.attributes.entry("axes".into()).or_insert_with(all);
                self.list_to_input(&mut node, "starts", 1, constants);
                self.list_to_input(&mut node, "ends", 2, constants);
                self.list_to_input(&mut node, "axes", 3, constants);
            }
            "TopK" if self.crosses(10) => {
                if let Some(Attribute::Int(k)) = node.attributes.remove("k") {
                    self.ints_to_input(&mut node, "k", 1, vec![k], constants);
                }
            }
            "Dropout" if self.crosses(12) => {
                self.float_to_input(&mut node, "ratio", 1, constants);
            }
            "Upsample" if self.crosses(10) => resize_from_corner(&mut node, "floor"),
            "Resize" if self.crosses(11) => match nearest_mode(scales) {
                Some(mode) => resize_from_corner(&mut node, mode),
                None if node.text("mode") == Some("linear") => {
                    resize_from_corner(&mut node, "floor")
                }
                None => return Err(self.refusal(&node, 11)),
            },
            "Scatter" if self.crosses(11) => node.op = "ScatterElements".into(),
            "BatchNormalization" if self.crosses(14) => {
                while node.outputs.last().is_some_and(String::is_empty) {
                    node.outputs.pop();
                }
                if node.outputs.len() > 1 {
                    return Err(self.refusal(&node, 14));
                }
            }
            "RoiAlign" if self.crosses(16) => {
                let mode = "coordinate_transformation_mode".to_owned();
                node.attributes
                    .entry(mode)
                    .or_insert_with(|| "output_half_pixel".into());
            }
            "GridSample" if self.crosses(20) => match node.text("mode") {
                Some("bilinear") => drop(node.attributes.insert("mode".into(), "linear".into())),
                Some("bicubic") => drop(node.attributes.insert("mode".into(), "cubic".into())),
                _ => {}
            },
            "DFT" if self.crosses(20) => return Err(self.refusal(&node, 20)),
            "GroupNormalization" if self.crosses(21) => return Err(self.refusal(&node, 21)),
            _ => {}
        }
        nodes.push(node);
        Ok(())
    }

    fn refusal(&self, node: &Node, version: i64) -> GraphError {
        GraphError::node(
            node,
            format!(
                "it changed its meaning in operator set {version}; the graph, of set {}, cannot be brought to set {}",
                self.from, self.to
            ),
        )
    }

    /// Turns the list attribute `name` into input `index`.
    fn list_to_input(
        &mut self,
        node: &mut Node,
        name: &str,
        index: usize,
        constants: &mut Constants,
    ) {
        if let Some(Attribute::Ints(list)) = node.attributes.remove(name) {
            self.ints_to_input(node, name, index, list, constants);
        }
    }

    fn ints_to_input(
        &mut self,
        node: &mut Node,
        name: &str,
        index: usize,
        list: Vec<i64>,
        constants: &mut Constants,
    ) {
        let list = Dense::I64(array(&[list.len()], list).expect("one axis of its length"));
        self.set_input(node, name, index, list, constants);
    }

    /// Turns the number attribute `name` into input `index`.
    fn float_to_input(
        &mut self,
        node: &mut Node,
        name: &str,
        index: usize,
        constants: &mut Constants,
    ) {
        if let Some(Attribute::Float(v)) = node.attributes.remove(name) {
            let scalar = Dense::F32(array(&[], vec![v]).expect("one element"));
            self.set_input(node, name, index, scalar, constants);
        }
    }

    fn set_input(
        &mut self,
        node: &mut Node,
        name: &str,
        index: usize,
        value: Dense,
        constants: &mut Constants,
    ) {
        let constant = fresh_name(self.taken, &format!("{}_{name}", node.name));
        constants.push((constant.clone(), value));
        while node.inputs.len() <= index {
            node.inputs.push(String::new());
        }
        node.inputs[index] = constant;
    }

    /// Before version 13 everything from the axis on counted as one axis: flattened, normalised, and brought back to
    /// its shape, unless the axis is the last one.
    fn softmax(&mut self, mut node: Node, shapes: &Shapes, nodes: &mut Vec<Node>) {
        let axis = node.int("axis", 1);
        let rank = node
            .input(0)
            .and_then(|x| shapes.shape(x))
            .map(|s| s.len() as i64);
        node.attributes.insert("axis".into(), Attribute::Int(-1));
        if axis == -1 || rank.is_some_and(|r| axis == r - 1) {
            nodes.push(node);
            return;
        }
        let mut around = |op: &str, inputs: Vec<String>| {
            let name = fresh_name(self.taken, &format!("{}_{}", node.name, op.to_lowercase()));
            Node {
                outputs: vec![name.clone()],
                name,
                op: op.into(),
                inputs,
                ..Node::default()
            }
        };
        let x = node.inputs[0].clone();
        let shape = around("Shape", vec![x.clone()]);
        let mut flat = around("Flatten", vec![x]);
        flat.attributes.insert("axis".into(), Attribute::Int(axis));
        let normalised = around(&node.op, vec![]).name;
        let mut back = around("Reshape", vec![normalised.clone(), shape.name.clone()]);
        node.inputs[0] = flat.name.clone();
        back.outputs = std::mem::replace(&mut node.outputs, vec![normalised]);
        nodes.extend([shape, flat, node, back]);
    }
}

/// How `Resize` of version 10 rounded positions, by its scales: the standard left it open, ONNX Runtime rounds up
/// where it shrinks an axis and down elsewhere.
fn nearest_mode(scales: Option<&Dense>) -> Option<&'static str> {
    let scales = scales?.as_f32()?;
    if scales.iter().all(|&s| s >= 1.0) {
        Some("floor")
    } else if scales.iter().all(|&s| s <= 1.0) {
        Some("ceil")
    } else {
        None
    }
}

/// `Upsample` and `Resize` of version 10, which count positions from the corner, as the `Resize` of later versions.
fn resize_from_corner(node: &mut Node, nearest_mode: &str) {
    node.op = "Resize".into();
    node.inputs.insert(1, String::new());
    let modes = [
        ("coordinate_transformation_mode", "asymmetric"),
        ("nearest_mode", nearest_mode),
    ];
    for (name, mode) in modes {
        node.attributes.insert(name.into(), mode.into());
    }
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
