//! How operators run on a device, one family a file: a table from ONNX names to functions.

mod activation;
mod arithmetic;
mod cast;
mod concat;
mod constant;
mod conv;
mod dropout;
mod expand;
mod gather;
mod gemm;
mod logic;
mod math;
mod matmul;
mod normalization;
mod pad;
mod pool;
mod quantize;
mod reduce;
mod reshape;
mod select;
mod shape;
mod slice;
mod softmax;
mod split;
mod squeeze;
mod transpose;

use crate::tape::Forward;

macro_rules! table {
    ($($name:literal => $function:path,)*) => {
        /// The names of all operators there are.
        pub const NAMES: &[&str] = &[$($name),*];

        /// The function of an operator.
        pub fn find(name: &str) -> Option<Forward> {
            match name {
                $($name => Some($function),)*
                _ => None,
            }
        }
    };
}

table! {
    "Abs" => math::abs,
    "Add" => arithmetic::add,
    "And" => logic::and,
    "AveragePool" => pool::average,
    "BatchNormalization" => normalization::batch,
    "Cast" => cast::cast,
    "Clip" => activation::clip,
    "Concat" => concat::concat,
    "ConstantOfShape" => constant::constant_of_shape,
    "Conv" => conv::conv,
    "DequantizeLinear" => quantize::dequantize,
    "Div" => arithmetic::div,
    "Dropout" => dropout::dropout,
    "Elu" => activation::elu,
    "Equal" => logic::equal,
    "Erf" => math::erf,
    "Exp" => math::exp,
    "Expand" => expand::expand,
    "Flatten" => reshape::flatten,
    "Gather" => gather::gather,
    "Gelu" => activation::gelu,
    "Gemm" => gemm::gemm,
    "GlobalAveragePool" => pool::global_average,
    "GlobalMaxPool" => pool::global_max,
    "Greater" => logic::greater,
    "GreaterOrEqual" => logic::greater_or_equal,
    "HardSigmoid" => activation::hard_sigmoid,
    "HardSwish" => activation::hard_swish,
    "Identity" => reshape::identity,
    "LayerNormalization" => normalization::layer,
    "LeakyRelu" => activation::leaky_relu,
    "Less" => logic::less,
    "LessOrEqual" => logic::less_or_equal,
    "Log" => math::log,
    "LogSoftmax" => softmax::log_softmax,
    "MatMul" => matmul::matmul,
    "Max" => arithmetic::max,
    "MaxPool" => pool::max,
    "Min" => arithmetic::min,
    "Mul" => arithmetic::mul,
    "Neg" => math::neg,
    "Not" => logic::not,
    "Or" => logic::or,
    "PRelu" => activation::prelu,
    "Pad" => pad::pad,
    "Pow" => arithmetic::pow,
    "QuantizeLinear" => quantize::quantize,
    "Range" => constant::range,
    "Reciprocal" => math::reciprocal,
    "ReduceMax" => reduce::max,
    "ReduceMean" => reduce::mean,
    "ReduceSum" => reduce::sum,
    "Relu" => activation::relu,
    "Reshape" => reshape::reshape,
    "Shape" => shape::shape,
    "Sigmoid" => activation::sigmoid,
    "Slice" => slice::slice,
    "Softmax" => softmax::softmax,
    "Softplus" => activation::softplus,
    "Split" => split::split,
    "Sqrt" => math::sqrt,
    "Squeeze" => squeeze::squeeze,
    "Sub" => arithmetic::sub,
    "Sum" => arithmetic::sum,
    "Tanh" => activation::tanh,
    "Transpose" => transpose::transpose,
    "Unsqueeze" => squeeze::unsqueeze,
    "Where" => select::choose,
}
