//! What runs an operator: [`Tape`] is the set of kernels that a device offers, [`Call`] a node about to run on it.
//!
//! An operator's function ([`Forward`]) is written once against the trait. A device that only computes gives a model's outputs; one
//! that remembers what it computed gives gradients too, because every kernel of the trait has one.

mod call;
mod shapes;
mod value;

pub use call::{BatchStatistics, Call, Forward, Outputs, Pass, one, whole};
pub use shapes::{aligned, axes, axis, broadcast, extents, of_rank, sized, spread, viewed};
pub use value::{Value, Var};

use crate::window::{Convolution, Window};

/// Mean and (population) variance of each channel of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Means, one for each channel.
    pub mean: Vec<f32>,
    /// Variances, one for each channel.
    pub variance: Vec<f32>,
}

/// What is kept along an axis: every `step`-th index from `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The first index.
    pub start: usize,
    /// The index to stop before.
    pub end: usize,
    /// The distance between two indices, at least 1.
    pub step: usize,
}

/// The kernels of a device, each with a gradient: tensors of `f32` in, tensors out.
///
/// Operators check shapes before they call; a kernel may panic on operands that do not fit. Tensors are moved in: a device may compute in
/// place on a handle that is the only one.
pub trait Tape {
    /// A tensor of row-major `values`, by which nothing is differentiated.
    fn constant(&self, values: Vec<f32>, shape: &[usize]) -> Var;

    /// The elements of `x`, row by row.
    fn read(&self, x: &Var) -> Vec<f32>;

    /// `max(x, 0)`, element by element.
    fn relu(&self, x: Var) -> Var;

    /// `σ(x) = 1 / (1 + e⁻ˣ)`, element by element.
    fn sigmoid(&self, x: Var) -> Var;

    /// `log σ(x)`, element by element, without overflow.
    fn log_sigmoid(&self, x: Var) -> Var;

    /// The hyperbolic tangent, element by element.
    fn tanh(&self, x: Var) -> Var;

    /// `x · Φ(x)` with the normal distribution's Φ (Hendrycks and Gimpel, 2016), element by element.
    fn gelu(&self, x: Var) -> Var;

    /// `eˣ`, element by element.
    fn exp(&self, x: Var) -> Var;

    /// The natural logarithm, element by element.
    fn log(&self, x: Var) -> Var;

    /// The square root, element by element.
    fn sqrt(&self, x: Var) -> Var;

    /// The error function, element by element.
    fn erf(&self, x: Var) -> Var;

    /// `|x|`, element by element.
    fn abs(&self, x: Var) -> Var;

    /// `−x`, element by element.
    fn neg(&self, x: Var) -> Var;

    /// `1 / x`, element by element.
    fn reciprocal(&self, x: Var) -> Var;

    /// The nearest whole number, of two the even one, element by element; the gradient passes unchanged (the straight-through estimator:
    /// Bengio et al., "Estimating or Propagating Gradients Through Stochastic Neurons", 2013).
    fn round(&self, x: Var) -> Var;

    /// `x + term`, element by element.
    fn shift(&self, x: Var, term: f32) -> Var;

    /// `x · factor`, element by element.
    fn scale(&self, x: Var, factor: f32) -> Var;

    /// `x` to the power of `exponent`, element by element.
    fn power(&self, x: Var, exponent: f32) -> Var;

    /// `x` kept within `low` and `high`, where given, element by element; what is outside has no gradient.
    fn clamp(&self, x: Var, low: Option<f32>, high: Option<f32>) -> Var;

    /// `a + b` for tensors of one rank, whose axes of extent 1 broadcast.
    fn add(&self, a: Var, b: Var) -> Var;

    /// `a − b` for tensors of one rank, whose axes of extent 1 broadcast.
    fn sub(&self, a: Var, b: Var) -> Var;

    /// `a · b`, element by element, for tensors of one rank, whose axes of extent 1 broadcast.
    fn mul(&self, a: Var, b: Var) -> Var;

