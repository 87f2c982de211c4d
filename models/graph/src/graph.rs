//! The graph every model is: nodes, named values, initialisers, as ONNX has them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use lapidary_core::model::Dim;
use lapidary_core::tensor::{DType, Dense, Tensor};

use crate::carried::Carried;
use crate::error::GraphError;
use crate::ops::Operator;

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
    /// In the body of a function: whatever the call of it gives as the attribute of this name. The kind is ONNX's number of it.
    Reference {
        name: String,
        kind: i32,
    },
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
    /// Versions of the operator sets by domain; the standard one is ``. Empty in subgraphs, which have their model's.
    pub opsets: BTreeMap<String, i64>,
    /// Functions of the model's own, which nodes call as operators. Empty in subgraphs.
    pub functions: Vec<Function>,
    /// Element types of the values that quantized weights stand for, where these are other floats than `f32`.
    pub stands_for: BTreeMap<String, DType>,
    /// Narrower element types in which files keep dense weights, casting them.
    pub kept_as: BTreeMap<String, DType>,
    /// What the file said beside this, where it was read from one.
    pub carried: Option<Arc<dyn Carried>>,
}

/// A function of the model's own.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Function {
    /// The operator set that nodes call it by.
    pub domain: String,
    /// The operator that they call it by.
    pub name: String,
    /// What it computes, of inputs whose types are not known; its weights are constants of the body. Operator sets are its own.
    pub body: Graph,
    /// What its attributes are where a call does not give them.
    pub defaults: BTreeMap<String, Attribute>,
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

impl Node {
    /// Names of all values the node reads, those read inside its subgraphs included.
    pub fn reads(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.inputs.iter().map(String::as_str).collect();
        for graph in self.subgraphs() {
            names.extend(graph.captures());
        }
        names.retain(|name| !name.is_empty());
        names
    }

    /// The graphs among the node's attributes.
    pub fn subgraphs(&self) -> impl Iterator<Item = &Graph> {
        self.attributes.values().flat_map(|a| match a {
            Attribute::Graph(g) => std::slice::from_ref(g.as_ref()),
            Attribute::Graphs(gs) => gs.as_slice(),
            _ => &[],
        })
    }

    /// The graph that is the attribute `name`.
    pub fn subgraph(&self, name: &str) -> Option<&Graph> {
        match self.attributes.get(name) {
            Some(Attribute::Graph(graph)) => Some(graph),
            _ => None,
        }
    }

    /// As [`Node::subgraphs`], to be changed.
    pub fn subgraphs_mut(&mut self) -> impl Iterator<Item = &mut Graph> {
        self.attributes.values_mut().flat_map(|a| match a {
            Attribute::Graph(g) => std::slice::from_mut(g.as_mut()),
            Attribute::Graphs(gs) => gs.as_mut_slice(),
            _ => &mut [],
        })
    }

    /// Gives the values that the node reads or writes, within its subgraphs too, the names that `names` has for them.
    pub(crate) fn rename(&mut self, names: &HashMap<String, String>) {
        for name in self.inputs.iter_mut().chain(&mut self.outputs) {
            renamed(name, names);
        }
        for graph in self.subgraphs_mut() {
            graph.rename(names);
        }
    }

    /// Whether the node is one of `operator`.
    pub fn is(&self, operator: &Operator) -> bool {
        let domain = if self.is_standard() { "" } else { &self.domain };
        self.op == operator.name && domain == operator.domain
    }

    /// Whether the node's operator is one of the standard set.
    pub fn is_standard(&self) -> bool {
        matches!(self.domain.as_str(), "" | "ai.onnx")
    }
}

impl Graph {
    /// Version of the standard operator set.
    pub fn opset(&self) -> i64 {
        self.opsets.get("").copied().unwrap_or(0)
    }

    /// The weight `name`, where there is one.
    pub fn weight(&self, name: &str) -> Option<&Tensor> {
        self.weights.get(name).map(Arc::as_ref)
    }

    /// The function that `node` calls, where it is one of the model's own.
    pub fn called(&self, node: &Node) -> Option<&Function> {
        (self.functions.iter()).find(|f| f.name == node.op && f.domain == node.domain)
    }

    /// Bytes that the weight `name` takes when stored.
    pub fn stored_bytes(&self, name: &str) -> usize {
        let Some(weight) = self.weight(name) else {
            return 0;
        };
        match self.kept_as.get(name).and_then(|dtype| dtype.size()) {
            Some(size) => weight.len() * size,
            None => weight.bytes(),
        }
    }

    /// The element type that nodes see of the weight `name`.
    pub fn weight_type(&self, name: &str) -> Option<DType> {
        Some(match self.weight(name)? {
            Tensor::Dense(dense) => dense.dtype(),
            Tensor::Quantized(_) => self.stands_for.get(name).copied().unwrap_or(DType::F32),
        })
    }

