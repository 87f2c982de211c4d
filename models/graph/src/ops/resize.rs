//! Resizing of maps.

use lapidary_core::model::ModelError;
use lapidary_core::tensor::{Dense, array};

use super::{IDENTITY, MAT_MUL, Operator, TRANSPOSE};
use crate::error::GraphError;
use crate::graph::{Attribute, Node};
use crate::lower::{Lowering, refusal};
use crate::opset::{Change, Rewriting};
use crate::shape::{Extents, Known, axes_of, extent};
use crate::structure::{Flow, Layouts};

pub static RESIZE: Operator = Operator {
    told_by_constants: true,
    shape: |known| match known.opset() {
        ..11 => scaled(known, 1),
        _ if known.given(3) => sized(known),
        _ => scaled(known, 2),
    },
    channels,
    lower: Some(lower),
    changes: &[
        Change {
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
        },
        Change {
            version: 13,
            rewrite: from_half,
        },
    ],
    ..Operator::standard("Resize")
};

pub static UPSAMPLE: Operator = Operator {
    told_by_constants: true,
    shape: |known| scaled(known, 1),
    channels,
    changes: &[
        Change {
            version: 9,
            rewrite: |rewriting, node| {
                let scales = match node.attributes.remove("scales") {
                    Some(Attribute::Floats(scales)) => scales,
                    // The very first form names two axes.
                    _ => vec![
                        1.0,
                        1.0,
                        node.float("height_scale", 1.0),
                        node.float("width_scale", 1.0),
                    ],
                };
                node.attributes.remove("height_scale");
                node.attributes.remove("width_scale");
                let scales = array(&[scales.len()], scales).expect("one axis of its length");
                rewriting.set_constant(node, "scales", 1, Dense::F32(scales));
                Ok(())
            },
        },
        Change {
            version: 10,
            rewrite: |_, node| {
                from_corner(node, "floor");
                Ok(())
            },
        },
    ],
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

/// What rten resizes as the standard says: two axes, without smoothing, by interpolation between two elements at most.
fn is_plain(node: &Node) -> bool {
    let is = |name: &str, values: &[&str]| node.text(name).is_none_or(|v| values.contains(&v));
    is("mode", &["nearest", "linear"])
        && is("keep_aspect_ratio_policy", &["stretch"])
        && is(
            "coordinate_transformation_mode",
            &[
                "half_pixel",
                "asymmetric",
                "align_corners",
                "pytorch_half_pixel",
            ],
        )
        && node.int("antialias", 0) == 0
        && node.int("exclude_outside", 0) == 0
        && node.ints("axes").is_none()
}

/// Other forms are a product with a matrix along each axis.
fn lower(lowering: &mut Lowering<'_>, mut node: Node) -> Result<(), ModelError> {
    let shape = node
        .input(0)
        .and_then(|x| lowering.shapes.shape(x))
        .map(<[_]>::to_vec);
    let few = shape.as_ref().is_none_or(|shape| shape.len() <= 4);
    if is_plain(&node) && few {
        // These say nothing of such forms, yet rten refuses to hear them.
        for name in ["cubic_coeff_a", "extrapolation_value"] {
            node.attributes.remove(name);
        }
        lowering.push(node);
        return Ok(());
    }
    let mode = node.text("mode").unwrap_or("nearest").to_owned();
    let refuse = |what: &str| Err(refusal(&node, &format!("{mode} resizing {what}")));
    let coordinates = node
        .text("coordinate_transformation_mode")
        .unwrap_or("half_pixel");
    let Some(coordinates) = Coordinates::named(coordinates) else {
        return refuse(&format!("by {coordinates}"));
    };
    let Some(shape) = shape else {
        return refuse("of a value whose number of axes is not known before running");
    };
    let axes = match node.ints("axes") {
        Some(axes) => axes_of(axes, shape.len()),
        None => Some((0..shape.len()).collect()),
    };
    let floats = |i: usize| lowering.shapes.floats(node.input(i)?);
    let (scales, sizes) = (
        floats(2).filter(|s| !s.is_empty()),
        node.input(3)
            .and_then(|name| lowering.shapes.fact(name).ints),
    );
    let sizes: Option<Vec<i64>> = sizes.and_then(|list| list.into_iter().collect());
    let Some(axes) = axes.filter(|axes| {
        scales.as_ref().is_none_or(|s| s.len() == axes.len())
            && sizes.as_ref().is_none_or(|s| s.len() == axes.len())
    }) else {
        return refuse("by scales or sizes that do not fit its axes");
    };
    let mut along = Vec::new();
    for (i, &axis) in axes.iter().enumerate() {
        let scale = scales.as_ref().map(|s| f64::from(s[i]));
        let size = sizes.as_ref().and_then(|s| extent(s[i]));
        // An axis that stays needs no extent.
        if scale == Some(1.0) {
            continue;
        }
        let Some(from) = shape[axis] else {
            // The axis of the samples; its size is that of the input.
            if axis == 0 && scale.is_none() {
                continue;
            }
            return refuse("of extents that are not known before running");
        };
        let Some(scale) = scale.or_else(|| Some(size? as f64 / from as f64)) else {
            return refuse("to sizes that are not known before running");
        };
        along.push((axis, from, scale, size));
    }
    let policy = node.text("keep_aspect_ratio_policy").unwrap_or("stretch");
    if let (Some(_), "not_larger" | "not_smaller") = (&sizes, policy) {
        let all = along.iter().map(|a| a.2);
        let scale = match policy {
            "not_larger" => all.fold(f64::INFINITY, f64::min),
            _ => all.fold(0.0, f64::max),
        };
        for (_, from, s, size) in &mut along {
            *s = scale;
            *size = Some((scale * *from as f64 + 0.5).floor() as usize);
        }
    }
    let taps = Taps {
        coordinates,
        nearest: node
            .text("nearest_mode")
            .unwrap_or("round_prefer_floor")
            .to_owned(),
        mode: mode.clone(),
        a: f64::from(node.float("cubic_coeff_a", -0.75)),
        outside: node.int("exclude_outside", 0) == 0,
        smooth: node.int("antialias", 0) != 0,
    };
    let around = node.name.clone();
    let mut x = node.inputs[0].clone();
    let last = shape.len().saturating_sub(1);
    for (axis, from, scale, size) in along {
        let to = size.unwrap_or_else(|| (from as f64 * scale).floor() as usize);
        let matrix = taps.matrix(from, to, scale);
        let matrix = array(&[from, to], matrix).map_err(ModelError::from)?;
        let matrix = lowering.constant(&around, Dense::F32(matrix));
        let mut order: Vec<i64> = (0..=last as i64).collect();
        order.swap(axis, last);
        let turn = [("perm", Attribute::Ints(order))];
        let turned = |lowering: &mut Lowering<'_>, x: String| match axis == last {
            true => x,
            false => lowering.step(&around, &TRANSPOSE, &[&x], &turn),
        };
        x = turned(lowering, x);
        x = lowering.step(&around, &MAT_MUL, &[&x, &matrix], &[]);
        x = turned(lowering, x);
    }
    lowering.finish(&around, &IDENTITY, vec![x], node.outputs);
    Ok(())
}

