//! Shape inference: the extents of every value for a given number of samples, as far as they follow from the graph.

mod arrays;
mod ints;
mod ops;

use std::collections::HashMap;

use lapidary_core::model::Dim;
use lapidary_core::tensor::{Dense, Tensor};

use crate::graph::{Attribute, Graph, Node, ValueInfo};

/// Values of integer tensors are followed up to this many elements: they are shapes, axes and indices.
const MOST_INTS: usize = 1024;

/// An extent of each axis, where known.
pub type Extents = Vec<Option<usize>>;

/// What is known of a value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fact {
    /// Extents; `None` where even the rank is unknown.
    pub shape: Option<Extents>,
    /// Elements of a small integer tensor in row-major order, each where known.
    pub ints: Option<Vec<Option<i64>>>,
}

impl Fact {
    pub fn unknown() -> Self {
        Self::default()
    }

    pub fn shaped(shape: Extents) -> Self {
        Self {
            shape: Some(shape),
            ints: None,
        }
    }

    /// What is known of a constant.
    fn of(dense: &Dense) -> Self {
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
        }
    }
}

/// What is known of every value of a graph.
#[derive(Debug, Default)]
pub struct Shapes {
    facts: HashMap<String, Fact>,
}

impl Shapes {
    /// Follows the graph from its inputs, whose first axis, where it is not fixed, takes `samples`.
    pub fn infer(graph: &Graph, samples: usize) -> Self {
        let mut shapes = Self::default();
        let mut symbols = HashMap::new();
        for input in &graph.inputs {
            if let Some(Dim::Symbol(name)) = input.shape.as_ref().and_then(|s| s.first())
                && !name.is_empty()
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
            if let Some(first @ None) = shape.as_mut().and_then(|s| s.first_mut()) {
                *first = Some(samples);
            }
            let fact = Fact { shape, ints: None };
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
            let mut facts = shapes.node(graph, node);
            facts.resize(node.outputs.len(), Fact::unknown());
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

    /// The extents of the value `name`, where its rank is known.
    pub fn shape(&self, name: &str) -> Option<&[Option<usize>]> {
        self.facts.get(name)?.shape.as_deref()
    }

    /// The extents of the value `name`, where all are known.
    pub fn known(&self, name: &str) -> Option<Vec<usize>> {
        self.shape(name)?.iter().copied().collect()
    }

    fn node(&self, graph: &Graph, node: &Node) -> Vec<Fact> {
        let inputs: Vec<Fact> = node.inputs.iter().map(|name| self.fact(name)).collect();
        let floats = |i: usize| -> Option<Vec<f32>> {
            let dense = graph.weight(node.input(i)?)?.as_dense()?;
            Some(dense.as_f32()?.iter().copied().collect())
        };
        let call = Call {
            node,
            inputs: &inputs,
            opset: graph.opset(),
            floats: &floats,
        };
        call.outputs()
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

/// A node with what is known of its inputs.
struct Call<'a> {
    node: &'a Node,
    inputs: &'a [Fact],
    opset: i64,
    /// The elements of a constant float input.
    floats: &'a dyn Fn(usize) -> Option<Vec<f32>>,
}

impl Call<'_> {
    fn shape(&self, i: usize) -> Option<&Extents> {
        self.inputs.get(i)?.shape.as_ref()
    }

    fn given(&self, i: usize) -> bool {
        self.node.input(i).is_some()
    }

    /// All elements of an integer input, where all are known.
    fn ints(&self, i: usize) -> Option<Vec<i64>> {
        self.inputs.get(i)?.ints.as_ref()?.iter().copied().collect()
    }

    /// A list that older operator sets have as the attribute `name` and newer ones as input `i`.
    fn list(&self, name: &str, i: usize) -> Option<Vec<i64>> {
        match self.node.ints(name) {
            Some(list) => Some(list.to_vec()),
            None => self.ints(i),
        }
    }

    fn constant(&self) -> Fact {
        let scalar = |v: i64| Fact {
            shape: Some(vec![]),
            ints: Some(vec![Some(v)]),
        };
        for (name, value) in &self.node.attributes {
            match (name.as_str(), value) {
                ("value", Attribute::Tensor(dense)) => return Fact::of(dense),
                ("value_int", Attribute::Int(v)) => return scalar(*v),
                ("value_float", _) => return Fact::shaped(vec![]),
                ("value_ints", Attribute::Ints(list)) => {
                    return Fact {
                        shape: Some(vec![Some(list.len())]),
                        ints: Some(list.iter().map(|&v| Some(v)).collect()),
                    };
                }
                ("value_floats", Attribute::Floats(list)) => {
                    return Fact::shaped(vec![Some(list.len())]);
                }
                _ => {}
            }
        }
        Fact::unknown()
    }
}

/// An axis counted from the front, where it is one of `rank` axes.
fn axis_of(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(axis).ok().filter(|&a| a < rank)
}

/// The shape of values combined element by element.
fn broadcast(shapes: &[&Extents]) -> Extents {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::GraphBuilder;
    use lapidary_core::tensor::DType;

    /// The inferred shape of a chain's last value, for one sample.
    fn inferred(
        build: impl FnOnce(&mut GraphBuilder, &str) -> String,
        sample: &[usize],
    ) -> Vec<Option<usize>> {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, sample);
        let y = build(&mut b, &x);
        b.output("x", DType::F32, sample);
        let model = b.finish(13).unwrap();
        Shapes::infer(&model, 1).shape(&y).unwrap_or(&[]).to_vec()
    }

    fn some(shape: &[usize]) -> Vec<Option<usize>> {
        shape.iter().map(|&d| Some(d)).collect()
    }

    #[test]
    fn convolutions_and_pools_follow_their_formulas() {
        let shape = inferred(
            |b, x| {
                let w = b.weight("w", Dense::f32(&[8, 3, 3, 3], vec![0.0; 216]).unwrap());
                let c = b.node(
                    "Conv",
                    "c",
                    &[x, &w],
                    [("strides", [2, 2].into()), ("pads", [1, 1, 1, 1].into())],
                );
                b.node(
                    "MaxPool",
                    "p",
                    &[&c],
                    [
                        ("kernel_shape", [3, 3].into()),
                        ("strides", [2, 2].into()),
                        ("ceil_mode", 1.into()),
                    ],
                )
            },
            &[3, 32, 32],
        );
        assert_eq!(shape, some(&[1, 8, 8, 8]));
        let shape = inferred(
            |b, x| {
                let w = b.weight("w", Dense::f32(&[3, 8, 2, 2], vec![0.0; 96]).unwrap());
                b.node("ConvTranspose", "c", &[x, &w], [("strides", [2, 2].into())])
            },
            &[3, 5, 6],
        );
        assert_eq!(shape, some(&[1, 8, 10, 12]));
        let shape = inferred(
            |b, x| {
                let w = b.weight("w", Dense::f32(&[4, 3, 3, 3], vec![0.0; 108]).unwrap());
                b.node(
                    "Conv",
                    "c",
                    &[x, &w],
                    [
                        ("auto_pad", "SAME_UPPER".into()),
                        ("strides", [2, 2].into()),
                    ],
                )
            },
            &[3, 7, 9],
        );
        assert_eq!(shape, some(&[1, 4, 4, 5]));
    }

    #[test]
    fn shapes_computed_in_the_graph_are_followed() {
        let shape = inferred(
            |b, x| {
                let dims = b.node("Shape", "dims", &[x], []);
                let zero = b.weight("zero", Dense::i64(&[], vec![0]).unwrap());
                let first = b.node("Gather", "first", &[&dims, &zero], []);
                let axes = b.weight("axes", Dense::i64(&[1], vec![0]).unwrap());
                let first = b.node("Unsqueeze", "first1", &[&first, &axes], []);
                let rest = b.weight("rest", Dense::i64(&[1], vec![-1]).unwrap());
                let target = b.node("Concat", "target", &[&first, &rest], [("axis", 0.into())]);
                b.node("Reshape", "flat", &[x, &target], [])
            },
            &[3, 4, 5],
        );
        assert_eq!(shape, some(&[1, 60]));
    }

    #[test]
    fn products_broadcasts_and_reductions() {
        let shape = inferred(
            |b, x| {
                let w = b.weight("w", Dense::f32(&[6, 2], vec![0.0; 12]).unwrap());
                let y = b.node("MatMul", "y", &[x, &w], []);
                let c = b.weight("c", Dense::f32(&[4, 1, 1], vec![0.0; 4]).unwrap());
                let y = b.node("Add", "z", &[&y, &c], []);
                b.node(
                    "ReduceMean",
                    "m",
                    &[&y],
                    [("axes", [-1].into()), ("keepdims", 0.into())],
                )
            },
            &[5, 6],
        );
        assert_eq!(shape, some(&[4, 5]));
    }
}
