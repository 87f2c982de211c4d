//! Taking apart weights that several nodes share.

use std::collections::{HashMap, HashSet};

use crate::graph::{Graph, fresh_name};
use crate::layers::is_float;

/// The graph in which each node has float weights of its own, named after the shared ones; copies share their
/// elements until one is changed.
///
/// Exporters merge initialisers that happen to be equal (untrained scales of normalisations, for example); trained
/// as one weight they would stay equal. Single numbers stay shared: they are constants of formulas.
pub fn untie(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    let mut taken = graph.names();
    let captured: HashSet<String> = (graph.nodes.iter())
        .flat_map(|n| {
            let own: HashSet<&str> = n.inputs.iter().map(String::as_str).collect();
            n.reads()
                .into_iter()
                .filter(move |r| !own.contains(r))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    resolve_identities(&mut graph, &captured);
    let mut readers: HashMap<String, usize> = HashMap::new();
    for node in &mut graph.nodes {
        for input in &mut node.inputs {
            let Some(weight) = graph.weights.get(input) else {
                continue;
            };
            if !is_float(weight) || weight.len() < 2 || captured.contains(input) {
                continue;
            }
            let readers = readers.entry(input.clone()).or_default();
            *readers += 1;
            if *readers > 1 {
                let copy = fresh_name(&mut taken, input);
                let weight = weight.clone();
                graph.weights.insert(copy.clone(), weight);
                *input = copy;
            }
        }
    }
    graph
}

/// Replaces `Identity` nodes over weights, by which exporters write the same sharing, by weights.
fn resolve_identities(graph: &mut Graph, captured: &HashSet<String>) {
    let outputs: HashSet<String> = graph.outputs.iter().map(|o| o.name.clone()).collect();
    let weights = &mut graph.weights;
    graph.nodes.retain(|node| {
        let copied = match (node.is("Identity"), node.input(0)) {
            (true, Some(input)) => weights.get(input).filter(|w| is_float(w)).cloned(),
            _ => None,
        };
        let out = &node.outputs[0];
        match copied {
            Some(weight) if !captured.contains(out) && !outputs.contains(out) => {
                weights.insert(out.clone(), weight);
                false
            }
            _ => true,
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::GraphBuilder;
    use lapidary_core::tensor::{DType, Dense};
    use std::sync::Arc;

    #[test]
    fn each_reader_gets_its_own() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, &[2]);
        let w = b.weight("w", Dense::f32(&[2], vec![1.0; 2]).unwrap());
        let one = b.weight("one", Dense::f32(&[], vec![1.0]).unwrap());
        let same = b.node("Identity", "same", &[&w], []);
        let y = b.node("Mul", "a", &[&x, &w], []);
        let y = b.node("Mul", "b", &[&y, &w], []);
        let y = b.node("Mul", "c", &[&y, &same], []);
        let y = b.node("Add", "d", &[&y, &one], []);
        let y = b.node("Add", "e", &[&y, &one], []);
        b.output(&y, DType::F32, &[2]);
        let graph = untie(b.finish(17).unwrap().graph());
        let reads: Vec<_> = graph.nodes.iter().map(|n| n.inputs[1].as_str()).collect();
        assert_eq!(reads, ["w", "w_2", "same", "one", "one"]);
        assert!(Arc::ptr_eq(&graph.weights["w"], &graph.weights["w_2"]));
    }
}
