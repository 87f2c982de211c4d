//! The graph every model is: nodes, named values, initialisers, as ONNX has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use lapidary_core::model::Dim;
use lapidary_core::tensor::{DType, Dense, Tensor};

/// An attribute of a node.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the variants are ONNX's attribute kinds")]
pub enum Attribute {
    Float(f32),
    Int(i64),
    String(Vec<u8>),
    Tensor(Dense),
    Graph(Box<Graph>),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Strings(Vec<Vec<u8>>),
    Tensors(Vec<Dense>),
    Graphs(Vec<Graph>),
    /// A kind we carry through without looking inside: the encoded `AttributeProto`.
    Raw(Vec<u8>),
}

/// One operation: reads values by name, writes values by name. An empty name is an omitted optional.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Node {
    /// Unique name within the graph (given on reading where the file has none).
    pub name: String,
    /// Operator, for example `Conv`.
    pub op: String,
    /// Operator set; empty is the standard one.
    pub domain: String,
    /// Names of the values read.
    pub inputs: Vec<String>,
    /// Names of the values written.
    pub outputs: Vec<String>,
    /// Attributes by name.
    pub attributes: BTreeMap<String, Attribute>,
}

/// A named value with its type, where known.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueInfo {
    /// Name of the value.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Shape; `None` where even the rank is unknown.
    pub shape: Option<Vec<Dim>>,
}

/// A model's graph.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    /// Name of the graph.
    pub name: String,
    /// Nodes in an order in which every value is written before it is read.
    pub nodes: Vec<Node>,
    /// Inputs that the caller gives (initialisers excluded).
    pub inputs: Vec<ValueInfo>,
    /// Outputs.
    pub outputs: Vec<ValueInfo>,
    /// Known types of values in between.
    pub values: Vec<ValueInfo>,
    /// Initialisers by name; shared until changed.
    pub weights: BTreeMap<String, Arc<Tensor>>,
}

impl Node {
    /// The integer attribute `name`, or `default` where absent.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        match self.attributes.get(name) {
            Some(Attribute::Int(v)) => *v,
            _ => default,
        }
    }

    /// The float attribute `name`, or `default` where absent.
    pub fn float(&self, name: &str, default: f32) -> f32 {
        match self.attributes.get(name) {
            Some(Attribute::Float(v)) => *v,
            _ => default,
        }
    }

    /// The list-of-integers attribute `name`, where present.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attributes.get(name) {
            Some(Attribute::Ints(v)) => Some(v),
            _ => None,
        }
    }

    /// The text attribute `name`, where present and UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name) {
            Some(Attribute::String(v)) => std::str::from_utf8(v).ok(),
            _ => None,
        }
    }

    /// Input `index`, where given.
    pub fn input(&self, index: usize) -> Option<&str> {
        self.inputs
            .get(index)
            .map(String::as_str)
            .filter(|name| !name.is_empty())
    }
}
