//! A graph as rten has loaded it, its large weights being inputs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use lapidary_core::model::ModelError;
use lapidary_core::runtime::{NodeTime, WARM_UP, median};
use lapidary_core::tensor::{DType, Dense, Shared, Tensor};
use lapidary_graph::lower::{held_as, lower};
use lapidary_graph::{Attribute, Graph, ValueInfo};
use lapidary_onnx::Form;
use ndarray::Axis;
use rten::{NodeId, RunOptions, Value, ValueOrView};

use super::NAME;
use super::lift::{Lifted, constants, lift, liftable};
use super::pool::Pool;
use super::value::{Given, take, view};
use crate::engine::failure;

/// A graph as rten has loaded it.
pub struct Program {
    model: rten::Model,
    /// Which graphs it is of.
    key: Key,
    inputs: Vec<(ValueInfo, Option<NodeId>)>,
    outputs: Vec<(NodeId, DType)>,
    weights: Vec<(Lifted, NodeId)>,
    /// The nodes that compute something at run time, in order.
    nodes: Vec<Kept>,
    constant_bytes: usize,
}

/// A node that rten has kept, or made of this one and those before it.
struct Kept {
    name: String,
    operator: String,
    outputs: Vec<NodeId>,
}

/// What graphs that one program can run have in common.
struct Key {
    /// The graph without the weights that may differ.
    graph: Graph,
    /// The shapes of these.
    free: BTreeMap<String, Vec<usize>>,
    outputs: Vec<ValueInfo>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}

impl Key {
    fn new(graph: &Graph, outputs: &[ValueInfo], names: &BTreeSet<String>) -> Self {
        let mut graph = graph.clone();
        let mut free = BTreeMap::new();
        graph.weights.retain(|name, weight| {
            let lifted = names.contains(name);
            if lifted {
                free.insert(name.clone(), weight.shape().to_vec());
            }
            !lifted
        });
        Self {
            graph,
            free,
            outputs: outputs.to_vec(),
        }
    }

    fn fits(&self, graph: &Graph, outputs: &[ValueInfo]) -> bool {
        let fits = |(name, weight): (&String, &Arc<Tensor>)| match self.free.get(name) {
            Some(shape) => {
                let floats = weight.as_dense().is_none_or(|d| d.dtype() == DType::F32);
                floats && weight.shape() == shape.as_slice()
            }
            None => (self.graph.weights.get(name))
                .is_some_and(|kept| Arc::ptr_eq(kept, weight) || kept == weight),
        };
        self.outputs == outputs
            && self.graph.inputs == graph.inputs
            && self.graph.opsets == graph.opsets
            && self.free.len() + self.graph.weights.len() == graph.weights.len()
            && self.graph.nodes == graph.nodes
            && graph.weights.iter().all(fits)
    }
}

impl Program {
    /// Loads a graph that gives the values `outputs`; what they do not need is left out.
    ///
    /// # Errors
    /// When rten lacks an operator or a form of one, naming the node.
    pub fn load(graph: &Graph, outputs: &[ValueInfo]) -> Result<Self, ModelError> {
        let mut lowered = lower(graph)?;
        lowered.outputs = outputs.to_vec();
        for output in &mut lowered.outputs {
            output.dtype = held_as(output.dtype);
        }
        let mut names = liftable(&lowered);
        names.retain(|name| graph.weights.contains_key(name));
        Self::lifting(graph, outputs, lowered, &names)
    }

    /// Loads `graph`, to give `wanted`, as it was `lowered`, with the weights `names` as inputs.
    pub(super) fn lifting(
        graph: &Graph,
        wanted: &[ValueInfo],
        mut lowered: Graph,
        names: &BTreeSet<String>,
    ) -> Result<Self, ModelError> {
        let key = Key::new(graph, wanted, names);
        lowered.prune_unused();
        let lifted = lift(&mut lowered, names);
        name_nodes_apart(&mut lowered);
        let bytes = lapidary_onnx::to_bytes(&lowered, Form::Dense)?;
        let model = rten::Model::load(bytes).map_err(|e| lacking(&e))?;
        let id = |name: &str| model.node_id(name).map_err(|e| failure(NAME, &e));
        let known = constants(&lowered);
        let nodes = (lowered.nodes.iter())
            .filter(|n| model.find_node(&n.name).is_some() && !known.contains(&*n.outputs[0]))
            .map(|n| Kept {
                name: n.name.trim_end_matches(&behind_name(&n.op)).to_owned(),
                operator: n.op.clone(),
                outputs: n
                    .outputs
                    .iter()
                    .filter_map(|o| model.find_node(o))
                    .collect(),
            })
            .collect();
        Ok(Self {
            inputs: (graph.inputs.iter())
                .map(|i| (i.clone(), model.find_node(&i.name)))
                .collect(),
            outputs: (wanted.iter())
                .map(|o| Ok((id(&o.name)?, o.dtype)))
                .collect::<Result<_, ModelError>>()?,
            weights: lifted
                .into_iter()
                .map(|l| Ok((id(&l.input)?, l)).map(|(id, l)| (l, id)))
                .collect::<Result<_, ModelError>>()?,
            nodes,
            constant_bytes: lowered.weights.values().map(|w| w.bytes()).sum(),
            key,
            model,
        })
    }

    /// Bytes of the weights that are no inputs.
    pub fn constant_bytes(&self) -> usize {
        self.constant_bytes
    }

    /// Whether the program can run `graph` and gives the values `outputs` of it.
    pub fn fits(&self, graph: &Graph, outputs: &[ValueInfo]) -> bool {
        self.key.fits(graph, outputs)
    }

