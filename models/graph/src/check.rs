//! What is looked at before a graph is written: names, element types, operator sets and extents, as far as they are known.

use crate::error::GraphError;
use crate::graph::Graph;
use crate::ops;
use crate::shape::Shapes;
use crate::types;

/// Samples for which extents are looked at; no extent of a model is likely to be this one.
const SAMPLES: usize = 61;

/// Refuses a graph that no runtime could load: one that is wrong in itself, mixes element types where one is needed, has nodes
/// that mean something else in its operator set than where they come from, or whose extents do not fit.
///
/// # Errors
/// Names the node or value that is wrong.
pub fn check(graph: &Graph) -> Result<(), GraphError> {
    graph.clone().validate()?;
    check_types(graph, &types::Known::new())?;
    check_functions(graph)?;
    match Shapes::infer(graph, SAMPLES).misfit(graph) {
        Some((node, reason)) => Err(GraphError::node(node, reason)),
        None => Ok(()),
    }
}

fn check_types(graph: &Graph, around: &types::Known) -> Result<(), GraphError> {
    let known = types::infer(graph, around);
    for node in &graph.nodes {
        for inner in node.subgraphs() {
            check_types(inner, &known)?;
        }
        let Some(operator) = ops::find(node) else {
            continue;
        };
        let mut first = None;
        for (i, name) in node.inputs.iter().enumerate() {
            let Some(dtype) = known.get(name).filter(|_| operator.alike.has(i)) else {
                continue;
            };
            let (wanted, other) = *first.get_or_insert((dtype, name));
            if wanted != dtype {
                return Err(GraphError::node(
                    node,
                    format!(
                        "it reads `{other}` of {wanted} and `{name}` of {dtype}, where one element type is needed"
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// The bodies of functions may be in an older operator set only where that changes none of their nodes.
fn check_functions(graph: &Graph) -> Result<(), GraphError> {
    let to = graph.opset();
    for function in &graph.functions {
        let Some(&from) = function.body.opsets.get("") else {
            continue;
        };
        let (older, newer) = (from.min(to), from.max(to));
        for node in &function.body.nodes {
            let changes = ops::find(node).map_or(&[][..], |operator| operator.changes);
            if (changes.iter()).any(|c| older < c.version && c.version <= newer) {
                return Err(GraphError::node(
                    node,
                    format!(
                        "it is part of the function `{}` in operator set {from}, and means something else in set {to}, the graph's",
                        function.name
                    ),
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lapidary_core::tensor::{DType, Dense};

    use super::*;
    use crate::build::GraphBuilder;

    #[test]
    fn what_no_runtime_loads_is_named() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F64, &[4]);
        let pads = b.weight("pads", Dense::i64(&[4], vec![0, 0, 0, 1]).unwrap());
        let fill = b.weight("fill", Dense::f32(&[], vec![1.0]).unwrap());
        let y = b.node("Pad", "pad", &[&x, &pads, &fill], []);
        b.output(&y, DType::F64, &[5]);
        let error = check(&b.finish(17).unwrap()).unwrap_err().to_string();
        assert!(
            error.contains("`pad`") && error.contains("f64") && error.contains("f32"),
            "{error}"
        );

        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, &[4]);
        let w = b.weight("w", Dense::f32(&[3, 2], vec![0.0; 6]).unwrap());
        let y = b.node("Gemm", "product", &[&x, &w], []);
        b.output(&y, DType::F32, &[2]);
        let error = check(&b.finish(17).unwrap()).unwrap_err().to_string();
        assert!(
            error.contains("`product`") && error.contains("4 and 3"),
            "{error}"
        );
    }
}
