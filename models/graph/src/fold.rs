//! Constants: weights that a graph computes of constants are computed once, on reading.
//!
//! Exporters leave a weight behind a `Transpose`, a `Cast` or the arithmetic of weight normalisation, or in a `Constant` node.
//! What ends as a layer's weight is folded, so that the rest of the house sees a weight; other constants, shapes and
//! masks, stay as they are computed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use lapidary_core::tensor::{DType, Dense, Granularity, Tensor, array};
use ndarray::{ArrayD, IxDyn};

use crate::graph::{Attribute, Graph, Node};
use crate::ops;

/// Of constants that other nodes read too, those with as many elements are not written out a second time.
const LARGE: usize = 1024;

/// The first output of a node with constant inputs; `None` where it cannot be told here.
pub(crate) type Fold = fn(&Constants<'_>) -> Option<Tensor>;

/// A node whose inputs are constants.
pub(crate) struct Constants<'a> {
    pub node: &'a Node,
    graph: &'a Graph,
}

impl Constants<'_> {
    /// Number of inputs, omitted ones between others included.
    pub fn inputs(&self) -> usize {
        self.node.inputs.len()
    }

    pub fn tensor(&self, i: usize) -> Option<&Tensor> {
        self.graph.weight(self.node.input(i)?)
    }

    pub fn dense(&self, i: usize) -> Option<&Dense> {
        self.tensor(i)?.as_dense()
    }

    /// Input `i`, where it holds `f32`.
    pub fn floats(&self, i: usize) -> Option<ArrayD<f32>> {
        Some(self.dense(i)?.as_f32()?.to_owned().into_owned())
    }

    /// The integers of input `i`.
    pub fn ints(&self, i: usize) -> Option<Vec<i64>> {
        match self.dense(i)? {
            Dense::I64(a) => Some(a.iter().copied().collect()),
            Dense::I32(a) => Some(a.iter().map(|&v| v.into()).collect()),
            _ => None,
        }
    }

    /// A list that older operator sets have as the attribute `name` and newer ones as input `i`.
    pub fn list(&self, name: &str, i: usize) -> Option<Vec<i64>> {
        match self.node.ints(name) {
            Some(list) => Some(list.to_vec()),
            None => self.ints(i),
        }
    }
}

/// A function of each element.
pub(crate) fn unary(c: &Constants<'_>, f: fn(f32) -> f32) -> Option<Tensor> {
    Some(Dense::from(c.floats(0)?.mapv(f)).into())
}

/// Two inputs combined element by element.
pub(crate) fn binary(c: &Constants<'_>, f: fn(f32, f32) -> f32) -> Option<Tensor> {
    if c.inputs() != 2 {
        return None;
    }
    let (a, b) = (c.floats(0)?, c.floats(1)?);
    let shape = crate::tape::broadcast(a.shape(), b.shape()).ok()?;
    let (a, b) = (
        a.broadcast(IxDyn(&shape))?.to_owned(),
        b.broadcast(IxDyn(&shape))?.to_owned(),
    );
    Some(Dense::from(ndarray::Zip::from(&a).and(&b).map_collect(|&a, &b| f(a, b))).into())
}

/// The elements of a tensor at other places: `order` gives a tensor of row-major indices, given one in the tensor's shape.
pub(crate) fn moved(
    dense: &Dense,
    order: impl FnOnce(ArrayD<usize>) -> Option<ArrayD<usize>>,
) -> Option<Dense> {
    let indices = ArrayD::from_shape_vec(IxDyn(dense.shape()), (0..dense.len()).collect()).ok()?;
    let order = order(indices)?;
    let flat: Vec<usize> = order.iter().copied().collect();
    let line = dense.reshape(&[dense.len()]).ok()?;
    line.select(0, &flat).ok()?.reshape(order.shape()).ok()
}

