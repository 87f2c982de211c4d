//! Writing a graph in the terms that rten takes: what it leaves to defaults of the standard is said, what only
//! training needs is left out.

use lapidary_core::model::ModelError;

use crate::graph::{Attribute, Graph, Node};
use crate::opset::convert;
use crate::shape::Shapes;

/// The graph in operator set 13 or later, as rten takes it.
///
/// # Errors
/// When padding depends on extents that are not known before running.
pub(crate) fn lower(graph: &Graph) -> Result<Graph, ModelError> {
    // What cannot be converted is left for rten to judge.
    let mut graph = convert(graph, 13).unwrap_or_else(|_| graph.clone());
    // Files may say more of values in between than is true once the sample axis is free.
    graph.values.clear();
    let shapes = Shapes::infer(&graph, 1);
    for node in graph.nodes.iter_mut().filter(|n| n.is_standard()) {
        match node.op.as_str() {
            "Dropout" if node.outputs.iter().skip(1).all(String::is_empty) => {
                node.op = "Identity".into();
                node.inputs.truncate(1);
                node.outputs.truncate(1);
                node.attributes.clear();
            }
            "Conv" | "ConvTranspose" | "MaxPool" | "AveragePool" => windows(node, &shapes)?,
            _ => {}
        }
    }
    Ok(graph)
}

/// Says the kernel, strides, dilations and padding of a node that slides a window.
fn windows(node: &mut Node, shapes: &Shapes) -> Result<(), ModelError> {
    let kernel: Option<Vec<i64>> = match node.ints("kernel_shape") {
        Some(kernel) => Some(kernel.to_vec()),
        None => (node.input(1).and_then(|w| shapes.known(w)))
            .and_then(|w| Some(w.get(2..)?.iter().map(|&d| d as i64).collect())),
    };
    // Without a kernel rten says itself what is wrong.
    let Some(kernel) = kernel else {
        return Ok(());
    };
    let n = kernel.len();
    let mut default = |name: &str, list: Vec<i64>| {
        node.attributes
            .entry(name.to_owned())
            .or_insert(Attribute::Ints(list));
    };
    default("kernel_shape", kernel.clone());
    default("strides", vec![1; n]);
    if node.op.starts_with("Conv") {
        node.attributes
            .entry("dilations".into())
            .or_insert(Attribute::Ints(vec![1; n]));
    }
    if node.text("auto_pad") == Some("SAME_LOWER") {
        let pads = same_lower(node, &kernel, shapes).ok_or_else(|| ModelError::Node {
            node: node.name.clone(),
            op: node.op.clone(),
            reason: "SAME_LOWER padding of an input whose extents are not known".into(),
        })?;
        node.attributes.remove("auto_pad");
        node.attributes.insert("pads".into(), Attribute::Ints(pads));
    }
    Ok(())
}

/// The padding by which a window gives ⌈extent / stride⌉ positions, the larger half in front.
fn same_lower(node: &Node, kernel: &[i64], shapes: &Shapes) -> Option<Vec<i64>> {
    if node.op == "ConvTranspose" {
        return None;
    }
    let x = shapes.shape(node.input(0)?)?.get(2..)?;
    let strides = node.ints("strides")?;
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (i, &k) in kernel.iter().enumerate() {
        let x = i64::try_from((*x.get(i)?)?).ok()?;
        let stride = (*strides.get(i)?).max(1);
        let dilation = node
            .ints("dilations")
            .map_or(Some(1), |d| d.get(i).copied())?;
        let window = k.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
        let last = (x.checked_add(stride - 1)? / stride)
            .checked_sub(1)?
            .checked_mul(stride)?;
        let all = last.checked_add(window)?.checked_sub(x)?.max(0);
        before.push(all - all / 2);
        after.push(all / 2);
    }
    before.extend(after);
    Some(before)
}
