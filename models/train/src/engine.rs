//! The device that trains: our kernels on the CPU, remembered where something is differentiated by an operand.

use lapidary_graph::tape::{Cut, Statistics, Tape, Var};
use lapidary_graph::window::{Convolution, Window};
use rten_simd::SimdUnaryOp;
use rten_vecmath::{Erf, Exp, Sigmoid, Tanh};

use super::array::Array;
use super::kernels::elementwise::{
    broadcast, broadcast_back, changed, erf_back, expanded, gelu, gelu_back, map, zip,
};
use super::kernels::{convolution, layout, norm, pool, product, reduce};
use super::record::{self, Tensor};

/// The device.
pub(super) const DEVICE: &dyn Tape = &Device;

struct Device;

/// A tensor of the same values as `x`, to be differentiated by.
pub(super) fn leaf(x: &Var) -> Var {
    var(Tensor::leaf(x.get::<Tensor>().array.clone()))
}

/// The row-major values of a tensor.
pub(super) fn data(x: &Var) -> &[f32] {
    x.get::<Tensor>().array.values()
}

/// As [`data`], to be changed.
pub(super) fn data_mut(x: &mut Var) -> &mut [f32] {
    x.get_mut::<Tensor>().array.values_mut()
}

/// Gradients by leaves.
pub(super) struct Gradients(record::Gradients);

impl Gradients {
    /// Gradients of `Σ output · gradient`.
    pub(super) fn of(output: Var, gradient: Vec<f32>) -> Self {
        let gradient = Array::new(gradient, output.shape());
        Self(record::Gradients::of(output.take(), gradient))
    }

    /// The gradient by `leaf`, row by row, where what was differentiated depends on it.
    pub(super) fn by(&self, leaf: &Var) -> Option<&[f32]> {
        Some(self.0.by(leaf.get())?.values())
    }
}

fn var(tensor: Tensor) -> Var {
    let shape = tensor.array.shape().to_vec();
    Var::new(tensor, &shape)
}

/// A kernel of one operand: `forward` of its elements, and the gradient by it from that by the result.
fn unary(
    x: Var,
    forward: impl FnOnce(Array) -> Array,
    backward: impl FnOnce(Array) -> Array + Send + 'static,
) -> Var {
    let (x, operand) = x.take::<Tensor>().parts();
    var(Tensor::computed(forward(x), [operand], |g, _| {
        vec![Some(backward(g))]
    }))
}

/// As [`unary`], where the gradient takes the operand's elements.
fn of_operand(
    x: Var,
    forward: impl FnOnce(Array) -> Array,
    backward: impl FnOnce(Array, &Array) -> Array + Send + 'static,
) -> Var {
    let tensor: Tensor = x.take();
    let kept = tensor.is_recorded().then(|| tensor.array.clone());
    let (x, operand) = tensor.parts();
    var(Tensor::computed(forward(x), [operand], |g, _| {
        vec![kept.map(|x| backward(g, &x))]
    }))
}

/// As [`unary`], where the gradient takes the result's elements.
fn of_result(
    x: Var,
    forward: impl FnOnce(Array) -> Array,
    backward: impl FnOnce(Array, &Array) -> Array + Send + 'static,
) -> Var {
    let (x, operand) = x.take::<Tensor>().parts();
    let y = forward(x);
    let kept = y.clone();
    var(Tensor::computed(y, [operand], move |g, _| {
        vec![Some(backward(g, &kept))]
    }))
}

/// A kernel of two operands that broadcast: `f(a, b)`, and the gradients by `a` and by `b` that are wanted, from that by the result and both
/// operands.
fn binary(
    a: Var,
    b: Var,
    f: impl Fn(f32, f32) -> f32 + Sync,
    backward: impl FnOnce(&Array, &Array, &Array, &[bool]) -> [Option<Array>; 2] + Send + 'static,
) -> Var {
    let (a, b): (Tensor, Tensor) = (a.take(), b.take());
    let kept = (a.is_recorded() || b.is_recorded()).then(|| (a.array.clone(), b.array.clone()));
    let ((a, first), (b, second)) = (a.parts(), b.parts());
    let out = broadcast(a, &b, f);
    var(Tensor::computed(out, [first, second], move |g, wanted| {
        let Some((a, b)) = kept else {
            return Vec::new();
        };
        backward(&g, &a, &b, wanted).into()
    }))
}