/// A view of input 0 under another shape.
pub(crate) fn viewed(
    c: &Constants<'_>,
    shape: impl FnOnce(&[usize]) -> Option<Vec<usize>>,
) -> Option<Tensor> {
    let shape = shape(c.tensor(0)?.shape())?;
    match c.tensor(0)? {
        Tensor::Dense(dense) => Some(dense.reshape(&shape).ok()?.into()),
        Tensor::Quantized(q) if q.granularity == Granularity::Tensor => {
            let mut viewed = q.clone();
            let codes = q.codes.to_shape(IxDyn(&shape)).ok()?;
            viewed.codes = codes.to_shared();
            Some(Tensor::Quantized(viewed))
        }
        Tensor::Quantized(_) => None,
    }
}

/// Makes initialisers of the constants of a graph and of those within it, and of what is computed of constants to be a layer's
/// weight.
pub fn fold(graph: &mut Graph) {
    lift(graph);
    computed(graph);
}

/// Makes initialisers of `Constant` nodes, so that there is one form of constants.
fn lift(graph: &mut Graph) {
    for node in &mut graph.nodes {
        node.subgraphs_mut().for_each(lift);
    }
    for function in &mut graph.functions {
        lift(&mut function.body);
    }
    let outputs: HashSet<String> = graph.outputs.iter().map(|o| o.name.clone()).collect();
    let weights = &mut graph.weights;
    graph.nodes.retain(|node| {
        let value = (node.is(&ops::CONSTANT) && !outputs.contains(&node.outputs[0]))
            .then(|| constant(node))
            .flatten();
        match value {
            Some(dense) => {
                weights.insert(node.outputs[0].clone(), Arc::new(dense.into()));
                false
            }
            None => true,
        }
    });
}

/// The numbers of a `Constant` node.
fn constant(node: &Node) -> Option<Dense> {
    let (_, value) = node.attributes.iter().next()?;
    match value {
        Attribute::Tensor(dense) if dense.is_empty() || dense.dtype() == DType::String => None,
        Attribute::Tensor(dense) => Some(dense.clone()),
        Attribute::Float(v) => Dense::f32(&[], vec![*v]).ok(),
        Attribute::Int(v) => Dense::i64(&[], vec![*v]).ok(),
        Attribute::Floats(list) if !list.is_empty() => Dense::f32(&[list.len()], list.clone()).ok(),
        Attribute::Ints(list) if !list.is_empty() => Dense::i64(&[list.len()], list.clone()).ok(),
        _ => None,
    }
}

/// What tells nodes apart that compute the same of the same values.
type Key = (String, Vec<String>, String);

fn key(node: &Node) -> Key {
    (
        node.op.clone(),
        node.inputs.clone(),
        format!("{:?}", node.attributes),
    )
}

/// Computes the weights that are computed of constants.
fn computed(graph: &mut Graph) {
    let (wanted, light) = wanted(graph);
    let mut aliases: HashMap<String, String> = HashMap::new();
    let mut known: BTreeMap<Key, String> = BTreeMap::new();
    let mut sources = HashSet::new();
    let readers = readers(graph, &wanted);
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for mut node in std::mem::take(&mut graph.nodes) {
        node.rename(&aliases);
        let out = node.outputs[0].clone();
        let alone = node.outputs.iter().skip(1).all(String::is_empty);
        let constant = |name: &String| name.is_empty() || graph.weights.contains_key(name);
        let foldable = alone
            && (wanted.contains(&out) || light.contains(&out))
            && !graph.is_output(&out)
            && node.input(0).is_some()
            && node.inputs.iter().all(constant);
        if !foldable {
            nodes.push(node);
            continue;
        }
        let key = key(&node);
        let same = match node.is(&ops::IDENTITY) {
            true => Some(node.inputs[0].clone()),
            false => known.get(&key).cloned(),
        };
        if let Some(name) = same {
            aliases.insert(out, name);
            continue;
        }
        let large = |name: &String| {
            graph.weight(name).is_some_and(|w| w.len() >= LARGE)
                && readers.get(name).is_some_and(|keys| keys.len() > 1)
        };
        let fold = ops::find(&node).and_then(|operator| operator.fold);
        let tensor = fold
            .filter(|_| !node.inputs.iter().any(large))
            .and_then(|fold| fold(&Constants { node: &node, graph }));
        let Some(tensor) = tensor else {
            nodes.push(node);
            continue;
        };
        note_types(graph, &node, &tensor);
        graph.weights.insert(out.clone(), Arc::new(tensor));
        known.insert(key, out);
        sources.extend(node.inputs);
    }
    graph.nodes = nodes;
    drop_unused(graph, &sources);
}

