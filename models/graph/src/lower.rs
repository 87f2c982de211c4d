//! Writing a graph in the terms that rten takes: what nodes leave to defaults of the standard is said, what only
//! training needs is left out, and some operators it lacks (or computes otherwise) are put together from others.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use lapidary_core::model::ModelError;
use lapidary_core::tensor::Dense;

use crate::graph::{Attribute, Graph, Node, fresh_name};
use crate::opset::convert;
use crate::shape::Shapes;
use lapidary_core::tensor::array;

/// The graph in operator set 13 or later, as rten takes it.
///
/// # Errors
/// When padding depends on extents that are not known before running.
pub fn lower(graph: &Graph) -> Result<Graph, ModelError> {
    // What cannot be converted is left for rten to judge.
    let mut graph = convert(graph, 13).unwrap_or_else(|_| graph.clone());
    // Files may say more of values in between than is true once the sample axis is free.
    graph.values.clear();
    let shapes = Shapes::infer(&graph, 1);
    let mut parts = Parts {
        taken: graph.names(),
        nodes: Vec::with_capacity(graph.nodes.len()),
        constants: Vec::new(),
    };
    for mut node in std::mem::take(&mut graph.nodes) {
        while node.inputs.last().is_some_and(String::is_empty) {
            node.inputs.pop();
        }
        let rank = |i: usize| node.input(i).and_then(|x| shapes.shape(x)).map(<[_]>::len);
        match node.op.as_str() {
            _ if !node.is_standard() => {}
            "Dropout" if node.outputs.iter().skip(1).all(String::is_empty) => {
                node.op = "Identity".into();
                node.inputs.truncate(1);
                node.outputs.truncate(1);
                node.attributes.clear();
            }
            "Conv" | "ConvTranspose" | "MaxPool" | "AveragePool" => windows(&mut node, &shapes)?,
            // It would be run as linear.
            "Resize" if node.text("mode") == Some("cubic") => {
                return Err(refusal(&node, "cubic interpolation"));
            }
            "Selu" | "Mish" | "Sign" if node.input(0).is_some() => {
                parts.activation(node);
                continue;
            }
            // The axis that the vector does not have is left standing.
            "MatMul" if rank(0).is_some_and(|r| r > 2) && rank(1) == Some(1) => {
                let axes = parts.ints(&node.name, vec![-1]);
                let product = parts.name(&node.name, "product");
                let outputs = std::mem::replace(&mut node.outputs, vec![product.clone()]);
                let squeeze = parts.node(&node.name, "Squeeze", vec![product, axes], outputs);
                parts.nodes.extend([node, squeeze]);
                continue;
            }
            _ => {}
        }
        parts.nodes.push(node);
    }
    graph.nodes = parts.nodes;
    for (name, dense) in parts.constants {
        graph.weights.insert(name, Arc::new(dense.into()));
    }
    Ok(graph)
}

fn refusal(node: &Node, what: &str) -> ModelError {
    ModelError::Engine {
        engine: "rten".into(),
        reason: format!("node `{}` ({}): it has no {what}", node.name, node.op),
    }
}

/// Nodes and constants that are put in for others.
struct Parts {
    taken: HashSet<String>,
    nodes: Vec<Node>,
    constants: Vec<(String, Dense)>,
}

impl Parts {
    fn name(&mut self, node: &str, part: &str) -> String {
        fresh_name(&mut self.taken, &format!("{node}_{part}"))
    }

    fn ints(&mut self, node: &str, list: Vec<i64>) -> String {
        let name = self.name(node, "axes");
        let list = array(&[list.len()], list).expect("one axis of its length");
        self.constants.push((name.clone(), Dense::I64(list)));
        name
    }

    fn number(&mut self, node: &str, value: f32) -> String {
        let name = self.name(node, "number");
        let value = array(&[], vec![value]).expect("one element");
        self.constants.push((name.clone(), Dense::F32(value)));
        name
    }

    fn node(&mut self, around: &str, op: &str, inputs: Vec<String>, outputs: Vec<String>) -> Node {
        Node {
            name: self.name(around, &op.to_lowercase()),
            op: op.into(),
            inputs,
            outputs,
            ..Node::default()
        }
    }

