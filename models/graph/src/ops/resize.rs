//! Resizing of maps.

use lapidary_core::model::ModelError;
use lapidary_core::tensor::Dense;

use super::Operator;
use crate::graph::Node;
use crate::lower::{Lowering, refusal};
use crate::opset::Change;
use crate::shape::{Extents, Known, axes_of, extent};
use crate::structure::{Flow, Layouts};

pub static RESIZE: Operator = Operator {
    shape: |known| match known.opset() {
        ..11 => scaled(known, 1),
        _ if known.given(3) => sized(known),
        _ => scaled(known, 2),
    },
    channels,
    lower: Some(lower),
    changes: &[Change {
        version: 11,
        rewrite: |rewriting, node| {
            let mode = match nearest_mode(rewriting.constant(node, 1)) {
                Some(mode) => mode,
                None if node.text("mode") == Some("linear") => "floor",
                None => return Err(rewriting.refusal(node)),
            };
            from_corner(node, mode);
            Ok(())
        },
    }],
    ..Operator::standard("Resize")
};

pub static UPSAMPLE: Operator = Operator {
    shape: |known| scaled(known, 1),
    channels,
    changes: &[Change {
        version: 10,
        rewrite: |_, node| {
            from_corner(node, "floor");
            Ok(())
        },
    }],
    ..Operator::standard("Upsample")
};

/// The axes that are resized.
fn axes(known: &Known<'_>, rank: usize) -> Option<Vec<usize>> {
    match known.node.ints("axes") {
        Some(axes) => axes_of(axes, rank),
        None => Some((0..rank).collect()),
    }
}

/// The shape by the sizes at input 3.
fn sized(known: &Known<'_>) -> Option<Extents> {
    let mut shape = known.shape(0)?.clone();
    let stretched = matches!(
        known.node.text("keep_aspect_ratio_policy"),
        None | Some("stretch")
    );
    let sizes = known.partial(3).filter(|_| stretched);
    for (i, axis) in axes(known, shape.len())?.into_iter().enumerate() {
        shape[axis] = sizes.and_then(|s| extent((*s.get(i)?)?));
    }
    Some(shape)
}

/// The shape by the scales at input `input`.
fn scaled(known: &Known<'_>, input: usize) -> Option<Extents> {
    let mut shape = known.shape(0)?.clone();
    let scales = known.floats(input);
    for (i, axis) in axes(known, shape.len())?.into_iter().enumerate() {
        let scaled =
            |d: usize| Some((d as f64 * f64::from(*scales.as_ref()?.get(i)?)).floor() as usize);
        shape[axis] = shape[axis].and_then(scaled);
    }
    Some(shape)
}

/// Resizing keeps channels where their scale is 1; stated sizes (input 3) would have to be cut as well.
fn channels<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    if flow.untouched(node) {
        return Some(vec![None]);
    }
    let x = flow.at(node, 0)?;
    if !flow.rest_untouched(node, 1) || node.ints("axes").is_some() || node.input(3).is_some() {
        return None;
    }
    // A scale by which these channels stay as many leaves fewer as they are, too.
    let extent = flow.extent(node.outputs.first()?, x.axis);
    (extent == Some(x.units.len())).then(|| vec![Some(x)])
}

/// Cubic interpolation would be run as linear.
fn lower(lowering: &mut Lowering, node: Node) -> Result<(), ModelError> {
    if node.text("mode") == Some("cubic") {
        return Err(refusal(&node, "cubic interpolation"));
    }
    lowering.push(node);
    Ok(())
}

/// How `Resize` of version 10 rounded positions, by its scales: the standard left it open, ONNX Runtime rounds up
/// where it shrinks an axis and down elsewhere.
fn nearest_mode(scales: Option<&Dense>) -> Option<&'static str> {
    let scales = scales?.as_f32()?;
    if scales.iter().all(|&s| s >= 1.0) {
        Some("floor")
    } else if scales.iter().all(|&s| s <= 1.0) {
        Some("ceil")
    } else {
        None
    }
}

/// A node of version 10, which counts positions from the corner, as the `Resize` of later versions.
fn from_corner(node: &mut Node, nearest_mode: &str) {
    RESIZE.take_over(node);
    node.inputs.insert(1, String::new());
    let modes = [
        ("coordinate_transformation_mode", "asymmetric"),
        ("nearest_mode", nearest_mode),
    ];
    for (name, mode) in modes {
        node.attributes.insert(name.into(), mode.into());
    }
}
