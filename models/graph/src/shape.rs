//! Shape inference: the extents of every value for a given number of samples, as far as they follow from the graph.

use std::collections::HashMap;

use lapidary_core::model::Dim;
use lapidary_core::tensor::{Dense, Tensor};
use ndarray::{ArrayD, IxDyn};

use crate::graph::{Graph, Node, ValueInfo};
use crate::ops;

/// Values of integer tensors are followed up to this many elements: they are shapes, axes and indices.
pub(crate) const MOST_INTS: usize = 1024;

/// An extent of each axis, where known.
pub(crate) type Extents = Vec<Option<usize>>;

/// Elements of a small integer tensor in row-major order, each where known: graphs compute shapes, axes and indices with
/// them.
pub(crate) type Ints = Vec<Option<i64>>;

/// What is known of a value.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Fact {
    /// Extents; `None` where even the rank is unknown.
    pub shape: Option<Extents>,
    /// Elements of a small integer tensor.
    pub ints: Option<Ints>,
    /// Elements of a small constant of floats.
    pub floats: Option<Vec<f32>>,
}

impl Fact {
    pub fn shaped(shape: Extents) -> Self {
        Self {
            shape: Some(shape),
            ..Self::default()
        }
    }

    /// What is known of a constant.
    pub fn of(dense: &Dense) -> Self {
        let ints: Option<Vec<i64>> = match dense {
            _ if dense.len() > MOST_INTS => None,
            Dense::I64(a) => Some(a.iter().copied().collect()),
            Dense::I32(a) => Some(a.iter().map(|&v| v.into()).collect()),
            Dense::Bool(a) => Some(a.iter().map(|&v| v.into()).collect()),
            _ => None,
        };
        Self {
            shape: Some(dense.shape().iter().map(|&d| Some(d)).collect()),
            ints: ints.map(|list| list.into_iter().map(Some).collect()),
            floats: (dense.len() <= MOST_INTS)
                .then(|| dense.to_f32())
                .flatten()
                .map(|a| a.iter().copied().collect()),
        }
    }
}

/// What is known of every value of a graph.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shapes {
    facts: HashMap<String, Fact>,
    /// Version of the standard operator set.
    opset: i64,
}

impl Shapes {
    /// Nothing yet, of a graph in this version of the standard operator set.
    pub fn of_opset(opset: i64) -> Self {
        Self {
            opset,
            ..Self::default()
        }
    }

    /// Follows the graph from its inputs, whose first axis, where it is not fixed, takes `samples`.
    pub fn infer(graph: &Graph, samples: usize) -> Self {
        Self::within(graph, samples, &Self::of_opset(graph.opset()))
    }

    /// As [`Shapes::infer`], each further open extent of an input taking a number of its own from `others` on: what follows of
    /// several such numbers alike does not depend on them.
    pub fn supposing(graph: &Graph, samples: usize, others: usize) -> Self {
        let mut graph = graph.clone();
        let mut named: HashMap<String, usize> = HashMap::new();
        // A step that halving and doubling again keeps whole.
        let mut next = (others..).step_by(32);
        for input in &mut graph.inputs {
            for dim in input.shape.iter_mut().flatten().skip(1) {
                let Dim::Symbol(name) = dim else { continue };
                let n = match named.get(name) {
                    Some(n) => *n,
                    None => next.next().unwrap_or(others),
                };
                if !name.is_empty() {
                    named.insert(name.clone(), n);
                }
                *dim = Dim::Fixed(n);
            }
        }
        Self::infer(&graph, samples)
    }