/// Where an element of the result lies on the input.
#[derive(Debug, Clone, Copy)]
enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    HalfPixelForNearest,
    AlignCorners,
    Asymmetric,
}

impl Coordinates {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "half_pixel" => Self::HalfPixel,
            "half_pixel_symmetric" => Self::HalfPixelSymmetric,
            "pytorch_half_pixel" => Self::PytorchHalfPixel,
            "tf_half_pixel_for_nn" => Self::HalfPixelForNearest,
            "align_corners" => Self::AlignCorners,
            "asymmetric" => Self::Asymmetric,
            _ => return None,
        })
    }

    /// The place of element `i` of `to` on an axis of `from` elements.
    fn place(self, i: usize, from: usize, to: usize, scale: f64) -> f64 {
        let (at, from, to) = (i as f64, from as f64, to as f64);
        match self {
            Self::HalfPixel => (at + 0.5) / scale - 0.5,
            Self::HalfPixelSymmetric => {
                let stretch = to / (scale * from);
                from / 2.0 * (1.0 - stretch) + (at + 0.5) / scale - 0.5
            }
            Self::PytorchHalfPixel if to > 1.0 => (at + 0.5) / scale - 0.5,
            Self::AlignCorners if to > 1.0 => at * (from - 1.0) / (to - 1.0),
            Self::PytorchHalfPixel | Self::AlignCorners => 0.0,
            Self::HalfPixelForNearest => (at + 0.5) / scale,
            Self::Asymmetric => at / scale,
        }
    }
}

/// How elements of the input make one of the result.
struct Taps {
    coordinates: Coordinates,
    mode: String,
    nearest: String,
    /// The free coefficient of cubic interpolation (Keys, 1981).
    a: f64,
    /// Whether elements beyond the edge count, as the one at the edge.
    outside: bool,
    /// Whether shrinking takes the mean over all that is passed over.
    smooth: bool,
}

impl Taps {
    /// The matrix `[from, to]` that resizes an axis, row by row.
    fn matrix(&self, from: usize, to: usize, scale: f64) -> Vec<f32> {
        let mut matrix = vec![0f32; from * to];
        if from == 0 {
            return matrix;
        }
        for i in 0..to {
            let place = self.coordinates.place(i, from, to, scale);
            let weights = self.weights(place, from, scale);
            let sum: f64 = weights.iter().map(|(_, w)| w).sum();
            for (at, weight) in weights {
                matrix[at * to + i] += (weight / sum) as f32;
            }
        }
        matrix
    }