/// Keeps the types that files have of a weight, through what is folded.
fn note_types(graph: &mut Graph, node: &Node, tensor: &Tensor) {
    let (from, to) = (&node.inputs[0], &node.outputs[0]);
    let cast = node.is(&ops::CAST);
    match tensor {
        Tensor::Quantized(_) => {
            let said = crate::types::numbered(node.int("to", 0)).filter(|_| cast);
            let seen = said.or_else(|| graph.stands_for.get(from).copied());
            if let Some(dtype) = seen.filter(|d| *d != DType::F32) {
                graph.stands_for.insert(to.clone(), dtype);
            }
        }
        Tensor::Dense(dense) => {
            let narrow = |dtype: &DType| dtype.is_float() && dtype.size() < dense.dtype().size();
            let kept = match cast {
                true => graph.weight_type(from),
                false => graph
                    .kept_as
                    .get(from)
                    .copied()
                    .filter(|_| ops::find(node).is_some_and(|o| o.hands_on)),
            };
            if let Some(dtype) = kept.filter(narrow) {
                graph.kept_as.insert(to.clone(), dtype);
            }
        }
    }
}

/// What reads each value, nodes that compute the same counting once. Nodes that only compute a part of a weight go with it where
/// all of it is of constants, and count as one.
fn readers(graph: &Graph, wanted: &HashSet<String>) -> HashMap<String, HashSet<Key>> {
    let mut readers: HashMap<String, HashSet<Key>> = HashMap::new();
    for node in &graph.nodes {
        let part = ops::find(node).is_some_and(|o| o.fold.is_some() && !o.hands_on)
            && wanted.contains(&node.outputs[0]);
        let key = match part {
            true => Key::default(),
            false => key(node),
        };
        for name in node.reads() {
            readers
                .entry(name.to_owned())
                .or_default()
                .insert(key.clone());
        }
    }
    readers
}

/// Names of values that are layers' weights by their place, or parts of them, and of what those are computed of; and of values that
/// are added or multiplied, which are constants in another shape at most.
fn wanted(graph: &Graph) -> (HashSet<String>, HashSet<String>) {
    let mut wanted: HashSet<String> = HashSet::new();
    let mut light: HashSet<String> = HashSet::new();
    for node in graph.nodes.iter().rev() {
        let Some(operator) = ops::find(node) else {
            continue;
        };
        let slots = operator.weights.iter().flat_map(|slots| slots.all);
        let places = slots.chain(operator.codes).filter_map(|&i| node.input(i));
        wanted.extend(places.map(str::to_owned));
        let handed = operator.fold.is_some() && wanted.contains(&node.outputs[0]);
        if handed || node.is(&ops::DEQUANTIZE_LINEAR) {
            wanted.extend(node.inputs.iter().cloned());
        } else if operator.hands_on && light.contains(&node.outputs[0]) {
            light.extend(node.inputs.first().cloned());
        } else if node.is(&ops::ADD) || node.is(&ops::MUL) {
            light.extend(node.inputs.iter().cloned());
        }
        let (out, kept) = (
            &node.outputs[0],
            operator.hands_on && operator.fold.is_some(),
        );
        if !kept {
            light.remove(out);
        }
    }
    (wanted, light)
}

