//! The layers of a graph: its nodes with weights.

use std::collections::{HashMap, HashSet};

use lapidary_core::model::{Layer, NodeInfo, Topology};
use lapidary_core::tensor::Tensor;

use crate::graph::{Graph, Node};
use crate::inline::written_out;
use crate::ops::{self, Operator, Slots};
use crate::shape::Shapes;

/// All nodes of a graph, and those with weights as layers, their sizes for one sample.
///
/// Every float weight counts once, for the first layer that reads it; so do the integer codes of quantized operators.
/// A node that is no layer by its operator but reads weights of more than one element all the same (a learnt factor,
/// a table of positions) stands among the layers without a main weight, and so do products of two activations, and nodes with
/// graphs or functions in them; a bias added behind a product counts for the product.
pub fn topology(graph: &Graph) -> Topology {
    let shapes = Shapes::infer(graph, 1);
    let within = within_calls(graph);
    let biases = added_biases(graph);
    let behind: HashSet<&str> = biases.values().map(|(adder, _)| adder.as_str()).collect();
    let mut counted = HashSet::new();
    let mut layers = Vec::new();
    for node in &graph.nodes {
        let layer = match main_slots(graph, node) {
            Some((operator, slots)) => Some(layer(
                graph,
                node,
                operator,
                slots,
                &shapes,
                biases.get(node.name.as_str()),
            )),
            None if behind.contains(node.name.as_str()) => None,
            None => other(graph, node, &shapes, &within),
        };
        let Some((mut layer, weights)) = layer else {
            continue;
        };
        for stored in weights {
            if let Some(weight) = graph.weight(&stored)
                && counted.insert(stored.clone())
            {
                layer.params += weight.len();
                layer.bytes += graph.stored_bytes(&stored);
            }
        }
        for weight in node.subgraphs().flat_map(inner_weights) {
            layer.params += weight.len();
            layer.bytes += weight.bytes();
        }
        layers.push(layer);
    }
    Topology {
        nodes: (graph.nodes.iter())
            .map(|n| NodeInfo {
                name: n.name.clone(),
                op: n.op.clone(),
                inputs: n.inputs.clone(),
                outputs: n.outputs.clone(),
            })
            .collect(),
        layers,
    }
}

/// Whether a weight's values are floating-point numbers.
pub fn is_float(weight: &Tensor) -> bool {
    match weight {
        Tensor::Dense(dense) => dense.dtype().is_float(),
        Tensor::Quantized(_) => true,
    }
}

/// The initialiser that holds a weight: of this name, or the codes that a `DequantizeLinear` node makes it of.
fn stored(graph: &Graph, name: &str) -> Option<String> {
    if let Some(weight) = graph.weight(name) {
        return is_float(weight).then(|| name.to_owned());
    }
    let made = graph.nodes.iter().find(|n| n.outputs[0] == name)?;
    let codes = made
        .input(0)
        .filter(|codes| graph.weights.contains_key(*codes))?;
    made.is(&ops::DEQUANTIZE_LINEAR).then(|| codes.to_owned())
}

/// Float initialisers of a subgraph and of those within it.
fn inner_weights(graph: &Graph) -> Vec<&Tensor> {
    let mut weights: Vec<&Tensor> = graph
        .weights
        .values()
        .map(AsRef::as_ref)
        .filter(|w| is_float(w))
        .collect();
    weights.extend(
        graph
            .nodes
            .iter()
            .flat_map(Node::subgraphs)
            .flat_map(inner_weights),
    );
    weights
}

/// The operator and slots of a node whose main weight is a float initialiser.
fn main_slots(graph: &Graph, node: &Node) -> Option<(&'static Operator, &'static Slots)> {
    let holds_weight = |slots: &&Slots| {
        node.input(slots.weight)
            .and_then(|n| graph.weight(n))
            .is_some_and(is_float)
    };
    let operator = ops::find(node)?;
    Some((operator, operator.weights.iter().find(holds_weight)?))
}

