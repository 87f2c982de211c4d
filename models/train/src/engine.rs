//! The device that trains: burn's rank-dynamic primitives on the CPU, once plain (evaluation) and once remembered (training). Only this
//! file and the kernels of `convolution.rs` know burn.

use std::marker::PhantomData;

use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::NoCheckpointing;
use burn_autodiff::grads::Gradients as Grads;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_backend::ops::{FloatTensorOps, PadMode};
use burn_backend::tensor::FloatTensor;
use burn_backend::{
    AutodiffBackend, Backend, BackendTypes, BoolDType, Scalar, Slice, TensorData, TensorMetadata,
};
use burn_flex::{Flex, FlexDevice, FlexTensor};
use lapidary_graph::tape::{Cut, Statistics, Tape, Value, Var};
use lapidary_graph::window::{Convolution, Window};

use super::{convolution, norm};

/// Burn's engine that remembers what it did.
type Taped = Autodiff<Flex>;

/// The device that only computes.
pub(super) const PLAIN: &dyn Tape = &Device::<Flex>(PhantomData);

/// The device that remembers what it computed, for [`gradients`].
pub(super) const TAPED: &dyn Tape = &Device::<Taped>(PhantomData);

/// A value of the plain device on the one that remembers; nothing is differentiated by it.
pub(super) fn constant(value: Value) -> Value {
    match value {
        Value::Float(x) => Value::Float(var::<Taped>(Taped::constant(x.take()))),
        Value::Int(a) => Value::Int(a),
    }
}

/// A tensor of the plain device on the one that remembers, to be differentiated by.
pub(super) fn leaf(x: &Var) -> Var {
    let x = x.get::<FlexTensor>().clone();
    var::<Taped>(Taped::constant(x).require_grad())
}

/// The row-major values of a plain tensor that has not been permuted or cut.
pub(super) fn data(x: &Var) -> &[f32] {
    slice(x.get())
}

/// As [`data`], to be changed.
pub(super) fn data_mut(x: &mut Var) -> &mut [f32] {
    x.get_mut::<FlexTensor>().storage_mut()
}

/// Gradients by leaves.
pub(super) struct Gradients(<Taped as AutodiffBackend>::Gradients);

impl Gradients {
    /// The gradient by `leaf`, where what was differentiated depends on it: a plain tensor.
    pub(super) fn by(&self, leaf: &Var) -> Option<Var> {
        let gradient = Taped::grad(leaf.get::<FloatTensor<Taped>>(), &self.0)?;
        Some(var::<Flex>(gradient.to_contiguous()))
    }
}

/// Gradients of `Σ output · gradient`, for a gradient by the output of shape `[rows, columns]`: the tape carries on from one that is known.
pub(super) fn gradients(output: Var, gradient: Vec<f32>, shape: [usize; 2]) -> Gradients {
    let gradient = TAPED.constant(gradient, &shape);
    let product = TAPED.mul(TAPED.reshape(output, &shape), gradient);
    // Rows first: burn groups a sum over the whole of a large tensor by how threads steal work.
    let rows: FloatTensor<Taped> = TAPED.sum(product, 1).take();
    Gradients(Taped::backward(Taped::float_sum(rows)))
}

/// One of burn's engines, and those kernels that are ours.
struct Device<B>(PhantomData<B>);

/// Burn's operations, and those of ours that have a gradient of their own.
trait Engine:
    Backend
    + BackendTypes<
        Device = FlexDevice,
        IntTensorPrimitive = FlexTensor,
        BoolTensorPrimitive = FlexTensor,
    >
{
    /// A tensor that nothing is differentiated by.
    fn constant(tensor: FlexTensor) -> FloatTensor<Self>;

    /// The numbers of a tensor.
    fn plain(tensor: &FloatTensor<Self>) -> &FlexTensor;

    /// A convolution.
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        by: Convolution,
    ) -> FloatTensor<Self>;

    /// Batch normalization by the statistics of the batch, which it returns.
    fn normalize(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, Statistics);
}

/// The handle of one of burn's tensors.
fn var<B: Engine>(tensor: FloatTensor<B>) -> Var {
    let shape = tensor.shape();
    Var::new(tensor, &shape)
}

fn number(value: f32) -> Scalar {
    Scalar::Float(f64::from(value))
}