/// As [`binary`], where the gradients are that by the result, the second times `sign`.
fn linear(a: Var, b: Var, f: impl Fn(f32, f32) -> f32 + Sync, sign: f32) -> Var {
    let (a, first) = a.take::<Tensor>().parts();
    let (b, second) = b.take::<Tensor>().parts();
    let shapes = (a.shape().to_vec(), b.shape().to_vec());
    let out = broadcast(a, &b, f);
    var(Tensor::computed(out, [first, second], move |g, wanted| {
        let by_a = wanted[0].then(|| reduce::sum_to(g.clone(), &shapes.0));
        let by_b = wanted[1].then(|| {
            let g = reduce::sum_to(g, &shapes.1);
            if sign == 1.0 { g } else { map(g, |g| sign * g) }
        });
        vec![by_a, by_b]
    }))
}

/// One of two operands of one shape, element by element: `a` where `mask` is true.
fn chosen(mask: Vec<bool>, a: Var, b: Var) -> Var {
    let (a, first) = a.take::<Tensor>().parts();
    let (b, second) = b.take::<Tensor>().parts();
    let shape = a.shape().to_vec();
    let out = Array::written(&shape, |out| {
        let pairs = a.values().iter().zip(b.values());
        for ((out, (a, b)), mask) in out.iter_mut().zip(pairs).zip(&mask) {
            *out = if *mask { *a } else { *b };
        }
    });
    var(Tensor::computed(out, [first, second], move |g, wanted| {
        let part = |side: bool| {
            Array::written(&shape, |out| {
                for ((out, g), mask) in out.iter_mut().zip(g.values()).zip(&mask) {
                    *out = if *mask == side { *g } else { 0.0 };
                }
            })
        };
        vec![
            wanted[0].then(|| part(true)),
            wanted[1].then(|| part(false)),
        ]
    }))
}

/// Whether `test` holds, element by element.
fn compared(a: &Var, b: &Var, test: impl Fn(f32, f32) -> bool) -> Vec<bool> {
    let pairs = data(a).iter().zip(data(b));
    pairs.map(|(a, b)| test(*a, *b)).collect()
}

impl Tape for Device {
    fn constant(&self, values: Vec<f32>, shape: &[usize]) -> Var {
        var(Tensor::constant(Array::new(values, shape)))
    }

    fn read(&self, x: &Var) -> Vec<f32> {
        data(x).to_vec()
    }

    fn relu(&self, x: Var) -> Var {
        of_result(
            x,
            |x| map(x, |x| x.max(0.0)),
            |g, y| zip(g, y, |g, y| if y > 0.0 { g } else { 0.0 }),
        )
    }

    fn sigmoid(&self, x: Var) -> Var {
        of_result(
            x,
            |x| changed(x, |piece| Sigmoid {}.map_mut(piece)),
            |g, y| zip(g, y, |g, y| g * y * (1.0 - y)),
        )
    }

    fn log_sigmoid(&self, x: Var) -> Var {
        of_result(
            x,
            |x| map(x, |x| x.min(0.0) - (-x.abs()).exp().ln_1p()),
            |g, y| zip(g, y, |g, y| g * (1.0 - y.exp())),
        )
    }

    fn tanh(&self, x: Var) -> Var {
        of_result(
            x,
            |x| changed(x, |piece| Tanh {}.map_mut(piece)),
            |g, y| zip(g, y, |g, y| g * (1.0 - y * y)),
        )
    }

    fn gelu(&self, x: Var) -> Var {
        of_operand(x, |x| gelu(&x), gelu_back)
    }

