//! Which weights become inputs of a loaded graph, so that they can be replaced without loading it again.
//!
//! Results must keep their bits, so a weight is lifted only where rten makes nothing else of the graph for knowing its
//! values: not where a node can be computed from constants alone, and not where a kernel (rank 3 or more) would be
//! merged with what follows. BatchNormalization behind a convolution is merged here, as rten would.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use lapidary_core::model::Dim;
use lapidary_core::tensor::{DType, Dense, Tensor, array};
use lapidary_graph::ops::{self, Operator};
use lapidary_graph::{Graph, Node, ValueInfo, fresh_name, layers};

/// Weights with fewer elements stay constants.
const FEWEST_ELEMENTS: usize = 1024;

/// A weight that is an input.
pub struct Lifted {
    /// Name of the weight.
    pub weight: String,
    /// Name of the input.
    pub input: String,
    /// What each output channel (first axis) is multiplied by.
    pub factors: Option<Vec<f32>>,
}

/// Names of the weights whose values rten need not know, as far as `graph` tells by itself.
pub fn liftable(graph: &Graph) -> BTreeSet<String> {
    let constants = constants(graph);
    let consumers = graph.consumers();
    let captured: HashSet<String> = (graph.nodes.iter().flat_map(Node::subgraphs))
        .flat_map(Graph::names)
        .collect();
    let mains: BTreeMap<String, String> = layers::topology(graph)
        .layers
        .into_iter()
        .filter_map(|layer| Some((layer.name, layer.weight?)))
        .collect();
    let large = |name: &str| {
        graph.weight(name).is_some_and(|weight| {
            let floats = match weight {
                Tensor::Dense(dense) => dense.dtype() == DType::F32,
                Tensor::Quantized(_) => true,
            };
            floats && weight.len() >= FEWEST_ELEMENTS && weight.shape().len() >= 2
        })
    };
    let weights: BTreeSet<&String> = mains.values().collect();
    (weights.into_iter())
        .filter(|name| large(name) && !captured.contains(*name) && !graph.is_output(name))
        .filter(|name| {
            let kernel = graph.weight(name).is_some_and(|w| w.shape().len() > 2);
            let readers = consumers.get(name.as_str()).into_iter().flatten();
            readers.map(|&i| &graph.nodes[i]).all(|reader| {
                mains.get(&reader.name) == Some(*name)
                    && !constants.contains(reader.outputs[0].as_str())
                    && (!kernel || !is_merged(graph, &consumers, &constants, reader))
            })
        })
        .cloned()
        .collect()
}

/// Weights, and values that are computed from them alone.
pub fn constants(graph: &Graph) -> HashSet<&str> {
    let mut known: HashSet<&str> = graph.weights.keys().map(String::as_str).collect();
    for node in &graph.nodes {
        if node.reads().iter().all(|name| known.contains(name)) {
            known.extend(node.outputs.iter().map(String::as_str));
        }
    }
    known
}

/// Whether rten merges what follows the node that reads a kernel into the kernel, in a way that is not done here.
fn is_merged(
    graph: &Graph,
    consumers: &HashMap<&str, Vec<usize>>,
    constants: &HashSet<&str>,
    node: &Node,
) -> bool {
    let followers = |node: &Node| -> Vec<&Node> {
        let readers = consumers.get(node.outputs[0].as_str());
        (readers.into_iter().flatten())
            .map(|&i| &graph.nodes[i])
            .collect()
    };
    let merges = |follower: &&Node| {
        let is_one_of = |operators: &[&Operator]| operators.iter().any(|o| follower.is(o));
        follower.inputs.len() < 2 && is_one_of(&[&ops::IDENTITY, &ops::CAST, &ops::DROPOUT])
            || is_one_of(&[&ops::ADD, &ops::SUB, &ops::MUL, &ops::DIV])
                && follower.reads().iter().any(|name| constants.contains(name))
    };
    let next = followers(node);
    match next.as_slice() {
        [norm] if norm.is(&ops::BATCH_NORMALIZATION) => {
            let behind = followers(norm);
            Norm::behind(graph, node, norm).is_none()
                || behind.iter().any(|f| f.is(&ops::BATCH_NORMALIZATION))
                || behind.iter().any(merges)
        }
        next => next.iter().any(|f| f.is(&ops::BATCH_NORMALIZATION)) || next.iter().any(merges),
    }
}