    /// The position of the node `name`, where there is one.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|n| n.name == name)
    }

    /// The node that writes each value, by position.
    pub fn producers(&self) -> HashMap<&str, usize> {
        let outputs = |n: &'_ Node| n.outputs.len();
        let mut map = HashMap::with_capacity(self.nodes.iter().map(outputs).sum());
        for (i, node) in self.nodes.iter().enumerate() {
            map.extend(
                node.outputs
                    .iter()
                    .filter(|o| !o.is_empty())
                    .map(|o| (o.as_str(), i)),
            );
        }
        map
    }

    /// The nodes that read each value, by position, rising; a node that reads it twice stands once.
    pub fn consumers(&self) -> HashMap<&str, Vec<usize>> {
        let mut map: HashMap<&str, Vec<usize>> = HashMap::new();
        for (i, node) in self.nodes.iter().enumerate() {
            for name in node.reads() {
                let users = map.entry(name).or_default();
                if users.last() != Some(&i) {
                    users.push(i);
                }
            }
        }
        map
    }

    /// Whether `name` is one of the graph's outputs.
    pub fn is_output(&self, name: &str) -> bool {
        self.outputs.iter().any(|o| o.name == name)
    }

    /// All names a new value must not take: those of values and weights, in subgraphs too.
    pub fn names(&self) -> HashSet<String> {
        let mut names: HashSet<String> = self.definitions().map(str::to_owned).collect();
        for node in &self.nodes {
            names.insert(node.name.clone());
            names.extend(node.reads().into_iter().map(str::to_owned));
            names.extend(node.subgraphs().flat_map(Graph::names));
        }
        names
    }

    /// Names of everything the graph itself defines, in no order that matters, repetitions included.
    fn definitions(&self) -> impl Iterator<Item = &str> {
        (self.inputs.iter().map(|i| i.name.as_str()))
            .chain(self.weights.keys().map(String::as_str))
            .chain(
                self.nodes
                    .iter()
                    .flat_map(|n| n.outputs.iter().map(String::as_str)),
            )
            .filter(|name| !name.is_empty())
    }

    /// Names the graph reads (or gives) without defining them: those of the graph around it.
    fn captures(&self) -> BTreeSet<&str> {
        let defined: HashSet<&str> = self.definitions().collect();
        (self.nodes.iter().flat_map(Node::reads))
            .chain(self.outputs.iter().map(|o| o.name.as_str()))
            .filter(|name| !defined.contains(name))
            .collect()
    }

    /// Checks that every value is defined exactly once, before it is read, and that node names are unique; brings
    /// nodes into an order in which values are written before they are read, where they are not.
    ///
    /// # Errors
    /// Names the value or node that is wrong.
    pub fn validate(&mut self) -> Result<(), GraphError> {
        self.validate_within(&HashSet::new())
    }

    fn validate_within(&mut self, around: &HashSet<String>) -> Result<(), GraphError> {
        let mut defined = around.clone();
        for name in self.definitions() {
            if !defined.insert(name.to_owned()) {
                return Err(GraphError::value(name, "it is defined more than once"));
            }
        }
        let mut names = HashSet::new();
        for node in &self.nodes {
            if !names.insert(node.name.as_str()) {
                return Err(GraphError::node(node, "another node has the same name"));
            }
            if node.outputs.is_empty() {
                return Err(GraphError::node(node, "it writes no value"));
            }
            if let Some(name) = node
                .inputs
                .iter()
                .find(|i| !i.is_empty() && !defined.contains(*i))
            {
                return Err(GraphError::node(
                    node,
                    format!("it reads `{name}`, which nothing defines"),
                ));
            }
        }
        if let Some(o) = self.outputs.iter().find(|o| !defined.contains(&o.name)) {
            return Err(GraphError::value(
                &o.name,
                "it is an output that nothing writes",
            ));
        }
        for node in &mut self.nodes {
            (node.subgraphs_mut()).try_for_each(|g| g.validate_within(&defined))?;
        }
        for function in &mut self.functions {
            function.body.validate()?;
        }
        self.sort()
    }

    /// Gives values the names that `names` has for them, wherever they stand.
    pub(crate) fn rename(&mut self, names: &HashMap<String, String>) {
        let ports = (self.inputs.iter_mut())
            .chain(&mut self.outputs)
            .chain(&mut self.values);
        for port in ports {
            renamed(&mut port.name, names);
        }
        for node in &mut self.nodes {
            node.rename(names);
        }
    }

    /// Brings nodes into an order in which values are written before they are read, as near as possible to the
    /// order they have.
    ///
    /// # Errors
    /// When nodes read each other's values in a circle, naming one of them.
    pub fn sort(&mut self) -> Result<(), GraphError> {
        let producers = self.producers();
        let mut waits = vec![0usize; self.nodes.len()];
        let mut readers = vec![Vec::new(); self.nodes.len()];
        for (i, node) in self.nodes.iter().enumerate() {
            let sources: BTreeSet<usize> = node
                .reads()
                .iter()
                .filter_map(|name| producers.get(name).copied())
                .collect();
            waits[i] = sources.len();
            for source in sources {
                readers[source].push(i);
            }
        }
        let mut ready: BinaryHeap<Reverse<usize>> = (0..waits.len())
            .filter(|&i| waits[i] == 0)
            .map(Reverse)
            .collect();
        let mut order = Vec::with_capacity(waits.len());
        while let Some(Reverse(i)) = ready.pop() {
            order.push(i);
            for &reader in &readers[i] {
                waits[reader] -= 1;
                if waits[reader] == 0 {
                    ready.push(Reverse(reader));
                }
            }
        }
        if let Some(i) = (0..waits.len()).find(|&i| waits[i] > 0) {
            return Err(GraphError::node(
                &self.nodes[i],
                "it waits for its own output (a cycle)",
            ));
        }
        if !order.is_sorted() {
            let mut nodes: Vec<_> = std::mem::take(&mut self.nodes)
                .into_iter()
                .map(Some)
                .collect();
            self.nodes = order.into_iter().filter_map(|i| nodes[i].take()).collect();
        }
        Ok(())
    }

    /// Names of the nodes and weights that no output needs, nodes first.
    pub fn unused(&self) -> Vec<String> {
        let mut used = self.clone();
        used.prune_unused();
        let kept: HashSet<&str> = used.nodes.iter().map(|n| n.name.as_str()).collect();
        let nodes = self.nodes.iter().map(|n| &n.name);
        let weights = self.weights.keys();
        (nodes.filter(|name| !kept.contains(name.as_str())))
            .chain(weights.filter(|name| !used.weights.contains_key(*name)))
            .cloned()
            .collect()
    }

    /// Removes the nodes whose values nothing needs, and then the weights that nothing reads.
    pub fn prune_unused(&mut self) {
        let mut live: HashSet<String> = self.outputs.iter().map(|o| o.name.clone()).collect();
        let mut keep = vec![false; self.nodes.len()];
        for (i, node) in self.nodes.iter().enumerate().rev() {
            if node.outputs.iter().any(|o| live.contains(o)) {
                keep[i] = true;
                live.extend(node.reads().into_iter().map(str::to_owned));
            }
        }
        let mut keep = keep.into_iter();
        self.nodes.retain(|_| keep.next().unwrap_or(true));
        self.weights.retain(|name, _| live.contains(name));
        self.stands_for.retain(|name, _| live.contains(name));
        self.kept_as.retain(|name, _| live.contains(name));
    }
}

