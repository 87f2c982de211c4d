//! Which shared weights are one weight, and which only look alike.

use std::collections::{BTreeMap, BTreeSet};

use lapidary_core::tensor::{Dense, Tensor};

use crate::graph::{Graph, fresh_name};
use crate::ops;

/// The graph with vectors that several nodes share made separate, and the original name of each copy.
///
/// Exporters merge initialisers that happen to be equal when they write (nine layer normalizations sharing one scale), which
/// must not tie them in training. Matrices and larger tensors that are shared are tied by design and stay so.
pub fn unshared(graph: &Graph) -> (Graph, BTreeMap<String, String>) {
    let mut graph = graph.clone();
    let mut taken = graph.names();
    let mut seen = BTreeSet::new();
    let mut copies = BTreeMap::new();
    for node in &mut graph.nodes {
        let Some(first) = ops::find(node).and_then(|operator| operator.own_vectors) else {
            continue;
        };
        for name in node.inputs.iter_mut().skip(first) {
            let Some(weight) = graph.weights.get(name.as_str()) else {
                continue;
            };
            let vector = matches!(&**weight, Tensor::Dense(Dense::F32(a)) if a.ndim() == 1);
            if !vector || seen.insert(name.clone()) {
                continue;
            }
            let copy = fresh_name(&mut taken, name);
            copies.insert(copy.clone(), name.clone());
            let weight = weight.clone();
            graph.weights.insert(copy.clone(), weight);
            *name = copy;
        }
    }
    (graph, copies)
}