    fn exp(&self, x: Var) -> Var {
        of_result(
            x,
            |x| changed(x, |piece| Exp {}.map_mut(piece)),
            |g, y| zip(g, y, |g, y| g * y),
        )
    }

    fn log(&self, x: Var) -> Var {
        of_operand(x, |x| map(x, f32::ln), |g, x| zip(g, x, |g, x| g / x))
    }

    fn sqrt(&self, x: Var) -> Var {
        of_result(
            x,
            |x| map(x, f32::sqrt),
            |g, y| zip(g, y, |g, y| 0.5 * g / y),
        )
    }

    fn erf(&self, x: Var) -> Var {
        of_operand(x, |x| changed(x, |piece| Erf {}.map_mut(piece)), erf_back)
    }

    fn abs(&self, x: Var) -> Var {
        of_operand(
            x,
            |x| map(x, f32::abs),
            |g, x| zip(g, x, |g, x| if x == 0.0 { 0.0 } else { g * x.signum() }),
        )
    }

    fn neg(&self, x: Var) -> Var {
        self.scale(x, -1.0)
    }

    fn reciprocal(&self, x: Var) -> Var {
        of_result(
            x,
            |x| map(x, f32::recip),
            |g, y| zip(g, y, |g, y| -g * y * y),
        )
    }

    fn round(&self, x: Var) -> Var {
        unary(x, |x| map(x, f32::round_ties_even), |g| g)
    }

    fn shift(&self, x: Var, term: f32) -> Var {
        unary(x, |x| map(x, |x| x + term), |g| g)
    }

    fn scale(&self, x: Var, factor: f32) -> Var {
        unary(
            x,
            |x| map(x, |x| x * factor),
            move |g| map(g, |g| g * factor),
        )
    }

    fn power(&self, x: Var, exponent: f32) -> Var {
        if exponent == 2.0 {
            return of_operand(
                x,
                |x| map(x, |x| x * x),
                |g, x| zip(g, x, |g, x| 2.0 * g * x),
            );
        }
        of_operand(
            x,
            |x| map(x, |x| x.powf(exponent)),
            move |g, x| zip(g, x, |g, x| g * exponent * x.powf(exponent - 1.0)),
        )
    }

    fn clamp(&self, x: Var, low: Option<f32>, high: Option<f32>) -> Var {
        let low = low.unwrap_or(f32::NEG_INFINITY);
        let high = high.unwrap_or(f32::INFINITY);
        of_operand(
            x,
            |x| map(x, |x| x.max(low).min(high)),
            move |g, x| zip(g, x, |g, x| if (low..=high).contains(&x) { g } else { 0.0 }),
        )
    }

    fn add(&self, a: Var, b: Var) -> Var {
        linear(a, b, |a, b| a + b, 1.0)
    }

    fn sub(&self, a: Var, b: Var) -> Var {
        linear(a, b, |a, b| a - b, -1.0)
    }

    fn mul(&self, a: Var, b: Var) -> Var {
        binary(
            a,
            b,
            |a, b| a * b,
            |g, a, b, wanted| {
                [
                    wanted[0].then(|| broadcast_back(g, b, a.shape(), |g, b| g * b)),
                    wanted[1].then(|| broadcast_back(g, a, b.shape(), |g, a| g * a)),
                ]
            },
        )
    }

    fn div(&self, a: Var, b: Var) -> Var {
        binary(
            a,
            b,
            |a, b| a / b,
            |g, a, b, wanted| {
                [
                    wanted[0].then(|| broadcast_back(g, b, a.shape(), |g, b| g / b)),
                    wanted[1].then(|| {
                        let product = broadcast(g.clone(), a, |g, a| -g * a);
                        broadcast_back(&product, b, b.shape(), |p, b| p / (b * b))
                    }),
                ]
            },
        )
    }

    fn max(&self, a: Var, b: Var) -> Var {
        chosen(compared(&a, &b, |a, b| a > b), a, b)
    }

    fn min(&self, a: Var, b: Var) -> Var {
        chosen(compared(&a, &b, |a, b| a < b), a, b)
    }