/// Drops the weights among `names` that nothing reads any more.
pub(crate) fn drop_unused(graph: &mut Graph, names: &HashSet<String>) {
    let used: HashSet<String> = (graph.nodes.iter().flat_map(Node::reads).map(str::to_owned))
        .chain(graph.outputs.iter().map(|o| o.name.clone()))
        .collect();
    for name in names.difference(&used) {
        graph.weights.remove(name);
        graph.stands_for.remove(name);
        graph.kept_as.remove(name);
    }
}

/// The elements of input 0 put together along axes, which are kept as single indices where the node says so.
pub(crate) fn reduced(
    c: &Constants<'_>,
    f: fn(&mut dyn Iterator<Item = f64>) -> f64,
) -> Option<Tensor> {
    let x = c.floats(0)?;
    let rank = x.ndim();
    let mut axes: Vec<usize> = match c.list("axes", 1) {
        Some(list) => crate::shape::axes_of(&list, rank)?,
        None if c.node.input(1).is_some() => return None,
        None => Vec::new(),
    };
    if axes.is_empty() {
        if c.node.int("noop_with_empty_axes", 0) != 0 {
            return None;
        }
        axes = (0..rank).collect();
    }
    let keep = c.node.int("keepdims", 1) != 0;
    let kept: Vec<usize> = (0..rank).filter(|i| !axes.contains(i)).collect();
    let order: Vec<usize> = kept.iter().chain(&axes).copied().collect();
    let run: usize = axes.iter().map(|&i| x.shape()[i]).product();
    let shape: Vec<usize> = (0..rank)
        .filter(|i| keep || kept.contains(i))
        .map(|i| if kept.contains(&i) { x.shape()[i] } else { 1 })
        .collect();
    let lines = x.permuted_axes(order).as_standard_layout().into_owned();
    let lines = lines.as_slice()?;
    if run == 0 {
        return None;
    }
    let values = lines
        .chunks_exact(run)
        .map(|line| f(&mut line.iter().map(|&v| f64::from(v))) as f32);
    let values = array(&shape, values.collect()).ok()?;
    Some(Dense::F32(values).into())
}

#[cfg(test)]
mod tests {
    use lapidary_core::tensor::Quantized;

    use super::*;
    use crate::build::GraphBuilder;
    use crate::layers::topology;
    use crate::quantized;

    fn floats(shape: &[usize]) -> Dense {
        let n: usize = shape.iter().product();
        Dense::f32(shape, (0..n).map(|i| i as f32 * 0.5 - 3.0).collect()).unwrap()
    }

