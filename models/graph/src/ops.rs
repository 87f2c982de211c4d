//! Operators, one family a file.

mod activation;
mod arithmetic;
mod linear;
mod logic;
mod normalize;
mod pool;
mod quantize;
mod reduce;
mod shape;

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