    fn select(&self, mask: Vec<bool>, a: Var, b: Var) -> Var {
        chosen(mask, a, b)
    }

    fn reshape(&self, x: Var, shape: &[usize]) -> Var {
        let before = x.shape().to_vec();
        unary(x, |x| x.reshaped(shape), move |g| g.reshaped(&before))
    }

    fn permute(&self, x: Var, order: &[usize]) -> Var {
        let back = layout::reversed(order);
        unary(
            x,
            |x| layout::permuted(x, order),
            move |g| layout::permuted(g, &back),
        )
    }

    fn expand(&self, x: Var, shape: &[usize]) -> Var {
        let before = x.shape().to_vec();
        unary(
            x,
            |x| expanded(&x, shape),
            move |g| reduce::sum_to(g, &before),
        )
    }

    fn slice(&self, x: Var, cuts: &[Cut]) -> Var {
        let (before, kept) = (x.shape().to_vec(), cuts.to_vec());
        unary(
            x,
            |x| layout::cut(&x, cuts),
            move |g| layout::cut_back(&g, &before, &kept),
        )
    }

    fn concat(&self, parts: Vec<Var>, axis: usize) -> Var {
        let extents: Vec<usize> = parts.iter().map(|part| part.shape()[axis]).collect();
        let parts = parts.into_iter().map(|part| part.take::<Tensor>().parts());
        let (arrays, operands): (Vec<Array>, Vec<_>) = parts.unzip();
        let out = layout::concatenated(&arrays, axis);
        var(Tensor::computed_of(out, operands, move |g, _| {
            let parts = layout::parted(&g, axis, &extents);
            parts.into_iter().map(Some).collect()
        }))
    }

    fn pad(&self, x: Var, sizes: &[(usize, usize)], value: f32) -> Var {
        let kept = sizes.to_vec();
        unary(
            x,
            |x| layout::padded(&x, sizes, value),
            move |g| layout::cut(&g, &layout::inside(g.shape(), &kept)),
        )
    }

    fn gather(&self, x: Var, axis: usize, indices: &[usize]) -> Var {
        let (before, kept) = (x.shape().to_vec(), indices.to_vec());
        unary(
            x,
            |x| layout::gathered(&x, axis, indices),
            move |g| layout::gathered_back(&g, &before, axis, &kept),
        )
    }

    fn sum(&self, x: Var, axis: usize) -> Var {
        let before = x.shape().to_vec();
        unary(x, |x| reduce::sum(&x, axis), move |g| expanded(&g, &before))
    }

    fn mean(&self, x: Var, axis: usize) -> Var {
        let share = 1.0 / x.shape()[axis] as f32;
        let sum = self.sum(x, axis);
        self.scale(sum, share)
    }

    fn largest(&self, x: Var, axis: usize) -> Var {
        let before = x.shape().to_vec();
        let (x, operand) = x.take::<Tensor>().parts();
        let (out, indices) = reduce::largest(&x, axis);
        var(Tensor::computed(out, [operand], move |g, _| {
            vec![Some(reduce::largest_back(&g, &indices, &before, axis))]
        }))
    }

    fn softmax(&self, x: Var, axis: usize) -> Var {
        of_result(
            x,
            |x| reduce::softmax(x, axis),
            move |g, y| reduce::softmax_back(g, y, axis),
        )
    }

    fn log_softmax(&self, x: Var, axis: usize) -> Var {
        of_result(
            x,
            |x| reduce::log_softmax(x, axis),
            move |g, y| reduce::log_softmax_back(g, y, axis),
        )
    }

    fn matmul(&self, a: Var, b: Var, turned: [bool; 2]) -> Var {
        let (a, first) = a.take::<Tensor>().parts();
        let (b, second) = b.take::<Tensor>().parts();
        let out = product::matmul(&a, &b, turned);
        var(Tensor::computed(out, [first, second], move |g, wanted| {
            vec![
                wanted[0].then(|| product::first_back(&g, &b, a.shape(), turned)),
                wanted[1].then(|| product::second_back(&g, &a, b.shape(), turned)),
            ]
        }))
    }

