//! Functions of a model's own, written out where they are called.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::graph::{Attribute, Function, Graph, Node, fresh_name};
use crate::opset::convert;

/// The most nodes that a graph is written out to: functions that call each other twice grow without bound.
const MOST_NODES: usize = 1 << 20;

/// The graph with the nodes of each function in place of the calls of it; one that calls none is taken as it is. A call that
/// cannot be written out (the function calls itself, or is in another operator set) stays.
pub fn inlined(graph: &Graph) -> Cow<'_, Graph> {
    match written_out(graph) {
        Some((graph, _)) => Cow::Owned(graph),
        None => Cow::Borrowed(graph),
    }
}

/// The graph with its functions written out, and for each of its nodes the position of the node it came from; `None` where
/// it has no functions.
pub(crate) fn written_out(graph: &Graph) -> Option<(Graph, Vec<usize>)> {
    if graph.functions.is_empty() {
        return None;
    }
    let mut out = graph.clone();
    let functions = in_one_set(&mut out);
    let mut writer = Writer {
        functions: &functions,
        taken: out.names(),
        count: 0,
    };
    let mut origins = Vec::new();
    let mut nodes = Vec::new();
    for (at, node) in std::mem::take(&mut out.nodes).into_iter().enumerate() {
        writer.expand(node, &mut out, &mut nodes, &mut Vec::new());
        origins.resize(nodes.len(), at);
    }
    out.nodes = nodes;
    Some((out, origins))
}

/// The functions of a graph in its own operator set, which becomes the newest of all of them where that can be.
fn in_one_set(graph: &mut Graph) -> Vec<Function> {
    let newest = (graph.functions.iter().map(|f| f.body.opset()))
        .chain([graph.opset()])
        .max()
        .unwrap_or(0);
    // Conversion names nodes anew; the calls keep their order.
    if let Ok(converted) = convert(graph, newest)
        && converted.nodes.len() == graph.nodes.len()
    {
        *graph = converted;
    }
    let opset = graph.opset();
    (graph.functions.iter())
        .filter(|f| f.body.opset() == opset || !f.body.opsets.contains_key(""))
        .cloned()
        .collect()
}

struct Writer<'a> {
    functions: &'a [Function],
    taken: HashSet<String>,
    count: usize,
}

impl Writer<'_> {
    /// Adds what stands for `node` to `nodes`, and its constants to `graph`; `calls` are those it is within.
    fn expand(
        &mut self,
        mut node: Node,
        graph: &mut Graph,
        nodes: &mut Vec<Node>,
        calls: &mut Vec<(String, String)>,
    ) {
        for inner in node.subgraphs_mut() {
            let mut written = Vec::new();
            for node in std::mem::take(&mut inner.nodes) {
                self.expand(node, inner, &mut written, calls);
            }
            inner.nodes = written;
        }
        let key = (node.domain.clone(), node.op.clone());
        let called = (self.functions.iter()).find(|f| f.domain == key.0 && f.name == key.1);
        let Some(function) = called.filter(|_| !calls.contains(&key) && self.count < MOST_NODES)
        else {
            nodes.push(node);
            return;
        };
        self.count += function.body.nodes.len();
        let names = self.names(function, &node);
        for (name, weight) in &function.body.weights {
            graph.weights.insert(names[name].clone(), weight.clone());
        }
        calls.push(key);
        for inner in &function.body.nodes {
            let mut inner = inner.clone();
            settle(&mut inner, function, &node);
            inner.rename(&names);
            inner.name = fresh_name(&mut self.taken, &format!("{}/{}", node.name, inner.name));
            self.expand(inner, graph, nodes, calls);
        }
        calls.pop();
    }

    /// What the values of a function go by where `node` calls it.
    fn names(&mut self, function: &Function, node: &Node) -> HashMap<String, String> {
        let body = &function.body;
        let mut names = HashMap::new();
        let given = |list: &[String], i: usize| list.get(i).cloned().unwrap_or_default();
        for (i, input) in body.inputs.iter().enumerate() {
            names.insert(input.name.clone(), given(&node.inputs, i));
        }
        for (i, output) in body.outputs.iter().enumerate() {
            let name = given(&node.outputs, i);
            // An output nobody asks for still needs a name.
            if !name.is_empty() {
                names.entry(output.name.clone()).or_insert(name);
            }
        }
        let defined = (body.nodes.iter().flat_map(|n| &n.outputs)).chain(body.weights.keys());
        for name in defined.filter(|name| !name.is_empty()) {
            if !names.contains_key(name) {
                let fresh = fresh_name(&mut self.taken, &format!("{}/{name}", node.name));
                names.insert(name.clone(), fresh);
            }
        }
        names
    }
}

/// Puts what a call gives, or the function's default, for the attributes that `node` takes over from it.
fn settle(node: &mut Node, function: &Function, call: &Node) {
    let settled: BTreeMap<String, Attribute> = std::mem::take(&mut node.attributes)
        .into_iter()
        .filter_map(|(key, value)| match value {
            Attribute::Reference { name, .. } => {
                let given = call.attributes.get(&name);
                Some((key, given.or_else(|| function.defaults.get(&name))?.clone()))
            }
            other => Some((key, other)),
        })
        .collect();
    node.attributes = settled;
    for graph in node.subgraphs_mut() {
        for inner in &mut graph.nodes {
            settle(inner, function, call);
        }
    }
}
