//! Building graphs in code.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use lapidary_core::model::Dim;
use lapidary_core::tensor::{DType, Tensor};

use crate::error::GraphError;
use crate::graph::{Attribute, Graph, Node, ValueInfo, fresh_name};

/// The name of the sample axis in inputs and outputs of built graphs.
pub const BATCH: &str = "batch";

/// Builds a graph node by node.
///
/// ```
/// use lapidary_core::tensor::{DType, Dense};
/// use lapidary_graph::build::GraphBuilder;
/// use lapidary_graph::ops;
///
/// let mut b = GraphBuilder::new("linear");
/// let x = b.input("x", DType::F32, &[4]);
/// let w = b.weight("w", Dense::f32(&[4, 2], vec![0.5; 8])?);
/// let y = b.node(&ops::MAT_MUL, "product", &[&x, &w], []);
/// b.output(&y, DType::F32, &[2]);
/// let model = b.finish(17)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct GraphBuilder {
    graph: Graph,
    taken: HashSet<String>,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new(name: &str) -> Self {
        Self {
            graph: Graph {
                name: name.to_owned(),
                ..Graph::default()
            },
            taken: HashSet::new(),
        }
    }

    fn port(&mut self, name: &str, dtype: DType, sample: &[usize]) -> ValueInfo {
        self.taken.insert(name.to_owned());
        let batch = Dim::Symbol(BATCH.into());
        ValueInfo {
            name: name.to_owned(),
            dtype,
            shape: Some(
                std::iter::once(batch)
                    .chain(sample.iter().map(|&d| Dim::Fixed(d)))
                    .collect(),
            ),
        }
    }

    /// Adds an input of shape `[batch, sample…]` and returns its name.
    pub fn input(&mut self, name: &str, dtype: DType, sample: &[usize]) -> String {
        let port = self.port(name, dtype, sample);
        self.graph.inputs.push(port);
        name.to_owned()
    }

    /// Makes the value `name`, of shape `[batch, sample…]`, an output.
    pub fn output(&mut self, name: &str, dtype: DType, sample: &[usize]) {
        let port = self.port(name, dtype, sample);
        self.graph.outputs.push(port);
    }

    /// Adds an initialiser and returns its name: `name`, or one made of it where that is taken.
    pub fn weight(&mut self, name: &str, tensor: impl Into<Tensor>) -> String {
        let name = fresh_name(&mut self.taken, name);
        self.graph
            .weights
            .insert(name.clone(), Arc::new(tensor.into()));
        name
    }

    /// Adds a node of an operator of the standard set, with one output, and returns the output's name, which is the
    /// node's: `name`, or one made of it where that is taken. An empty input is an omitted optional.
    pub fn node<'n>(
        &mut self,
        op: impl AsRef<str>,
        name: &str,
        inputs: &[&str],
        attributes: impl IntoIterator<Item = (&'n str, Attribute)>,
    ) -> String {
        self.node_with_outputs(op, name, inputs, 1, attributes)
            .swap_remove(0)
    }

    /// As [`GraphBuilder::node`] with `outputs` outputs (at least one), whose names are returned.
    pub fn node_with_outputs<'n>(
        &mut self,
        op: impl AsRef<str>,
        name: &str,
        inputs: &[&str],
        outputs: usize,
        attributes: impl IntoIterator<Item = (&'n str, Attribute)>,
    ) -> Vec<String> {
        let name = fresh_name(&mut self.taken, name);
        let mut written = vec![name.clone()];
        for i in 1..outputs {
            written.push(fresh_name(&mut self.taken, &format!("{name}_{i}")));
        }
        self.graph.nodes.push(Node {
            name,
            op: op.as_ref().to_owned(),
            domain: String::new(),
            inputs: inputs.iter().map(|&s| s.to_owned()).collect(),
            outputs: written.clone(),
            attributes: (attributes.into_iter())
                .map(|(k, v)| (k.to_owned(), v))
                .collect(),
        });
        written
    }

    /// The graph, with the given version of the standard operator set.
    ///
    /// # Errors
    /// When a node reads a value that nothing writes, or an output is missing.
    pub fn finish(mut self, opset: i64) -> Result<Graph, GraphError> {
        self.graph.opsets = BTreeMap::from([(String::new(), opset)]);
        self.graph.validate()?;
        Ok(self.graph)
    }
}

impl From<i64> for Attribute {
    fn from(v: i64) -> Self {
        Self::Int(v)
    }
}

impl From<f32> for Attribute {
    fn from(v: f32) -> Self {
        Self::Float(v)
    }
}

impl From<&str> for Attribute {
    fn from(v: &str) -> Self {
        Self::String(v.as_bytes().to_vec())
    }
}

impl From<&[i64]> for Attribute {
    fn from(v: &[i64]) -> Self {
        Self::Ints(v.to_vec())
    }
}

impl<const N: usize> From<[i64; N]> for Attribute {
    fn from(v: [i64; N]) -> Self {
        Self::Ints(v.to_vec())
    }
}
