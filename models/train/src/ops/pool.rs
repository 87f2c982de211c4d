//! Pooling over one or two spatial axes.

use burn_backend::ops::PadMode;
use burn_backend::tensor::FloatTensor;

use super::{Call, dims, one, reshaped, sized};
use crate::engine::{Engine, Value, tensor};
use crate::window::Window;

type Out<B> = Result<Vec<Value<B>>, String>;

/// The window, the input as `[batch, channels, height, width]`, and the shape of the output.
fn prepared<B: Engine>(
    call: &mut Call<'_, B>,
) -> Result<(Window, FloatTensor<B>, Vec<usize>), String> {
    let x = call.float(0)?;
    let shape = dims(&x);
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
    let [height, width] = window.input;
    Ok((
        window,
        reshaped::<B>(x, &[shape[0], shape[1], height, width]),
        out,
    ))
}

/// Pads so that exactly the windows there are fit, the last ones of `ceil_mode` included.
fn padded<B: Engine>(
    x: FloatTensor<B>,
    window: &Window,
    with: f32,
) -> Result<FloatTensor<B>, String> {
    let mut pads = [(0, 0); 4];
    let mut shape = dims(&x);
    for i in 0..2 {
        let reach = (window.output[i] - 1) * window.stride[i]
            + window.dilation[i] * (window.kernel[i] - 1)
            + 1;
        let behind = reach.saturating_sub(window.before[i] + window.input[i]);
        pads[2 + i] = (window.before[i], behind);
        shape[2 + i] += window.before[i] + behind;
    }
    sized(&shape)?;
    Ok(if pads == [(0, 0); 4] {
        x
    } else {
        B::float_pad(x, &pads, PadMode::Constant(with))
    })
}

/// The largest element of each window.
pub(super) fn max<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let (window, x, shape) = prepared(call)?;
    let x = padded::<B>(x, &window, f32::NEG_INFINITY)?;
    let out = B::max_pool2d(
        x,
        window.kernel,
        window.stride,
        [0; 2],
        window.dilation,
        false,
    );
    one(reshaped::<B>(out, &shape))
}

/// The mean of each window, with the padding or (the default) without.
pub(super) fn average<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let (window, x, shape) = prepared(call)?;
    if window.dilation != [1; 2] {
        return Err("dilations are not supported".into());
    }
    let shares = shares(&window, call.node.int("count_include_pad", 0) != 0);
    let means = B::avg_pool2d(
        padded::<B>(x, &window, 0.0)?,
        window.kernel,
        window.stride,
        [0; 2],
        true,
        false,
    );
    if shares.iter().all(|&s| s == 1.0) {
        return one(reshaped::<B>(means, &shape));
    }
    let shares = tensor(shares, &[1, 1, window.output[0], window.output[1]]);
    one(reshaped::<B>(
        B::float_div(means, B::constant(shares)),
        &shape,
    ))
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
pub(super) fn global_average<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    global(call, B::float_mean_dim)
}

/// The largest element over all spatial axes.
pub(super) fn global_max<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    global(call, B::float_max_dim)
}

fn global<B: Engine>(
    call: &mut Call<'_, B>,
    reduce: fn(FloatTensor<B>, usize) -> FloatTensor<B>,
) -> Out<B> {
    let x = call.float(0)?;
    let mut shape = dims(&x);
    if shape.len() < 3 {
        return Err(format!("an input of shape {shape:?} has no spatial axes"));
    }
    let plane = shape[2..].iter().product();
    let x = reshaped::<B>(x, &[shape[0], shape[1], plane]);
    shape[2..].fill(1);
    one(reshaped::<B>(reduce(x, 2), &shape))
}

#[cfg(test)]
mod tests {
    use lapidary_core::tensor::Dense;

    use crate::check::{gradients, graph, ints, node, numbers, output};
    use lapidary_graph::Attribute;

    #[test]
    fn gradients_of_pooling() {
        let cases = [
            vec![("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2, 2]))],
            vec![
                ("kernel_shape", ints(&[3, 2])),
                ("pads", ints(&[1, 0, 1, 1])),
            ],
            vec![
                ("kernel_shape", ints(&[2, 2])),
                ("strides", ints(&[2, 2])),
                ("ceil_mode", Attribute::Int(1)),
            ],
            vec![
                ("kernel_shape", ints(&[3, 3])),
                ("pads", ints(&[1, 1, 1, 1])),
                ("count_include_pad", Attribute::Int(1)),
            ],
        ];
        for attributes in cases {
            for op in ["MaxPool", "AveragePool"] {
                let graph = graph(
                    &[2, 5, 5],
                    vec![node(&format!("y = {op} x"), &attributes)],
                    &[],
                );
                gradients(&graph, &numbers(&[2, 2, 5, 5], 1), false).unwrap();
            }
        }
        for op in ["GlobalAveragePool", "GlobalMaxPool"] {
            let graph = graph(&[2, 3, 3], vec![node(&format!("y = {op} x"), &[])], &[]);
            gradients(&graph, &numbers(&[2, 2, 3, 3], 1), false).unwrap();
        }
    }

    #[test]
    fn padding_counts_only_where_asked_for() {
        let pool = |extra: &[(&str, Attribute)]| {
            let mut attributes = vec![("kernel_shape", ints(&[2])), ("pads", ints(&[1, 0]))];
            attributes.extend(extra.iter().cloned());
            output(
                &graph(&[1, 2], vec![node("y = AveragePool x", &attributes)], &[]),
                &Dense::f32(&[1, 1, 2], vec![2.0, 4.0]).unwrap(),
            )
        };
        assert_eq!(
            pool(&[]).unwrap(),
            Dense::f32(&[1, 1, 2], vec![2.0, 3.0]).unwrap()
        );
        let counted = pool(&[("count_include_pad", Attribute::Int(1))]).unwrap();
        assert_eq!(counted, Dense::f32(&[1, 1, 2], vec![1.0, 3.0]).unwrap());
    }

    #[test]
    fn the_last_window_of_ceil_mode_holds_what_is_left() {
        let attributes = [
            ("kernel_shape", ints(&[2])),
            ("strides", ints(&[2])),
            ("ceil_mode", Attribute::Int(1)),
        ];
        for (op, expected) in [("MaxPool", [2.0, 3.0]), ("AveragePool", [1.5, 3.0])] {
            let graph = graph(
                &[1, 3],
                vec![node(&format!("y = {op} x"), &attributes)],
                &[],
            );
            let y = output(
                &graph,
                &Dense::f32(&[1, 1, 3], vec![1.0, 2.0, 3.0]).unwrap(),
            )
            .unwrap();
            assert_eq!(y, Dense::f32(&[1, 1, 2], expected.to_vec()).unwrap());
        }
    }
}