/// A BatchNormalization that can be merged into the convolution before it.
struct Norm {
    /// What each channel of the kernel is multiplied by.
    factors: Vec<f32>,
    /// The bias of the convolution that does both.
    bias: Vec<f32>,
}

impl Norm {
    fn behind(graph: &Graph, conv: &Node, norm: &Node) -> Option<Self> {
        if !conv.is(&ops::CONV) || graph.is_output(&conv.outputs[0]) {
            return None;
        }
        let channels = *graph.weight(conv.input(1)?)?.shape().first()?;
        let vector = |name: &str| -> Option<Vec<f32>> {
            let values = graph.weight(name)?.to_f32()?;
            (values.shape() == [channels]).then(|| values.iter().copied().collect())
        };
        let [scale, shift, mean, variance] = [1, 2, 3, 4].map(|i| norm.input(i).and_then(vector));
        let (scale, shift, mean, variance) = (scale?, shift?, mean?, variance?);
        let before = match conv.input(2) {
            Some(bias) => vector(bias)?,
            None => vec![0.0; channels],
        };
        let epsilon = norm.float("epsilon", 1e-5);
        // In rten's order of operations, for the same bits.
        let factors: Vec<f32> = (scale.iter().zip(&variance))
            .map(|(scale, variance)| scale / (variance + epsilon).sqrt())
            .collect();
        let bias = (0..channels)
            .map(|c| (before[c] - mean[c]) * factors[c] + shift[c])
            .collect();
        Some(Self { factors, bias })
    }
}

/// Makes inputs of those of `names` that are among the graph's weights.
pub fn lift(graph: &mut Graph, names: &BTreeSet<String>) -> Vec<Lifted> {
    let mut taken = graph.names();
    let mut lifted = Vec::new();
    merge_norms(graph, names, &mut taken, &mut lifted);
    let read: HashSet<String> = (graph.nodes.iter())
        .flat_map(|node| node.inputs.iter().cloned())
        .collect();
    for name in names {
        if let Some(weight) = graph.weights.remove(name)
            && read.contains(name)
        {
            declare(graph, name, weight.shape());
            lifted.push(Lifted {
                weight: name.clone(),
                input: name.clone(),
                factors: None,
            });
        }
    }
    lifted
}

fn declare(graph: &mut Graph, input: &str, shape: &[usize]) {
    graph.inputs.push(ValueInfo {
        name: input.to_owned(),
        dtype: DType::F32,
        shape: Some(shape.iter().map(|&d| Dim::Fixed(d)).collect()),
    });
}

/// Merges each BatchNormalization into the convolution before it, where the kernel is one of `names`.
fn merge_norms(
    graph: &mut Graph,
    names: &BTreeSet<String>,
    taken: &mut HashSet<String>,
    lifted: &mut Vec<Lifted>,
) {
    let consumers = graph.consumers();
    let merged: Vec<(usize, usize, Norm)> = (graph.nodes.iter().enumerate())
        .filter(|(_, conv)| conv.input(1).is_some_and(|kernel| names.contains(kernel)))
        .filter_map(|(i, conv)| {
            let [next] = consumers.get(conv.outputs[0].as_str())?.as_slice() else {
                return None;
            };
            let norm = &graph.nodes[*next];
            let norm = norm
                .is(&ops::BATCH_NORMALIZATION)
                .then(|| Norm::behind(graph, conv, norm));
            Some((i, *next, norm??))
        })
        .collect();
    for (i, next, norm) in &merged {
        let output = graph.nodes[*next].outputs[0].clone();
        let conv = &mut graph.nodes[*i];
        let weight = conv.inputs[1].clone();
        let input = fresh_name(taken, &format!("{weight}_merged"));
        let bias = fresh_name(taken, &format!("{}_bias", conv.name));
        conv.outputs = vec![output];
        conv.inputs.truncate(1);
        conv.inputs.extend([input.clone(), bias.clone()]);
        let values = array(&[norm.bias.len()], norm.bias.clone()).expect("one axis of its length");
        graph
            .weights
            .insert(bias, Arc::new(Dense::F32(values).into()));
        let shape = graph.weights[&weight].shape().to_vec();
        declare(graph, &input, &shape);
        lifted.push(Lifted {
            weight,
            input,
            factors: Some(norm.factors.clone()),
        });
    }
    let gone: HashSet<usize> = merged.iter().map(|(_, next, _)| *next).collect();
    let mut at = 0..;
    graph
        .nodes
        .retain(|_| !at.next().is_some_and(|i| gone.contains(&i)));
}
