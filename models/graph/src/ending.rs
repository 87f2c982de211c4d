//! How a graph ends: whether its outputs are logits, or what an activation makes of them.

use lapidary_core::model::Activation;

use crate::graph::Graph;
use crate::ops;

/// An activation that the numbers of a value come straight from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending<'g> {
    /// The activation.
    pub activation: Activation,
    /// Name of the value it is applied to: the logits.
    pub logits: &'g str,
}

/// The activation behind which nothing happens any more to the numbers of the value `name` but another shape, type or rounding;
/// `None` where there is none.
pub fn ending<'g>(graph: &'g Graph, name: &str) -> Option<Ending<'g>> {
    let mut name = name;
    for node in graph.nodes.iter().rev() {
        if node.outputs.first().is_none_or(|output| output != name) {
            continue;
        }
        let (operator, logits) = (ops::find(node)?, node.input(0)?);
        if let Some(activation) = operator.activation {
            return Some(Ending { activation, logits });
        }
        if !operator.keeps_numbers {
            return None;
        }
        name = logits;
    }
    None
}

#[cfg(test)]
mod tests {
    use lapidary_core::tensor::DType;

    use super::*;
    use crate::build::GraphBuilder;

    #[test]
    fn an_ending_is_seen_through_what_keeps_the_numbers() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, &[4]);
        let z = b.node(&ops::RELU, "z", &[&x], []);
        let p = b.node(&ops::SOFTMAX, "p", &[&z], []);
        let q = b.node(&ops::CAST, "q", &[&p], [("to", 1.into())]);
        let q = b.node(&ops::IDENTITY, "r", &[&q], []);
        let twice = b.node(&ops::ADD, "twice", &[&q, &q], []);
        for name in [&z, &q, &twice] {
            b.output(name, DType::F32, &[4]);
        }
        let graph = b.finish(17).unwrap();
        let softmax = Ending {
            activation: Activation::Softmax,
            logits: "z",
        };
        assert_eq!(ending(&graph, "r"), Some(softmax));
        assert_eq!(ending(&graph, "p"), Some(softmax));
        for none in ["z", "twice", "x"] {
            assert_eq!(ending(&graph, none), None);
        }
    }
}