/// `a` where `mask` is true, else `b`.
fn choose<B: Engine>(mask: FlexTensor, a: FloatTensor<B>, b: FloatTensor<B>) -> Var {
    var::<B>(B::float_mask_where(b, mask, a))
}

impl<B: Engine> Device<B> {
    /// `x` with the margins its windows need.
    fn padded(x: Var, window: &Window, value: f32) -> FloatTensor<B> {
        let [rows, columns] = window.margins();
        if [rows, columns] == [(0, 0); 2] {
            return x.take();
        }
        let pads = [(0, 0), (0, 0), rows, columns];
        B::float_pad(x.take(), &pads, PadMode::Constant(value))
    }
}

impl<B: Engine> Tape for Device<B> {
    fn constant(&self, values: Vec<f32>, shape: &[usize]) -> Var {
        var::<B>(B::constant(tensor(values, shape)))
    }

    fn read(&self, x: &Var) -> Vec<f32> {
        slice(&B::plain(x.get()).to_contiguous()).to_vec()
    }

    fn relu(&self, x: Var) -> Var {
        var::<B>(B::relu(x.take()))
    }

    fn sigmoid(&self, x: Var) -> Var {
        var::<B>(B::sigmoid(x.take()))
    }

    fn log_sigmoid(&self, x: Var) -> Var {
        var::<B>(B::log_sigmoid(x.take()))
    }

    fn tanh(&self, x: Var) -> Var {
        var::<B>(B::float_tanh(x.take()))
    }

    fn gelu(&self, x: Var) -> Var {
        var::<B>(B::gelu(x.take()))
    }

    fn exp(&self, x: Var) -> Var {
        var::<B>(B::float_exp(x.take()))
    }

    fn log(&self, x: Var) -> Var {
        var::<B>(B::float_log(x.take()))
    }

    fn sqrt(&self, x: Var) -> Var {
        var::<B>(B::float_sqrt(x.take()))
    }

    fn erf(&self, x: Var) -> Var {
        var::<B>(B::float_erf(x.take()))
    }

    fn abs(&self, x: Var) -> Var {
        var::<B>(B::float_abs(x.take()))
    }

    fn neg(&self, x: Var) -> Var {
        var::<B>(B::float_neg(x.take()))
    }

    fn reciprocal(&self, x: Var) -> Var {
        var::<B>(B::float_recip(x.take()))
    }

    fn round(&self, x: Var) -> Var {
        let exact: FloatTensor<B> = x.take();
        let error = B::float_sub(B::float_round(exact.clone()), exact.clone());
        var::<B>(B::float_add(exact, B::float_detach(error)))
    }

    fn shift(&self, x: Var, term: f32) -> Var {
        var::<B>(B::float_add_scalar(x.take(), number(term)))
    }

    fn scale(&self, x: Var, factor: f32) -> Var {
        var::<B>(B::float_mul_scalar(x.take(), number(factor)))
    }

    fn power(&self, x: Var, exponent: f32) -> Var {
        var::<B>(B::float_powf_scalar(x.take(), number(exponent)))
    }

    fn clamp(&self, x: Var, low: Option<f32>, high: Option<f32>) -> Var {
        match (low.map(number), high.map(number)) {
            (Some(low), Some(high)) => var::<B>(B::float_clamp(x.take(), low, high)),
            (Some(low), None) => var::<B>(B::float_clamp_min(x.take(), low)),
            (None, Some(high)) => var::<B>(B::float_clamp_max(x.take(), high)),
            (None, None) => x,
        }
    }

    fn add(&self, a: Var, b: Var) -> Var {
        var::<B>(B::float_add(a.take(), b.take()))
    }

    fn sub(&self, a: Var, b: Var) -> Var {
        var::<B>(B::float_sub(a.take(), b.take()))
    }

    fn mul(&self, a: Var, b: Var) -> Var {
        var::<B>(B::float_mul(a.take(), b.take()))
    }

    fn div(&self, a: Var, b: Var) -> Var {
        var::<B>(B::float_div(a.take(), b.take()))
    }

    fn max(&self, a: Var, b: Var) -> Var {
        let (a, b): (FloatTensor<B>, FloatTensor<B>) = (a.take(), b.take());
        choose::<B>(
            B::float_greater(a.clone(), b.clone(), BoolDType::Native),
            a,
            b,
        )
    }

