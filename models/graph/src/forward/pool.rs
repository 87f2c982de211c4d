//! Pooling over one or two spatial axes.

use crate::tape::{Call, Outputs, Tape, Var, one, sized};
use crate::window::Window;

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
pub fn max(call: &mut Call<'_>) -> Outputs {
    let (window, x, shape) = prepared(call)?;
    one(call.tape.reshape(call.tape.max_pool(x, &window), &shape))
}

/// The mean of each window, with the padding or (the default) without.
pub fn average(call: &mut Call<'_>) -> Outputs {
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

/// The mean over all spatial axes.
pub fn global_average(call: &mut Call<'_>) -> Outputs {
    global(call, |tape, x, axis| tape.mean(x, axis))
}

/// The largest element over all spatial axes.
pub fn global_max(call: &mut Call<'_>) -> Outputs {
    global(call, |tape, x, axis| tape.largest(x, axis))
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