    /// Adds a node with one new output, whose name is given back.
    fn step(
        &mut self,
        around: &Node,
        op: &str,
        inputs: &[&String],
        attributes: &[(&str, Attribute)],
    ) -> String {
        let out = self.name(&around.name, "part");
        let inputs = inputs.iter().map(|&i| i.clone()).collect();
        let mut node = self.node(&around.name, op, inputs, vec![out.clone()]);
        node.attributes = attributes
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.clone()))
            .collect::<BTreeMap<_, _>>();
        self.nodes.push(node);
        out
    }

    /// Activations by their definitions in the ONNX standard.
    fn activation(&mut self, node: Node) {
        let x = node.inputs[0].clone();
        let (op, inputs) = match node.op.as_str() {
            "Selu" => {
                let alpha = node.float("alpha", 1.673_263_2).into();
                let elu = self.step(&node, "Elu", &[&x], &[("alpha", alpha)]);
                (
                    "Mul",
                    vec![elu, self.number(&node.name, node.float("gamma", 1.050_701))],
                )
            }
            "Mish" => {
                let softplus = self.step(&node, "Softplus", &[&x], &[]);
                ("Mul", vec![self.step(&node, "Tanh", &[&softplus], &[]), x])
            }
            // rten takes the sign of zero to be 1.
            _ => {
                let zero = self.number(&node.name, 0.0);
                let mut side = |op: &str| {
                    let side = self.step(&node, op, &[&x, &zero], &[]);
                    self.step(&node, "Cast", &[&side], &[("to", 1.into())])
                };
                ("Sub", vec![side("Greater"), side("Less")])
            }
        };
        let last = self.node(&node.name, op, inputs, node.outputs);
        self.nodes.push(last);
    }
}

/// Says the kernel, strides, dilations and padding of a node that slides a window.
fn windows(node: &mut Node, shapes: &Shapes) -> Result<(), ModelError> {
    let kernel: Option<Vec<i64>> = match node.ints("kernel_shape") {
        Some(kernel) => Some(kernel.to_vec()),
        None => (node.input(1).and_then(|w| shapes.known(w)))
            .and_then(|w| Some(w.get(2..)?.iter().map(|&d| d as i64).collect())),
    };
    // Without a kernel rten says itself what is wrong.
    let Some(kernel) = kernel else {
        return Ok(());
    };
    let n = kernel.len();
    let mut default = |name: &str, list: Vec<i64>| {
        node.attributes
            .entry(name.to_owned())
            .or_insert(Attribute::Ints(list));
    };
    default("kernel_shape", kernel.clone());
    default("strides", vec![1; n]);
    if node.op.starts_with("Conv") {
        node.attributes
            .entry("dilations".into())
            .or_insert(Attribute::Ints(vec![1; n]));
    }
    if node.text("auto_pad") == Some("SAME_LOWER") {
        let pads = same_lower(node, &kernel, shapes).ok_or_else(|| ModelError::Node {
            node: node.name.clone(),
            op: node.op.clone(),
            reason: "SAME_LOWER padding of an input whose extents are not known".into(),
        })?;
        node.attributes.remove("auto_pad");
        node.attributes.insert("pads".into(), Attribute::Ints(pads));
    }
    Ok(())
}

/// The padding by which a window gives ⌈extent / stride⌉ positions, the larger half in front.
fn same_lower(node: &Node, kernel: &[i64], shapes: &Shapes) -> Option<Vec<i64>> {
    if node.op == "ConvTranspose" {
        return None;
    }
    let x = shapes.shape(node.input(0)?)?.get(2..)?;
    let strides = node.ints("strides")?;
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (i, &k) in kernel.iter().enumerate() {
        let x = i64::try_from((*x.get(i)?)?).ok()?;
        let stride = (*strides.get(i)?).max(1);
        let dilation = node
            .ints("dilations")
            .map_or(Some(1), |d| d.get(i).copied())?;
        let window = k.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
        let last = (x.checked_add(stride - 1)? / stride)
            .checked_sub(1)?
            .checked_mul(stride)?;
        let all = last.checked_add(window)?.checked_sub(x)?.max(0);
        before.push(all - all / 2);
        after.push(all / 2);
    }
    before.extend(after);
    Some(before)
}