    fn min(&self, a: Var, b: Var) -> Var {
        let (a, b): (FloatTensor<B>, FloatTensor<B>) = (a.take(), b.take());
        choose::<B>(
            B::float_lower(a.clone(), b.clone(), BoolDType::Native),
            a,
            b,
        )
    }

    fn select(&self, mask: Vec<bool>, a: Var, b: Var) -> Var {
        let mask = FlexTensor::from_data(TensorData::new(mask, a.shape().to_vec()));
        choose::<B>(mask, a.take(), b.take())
    }

    fn reshape(&self, x: Var, shape: &[usize]) -> Var {
        var::<B>(B::float_reshape(x.take(), shape.to_vec().into()))
    }

    fn permute(&self, x: Var, order: &[usize]) -> Var {
        var::<B>(B::float_permute(x.take(), order))
    }

    fn expand(&self, x: Var, shape: &[usize]) -> Var {
        var::<B>(B::float_expand(x.take(), shape.to_vec().into()))
    }

    fn slice(&self, x: Var, cuts: &[Cut]) -> Var {
        let cut = |cut: &Cut| {
            Slice::new(
                cut.start as isize,
                Some(cut.end as isize),
                cut.step as isize,
            )
        };
        let cuts: Vec<Slice> = cuts.iter().map(cut).collect();
        var::<B>(B::float_slice(x.take(), &cuts))
    }

    fn concat(&self, parts: Vec<Var>, axis: usize) -> Var {
        let parts = parts.into_iter().map(Var::take).collect();
        var::<B>(B::float_cat(parts, axis))
    }

    fn pad(&self, x: Var, sizes: &[(usize, usize)], value: f32) -> Var {
        var::<B>(B::float_pad(x.take(), sizes, PadMode::Constant(value)))
    }

    fn gather(&self, x: Var, axis: usize, indices: &[usize]) -> Var {
        let indices: Vec<i64> = indices.iter().map(|&i| i as i64).collect();
        let count = indices.len();
        let indices = FlexTensor::from_data(TensorData::new(indices, vec![count]));
        var::<B>(B::float_select(x.take(), axis, indices))
    }

    fn sum(&self, x: Var, axis: usize) -> Var {
        var::<B>(B::float_sum_dim(x.take(), axis))
    }

    fn mean(&self, x: Var, axis: usize) -> Var {
        var::<B>(B::float_mean_dim(x.take(), axis))
    }

    fn largest(&self, x: Var, axis: usize) -> Var {
        var::<B>(B::float_max_dim(x.take(), axis))
    }

    fn softmax(&self, x: Var, axis: usize) -> Var {
        var::<B>(B::softmax(x.take(), axis))
    }

    fn log_softmax(&self, x: Var, axis: usize) -> Var {
        var::<B>(B::log_softmax(x.take(), axis))
    }

    fn matmul(&self, a: Var, b: Var) -> Var {
        var::<B>(B::float_matmul(a.take(), b.take()))
    }

    fn convolve(&self, x: Var, weight: Var, bias: Option<Var>, by: Convolution) -> Var {
        let bias = bias.map_or_else(
            || B::constant(tensor(vec![0.0; by.filters], &[by.filters])),
            Var::take,
        );
        var::<B>(B::convolve(x.take(), weight.take(), bias, by))
    }

    fn max_pool(&self, x: Var, window: &Window) -> Var {
        let x = Self::padded(x, window, f32::NEG_INFINITY);
        var::<B>(B::max_pool2d(
            x,
            window.kernel,
            window.stride,
            [0; 2],
            window.dilation,
            false,
        ))
    }

    fn average_pool(&self, x: Var, window: &Window) -> Var {
        let x = Self::padded(x, window, 0.0);
        var::<B>(B::avg_pool2d(
            x,
            window.kernel,
            window.stride,
            [0; 2],
            true,
            false,
        ))
    }

    fn batch_norm(&self, x: Var, scale: Var, bias: Var, epsilon: f32) -> (Var, Statistics) {
        let (out, statistics) = B::normalize(x.take(), scale.take(), bias.take(), epsilon);
        (var::<B>(out), statistics)
    }

    fn layer_norm(&self, x: Var, scale: Var, bias: Option<Var>, epsilon: f32) -> Var {
        var::<B>(B::layer_norm(
            x.take(),
            scale.take(),
            bias.map(Var::take),
            f64::from(epsilon),
        ))
    }
}

impl Engine for Flex {
    fn constant(tensor: FlexTensor) -> FlexTensor {
        tensor
    }