    fn convolve(&self, x: Var, weight: Var, bias: Option<Var>, by: Convolution) -> Var {
        let (x, first) = x.take::<Tensor>().parts();
        let (weight, second) = weight.take::<Tensor>().parts();
        let bias = bias.map(|bias| bias.take::<Tensor>().parts());
        let [height, width] = by.window.output;
        let out = Array::written(&[by.batch, by.filters, height, width], |out| {
            let bias = bias.as_ref().map(|(bias, _)| bias.values());
            convolution::forward(&by, x.values(), weight.values(), bias, out);
        });
        let mut operands = vec![first, second];
        operands.extend(bias.map(|(_, operand)| operand));
        var(Tensor::computed_of(out, operands, move |g, wanted| {
            let mut by_x = wanted[0].then(|| Array::filled(x.shape(), 0.0));
            let to = by_x.as_mut().map(Array::values_mut);
            let found = convolution::backward(&by, x.values(), weight.values(), g.values(), to);
            let mut gradients = vec![by_x, Some(Array::new(found.weight, weight.shape()))];
            if wanted.len() == 3 {
                gradients.push(Some(Array::new(found.bias, &[by.filters])));
            }
            gradients
        }))
    }

    fn max_pool(&self, x: Var, window: &Window) -> Var {
        let (before, window) = (x.shape().to_vec(), window.clone());
        let (x, operand) = x.take::<Tensor>().parts();
        let (out, places) = pool::largest(&x, &window);
        var(Tensor::computed(out, [operand], move |g, _| {
            vec![Some(pool::largest_back(&g, &places, &before, &window))]
        }))
    }

    fn average_pool(&self, x: Var, window: &Window) -> Var {
        let (before, kept) = (x.shape().to_vec(), window.clone());
        unary(
            x,
            |x| pool::mean(&x, window),
            move |g| pool::mean_back(&g, &before, &kept),
        )
    }

    fn batch_norm(&self, x: Var, scale: Var, bias: Var, epsilon: f32) -> (Var, Statistics) {
        let (x, first) = x.take::<Tensor>().parts();
        let (scale, second) = scale.take::<Tensor>().parts();
        let (bias, third) = bias.take::<Tensor>().parts();
        let mut out = Array::filled(x.shape(), 0.0);
        let statistics = norm::forward(
            x.values(),
            x.shape(),
            scale.values(),
            bias.values(),
            epsilon,
            out.values_mut(),
        );
        let kept = statistics.clone();
        let out = Tensor::computed(out, [first, second, third], move |mut g, _| {
            let (by_scale, by_bias) = norm::backward(
                x.values(),
                x.shape(),
                scale.values(),
                &kept,
                epsilon,
                g.values_mut(),
            );
            vec![
                Some(g),
                Some(Array::new(by_scale, scale.shape())),
                Some(Array::new(by_bias, scale.shape())),
            ]
        });
        (var(out), statistics)
    }

    fn layer_norm(&self, x: Var, scale: Var, bias: Option<Var>, epsilon: f32) -> Var {
        let (x, first) = x.take::<Tensor>().parts();
        let (scale, second) = scale.take::<Tensor>().parts();
        let bias = bias.map(|bias| bias.take::<Tensor>().parts());
        let mut out = x.clone();
        let by = bias.as_ref().map(|(bias, _)| bias.values());
        norm::rows(out.values_mut(), scale.values(), by, epsilon);
        let mut operands = vec![first, second];
        operands.extend(bias.map(|(_, operand)| operand));
        var(Tensor::computed_of(out, operands, move |mut g, wanted| {
            let (by_scale, by_bias) =
                norm::rows_back(g.values_mut(), x.values(), scale.values(), epsilon);
            let mut gradients = vec![Some(g), Some(Array::new(by_scale, scale.shape()))];
            if wanted.len() == 3 {
                gradients.push(Some(Array::new(by_bias, scale.shape())));
            }
            gradients
        }))
    }
}
