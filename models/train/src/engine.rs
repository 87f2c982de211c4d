//! The numbers behind the interpreter: burn's rank-dynamic primitives, once plain (evaluation) and once on a tape (training).

use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::NoCheckpointing;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_backend::tensor::FloatTensor;
use burn_backend::{Backend, BackendTypes, TensorData, TensorMetadata};
use burn_flex::{Flex, FlexDevice, FlexTensor};
use ndarray::ArrayD;

use super::norm;
use super::window::Convolution;

/// The engine that remembers what it did.
pub(super) type Taped = Autodiff<Flex>;

/// Burn's operations, and those of ours that have a gradient of their own.
pub(super) trait Engine:
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
    ) -> (FloatTensor<Self>, norm::Statistics);
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
        let out = by.forward(data(&x), &weight, data(&bias));
        let [height, width] = by.window.output;
        tensor(out, &[by.batch, by.filters, height, width])
    }

    fn normalize(
        x: FlexTensor,
        scale: FlexTensor,
        bias: FlexTensor,
        epsilon: f32,
    ) -> (FlexTensor, norm::Statistics) {
        let (x, scale, bias) = (
            x.to_contiguous(),
            scale.to_contiguous(),
            bias.to_contiguous(),
        );
        let shape = x.shape().to_vec();
        let (out, statistics) = norm::forward(data(&x), &shape, data(&scale), data(&bias), epsilon);
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
    ) -> (FloatTensor<Self>, norm::Statistics) {
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

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (x, weight, by) = ops.state;
        let [x_parent, weight_parent, bias_parent] = ops.parents;
        let found = by.backward(data(&x), &weight, data(&grad), x_parent.is_some());
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
    type State = (FlexTensor, FlexTensor, norm::Statistics, f32);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (x, scale, statistics, epsilon) = ops.state;
        let shape = x.shape().to_vec();
        let found = norm::backward(
            data(&x),
            &shape,
            data(&scale),
            &statistics,
            epsilon,
            data(&grad),
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

/// What a value of the graph is while it runs.
#[derive(Debug, Clone)]
pub(super) enum Value<B: Engine> {
    /// Floats.
    Float(FloatTensor<B>),
    /// Whole numbers: shapes, axes, indices, codes.
    Int(ArrayD<i64>),
}

impl<B: Engine> Value<B> {
    pub(super) fn shape(&self) -> Vec<usize> {
        match self {
            Self::Float(t) => t.shape().to_vec(),
            Self::Int(a) => a.shape().to_vec(),
        }
    }
}

/// A tensor of row-major `values`.
pub(super) fn tensor(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.to_vec()))
}

/// The row-major values of a contiguous tensor.
pub(super) fn data(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("a contiguous tensor of f32")
}