    /// `a / b` for tensors of one rank, whose axes of extent 1 broadcast.
    fn div(&self, a: Var, b: Var) -> Var;

    /// The larger of two tensors of one shape, element by element; of equal ones, `b`.
    fn max(&self, a: Var, b: Var) -> Var;

    /// The smaller of two tensors of one shape, element by element; of equal ones, `b`.
    fn min(&self, a: Var, b: Var) -> Var;

    /// `a` where `mask` (row by row) is true, else `b`, all of one shape.
    fn select(&self, mask: Vec<bool>, a: Var, b: Var) -> Var;

    /// The same elements, row by row, under another shape.
    fn reshape(&self, x: Var, shape: &[usize]) -> Var;

    /// Axis `order[i]` of `x` becomes axis `i`.
    fn permute(&self, x: Var, order: &[usize]) -> Var;

    /// `x` repeated along its axes of extent 1 up to `shape`, which has as many axes.
    fn expand(&self, x: Var, shape: &[usize]) -> Var;

    /// A cut along each axis of `x`.
    fn slice(&self, x: Var, cuts: &[Cut]) -> Var;

    /// Tensors that differ at most in the extent of `axis`, one behind the other along it.
    fn concat(&self, parts: Vec<Var>, axis: usize) -> Var;

    /// `x` with `(before, behind)` elements of `value` around each axis.
    fn pad(&self, x: Var, sizes: &[(usize, usize)], value: f32) -> Var;

    /// The slices of `x` at `indices` along `axis`, whose extent becomes their number.
    fn gather(&self, x: Var, axis: usize, indices: &[usize]) -> Var;

    /// The sum along `axis`, whose extent becomes 1, in an order of addition that depends on shapes only.
    fn sum(&self, x: Var, axis: usize) -> Var;

    /// The mean along `axis`, whose extent becomes 1, in an order of addition that depends on shapes only.
    fn mean(&self, x: Var, axis: usize) -> Var;

    /// The largest element along `axis`, whose extent becomes 1.
    fn largest(&self, x: Var, axis: usize) -> Var;

    /// `eˣ / Σ eˣ` along `axis`.
    fn softmax(&self, x: Var, axis: usize) -> Var;

    /// `x − log Σ eˣ` along `axis`.
    fn log_softmax(&self, x: Var, axis: usize) -> Var;

    /// Matrix products `[…, n, k] · […, k, m]` of tensors of one rank, whose axes of extent 1 before the last two broadcast; a factor that is
    /// `turned` is given with its last two axes in the other order.
    fn matmul(&self, a: Var, b: Var, turned: [bool; 2]) -> Var;

    /// The convolution of `x` `[batch, channels, height, width]` by `weight` `[filters, channels / groups, …]`, whose further axes
    /// are those of the window, plus `bias` `[filters]`: `[batch, filters, height, width]`.
    fn convolve(&self, x: Var, weight: Var, bias: Option<Var>, by: Convolution) -> Var;

    /// The largest element of each window on `x` `[batch, channels, height, width]`.
    fn max_pool(&self, x: Var, window: &Window) -> Var;

    /// The mean of each window on `x` `[batch, channels, height, width]`, padding counted as zeros; windows are not dilated.
    fn average_pool(&self, x: Var, window: &Window) -> Var;

    /// `(x − mean) / √(variance + epsilon) · scale + bias` for `x` of shape `[batch, channels, …]`, by the mean and variance of each channel
    /// of the batch, which are returned; `scale` and `bias` are `[channels]` (Ioffe and Szegedy, "Batch Normalization", 2015).
    fn batch_norm(&self, x: Var, scale: Var, bias: Var, epsilon: f32) -> (Var, Statistics);

    /// `(x − mean) / √(variance + epsilon) · scale + bias` for `x` of shape `[rows, width]`, by the mean and variance of each row; `scale` and
    /// `bias` are `[width]` (Ba et al., "Layer Normalization", 2016).
    fn layer_norm(&self, x: Var, scale: Var, bias: Option<Var>, epsilon: f32) -> Var;
}
