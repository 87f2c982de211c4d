//! Bringing a graph to a newer version of the standard operator set.
//!
//! Most operators only took further element types or further attributes over the versions; a node of theirs means the
//! same in a newer set. Those whose definition changed say how a node is rewritten, or that it cannot be.
//! Versions are those of the ONNX operator changelog.

use std::collections::HashSet;
use std::sync::Arc;

use lapidary_core::tensor::{Dense, array};

use crate::error::GraphError;
use crate::graph::{Attribute, Function, Graph, Node, fresh_name};
use crate::ops::{self, Operator};
use crate::shape::Shapes;
use crate::types;

/// The oldest version of the standard operator set that is run and changed as it is.
const OLDEST_OPSET: i64 = 9;

/// The newest version of the standard operator set that is known.
pub const NEWEST_OPSET: i64 = 28;

/// The oldest version that conversion leads to.
const OLDEST_TARGET: i64 = 13;

/// The newest version that conversion leads to.
const NEWEST_TARGET: i64 = 21;

/// The graph in version `target` (13 to 21) of the standard operator set, or as it is where its version is that new; its
/// functions with it.
///
/// # Errors
/// When an operator's definition changed in a way that cannot be written in the newer version, naming the node.
pub fn convert(graph: &Graph, target: i64) -> Result<Graph, GraphError> {
    let from = graph.opset();
    let to = if from >= target {
        from
    } else {
        target.max(OLDEST_TARGET)
    };
    let older = |f: &Function| f.body.opsets.get("").is_some_and(|&v| v < to);
    if from >= to && !graph.functions.iter().any(older) {
        return Ok(graph.clone());
    }
    if to > NEWEST_TARGET {
        // Functions of an older version mean the same in a newer one, but for nodes that changed: checked on writing.
        if from >= to {
            return Ok(graph.clone());
        }
        return Err(GraphError::Opset {
            found: from,
            wanted: format!("graphs are brought to versions up to {NEWEST_TARGET}, not to {to}"),
        });
    }
    let mut graph = graph.clone();
    let around = Around {
        shapes: Shapes::of_opset(from),
        types: types::Known::new(),
    };
    let seen = types::infer(&graph, &around.types);
    for i in 0..graph.functions.len() {
        let function = &graph.functions[i];
        let from = function.body.opset();
        if !older(function) || from >= to {
            continue;
        }
        let mut body = function.body.clone();
        let around = Around {
            shapes: Shapes::of_opset(from),
            types: given_types(&graph, function, &seen),
        };
        let mut taken = body.names();
        rewrite(&mut body, (from, to), &around, &mut taken)?;
        body.opsets.insert(String::new(), to);
        graph.functions[i].body = body;
    }
    if from < to {
        let mut taken = graph.names();
        rewrite(&mut graph, (from, to), &around, &mut taken)?;
        graph.opsets.insert(String::new(), to);
    }
    Ok(graph)
}

/// The element types of a function's inputs, as far as all calls of it give the same.
fn given_types(graph: &Graph, function: &Function, seen: &types::Known) -> types::Known {
    let calls = || {
        let called = |node: &&Node| node.op == function.name && node.domain == function.domain;
        graph.nodes.iter().filter(called)
    };
    let inputs = function.body.inputs.iter().enumerate();
    (inputs.filter_map(|(i, input)| {
        let mut all = calls().map(|call| seen.get(call.input(i)?).copied());
        let first = all.next()??;
        all.all(|other| other == Some(first))
            .then(|| (input.name.clone(), first))
    }))
    .collect()
}

/// Refuses a graph in an operator set that is too old to be run or changed; one without nodes of the standard set needs none.
///
/// # Errors
/// [`GraphError::Opset`] with the version found and what keeps the graph from being brought to a newer one.
pub fn check_opset(graph: &Graph) -> Result<(), GraphError> {
    let found = graph.opset();
    if found < OLDEST_OPSET && graph.nodes.iter().any(Node::is_standard) {
        let why = match convert(graph, OLDEST_TARGET) {
            Err(GraphError::Node { node, op, .. }) => {
                format!(", and node `{node}` ({op}) keeps the graph from being brought there")
            }
            _ => String::new(),
        };
        return Err(GraphError::Opset {
            found,
            wanted: format!("{OLDEST_OPSET} or newer is needed{why}"),
        });
    }
    Ok(())
}