/// For each product, the node behind it that only adds a constant vector, with that vector's name.
fn added_biases(graph: &Graph) -> HashMap<&str, (String, String)> {
    let consumers = graph.consumers();
    let mut biases = HashMap::new();
    for node in &graph.nodes {
        if !main_slots(graph, node).is_some_and(|(operator, _)| operator.bias_behind) {
            continue;
        }
        let out = node.outputs[0].as_str();
        let Some(&[adder]) = consumers.get(out).map(Vec::as_slice) else {
            continue;
        };
        let adder = &graph.nodes[adder];
        let bias = adder.inputs.iter().find(|name| *name != out);
        // Some exporters write a vector as a matrix of one row.
        let vector = |name: &&String| {
            graph.weight(name).is_some_and(|w| {
                let (last, front) = w.shape().split_last().unwrap_or((&1, &[]));
                is_float(w)
                    && !w.shape().is_empty()
                    && *last == w.len()
                    && front.iter().all(|&d| d == 1)
            })
        };
        if let (true, Some(bias)) = (adder.is(&ops::ADD), bias.filter(vector)) {
            biases.insert(node.name.as_str(), (adder.name.clone(), bias.clone()));
        }
    }
    biases
}

/// A layer without its sizes, and the names of its weights.
fn layer(
    graph: &Graph,
    node: &Node,
    operator: &Operator,
    slots: &Slots,
    shapes: &Shapes,
    added: Option<&(String, String)>,
) -> (Layer, Vec<String>) {
    let given = |i: usize| node.input(i).unwrap_or_default().to_owned();
    let name = given(slots.weight);
    let mut weights: Vec<String> = slots
        .all
        .iter()
        .filter_map(|&i| stored(graph, node.input(i)?))
        .collect();
    let own = slots
        .bias
        .and_then(|i| node.input(i))
        .filter(|n| graph.weights.contains_key(*n));
    let bias = own
        .map(str::to_owned)
        .or_else(|| added.map(|(_, bias)| bias.clone()));
    weights.extend(bias.clone());
    let tensor = graph.weight(&name);
    let shape = tensor.map_or(&[][..], Tensor::shape);
    let layer = Layer {
        name: node.name.clone(),
        kind: node.op.clone(),
        shape: shapes.known(&node.outputs[0]),
        channel_axis: (operator.channel_axis)(node, slots, shape.len()),
        product: operator.product,
        bias,
        input: given(slots.input),
        output: node.outputs[0].clone(),
        params: 0,
        bytes: 0,
        macs: (operator.macs)(&Work {
            node,
            weight: shape,
            name: &name,
            shapes,
        }),
        bits: tensor.map_or(0, Tensor::bits),
        sparsity: tensor.map_or(0.0, Tensor::sparsity),
        weight: Some(name),
    };
    (layer, weights)
}

/// The multiply-accumulates within the calls of functions, by the names of their nodes, each where they are all known.
fn within_calls(graph: &Graph) -> HashMap<String, Option<u64>> {
    let Some((written, origins)) = written_out(graph) else {
        return HashMap::new();
    };
    let by_name: HashMap<String, usize> = (written.nodes.iter().zip(&origins))
        .map(|(node, &at)| (node.name.clone(), at))
        .collect();
    let called = |at: usize| graph.called(&graph.nodes[at]).is_some();
    let mut sums: HashMap<String, Option<u64>> = (graph.nodes.iter().enumerate())
        .filter(|(at, _)| called(*at))
        .map(|(_, node)| (node.name.clone(), Some(0)))
        .collect();
    for layer in topology(&Graph {
        functions: Vec::new(),
        ..written
    })
    .layers
    {
        let at = by_name.get(layer.name.as_str()).copied();
        if let Some(sum) = at.and_then(|at| sums.get_mut(&graph.nodes[at].name)) {
            *sum = sum.zip(layer.macs).and_then(|(a, b)| a.checked_add(b));
        }
    }
    sums
}

/// Whether a graph computes products, whose number is known at run time only where they stand in a branch or a loop.
fn multiplies(graph: &Graph) -> bool {
    graph.nodes.iter().any(|node| {
        let product = |o: &Operator| o.product.is_some() || !o.codes.is_empty();
        ops::find(node).is_some_and(product) || node.subgraphs().any(multiplies)
    })
}