    /// The weights of `graph`, which the program fits, as its inputs.
    pub fn weights(
        &self,
        graph: &Graph,
        pool: &Pool,
    ) -> Result<Vec<(NodeId, Shared<f32>)>, ModelError> {
        let missing =
            |name: &str| ModelError::Graph(format!("the weight `{name}` holds no floats"));
        (self.weights.iter())
            .map(|(lifted, id)| {
                let values = (graph.weights.get(&lifted.weight))
                    .and_then(|weight| pool.values(weight))
                    .ok_or_else(|| missing(&lifted.weight))?;
                let values = match &lifted.factors {
                    Some(factors) => merged(values, factors),
                    None if values.is_standard_layout() => values,
                    None => values.as_standard_layout().into_owned().into_shared(),
                };
                Ok((*id, values))
            })
            .collect()
    }

    /// Names of the weights that are inputs.
    #[cfg(test)]
    pub fn lifted(&self) -> impl Iterator<Item = &str> {
        self.weights
            .iter()
            .map(|(lifted, _)| lifted.weight.as_str())
    }

    /// Runs the graph on tensors in the order of its inputs.
    ///
    /// # Errors
    /// When a tensor is of a type rten does not take, or an operation fails, naming the node.
    pub fn run(
        &self,
        given: &[Dense],
        weights: &[(NodeId, Shared<f32>)],
        options: &RunOptions,
    ) -> Result<Vec<Dense>, ModelError> {
        let given = self.given(given)?;
        let ids: Vec<NodeId> = self.outputs.iter().map(|(id, _)| *id).collect();
        let values = (self.model)
            .run(inputs(&given, weights), &ids, Some(options.clone()))
            .map_err(|e| lacking(&e))?;
        (values.into_iter().zip(&self.outputs))
            .map(|(value, (_, dtype))| take(value, *dtype))
            .collect()
    }

    /// The median time of each operation: each is run for itself on what those before it gave, and with it those that
    /// rten has merged with it.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn profile(
        &self,
        given: &[Dense],
        weights: &[(NodeId, Shared<f32>)],
        options: &RunOptions,
        runs: usize,
    ) -> Result<Vec<NodeTime>, ModelError> {
        // What cannot be run as a whole is an error; a node that cannot be run alone is none that rten runs.
        self.run(given, weights, options)?;
        let given = self.given(given)?;
        let mut done: HashMap<NodeId, Value> = HashMap::new();
        let mut times = Vec::new();
        for node in &self.nodes {
            let mut ms = Vec::new();
            let mut last = None;
            for _ in 0..WARM_UP + runs.max(1) {
                let mut inputs = inputs(&given, weights);
                inputs.extend(done.iter().map(|(id, value)| (*id, value.as_view().into())));
                let options = Some(options.clone());
                let start = Instant::now();
                last = self.model.run(inputs, &node.outputs, options).ok();
                ms.push(start.elapsed().as_secs_f64() * 1e3);
            }
            let Some(values) = last else {
                continue;
            };
            done.extend(node.outputs.iter().copied().zip(values));
            times.push(NodeTime {
                node: node.name.clone(),
                operator: node.operator.clone(),
                ms: median(ms.split_off(WARM_UP)),
            });
        }
        Ok(times)
    }

    /// The tensors that rten reads, as it takes them.
    fn given<'a>(&self, given: &'a [Dense]) -> Result<Vec<(NodeId, Given<'a>)>, ModelError> {
        (self.inputs.iter().zip(given))
            .filter_map(|((info, id), dense)| Some((info, (*id)?, dense)))
            .map(|(info, id, dense)| Ok((id, view(info, dense)?)))
            .collect()
    }
}

fn inputs<'a>(
    given: &'a [(NodeId, Given<'_>)],
    weights: &'a [(NodeId, Shared<f32>)],
) -> Vec<(NodeId, ValueOrView<'a>)> {
    let given = given.iter().map(|(id, given)| (*id, given.view()));
    let weights = weights.iter().map(|(id, values)| {
        let slice = values.as_slice().expect("weights lie in row-major order");
        let tensor = rten_tensor::TensorView::from_data(values.shape(), slice);
        (*id, rten::ValueView::from(tensor).into())
    });
    given.chain(weights).collect()
}

/// A kernel with each output channel multiplied by its factor.
fn merged(mut values: Shared<f32>, factors: &[f32]) -> Shared<f32> {
    if !values.is_standard_layout() {
        values = values.as_standard_layout().into_owned().into_shared();
    }
    for (mut channel, factor) in values.axis_iter_mut(Axis(0)).zip(factors) {
        channel.mapv_inplace(|v| v * factor);
    }
    values
}

/// An error of rten, with what may run the model instead.
fn lacking(error: &dyn std::error::Error) -> ModelError {
    match failure(NAME, error) {
        ModelError::Engine { engine, reason } => ModelError::Engine {
            engine,
            reason: format!("{reason}; onnxruntime may run it (--runtime ort)"),
        },
        other => other,
    }
}

/// What tells the name of a node with an operator from that of a value.
fn behind_name(operator: &str) -> String {
    format!(" ({operator})")
}

/// rten looks up nodes and values by name in one map: a node must not be named as a value is.
fn name_nodes_apart(graph: &mut Graph) {
    for node in &mut graph.nodes {
        node.name.push_str(&behind_name(&node.op));
        for attribute in node.attributes.values_mut() {
            match attribute {
                Attribute::Graph(g) => name_nodes_apart(g),
                Attribute::Graphs(gs) => gs.iter_mut().for_each(name_nodes_apart),
                _ => {}
            }
        }
    }
}