/// Brings a graph that was read from an operator set that nothing else knows to one that is known, where that can be; refuses
/// one that is newer than all that is known.
///
/// # Errors
/// [`GraphError::Opset`] with the version found and the newest that is known.
pub fn known(graph: Graph) -> Result<Graph, GraphError> {
    let bodies = graph.functions.iter().map(|f| f.body.opset());
    let found = bodies.chain([graph.opset()]).max().unwrap_or(0);
    if found > NEWEST_OPSET {
        return Err(GraphError::Opset {
            found,
            wanted: format!("versions up to {NEWEST_OPSET} are known"),
        });
    }
    if graph.opset() >= OLDEST_OPSET || !graph.nodes.iter().any(Node::is_standard) {
        return Ok(graph);
    }
    Ok(convert(&graph, OLDEST_TARGET).unwrap_or(graph))
}

/// How nodes of an operator are brought over a version in which its meaning changed.
#[derive(Debug)]
pub(crate) struct Change {
    /// The version of the operator set.
    pub version: i64,
    /// Rewrites a node.
    pub rewrite: fn(&mut Rewriting<'_>, &mut Node) -> Result<(), GraphError>,
}

/// What is known of the values around a graph.
struct Around {
    shapes: Shapes,
    types: types::Known,
}

/// Brings the nodes of `graph` and of the graphs in it from one version to another.
fn rewrite(
    graph: &mut Graph,
    (from, to): (i64, i64),
    around: &Around,
    taken: &mut HashSet<String>,
) -> Result<(), GraphError> {
    let here = Around {
        shapes: Shapes::within(graph, 1, &around.shapes),
        types: types::infer(graph, &around.types),
    };
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for mut node in std::mem::take(&mut graph.nodes) {
        for inner in node.subgraphs_mut() {
            rewrite(inner, (from, to), &here, taken)?;
        }
        if from < 6 {
            node.attributes.remove("consumed_inputs");
        }
        let changes = ops::find(&node).map_or(&[][..], |operator| operator.changes);
        let mut rewriting = Rewriting {
            versions: (from, to),
            version: 0,
            graph,
            shapes: &here.shapes,
            types: &here.types,
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
    types: &'a types::Known,
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
        match node.attributes.remove(name) {
            Some(Attribute::Ints(list)) => self.set_input(node, name, index, list),
            Some(given @ Attribute::Reference { .. }) => {
                self.set_given(node, "value_ints", index, given);
            }
            _ => {}
        }
    }

    /// Turns the number attribute `name` into input `index`.
    pub fn float_to_input(&mut self, node: &mut Node, name: &str, index: usize) {
        match node.attributes.remove(name) {
            Some(Attribute::Float(v)) => {
                let scalar = Dense::F32(array(&[], vec![v]).expect("one element"));
                self.set_constant(node, name, index, scalar);
            }
            Some(given @ Attribute::Reference { .. }) => {
                self.set_given(node, "value_float", index, given);
            }
            _ => {}
        }
    }

    /// Makes input `index` what a function's call gives, through a `Constant` node whose attribute `form` it is.
    fn set_given(&mut self, node: &mut Node, form: &str, index: usize, given: Attribute) {
        let mut constant = self.beside(node, &ops::CONSTANT, Vec::new());
        constant.attributes.insert(form.to_owned(), given);
        set(node, index, constant.name.clone());
        self.before.push(constant);
    }

    /// Turns the number attribute `name` into input `index`, of the element type of input 0.
    pub fn number_to_input(
        &mut self,
        node: &mut Node,
        name: &str,
        index: usize,
    ) -> Result<(), GraphError> {
        let v = match node.attributes.remove(name) {
            Some(Attribute::Float(v)) => v,
            Some(given @ Attribute::Reference { .. }) if self.versions.1 >= 15 => {
                self.set_given(node, "value_float", index, given);
                self.cast_like_data(node, index);
                return Ok(());
            }
            Some(Attribute::Reference { .. }) => return Err(self.refusal(node)),
            _ => return Ok(()),
        };
        let x = node.input(0).map(str::to_owned);
        let dtype = x.as_ref().and_then(|x| self.types.get(x)).copied();
        let number = |dtype| Dense::floats(dtype, &[], [f64::from(v)].into_iter()).ok();
        if let Some(scalar) = dtype.and_then(number) {
            self.set_constant(node, name, index, scalar);
            return Ok(());
        }
        // `CastLike` came with version 15.
        if x.is_none() || dtype.is_some() || self.versions.1 < 15 {
            return Err(self.refusal(node));
        }
        let scalar = Dense::F32(array(&[], vec![v]).expect("one element"));
        self.set_constant(node, name, index, scalar);
        self.cast_like_data(node, index);
        Ok(())
    }

    /// Casts input `index` to the element type of input 0, whatever that is.
    fn cast_like_data(&mut self, node: &mut Node, index: usize) {
        let inputs = vec![node.inputs[index].clone(), node.inputs[0].clone()];
        let cast = self.beside(node, &ops::CAST_LIKE, inputs);
        node.inputs[index].clone_from(&cast.name);
        self.before.push(cast);
    }

    /// Makes a new constant list input `index`.
    pub fn set_input(&mut self, node: &mut Node, name: &str, index: usize, list: Vec<i64>) {
        let list = Dense::I64(array(&[list.len()], list).expect("one axis of its length"));
        self.set_constant(node, name, index, list);
    }

    /// Makes a new constant input `index`.
    pub fn set_constant(&mut self, node: &mut Node, name: &str, index: usize, value: Dense) {
        let constant = fresh_name(self.taken, &format!("{}_{name}", node.name));
        self.constants.push((constant.clone(), value));
        set(node, index, constant);
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

/// Makes `name` input `index` of a node.
fn set(node: &mut Node, index: usize, name: String) {
    if node.inputs.len() <= index {
        node.inputs.resize(index + 1, String::new());
    }
    node.inputs[index] = name;
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
    fn numbers_that_become_inputs_have_the_type_of_the_data() {
        for dtype in [DType::F64, DType::F16, DType::F32] {
            let mut b = GraphBuilder::new("g");
            let x = b.input("x", dtype, &[4]);
            let pads = [("pads", [0, 0, 0, 1].into()), ("value", 0.25f32.into())];
            let y = b.node("Pad", "pad", &[&x], pads);
            let y = b.node("Clip", "clip", &[&y], [("min", 0.0f32.into())]);
            b.output(&y, dtype, &[5]);
            let new = convert(&b.finish(10).unwrap(), 13).unwrap();
            for name in ["pad_value", "clip_min"] {
                assert_eq!(new.weight(name).unwrap().as_dense().unwrap().dtype(), dtype);
            }
            crate::check::check(&new).unwrap();
        }
    }

    #[test]
    fn bodies_of_functions_and_branches_come_along() {
        let mean = |b: &mut GraphBuilder, x: &str| {
            b.node("ReduceMean", "mean", &[x], [("axes", [-1].into())])
        };
        let mut body = GraphBuilder::new("body");
        let x = body.input("x", DType::F64, &[4]);
        let y = mean(&mut body, &x);
        let y = body.node("Clip", "clip", &[&y], [("max", 6.0f32.into())]);
        body.output(&y, DType::F64, &[1]);
        let mut body = body.finish(10).unwrap();
        for port in body.inputs.iter_mut().chain(&mut body.outputs) {
            (port.dtype, port.shape) = (DType::Other(0), None);
        }
        let mut branch = GraphBuilder::new("branch");
        let x = branch.input("x", DType::F64, &[4]);
        let y = mean(&mut branch, &x);
        branch.output(&y, DType::F64, &[1]);
        let mut branch = branch.finish(10).unwrap();
        branch.inputs.clear();
        branch.opsets.clear();
        branch.nodes[0].name = "inner".into();
        branch.nodes[0].outputs[0] = "inner".into();
        branch.outputs[0].name = "inner".into();
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F64, &[4]);
        let go = b.input("go", DType::Bool, &[]);
        let y = b.node("Own", "call", &[&x], []);
        let graph = || Attribute::Graph(Box::new(branch.clone()));
        let z = b.node(
            "If",
            "if",
            &[&go],
            [("then_branch", graph()), ("else_branch", graph())],
        );
        b.output(&y, DType::F64, &[1]);
        b.output(&z, DType::F64, &[1]);
        let mut graph = b.finish(10).unwrap();
        graph.nodes[0].domain = "own".into();
        graph.functions.push(Function {
            domain: "own".into(),
            name: "Own".into(),
            body,
            ..Function::default()
        });
        let new = convert(&graph, 21).unwrap();
        let body = &new.functions[0].body;
        assert_eq!((new.opset(), body.opset()), (21, 21));
        assert_eq!(body.nodes[0].inputs, ["x", "mean_axes"]);
        let limit = body.weight("clip_max").unwrap().as_dense().unwrap();
        assert_eq!(limit.dtype(), DType::F64);
        let inner = new.nodes[1].subgraph("then_branch").unwrap();
        assert_eq!(inner.nodes[0].inputs.len(), 2);
        assert!(crate::check::check(&new).is_ok());
        // A body left behind would be found.
        let mut half = new.clone();
        half.functions = graph.functions.clone();
        let error = crate::check::check(&half).unwrap_err().to_string();
        assert!(error.contains("`mean`") && error.contains("Own"), "{error}");
    }

    #[test]
    fn what_is_older_than_all_that_is_run_is_brought_there() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, &[3, 4, 5]);
        let bias = b.weight("bias", Dense::f32(&[3], vec![1.0; 3]).unwrap());
        let axis = [("axis", 1.into()), ("broadcast", 1.into())];
        let y = b.node("Add", "add", &[&x, &bias], axis);
        let slope = b.weight("slope", Dense::f32(&[3], vec![0.1; 3]).unwrap());
        let y = b.node("PRelu", "prelu", &[&y, &slope], []);
        let y = b.node("Dropout", "drop", &[&y], [("is_test", 1.into())]);
        let scales = Attribute::Floats(vec![1.0, 1.0, 2.0, 2.0]);
        let y = b.node("Upsample", "up", &[&y], [("scales", scales)]);
        b.output(&y, DType::F32, &[3, 8, 10]);
        let old = b.finish(6).unwrap();
        assert!(check_opset(&old).is_err());
        let new = known(old).unwrap();
        assert_eq!(new.opset(), 13);
        let shapes = Shapes::infer(&new, 1);
        let wide = &new.nodes[new.position("add").unwrap()].inputs[1];
        assert_eq!(shapes.known(wide).unwrap(), [3, 1, 1]);
        assert_eq!(shapes.known("up").unwrap(), [1, 3, 8, 10]);
        let mut new = new;
        new.validate().unwrap();

        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, &[4]);
        let y = b.node("Relu", "y", &[&x], []);
        b.output(&y, DType::F32, &[4]);
        let error = known(b.finish(99).unwrap()).unwrap_err().to_string();
        assert!(error.contains("99") && error.contains("28"), "{error}");
    }

    #[test]
    fn one_number_for_a_group_becomes_one_for_a_channel() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, &[4, 5, 5]);
        let scale = b.weight("scale", Dense::f32(&[2], vec![1.0, 3.0]).unwrap());
        let shift = b.weight("shift", Dense::f32(&[2], vec![0.0, -1.0]).unwrap());
        let groups = [("num_groups", 2.into())];
        let y = b.node("GroupNormalization", "norm", &[&x, &scale, &shift], groups);
        b.output(&y, DType::F32, &[4, 5, 5]);
        let new = convert(&b.finish(18).unwrap(), 21).unwrap();
        let scale = new
            .weight(&new.nodes[0].inputs[1])
            .unwrap()
            .to_f32()
            .unwrap();
        assert_eq!(
            scale.iter().copied().collect::<Vec<_>>(),
            [1.0, 1.0, 3.0, 3.0]
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
