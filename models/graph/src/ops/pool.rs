//! Pooling.

use lapidary_core::model::ModelError;
use lapidary_core::tensor::DType;

use super::window::{lower, slid, spatial};
use super::{CAST, Operator};
use crate::graph::{Attribute, Node};
use crate::lower::Lowering;
use crate::shape::{Extents, Known};
use crate::structure::rules;
use crate::tape::{Call, Outputs, Tape, Var, one, sized};
use crate::window::Window;

pub static AVERAGE_POOL: Operator = Operator {
    lower: Some(lower),
    forward: Some(average),
    ..pool("AveragePool")
};

pub static LP_POOL: Operator = pool("LpPool");

pub static MAX_POOL: Operator = Operator {
    types: |typed| vec![typed.input(0), Some(DType::I64)],
    other_shapes: |known| Some(vec![shape(known)?]),
    lower: Some(lower_max),
    forward: Some(max),
    ..pool("MaxPool")
};

pub static GLOBAL_AVERAGE_POOL: Operator = Operator {
    forward: Some(|call| global(call, |tape, x, axis| tape.mean(x, axis))),
    ..global_pool("GlobalAveragePool")
};

pub static GLOBAL_LP_POOL: Operator = global_pool("GlobalLpPool");

pub static GLOBAL_MAX_POOL: Operator = Operator {
    forward: Some(|call| global(call, |tape, x, axis| tape.largest(x, axis))),
    ..global_pool("GlobalMaxPool")
};

const fn pool(name: &'static str) -> Operator {
    Operator {
        shape,
        channels: rules::passed_maps,
        ..Operator::standard(name)
    }
}

const fn global_pool(name: &'static str) -> Operator {
    Operator {
        shape: global_shape,
        channels: rules::passed_maps,
        ..Operator::standard(name)
    }
}

/// rten pools floats only; the largest of codes is the same code.
fn lower_max(lowering: &mut Lowering<'_>, mut node: Node) -> Result<(), ModelError> {
    let to = match lowering.dtype(&node, 0) {
        Some(DType::U8) => 2,
        Some(DType::I8) => 3,
        _ => return lower(lowering, node),
    };
    let around = node.name.clone();
    node.inputs[0] = lowering.step(
        &around,
        &CAST,
        &[&node.inputs[0].clone()],
        &[("to", 1.into())],
    );
    let pooled = lowering.name(&around, "pooled");
    let out = std::mem::replace(&mut node.outputs[0], pooled.clone());
    lower(lowering, node)?;
    let name = lowering.name(&around, "cast");
    let mut cast = CAST.node(name, vec![pooled], vec![out]);
    cast.attributes.insert("to".into(), Attribute::Int(to));
    lowering.push(cast);
    Ok(())
}

pub(super) fn shape(known: &Known<'_>) -> Option<Extents> {
    let x = known.shape(0)?;
    let maps = x.get(2..)?;
    let kernel = spatial(known.node, "kernel_shape", maps.len(), 1)?;
    let mut shape = x[..2].to_vec();
    shape.extend(slid(known, maps, &kernel)?);
    Some(shape)
}

pub(super) fn global_shape(known: &Known<'_>) -> Option<Extents> {
    let x = known.shape(0)?;
    let one = |i: usize| if i < 2 { x[i] } else { Some(1) };
    Some((0..x.len()).map(one).collect())
}

/// The window, the input as `[batch, channels, height, width]`, and the shape of the output.
fn prepared(call: &mut Call<'_>) -> Result<(Window, Var, Vec<usize>), String> {
    let x = call.float(0)?;
    let shape = x.shape().to_vec();
    if shape.len() < 3 {
        return Err(format!("an input of shape {shape:?} has no spatial axes"));
    }
    let kernel = call
        .node
        .ints("kernel_shape")
        .ok_or("`kernel_shape` is missing")?;
    let kernel: Option<Vec<usize>> = kernel.iter().map(|&k| usize::try_from(k).ok()).collect();
    let window = Window::of(
        call.node,
        &shape[2..],
        &kernel.ok_or("`kernel_shape` has a negative number")?,
    )?;
    let mut out = shape[..2].to_vec();
    out.extend(&window.output[4 - shape.len()..]);
    // A device may need the input with its padding.
    let [height, width] = window.input;
    let [(top, bottom), (left, right)] = window.margins();
    sized(&[
        shape[0],
        shape[1],
        top + height + bottom,
        left + width + right,
    ])?;
    let x = call.tape.reshape(x, &[shape[0], shape[1], height, width]);
    Ok((window, x, out))
}

/// The largest element of each window.
fn max(call: &mut Call<'_>) -> Outputs {
    let (window, x, shape) = prepared(call)?;
    one(call.tape.reshape(call.tape.max_pool(x, &window), &shape))
}

/// The mean of each window, with the padding or (the default) without.
fn average(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let (window, x, shape) = prepared(call)?;
    if window.dilation != [1; 2] {
        return Err("dilations are not supported".into());
    }
    let shares = shares(&window, call.node.int("count_include_pad", 0) != 0);
    let means = tape.average_pool(x, &window);
    if shares.iter().all(|&s| s == 1.0) {
        return one(tape.reshape(means, &shape));
    }
    let [height, width] = window.output;
    let shares = tape.constant(shares, &[1, 1, height, width]);
    one(tape.reshape(tape.div(means, shares), &shape))
}

/// The share of each window's elements that count: those on the input, and those on the padding where it counts too.
fn shares(window: &Window, with_padding: bool) -> Vec<f32> {
    let along = |axis: usize| -> Vec<f32> {
        let (before, input) = (window.before[axis], window.input[axis]);
        let counts = if with_padding {
            0..before + input + window.after[axis]
        } else {
            before..before + input
        };
        (0..window.output[axis])
            .map(|o| {
                let taps = (0..window.kernel[axis])
                    .filter(|k| counts.contains(&(o * window.stride[axis] + k)));
                taps.count() as f32 / window.kernel[axis] as f32
            })
            .collect()
    };
    let columns = along(1);
    along(0)
        .iter()
        .flat_map(|row| columns.iter().map(move |column| row * column))
        .collect()
}

fn global(call: &mut Call<'_>, reduce: fn(&dyn Tape, Var, usize) -> Var) -> Outputs {
    let tape = call.tape;
    let x = call.float(0)?;
    let mut shape = x.shape().to_vec();
    if shape.len() < 3 {
        return Err(format!("an input of shape {shape:?} has no spatial axes"));
    }
    let plane = shape[2..].iter().product();
    let x = tape.reshape(x, &[shape[0], shape[1], plane]);
    shape[2..].fill(1);
    one(tape.reshape(reduce(tape, x, 2), &shape))
}