/// A node that reads weights in another way, or multiplies without.
fn other(
    graph: &Graph,
    node: &Node,
    shapes: &Shapes,
    within: &HashMap<String, Option<u64>>,
) -> Option<(Layer, Vec<String>)> {
    let operator = ops::find(node);
    let product = operator.and_then(|operator| operator.product);
    let codes = operator.map_or(&[][..], |operator| operator.codes);
    let reads = node.reads();
    let is_weight = |name: &&str| {
        graph
            .weight(name)
            .is_some_and(|w| is_float(w) && w.len() > 1)
    };
    let weights: Vec<String> = match codes {
        // The numbers that a pair rounds with, or a map is resized by, are no weights.
        [] if operator.is_some_and(|operator| operator.told_by_constants) => Vec::new(),
        [] => reads
            .iter()
            .copied()
            .filter(is_weight)
            .map(str::to_owned)
            .collect(),
        codes => (codes.iter().filter_map(|&i| node.input(i)))
            .filter(|name| graph.weights.contains_key(*name))
            .map(str::to_owned)
            .collect(),
    };
    let inner = node
        .subgraphs()
        .any(|g| !inner_weights(g).is_empty() || multiplies(g));
    let call = within.get(&node.name);
    if weights.is_empty() && !inner && product.is_none() && call.is_none() {
        return None;
    }
    // What is computed of constants alone costs nothing at run time.
    let constant = |name: &&str| graph.weights.contains_key(*name);
    if product.is_some() && reads.iter().all(constant) {
        return None;
    }
    let bits = weights
        .first()
        .and_then(|n| graph.weight(n))
        .map_or(0, Tensor::bits);
    let layer = Layer {
        name: node.name.clone(),
        kind: node.op.clone(),
        shape: shapes.known(&node.outputs[0]),
        weight: None,
        channel_axis: 0,
        product,
        bias: None,
        input: node.input(0).unwrap_or_default().to_owned(),
        output: node.outputs[0].clone(),
        params: 0,
        bytes: 0,
        macs: match codes {
            [] if product.is_some() => operator.and_then(|operator| {
                let right = node.input(1).unwrap_or_default();
                let weight = shapes.known(right)?;
                (operator.macs)(&Work {
                    node,
                    weight: &weight,
                    name: right,
                    shapes,
                })
            }),
            [] if call.is_some() => call.copied().flatten(),
            [] => (!inner).then_some(0),
            [main, ..] => {
                let name = node.input(*main).unwrap_or_default();
                let weight = graph.weight(name).map_or(&[][..], Tensor::shape);
                let work = Work {
                    node,
                    weight,
                    name,
                    shapes,
                };
                operator.and_then(|operator| (operator.macs)(&work))
            }
        },
        bits,
        sparsity: 0.0,
    };
    Some((layer, weights))
}

/// A node with its main weight, whose multiply-accumulates for one sample are to be counted.
pub(crate) struct Work<'a> {
    pub node: &'a Node,
    /// Shape of the main weight.
    pub weight: &'a [usize],
    /// Its name.
    pub name: &'a str,
    shapes: &'a Shapes,
}

impl Work<'_> {
    /// Extents of input `i`, where all are known.
    pub fn input(&self, i: usize) -> Option<Vec<usize>> {
        self.shapes.known(self.node.input(i)?)
    }

    /// Elements of the first output.
    pub fn output(&self) -> Option<u64> {
        volume(&self.shapes.known(&self.node.outputs[0])?)
    }
}

