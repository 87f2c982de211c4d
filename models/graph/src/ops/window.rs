//! What operators that slide a window over maps share.

use lapidary_core::model::ModelError;

use super::CONV_TRANSPOSE;
use crate::graph::{Attribute, Node};
use crate::lower::Lowering;
use crate::shape::{Extents, Known, Shapes, extent};

/// The attribute list `name` for `n` spatial axes, with its default.
pub(super) fn spatial(node: &Node, name: &str, n: usize, default: i64) -> Option<Vec<usize>> {
    match node.ints(name) {
        Some(list) if list.len() == n => list.iter().map(|&v| extent(v)).collect(),
        Some(_) => None,
        None => Some(vec![extent(default)?; n]),
    }
}

/// Whether padding is chosen such that only strides change extents.
pub(super) fn is_same(node: &Node) -> bool {
    matches!(node.text("auto_pad"), Some("SAME_UPPER" | "SAME_LOWER"))
}

/// The extents that a window covers, dilated.
pub(super) fn covered(kernel: usize, dilation: usize) -> Option<usize> {
    dilation.checked_mul(kernel.checked_sub(1)?)?.checked_add(1)
}

/// The spatial extents behind a window of extents `kernel` that slides over `x`.
pub(super) fn slid(known: &Known<'_>, x: &[Option<usize>], kernel: &[usize]) -> Option<Extents> {
    let node = known.node;
    let n = x.len();
    let strides = spatial(node, "strides", n, 1)?;
    let dilations = spatial(node, "dilations", n, 1)?;
    let pads = spatial(node, "pads", 2 * n, 0)?;
    let same = is_same(node);
    let valid = node.text("auto_pad") == Some("VALID");
    let ceil = node.int("ceil_mode", 0) != 0;
    let one = |i: usize| -> Option<usize> {
        let stride = strides[i].max(1);
        let x = x[i]?;
        if same {
            return Some(x.div_ceil(stride));
        }
        let (before, after) = if valid {
            (0, 0)
        } else {
            (pads[i], pads[n + i])
        };
        let room = x
            .checked_add(before)?
            .checked_add(after)?
            .checked_sub(covered(kernel[i], dilations[i])?)?;
        let mut out = if ceil {
            room.div_ceil(stride)
        } else {
            room / stride
        } + 1;
        // A window that would start in the padding behind the input is left out.
        if ceil && (out - 1).saturating_mul(stride) >= x + before {
            out -= 1;
        }
        Some(out)
    };
    Some((0..n).map(one).collect())
}

/// Says the kernel, strides and padding of a node.
pub(super) fn lower(lowering: &mut Lowering<'_>, mut node: Node) -> Result<(), ModelError> {
    state(&mut node, &lowering.shapes, false)?;
    lowering.push(node);
    Ok(())
}

/// Says the kernel, strides, dilations and padding of a node.
pub(super) fn lower_dilated(lowering: &mut Lowering<'_>, mut node: Node) -> Result<(), ModelError> {
    state(&mut node, &lowering.shapes, true)?;
    lowering.push(node);
    Ok(())
}

fn state(node: &mut Node, shapes: &Shapes, dilated: bool) -> Result<(), ModelError> {
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
    if dilated {
        default("dilations", vec![1; n]);
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
    if node.is(&CONV_TRANSPOSE) {
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