fn renamed(name: &mut String, names: &HashMap<String, String>) {
    if let Some(other) = names.get(name.as_str()) {
        name.clone_from(other);
    }
}

/// A name made of `stem` that is not among `taken`; it is added to them.
pub fn fresh_name(taken: &mut HashSet<String>, stem: &str) -> String {
    let mut name = stem.to_owned();
    let mut n = 1;
    while !taken.insert(name.clone()) {
        n += 1;
        name = format!("{stem}_{n}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, inputs: &[&str], outputs: &[&str]) -> Node {
        Node {
            name: name.into(),
            op: crate::ops::ADD.name.into(),
            inputs: inputs.iter().map(|s| s.to_string()).collect(),
            outputs: outputs.iter().map(|s| s.to_string()).collect(),
            ..Node::default()
        }
    }

    fn graph(nodes: Vec<Node>) -> Graph {
        let port = |name: &str| ValueInfo {
            name: name.into(),
            dtype: DType::F32,
            shape: None,
        };
        Graph {
            nodes,
            inputs: vec![port("x")],
            outputs: vec![port("y")],
            ..Graph::default()
        }
    }

    #[test]
    fn nodes_out_of_order_are_sorted() {
        let mut g = graph(vec![
            node("b", &["h", "x"], &["y"]),
            node("a", &["x", "x"], &["h"]),
        ]);
        g.validate().unwrap();
        assert_eq!(g.nodes[0].name, "a");
    }

    #[test]
    fn wrong_graphs_are_named() {
        let cases = [
            (
                vec![node("a", &["x", "z"], &["y"])],
                "`z`, which nothing defines",
            ),
            (vec![node("a", &["x", "h"], &["y", "h"])], "cycle"),
            (
                vec![node("a", &["x"], &["y"]), node("b", &["x"], &["y"])],
                "more than once",
            ),
            (
                vec![node("a", &["x"], &["h"])],
                "output that nothing writes",
            ),
            (
                vec![node("a", &["x"], &["y"]), node("a", &["x"], &["h"])],
                "same name",
            ),
        ];
        for (nodes, text) in cases {
            let error = graph(nodes).validate().unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_subgraph_reads_from_the_graph_around_it() {
        let mut inner = graph(vec![node("in", &["h", "h"], &["z"])]);
        inner.inputs.clear();
        inner.outputs[0].name = "z".into();
        let mut outer = node("if", &["x"], &["y"]);
        outer
            .attributes
            .insert("then_branch".into(), Attribute::Graph(Box::new(inner)));
        assert_eq!(outer.reads(), ["x", "h"]);
        let mut g = graph(vec![outer, node("a", &["x", "x"], &["h"])]);
        g.validate().unwrap();
        assert_eq!(g.nodes[0].name, "a");
    }
}