/// The number of elements of a tensor.
pub(crate) fn volume(shape: &[usize]) -> Option<u64> {
    shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::GraphBuilder;
    use crate::graph::Attribute;
    use lapidary_core::tensor::{DType, Dense};

    fn zeros(shape: &[usize]) -> Dense {
        Dense::f32(shape, vec![0.0; shape.iter().product()]).unwrap()
    }

    #[test]
    fn layers_have_their_sizes() {
        let mut b = GraphBuilder::new("net");
        let x = b.input("x", DType::F32, &[3, 8, 8]);
        let w = b.weight("conv.w", zeros(&[4, 3, 3, 3]));
        let bias = b.weight("conv.b", zeros(&[4]));
        let y = b.node(
            &ops::CONV,
            "conv",
            &[&x, &w, &bias],
            [("pads", [1, 1, 1, 1].into())],
        );
        let y = b.node(&ops::GLOBAL_AVERAGE_POOL, "pool", &[&y], []);
        let y = b.node(&ops::FLATTEN, "flat", &[&y], []);
        let w = b.weight("fc.w", zeros(&[4, 10]));
        let y = b.node(&ops::MAT_MUL, "fc", &[&y, &w], []);
        let bias = b.weight("fc.b", zeros(&[10]));
        let y = b.node(&ops::ADD, "fc.add", &[&y, &bias], []);
        b.output(&y, DType::F32, &[10]);
        let model = b.finish(17).unwrap();
        let layers = topology(&model).layers;
        let sizes: Vec<_> = layers
            .iter()
            .map(|l| (l.name.as_str(), l.params, l.macs, l.channel_axis))
            .collect();
        assert_eq!(
            sizes,
            [
                ("conv", 4 * 27 + 4, Some(8 * 8 * 4 * 27), 0),
                ("fc", 50, Some(40), 1)
            ]
        );
        assert_eq!(layers[1].bias.as_deref(), Some("fc.b"));
        assert_eq!(layers[0].shape, Some(vec![1, 4, 8, 8]));
    }

    #[test]
    fn integer_codes_are_weights() {
        let mut b = GraphBuilder::new("net");
        let x = b.input("x", DType::U8, &[4]);
        let codes = Dense::I8(lapidary_core::tensor::array(&[4, 3], vec![1; 12]).unwrap());
        let w = b.weight("w", codes);
        let y = b.node(&ops::MAT_MUL_INTEGER, "product", &[&x, &w], []);
        b.output(&y, DType::I32, &[3]);
        let layers = topology(&b.finish(17).unwrap()).layers;
        let sizes = (
            layers[0].params,
            layers[0].bytes,
            layers[0].macs,
            layers[0].bits,
        );
        assert_eq!(sizes, (12, 12, Some(12), 8));
    }

    #[test]
    fn products_of_activations_and_branches_are_counted_or_unknown() {
        let multiplied = |b: &mut GraphBuilder, name: &str| {
            let z = b.node(&ops::MAT_MUL, name, &["x", "y"], []);
            b.output(&z, DType::F32, &[4, 5]);
        };
        let inputs = |b: &mut GraphBuilder| {
            b.input("x", DType::F32, &[4, 3]);
            b.input("y", DType::F32, &[3, 5]);
        };
        let mut inner = GraphBuilder::new("branch");
        inputs(&mut inner);
        multiplied(&mut inner, "inner");
        let mut branch = inner.finish(17).unwrap();
        branch.inputs.clear();
        branch.opsets.clear();
        let mut b = GraphBuilder::new("net");
        inputs(&mut b);
        multiplied(&mut b, "both");
        let go = b.input("go", DType::Bool, &[]);
        let branch = || Attribute::Graph(Box::new(branch.clone()));
        let branches = [("then_branch", branch()), ("else_branch", branch())];
        let out = b.node(&ops::IF, "either", &[&go], branches);
        b.output(&out, DType::F32, &[4, 5]);
        let layers = topology(&b.finish(17).unwrap()).layers;
        let macs: Vec<_> = layers.iter().map(|l| (l.name.as_str(), l.macs)).collect();
        assert_eq!(macs, [("both", Some(4 * 5 * 3)), ("either", None)]);
        assert!(layers.iter().all(|l| l.params == 0 && l.weight.is_none()));
    }

    #[test]
    fn a_call_counts_what_its_function_computes() {
        let mut body = GraphBuilder::new("body");
        let x = body.input("x", DType::F32, &[4]);
        let w = body.input("w", DType::F32, &[4]);
        let y = body.node(&ops::MAT_MUL, "y", &[&x, &w], []);
        body.output(&y, DType::F32, &[4]);
        let mut body = body.finish(17).unwrap();
        for port in body.inputs.iter_mut().chain(&mut body.outputs) {
            (port.dtype, port.shape) = (DType::Other(0), None);
        }
        let mut b = GraphBuilder::new("net");
        let x = b.input("x", DType::F32, &[4]);
        let w = b.weight("w", zeros(&[4, 6]));
        let y = b.node("Block", "call", &[&x, &w], []);
        b.output(&y, DType::F32, &[6]);
        let mut graph = b.finish(17).unwrap();
        graph.nodes[0].domain = "own".into();
        graph.functions.push(crate::Function {
            domain: "own".into(),
            name: "Block".into(),
            body,
            ..crate::Function::default()
        });
        let layers = topology(&graph).layers;
        let sizes: Vec<_> = layers
            .iter()
            .map(|l| (&*l.name, l.params, l.macs))
            .collect();
        assert_eq!(sizes, [("call", 24, Some(24))]);
    }

    #[test]
    fn a_shared_weight_counts_once() {
        let mut b = GraphBuilder::new("net");
        let x = b.input("x", DType::F32, &[4]);
        let w = b.weight("w", zeros(&[4, 4]));
        let y = b.node(&ops::MAT_MUL, "one", &[&x, &w], []);
        let y = b.node(&ops::MAT_MUL, "two", &[&y, &w], []);
        b.output(&y, DType::F32, &[4]);
        let layers = topology(&b.finish(17).unwrap()).layers;
        assert_eq!(layers.iter().map(|l| l.params).collect::<Vec<_>>(), [16, 0]);
        assert_eq!(layers[1].macs, Some(16));
    }
}
