//! Operators that can be differentiated: a table from ONNX names to functions, one family a file.

mod activation;
mod arithmetic;
mod linear;
mod logic;
mod normalize;
mod pool;
mod quantize;
mod reduce;
mod shape;

use burn_backend::TensorMetadata;
use burn_backend::tensor::FloatTensor;
use lapidary_core::rng::Rng;
use ndarray::ArrayD;

use super::engine::{Engine, Value, data};
use super::norm::Statistics;
use lapidary_graph::Node;

/// Runs one node.
pub(super) type Operator<B> = fn(&mut Call<'_, B>) -> Result<Vec<Value<B>>, String>;

/// What a pass through the graph is for.
pub(super) enum Pass {
    /// Evaluation: running statistics, no dropout.
    Evaluate,
    /// Training: statistics of the batch, which are collected, and dropout.
    Train {
        /// Draws dropout masks.
        rng: Box<Rng>,
        /// Batch statistics by the slots of the running mean and variance, with the momentum of the running values.
        batches: Vec<BatchStatistics>,
    },
}

/// What a batch normalization saw.
pub(super) struct BatchStatistics {
    /// Slots of running mean and variance.
    pub slots: [usize; 2],
    /// Share of the running value that is kept.
    pub momentum: f32,
    /// Mean and variance of the batch.
    pub values: Statistics,
}

/// A node about to run.
pub(super) struct Call<'a, B: Engine> {
    /// The node.
    pub node: &'a Node,
    /// Its inputs; taken out where they are not needed any more.
    pub inputs: Vec<Option<Value<B>>>,
    /// Where its inputs come from.
    pub slots: &'a [Option<usize>],
    /// Version of the standard operator set.
    pub opset: i64,
    /// Whether codes the node writes are signed.
    pub signed: bool,
    /// What the pass is for.
    pub pass: &'a mut Pass,
    /// Samples in this batch, and the number that the graph's input declares where that is fixed.
    pub batch: (usize, Option<usize>),
}

impl<B: Engine> Call<'_, B> {
    /// The float input `index`, where given.
    fn optional(&mut self, index: usize) -> Result<Option<FloatTensor<B>>, String> {
        match self.inputs.get_mut(index).and_then(Option::take) {
            None => Ok(None),
            Some(Value::Float(t)) => Ok(Some(t)),
            Some(Value::Int(_)) => Err(format!(
                "input {index} holds integers where floats are needed"
            )),
        }
    }

    /// The float input `index`.
    fn float(&mut self, index: usize) -> Result<FloatTensor<B>, String> {
        self.optional(index)?
            .ok_or_else(|| format!("input {index} is missing"))
    }

    /// The integers of input `index`, where given.
    fn ints(&mut self, index: usize) -> Result<Option<ArrayD<i64>>, String> {
        match self.inputs.get_mut(index).and_then(Option::take) {
            None => Ok(None),
            Some(Value::Int(a)) => Ok(Some(a)),
            Some(Value::Float(_)) => Err(format!(
                "input {index} holds floats where integers are needed"
            )),
        }
    }

    /// Integers given as the attribute `name` (older operator sets) or as input `index`.
    fn list(&mut self, name: &str, index: usize) -> Result<Option<Vec<i64>>, String> {
        if let Some(values) = self.node.ints(name) {
            return Ok(Some(values.to_vec()));
        }
        Ok(self.ints(index)?.map(|a| a.iter().copied().collect()))
    }

    /// The single number of input `index`, where given; nothing is differentiated by it.
    fn scalar(&mut self, index: usize) -> Result<Option<f32>, String> {
        let Some(tensor) = self.optional(index)? else {
            return Ok(None);
        };
        let plain = B::plain(&tensor).to_contiguous();
        match data(&plain) {
            [value] => Ok(Some(*value)),
            many => Err(format!(
                "input {index} has {} elements where one is needed",
                many.len()
            )),
        }
    }

    /// An input that must be there, of whatever kind.
    fn value(&mut self, index: usize) -> Result<Value<B>, String> {
        self.inputs
            .get_mut(index)
            .and_then(Option::take)
            .ok_or_else(|| format!("input {index} is missing"))
    }
}

/// The axis an ONNX index means, counting from the end where negative.
fn axis(index: i64, rank: usize) -> Result<usize, String> {
    let from_end = if index < 0 {
        index + rank as i64
    } else {
        index
    };
    usize::try_from(from_end)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| format!("axis {index} is outside a tensor of rank {rank}"))
}