    fn plain(tensor: &FlexTensor) -> &FlexTensor {
        tensor
    }

    fn convolve(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        by: Convolution,
    ) -> FlexTensor {
        let (x, weight, bias) = (
            x.to_contiguous(),
            weight.to_contiguous(),
            bias.to_contiguous(),
        );
        let out = convolution::forward(&by, slice(&x), &weight, slice(&bias));
        let [height, width] = by.window.output;
        tensor(out, &[by.batch, by.filters, height, width])
    }

    fn normalize(
        x: FlexTensor,
        scale: FlexTensor,
        bias: FlexTensor,
        epsilon: f32,
    ) -> (FlexTensor, Statistics) {
        let (x, scale, bias) = (
            x.to_contiguous(),
            scale.to_contiguous(),
            bias.to_contiguous(),
        );
        let shape = x.shape().to_vec();
        let (out, statistics) =
            norm::forward(slice(&x), &shape, slice(&scale), slice(&bias), epsilon);
        (tensor(out, &shape), statistics)
    }
}

impl Engine for Taped {
    fn constant(tensor: FlexTensor) -> FloatTensor<Self> {
        <Self as burn_backend::AutodiffBackend>::from_inner(tensor)
    }

    fn plain(tensor: &FloatTensor<Self>) -> &FlexTensor {
        tensor.primitive()
    }

    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        by: Convolution,
    ) -> FloatTensor<Self> {
        let (x, x_node) = x.into_parts();
        let (weight, weight_node) = weight.into_parts();
        let (bias, bias_node) = bias.into_parts();
        let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
        let out = Flex::convolve(x.clone(), weight.clone(), bias, by.clone());
        match Convolve
            .prepare::<NoCheckpointing>([x_node, weight_node, bias_node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((x, weight, by), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn normalize(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, Statistics) {
        let (x, x_node) = x.into_parts();
        let (scale, scale_node) = scale.into_parts();
        let (bias, bias_node) = bias.into_parts();
        let (x, scale) = (x.to_contiguous(), scale.to_contiguous());
        let (out, statistics) = Flex::normalize(x.clone(), scale.clone(), bias, epsilon);
        let out = match Normalize
            .prepare::<NoCheckpointing>([x_node, scale_node, bias_node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((x, scale, statistics.clone(), epsilon), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        };
        (out, statistics)
    }
}

/// The backward step of [`Engine::convolve`].
#[derive(Debug)]
struct Convolve;

impl Backward<Flex, 3> for Convolve {
    type State = (FlexTensor, FlexTensor, Convolution);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Grads, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (x, weight, by) = ops.state;
        let [x_parent, weight_parent, bias_parent] = ops.parents;
        let found =
            convolution::backward(&by, slice(&x), &weight, slice(&grad), x_parent.is_some());
        if let (Some(parent), Some(grad)) = (x_parent, found.x) {
            grads.register::<Flex>(parent.id, tensor(grad, &x.shape()));
        }
        if let Some(parent) = weight_parent {
            grads.register::<Flex>(parent.id, tensor(found.weight, &weight.shape()));
        }
        if let Some(parent) = bias_parent {
            grads.register::<Flex>(parent.id, tensor(found.bias, &[by.filters]));
        }
    }
}

/// The backward step of [`Engine::normalize`].
#[derive(Debug)]
struct Normalize;

impl Backward<Flex, 3> for Normalize {
    type State = (FlexTensor, FlexTensor, Statistics, f32);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Grads, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (x, scale, statistics, epsilon) = ops.state;
        let shape = x.shape().to_vec();
        let found = norm::backward(
            slice(&x),
            &shape,
            slice(&scale),
            &statistics,
            epsilon,
            slice(&grad),
        );
        let channels = [scale.shape().num_elements()];
        let [x_parent, scale_parent, bias_parent] = ops.parents;
        for (parent, grad, shape) in [
            (x_parent, found.x, &shape[..]),
            (scale_parent, found.scale, &channels),
            (bias_parent, found.bias, &channels),
        ] {
            if let Some(parent) = parent {
                grads.register::<Flex>(parent.id, tensor(grad, shape));
            }
        }
    }
}

/// A tensor of row-major `values`.
pub(super) fn tensor(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.to_vec()))
}

/// The row-major values of a contiguous tensor.
pub(super) fn slice(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("a contiguous tensor of f32")
}