    /// As [`Shapes::infer`], for a graph that may read what the graph `around` it gives.
    pub fn within(graph: &Graph, samples: usize, around: &Self) -> Self {
        let mut shapes = around.clone();
        // The inputs of a graph within a node are no samples.
        let is_inner = !around.facts.is_empty();
        let mut symbols = HashMap::new();
        for input in &graph.inputs {
            if let Some(Dim::Symbol(name)) = input.shape.as_ref().and_then(|s| s.first())
                && !name.is_empty()
                && !is_inner
            {
                symbols.insert(name.as_str(), samples);
            }
        }
        let declared = |v: &ValueInfo| -> Option<Extents> {
            let dim = |d: &Dim| match d {
                Dim::Fixed(n) => Some(*n),
                Dim::Symbol(name) => symbols.get(name.as_str()).copied(),
            };
            v.shape.as_ref().map(|s| s.iter().map(dim).collect())
        };
        for input in &graph.inputs {
            let mut shape = declared(input);
            if let Some(first @ None) = shape.as_mut().and_then(|s| s.first_mut())
                && !is_inner
            {
                *first = Some(samples);
            }
            let fact = Fact {
                shape,
                ..Fact::default()
            };
            shapes.facts.insert(input.name.clone(), fact);
        }
        for (name, weight) in &graph.weights {
            let fact = match weight.as_ref() {
                Tensor::Dense(dense) => Fact::of(dense),
                other => Fact::shaped(other.shape().iter().map(|&d| Some(d)).collect()),
            };
            shapes.facts.insert(name.clone(), fact);
        }
        let said: HashMap<&str, Extents> = (graph.values.iter().chain(&graph.outputs))
            .filter_map(|v| Some((v.name.as_str(), declared(v)?)))
            .collect();
        for node in &graph.nodes {
            let mut facts = shapes.outputs(node);
            facts.resize(node.outputs.len(), Fact::default());
            for (name, mut fact) in node.outputs.iter().zip(facts) {
                if let Some(said) = said.get(name.as_str()) {
                    fill(&mut fact.shape, said);
                }
                shapes.facts.insert(name.clone(), fact);
            }
        }
        shapes
    }

    /// What is known of the value `name`.
    pub fn fact(&self, name: &str) -> Fact {
        self.facts.get(name).cloned().unwrap_or_default()
    }

    /// Version of the standard operator set.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// The elements of a constant of floats.
    pub fn floats(&self, name: &str) -> Option<Vec<f32>> {
        self.facts.get(name)?.floats.clone()
    }

    /// Takes over what is known of a value that stands for another.
    pub fn learn(&mut self, name: &str, fact: Fact) {
        self.facts.insert(name.to_owned(), fact);
    }

    /// The extents of the value `name`, where its rank is known.
    pub fn shape(&self, name: &str) -> Option<&[Option<usize>]> {
        self.facts.get(name)?.shape.as_deref()
    }

    /// The extents of the value `name`, where all are known.
    pub fn known(&self, name: &str) -> Option<Vec<usize>> {
        self.shape(name)?.iter().copied().collect()
    }

    /// The first node whose inputs do not fit each other, with what is wrong.
    pub fn misfit<'g>(&self, graph: &'g Graph) -> Option<(&'g Node, String)> {
        graph.nodes.iter().find_map(|node| {
            let operator = ops::find(node)?;
            let inputs: Vec<Fact> = node.inputs.iter().map(|name| self.fact(name)).collect();
            let reason = (operator.misfit)(&self.known_at(node, &inputs))?;
            Some((node, reason))
        })
    }

    fn known_at<'a>(&self, node: &'a Node, inputs: &'a [Fact]) -> Known<'a> {
        Known {
            node,
            inputs,
            opset: self.opset,
        }
    }

    /// What is known of the outputs of `node`; fewer where nothing is known of the rest.
    fn outputs(&self, node: &Node) -> Vec<Fact> {
        let Some(operator) = ops::find(node) else {
            return Vec::new();
        };
        let inputs: Vec<Fact> = node.inputs.iter().map(|name| self.fact(name)).collect();
        let known = self.known_at(node, &inputs);
        let shape = (operator.shape)(&known);
        // Element by element means nothing where the shapes do not say the same count.
        let count = shape.as_deref().and_then(volume);
        let ints = (operator.ints)(&known)
            .filter(|list| list.len() <= MOST_INTS && count.is_none_or(|n| n == list.len()));
        let mut facts = vec![Fact {
            shape,
            ints,
            floats: None,
        }];
        if node.outputs.len() > 1 {
            let others = (operator.other_shapes)(&known).unwrap_or_default();
            facts.extend(others.into_iter().map(Fact::shaped));
        }
        facts
    }
}