    #[test]
    fn weights_behind_other_nodes_are_weights() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, &[3]);
        let w = b.weight("w", floats(&[4, 3]));
        let turned = b.node("Transpose", "turned", &[&w], [("perm", [1, 0].into())]);
        let y = b.node("MatMul", "one", &[&x, &turned], []);
        let v = b.weight("v", floats(&[4, 4]));
        let same = b.node("Identity", "same", &[&v], []);
        let y = b.node("MatMul", "two", &[&y, &same], []);
        let again = b.node("Identity", "again", &[&v], []);
        let y = b.node("MatMul", "three", &[&y, &again], []);
        let half = Dense::floats(DType::F16, &[8], (0..8).map(f64::from)).unwrap();
        let half = b.weight("half", half);
        let cast = b.node("Cast", "cast", &[&half], [("to", 1.into())]);
        let shape = b.weight("shape", Dense::i64(&[2], vec![4, -1]).unwrap());
        let viewed = b.node("Reshape", "viewed", &[&cast, &shape], []);
        let y = b.node("MatMul", "four", &[&y, &viewed], []);
        b.output(&y, DType::F32, &[2]);
        let mut graph = b.finish(17).unwrap();
        fold(&mut graph);
        assert_eq!(graph.nodes.len(), 4);
        let turned = graph.weight("turned").unwrap().as_dense().unwrap();
        assert_eq!(turned.shape(), [3, 4]);
        assert_eq!(turned.as_f32().unwrap()[[1, 0]], -2.5);
        assert_eq!(
            (&*graph.nodes[1].inputs[1], &*graph.nodes[2].inputs[1]),
            ("v", "v")
        );
        assert_eq!(graph.kept_as["viewed"], DType::F16);
        let layers = topology(&graph).layers;
        let sizes: Vec<_> = layers.iter().map(|l| (l.params, l.bytes, l.macs)).collect();
        assert_eq!(
            sizes,
            [
                (12, 48, Some(12)),
                (16, 64, Some(16)),
                (0, 0, Some(16)),
                (8, 16, Some(8))
            ]
        );
    }

    #[test]
    fn the_arithmetic_of_weight_normalisation_is_folded() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, &[1, 2, 2]);
        let v = b.weight(
            "v",
            Dense::f32(&[2, 1, 1, 2], vec![3.0, 4.0, 0.0, 2.0]).unwrap(),
        );
        let g = b.weight("g", Dense::f32(&[2, 1, 1, 1], vec![10.0, 1.0]).unwrap());
        let norm = b.node("ReduceL2", "norm", &[&v], [("axes", [1, 2, 3].into())]);
        let s = b.node("Div", "s", &[&g, &norm], []);
        let w = b.node("Mul", "w", &[&v, &s], []);
        let y = b.node("Conv", "y", &[&x, &w], []);
        b.output(&y, DType::F32, &[2, 2, 1]);
        let mut graph = b.finish(17).unwrap();
        fold(&mut graph);
        let w = graph.weight("w").unwrap().to_f32().unwrap();
        assert_eq!(w.iter().copied().collect::<Vec<_>>(), [6.0, 8.0, 0.0, 1.0]);
        assert_eq!((graph.nodes.len(), graph.weights.len()), (1, 1));
    }

    #[test]
    fn weights_rounded_in_training_are_codes() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, &[2]);
        let w = b.weight(
            "w",
            Dense::f32(&[2, 2], vec![0.9, -1.1, 2.0, 0.24]).unwrap(),
        );
        let scale = b.weight("scale", Dense::f32(&[], vec![0.5]).unwrap());
        let zero = Dense::I8(array(&[], vec![0]).unwrap());
        let zero = b.weight("zero", zero);
        let q = b.node("QuantizeLinear", "q", &[&w, &scale, &zero], []);
        let d = b.node("DequantizeLinear", "d", &[&q, &scale, &zero], []);
        let t = b.node("Transpose", "t", &[&d], []);
        let y = b.node("MatMul", "y", &[&x, &t], []);
        b.output(&y, DType::F32, &[2]);
        let mut graph = b.finish(17).unwrap();
        quantized::fold(&mut graph).unwrap();
        let Some(Tensor::Quantized(Quantized { codes, bits, .. })) = graph.weight("t") else {
            panic!("{:?}", graph.weights);
        };
        assert_eq!(*bits, 8);
        assert_eq!(codes.iter().copied().collect::<Vec<_>>(), [2, 4, -2, 0]);
        assert_eq!(graph.nodes.len(), 1);
    }

    #[test]
    fn a_large_table_that_something_else_reads_is_not_written_twice() {
        let mut b = GraphBuilder::new("g");
        let ids = b.input("ids", DType::I64, &[3]);
        let table = b.weight("table", floats(&[64, 16]));
        let x = b.node("Gather", "words", &[&table, &ids], []);
        let turned = b.node("Transpose", "turned", &[&table], []);
        let y = b.node("MatMul", "y", &[&x, &turned], []);
        b.output(&y, DType::F32, &[3, 64]);
        let mut graph = b.finish(17).unwrap();
        fold(&mut graph);
        assert_eq!(graph.weights.len(), 1);
        assert_eq!(graph.nodes.len(), 3);
    }
}