    /// Elements and their shares; those beyond the edge stand for the one at the edge, or are left out.
    fn weights(&self, place: f64, from: usize, scale: f64) -> Vec<(usize, f64)> {
        let last = from as i64 - 1;
        let at = |i: i64| i.clamp(0, last) as usize;
        let cubic = |d: f64| {
            let (a, d) = (self.a, d.abs());
            match d {
                _ if d < 1.0 => ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0,
                _ if d < 2.0 => ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a,
                _ => 0.0,
            }
        };
        let linear = |d: f64| (1.0 - d.abs()).max(0.0);
        match self.mode.as_str() {
            "nearest" => {
                let near = match self.nearest.as_str() {
                    "floor" => place.floor(),
                    "ceil" => place.ceil(),
                    "round_prefer_ceil" => (place + 0.5).floor(),
                    _ => (place - 0.5).ceil(),
                };
                vec![(at(near as i64), 1.0)]
            }
            mode if self.smooth => {
                let wide = (1.0 / scale).max(1.0);
                let (reach, kernel): (f64, &dyn Fn(f64) -> f64) = match mode {
                    "cubic" => (2.0, &cubic),
                    _ => (1.0, &linear),
                };
                let centre = place + 0.5;
                let mut first = (centre - reach * wide + 0.5).floor() as i64;
                let mut end = (centre + reach * wide + 0.5).floor() as i64;
                if !self.outside {
                    (first, end) = (first.max(0), end.min(from as i64));
                }
                let weight = |i: i64| kernel((i as f64 - centre + 0.5) / wide);
                (first..end).map(|i| (at(i), weight(i))).collect()
            }
            "cubic" => {
                let first = place.floor() as i64 - 1;
                let taps = (first..first + 4).map(|i| (i, cubic(place - i as f64)));
                let kept = taps.filter(|(i, _)| self.outside || (0..=last).contains(i));
                kept.map(|(i, weight)| (at(i), weight)).collect()
            }
            _ => {
                let place = place.clamp(0.0, last as f64);
                let first = place.floor() as i64;
                let share = place - first as f64;
                vec![(at(first), 1.0 - share), (at(first + 1), share)]
            }
        }
    }
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

/// One way to count positions went with version 13; where positions are rounded down it is the other without half an
/// element.
fn from_half(rewriting: &mut Rewriting<'_>, node: &mut Node) -> Result<(), GraphError> {
    let key = "coordinate_transformation_mode";
    if node.text(key) != Some("tf_half_pixel_for_nn") {
        return Ok(());
    }
    let nearest = node.text("mode").is_none_or(|mode| mode == "nearest");
    // ⌊x + 1/2⌋ is x rounded to the nearest, halves up.
    if !nearest || node.text("nearest_mode") != Some("floor") {
        return Err(rewriting.refusal(node));
    }
    node.attributes.insert(key.into(), "half_pixel".into());
    node.attributes
        .insert("nearest_mode".into(), "round_prefer_ceil".into());
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn resized(x: &[f32], to: usize, scale: f64, taps: &Taps) -> Vec<f32> {
        let matrix = taps.matrix(x.len(), to, scale);
        (0..to)
            .map(|i| {
                x.iter()
                    .enumerate()
                    .map(|(at, v)| v * matrix[at * to + i])
                    .sum()
            })
            .collect()
    }

    fn taps(mode: &str, coordinates: Coordinates) -> Taps {
        Taps {
            coordinates,
            mode: mode.into(),
            nearest: "round_prefer_floor".into(),
            a: -0.75,
            outside: true,
            smooth: false,
        }
    }

    /// The first column of the examples of the ONNX standard, whose maps count from 1 to 16 row by row.
    #[test]
    fn cubic_and_smoothed_resizing_give_the_numbers_of_the_standard() {
        let near = |found: Vec<f32>, wanted: &[f32]| {
            assert!(
                found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-5),
                "{found:?} {wanted:?}"
            );
            assert_eq!(found.len(), wanted.len());
        };
        let row = [1.0, 2.0, 3.0, 4.0];
        let up = resized(&row, 8, 2.0, &taps("cubic", Coordinates::HalfPixel));
        // The rows of the example differ by what the other axis adds.
        let apart: Vec<f32> = up.iter().map(|v| v - up[0]).collect();
        near(
            apart,
            &[
                0.0,
                0.296875,
                0.7734375,
                1.402_343_8,
                1.808_593_8,
                2.4375,
                2.9140625,
                3.2109375,
            ],
        );
        let smooth = Taps {
            smooth: true,
            ..taps("linear", Coordinates::HalfPixel)
        };
        near(resized(&row, 2, 0.6, &smooth), &[1.375, 3.0]);
        let ends = resized(&row, 3, 0.75, &taps("linear", Coordinates::AlignCorners));
        near(ends, &[1.0, 2.5, 4.0]);
        near(
            resized(
                &[1.0, 2.0],
                4,
                2.0,
                &taps("nearest", Coordinates::HalfPixel),
            ),
            &[1.0, 1.0, 2.0, 2.0],
        );
    }
}