/// The axes that ONNX indices mean, rising, each once.
fn axes(indices: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    let mut axes = indices
        .iter()
        .map(|&i| axis(i, rank))
        .collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

fn dims<T: TensorMetadata>(tensor: &T) -> Vec<usize> {
    tensor.shape().to_vec()
}

fn reshaped<B: Engine>(tensor: FloatTensor<B>, shape: &[usize]) -> FloatTensor<B> {
    B::float_reshape(tensor, shape.to_vec().into())
}

/// Elements of a tensor about to be made: 8 GiB of `f32` are taken for a mistake, or for malice, before they are asked for.
fn sized(shape: &[usize]) -> Result<usize, String> {
    shape
        .iter()
        .try_fold(1usize, |n, &extent| n.checked_mul(extent))
        .filter(|&n| n < 1 << 31)
        .ok_or_else(|| format!("a tensor of shape {shape:?} is too large"))
}

/// One float output.
fn one<B: Engine>(tensor: FloatTensor<B>) -> Result<Vec<Value<B>>, String> {
    Ok(vec![Value::Float(tensor)])
}

macro_rules! table {
    ($($name:literal => $function:path,)*) => {
        /// The names of all operators there are.
        pub(super) const NAMES: &[&str] = &[$($name),*];

        /// The function of an operator.
        pub(super) fn find<B: Engine>(name: &str) -> Option<Operator<B>> {
            match name {
                $($name => Some($function),)*
                _ => None,
            }
        }
    };
}

table! {
    "Abs" => arithmetic::abs,
    "Add" => arithmetic::add,
    "And" => logic::and,
    "AveragePool" => pool::average,
    "BatchNormalization" => normalize::batch,
    "Cast" => logic::cast,
    "Clip" => activation::clip,
    "Concat" => shape::concat,
    "ConstantOfShape" => logic::constant_of_shape,
    "Conv" => linear::conv,
    "DequantizeLinear" => quantize::dequantize,
    "Div" => arithmetic::div,
    "Dropout" => normalize::dropout,
    "Elu" => activation::elu,
    "Equal" => logic::equal,
    "Erf" => arithmetic::erf,
    "Exp" => arithmetic::exp,
    "Expand" => logic::expand,
    "Flatten" => shape::flatten,
    "Gather" => shape::gather,
    "Gelu" => activation::gelu,
    "Gemm" => linear::gemm,
    "GlobalAveragePool" => pool::global_average,
    "GlobalMaxPool" => pool::global_max,
    "Greater" => logic::greater,
    "GreaterOrEqual" => logic::greater_or_equal,
    "HardSigmoid" => activation::hard_sigmoid,
    "HardSwish" => activation::hard_swish,
    "Identity" => shape::identity,
    "LayerNormalization" => normalize::layer,
    "LeakyRelu" => activation::leaky_relu,
    "Less" => logic::less,
    "LessOrEqual" => logic::less_or_equal,
    "Log" => arithmetic::log,
    "LogSoftmax" => activation::log_softmax,
    "MatMul" => linear::matmul,
    "Max" => arithmetic::max,
    "MaxPool" => pool::max,
    "Min" => arithmetic::min,
    "Mul" => arithmetic::mul,
    "Neg" => arithmetic::neg,
    "Not" => logic::not,
    "Or" => logic::or,
    "PRelu" => activation::prelu,
    "Pad" => shape::pad,
    "Pow" => arithmetic::pow,
    "QuantizeLinear" => quantize::quantize,
    "Range" => logic::range,
    "Reciprocal" => arithmetic::reciprocal,
    "ReduceMax" => reduce::max,
    "ReduceMean" => reduce::mean,
    "ReduceSum" => reduce::sum,
    "Relu" => activation::relu,
    "Reshape" => shape::reshape,
    "Shape" => shape::shape,
    "Sigmoid" => activation::sigmoid,
    "Slice" => shape::slice,
    "Softmax" => activation::softmax,
    "Softplus" => activation::softplus,
    "Split" => shape::split,
    "Sqrt" => arithmetic::sqrt,
    "Squeeze" => shape::squeeze,
    "Sub" => arithmetic::sub,
    "Sum" => arithmetic::sum,
    "Tanh" => activation::tanh,
    "Transpose" => shape::transpose,
    "Unsqueeze" => shape::unsqueeze,
    "Where" => logic::choose,
}