/// Fills what inference left open with what the file says.
fn fill(shape: &mut Option<Extents>, said: &[Option<usize>]) {
    match shape {
        None => *shape = Some(said.to_vec()),
        Some(known) if known.len() == said.len() => {
            for (k, s) in known.iter_mut().zip(said) {
                *k = k.or(*s);
            }
        }
        Some(_) => {}
    }
}

/// A node with what is known of its inputs: what an operator's shape rule goes by.
pub(crate) struct Known<'a> {
    pub node: &'a Node,
    inputs: &'a [Fact],
    opset: i64,
}

impl Known<'_> {
    /// Number of inputs, omitted ones between others included.
    pub fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// Version of the standard operator set.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// Extents of input `i`, where its rank is known.
    pub fn shape(&self, i: usize) -> Option<&Extents> {
        self.inputs.get(i)?.shape.as_ref()
    }

    /// Whether input `i` is given.
    pub fn given(&self, i: usize) -> bool {
        self.node.input(i).is_some()
    }

    /// The elements of an integer input, each where known.
    pub fn partial(&self, i: usize) -> Option<&Ints> {
        self.inputs.get(i)?.ints.as_ref()
    }

    /// All elements of an integer input, where all are known.
    pub fn ints(&self, i: usize) -> Option<Vec<i64>> {
        self.partial(i)?.iter().copied().collect()
    }

    /// The elements of a constant float input.
    pub fn floats(&self, i: usize) -> Option<Vec<f32>> {
        self.inputs.get(i)?.floats.clone()
    }

    /// A list that older operator sets have as the attribute `name` and newer ones as input `i`.
    pub fn list(&self, name: &str, i: usize) -> Option<Vec<i64>> {
        match self.node.ints(name) {
            Some(list) => Some(list.to_vec()),
            None => self.ints(i),
        }
    }

    /// The integers of input 0 in their shape, where both are known.
    pub fn array(&self) -> Option<ArrayD<Option<i64>>> {
        let shape: Vec<usize> = self.shape(0)?.iter().copied().collect::<Option<_>>()?;
        let list = self.partial(0)?.clone();
        ArrayD::from_shape_vec(IxDyn(&shape), list).ok()
    }
}

/// The shape of input 0.
pub(crate) fn same(known: &Known<'_>) -> Option<Extents> {
    known.shape(0).cloned()
}

/// The integers of input 0, whatever its shape becomes.
pub(crate) fn same_ints(known: &Known<'_>) -> Option<Ints> {
    known.partial(0).cloned()
}

/// The shape of all inputs combined element by element.
pub(crate) fn joined(known: &Known<'_>) -> Option<Extents> {
    let shapes: Option<Vec<_>> = (0..known.inputs()).map(|i| known.shape(i)).collect();
    Some(combined(&shapes?))
}

/// The shape of values combined element by element.
pub(crate) fn combined(shapes: &[&Extents]) -> Extents {
    let rank = shapes.iter().map(|s| s.len()).max().unwrap_or(0);
    (0..rank)
        .map(|i| {
            let extents: Vec<Option<usize>> = (shapes.iter())
                .filter_map(|s| (i + s.len()).checked_sub(rank).map(|at| s[at]))
                .collect();
            match extents.iter().flatten().find(|&&d| d != 1) {
                Some(&d) => Some(d),
                None if extents.iter().all(Option::is_some) => Some(1),
                None => None,
            }
        })
        .collect()
}

/// An axis counted from the front, where it is one of `rank` axes.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(axis).ok().filter(|&a| a < rank)
}

/// Axes counted from the front, where all are among `rank` axes.
pub(crate) fn axes_of(axes: &[i64], rank: usize) -> Option<Vec<usize>> {
    axes.iter().map(|&axis| axis_of(axis, rank)).collect()
}

/// The number of elements, where all extents are known.
pub(crate) fn volume(shape: &[Option<usize>]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, d| n.checked_mul((*d)?))
}

/// A number as an extent, where it can be one.
pub(crate) fn extent(v: i64) -> Option<usize> {
    usize::try_from(v).ok()
}
