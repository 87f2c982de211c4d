//! Element types: those of every value, as far as they follow from the graph.

use std::collections::HashMap;

use lapidary_core::tensor::DType;

use crate::graph::{Graph, Node, ValueInfo};
use crate::ops;

/// Element types of outputs, each where it is known; fewer where nothing is known of the rest.
pub(crate) type Types = Vec<Option<DType>>;

/// Which inputs of a node must be of one element type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Alike {
    /// None are tied.
    No,
    /// All are.
    All,
    /// These are.
    Of(&'static [usize]),
}

impl Alike {
    /// Whether input `i` is one of them.
    pub fn has(self, i: usize) -> bool {
        match self {
            Self::No => false,
            Self::All => true,
            Self::Of(list) => list.contains(&i),
        }
    }
}

/// Element types by the names of values.
pub(crate) type Known = HashMap<String, DType>;

/// A node with the element types of its inputs.
pub(crate) struct Typed<'a> {
    pub node: &'a Node,
    known: &'a Known,
}

impl Typed<'_> {
    /// The element type of input `i`, where it is given and known.
    pub fn input(&self, i: usize) -> Option<DType> {
        self.known.get(self.node.input(i)?).copied()
    }

    /// The element types of what the graph that is the attribute `name` gives.
    pub fn inner(&self, name: &str) -> Types {
        (self.node.subgraph(name)).map_or_else(Vec::new, |body| given(body, self, self.known))
    }

    /// The element type that the attribute `name` says, where the file's number of it is one we know.
    pub fn said(&self, name: &str) -> Option<DType> {
        numbered(self.node.int(name, 0))
    }
}

/// The element type of ONNX's number (`TensorProto.DataType`).
pub(crate) fn numbered(number: i64) -> Option<DType> {
    Some(match number {
        1 => DType::F32,
        2 => DType::U8,
        3 => DType::I8,
        4 => DType::U16,
        5 => DType::I16,
        6 => DType::I32,
        7 => DType::I64,
        8 => DType::String,
        9 => DType::Bool,
        10 => DType::F16,
        11 => DType::F64,
        12 => DType::U32,
        13 => DType::U64,
        16 => DType::BF16,
        _ => return None,
    })
}

/// ONNX's number (`TensorProto.DataType`) of a type of floats.
pub(crate) fn number_of(float: DType) -> i64 {
    match float {
        DType::F16 => 10,
        DType::F64 => 11,
        DType::BF16 => 16,
        _ => 1,
    }
}

/// The element types of the values of `graph`, given those of the graph `around` it.
pub(crate) fn infer(graph: &Graph, around: &Known) -> Known {
    let mut known = around.clone();
    let said = |v: &ValueInfo| (v.dtype != DType::Other(0)).then(|| (v.name.clone(), v.dtype));
    known.extend(graph.inputs.iter().filter_map(said));
    let weights = graph.weights.keys();
    known.extend(weights.filter_map(|name| Some((name.clone(), graph.weight_type(name)?))));
    let declared: Known = (graph.values.iter().chain(&graph.outputs))
        .filter_map(said)
        .collect();
    for node in &graph.nodes {
        let mut types = outputs(graph, node, &known);
        types.resize(node.outputs.len(), None);
        for (name, dtype) in node.outputs.iter().zip(types) {
            if let Some(dtype) = dtype.or_else(|| declared.get(name).copied()) {
                known.insert(name.clone(), dtype);
            }
        }
    }
    known
}

/// The element types of what `node` gives.
fn outputs(graph: &Graph, node: &Node, known: &Known) -> Types {
    let typed = Typed { node, known };
    if let Some(function) = graph.called(node) {
        return given(&function.body, &typed, &Known::new());
    }
    ops::find(node).map_or_else(Vec::new, |operator| (operator.types)(&typed))
}

/// The element types of the outputs of a graph within a node.
fn given(body: &Graph, typed: &Typed<'_>, around: &Known) -> Types {
    let mut known = around.clone();
    for (i, input) in body.inputs.iter().enumerate() {
        if let (DType::Other(0), Some(dtype)) = (input.dtype, typed.input(i)) {
            known.insert(input.name.clone(), dtype);
        }
    }
    let known = infer(body, &known);
    (body.outputs.iter())
        .map(|o| known.get(&o.name).copied())
        .collect()
}
