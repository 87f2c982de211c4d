//! Operators, one home for each.
//!
//! An [`Operator`] holds what the house knows of one: where its weights stand, the shapes it gives, what it costs, how channels
//! flow through it, how it is written for an engine and brought to newer operator sets. Shape inference, layers,
//! channel groups, lowering and conversion look nodes up here and do what they find; none of them knows an operator by name.

#![allow(
    missing_docs,
    reason = "operators bear the names by which the ONNX standard describes them"
)]

mod activation;
mod arithmetic;
mod cast;
mod concat;
mod constant;
mod control;
mod conv;
mod dropout;
mod einsum;
mod expand;
mod fourier;
mod gather;
mod gemm;
mod logic;
mod math;
mod matmul;
mod normalization;
mod pad;
mod pool;
mod positions;
mod quantize;
mod recurrent;
mod reduce;
mod reshape;
mod resize;
mod scatter;
mod select;
mod shape;
mod slice;
mod softmax;
mod space;
mod split;
mod squeeze;
mod transpose;
mod unroll;
mod vision;
mod window;

use lapidary_core::model::{Activation, ModelError, Product};

use crate::fold::Fold;
use crate::graph::Node;
use crate::layers::Work;
use crate::lower::Lowering;
use crate::opset::Change;
use crate::shape::{Extents, Ints, Known};
use crate::structure::{Flow, Layouts};
use crate::tape::Forward;
use crate::types::{Alike, Typed, Types};

/// What the house knows of an operator. Everything but its name is optional: what an operator does not say, the passes
/// take the careful way about.
#[derive(Debug)]
pub struct Operator {
    /// Name, as nodes bear it.
    pub name: &'static str,
    /// Operator set; empty is the standard one.
    pub domain: &'static str,

    /// Where its weights stand. Of several choices the first counts whose main weight is a constant.
    pub(crate) weights: &'static [Slots],
    /// Inputs that hold weights as integer codes, the main one first.
    pub(crate) codes: &'static [usize],
    /// The axis of the main weight, of the given rank, along which output channels lie.
    pub(crate) channel_axis: fn(&Node, &Slots, usize) -> usize,
    /// What it computes of its input and main weight, where that is a sum of products.
    pub(crate) product: Option<Product>,
    /// Whether a constant vector that is added behind it is its bias.
    pub bias_behind: bool,
    /// Whether a constant of this shape among its inputs is learnt, given whether it stands behind a product, though it is
    /// no weight by its place.
    pub(crate) learns_constant: fn(&[usize], bool) -> bool,
    /// From which input on vectors are its own, though an exporter made one initialiser of several equal ones.
    pub(crate) own_vectors: Option<usize>,
    /// Whether the constants it reads say how it computes, as scales and zero points do, and are no weights.
    pub(crate) told_by_constants: bool,
    /// Whether it computes with integer codes.
    pub(crate) quantized: bool,
    /// Whether it hands its first input on, so that a weight may stand behind it.
    pub hands_on: bool,
    /// Whether its output holds the numbers of its first input in their order, as another shape or type, or rounded.
    pub(crate) keeps_numbers: bool,
    /// Which activation it is, where it makes a model's outputs of logits.
    pub(crate) activation: Option<Activation>,

    /// Element types of the outputs, each where it follows.
    pub(crate) types: fn(&Typed<'_>) -> Types,
    /// The inputs that must be of one element type.
    pub(crate) alike: Alike,
    /// What is wrong with the extents of the inputs, as far as they are known.
    pub(crate) misfit: fn(&Known<'_>) -> Option<String>,
    /// The first output of constant inputs, where it can be told without running the node.
    pub(crate) fold: Option<Fold>,
    /// Extents of the first output.
    pub(crate) shape: fn(&Known<'_>) -> Option<Extents>,
    /// Extents of the outputs behind the first.
    pub(crate) other_shapes: fn(&Known<'_>) -> Option<Vec<Extents>>,
    /// Elements of the first output, where that is a small integer tensor.
    pub(crate) ints: fn(&Known<'_>) -> Option<Ints>,
    /// Multiply-accumulates for one sample.
    pub(crate) macs: fn(&Work<'_>) -> Option<u64>,
    /// The channels of the outputs; `None` where those that reach the node cannot be cut.
    pub(crate) channels: for<'g> fn(&mut Flow<'g>, &'g Node) -> Option<Layouts>,

    /// Runs a node, and with a device that remembers gives its gradient.
    pub forward: Option<Forward>,
    /// Writes a node in the terms that rten takes; without it the node is taken as it is.
    pub(crate) lower: Option<Lower>,
    /// Versions of its operator set in which its meaning changed, rising.
    pub(crate) changes: &'static [Change],
}

/// Writes a node in the terms that rten takes.
pub(crate) type Lower = fn(&mut Lowering<'_>, Node) -> Result<(), ModelError>;

/// Where a layer's weights stand among its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slots {
    /// The main weight.
    pub weight: usize,
    /// The bias.
    pub bias: Option<usize>,
    /// All weights, the two above included.
    pub all: &'static [usize],
    /// The activations.
    pub input: usize,
}

impl Slots {
    /// The weights at `all` of a node that reads its activations at input 0; the main one is at 1.
    const fn behind_input(bias: Option<usize>, all: &'static [usize]) -> Self {
        Self {
            weight: 1,
            bias,
            all,
            input: 0,
        }
    }
}

impl Operator {
    /// An operator of the standard set.
    const fn standard(name: &'static str) -> Self {
        Self::of(name, "")
    }

    /// An operator of ONNX Runtime's own set.
    const fn contributed(name: &'static str) -> Self {
        Self::of(name, "com.microsoft")
    }

    const fn of(name: &'static str, domain: &'static str) -> Self {
        Self {
            name,
            domain,
            weights: &[],
            codes: &[],
            channel_axis: |_, _, _| 0,
            product: None,
            bias_behind: false,
            learns_constant: |_, _| false,
            own_vectors: None,
            told_by_constants: false,
            quantized: false,
            hands_on: false,
            types: |typed| vec![typed.input(0)],
            alike: Alike::No,
            misfit: |_| None,
            fold: None,
            keeps_numbers: false,
            activation: None,
            shape: |_| None,
            other_shapes: |_| None,
            ints: |_| None,
            macs: |work| work.output(),
            channels: |_, _| None,
            forward: None,
            lower: None,
            changes: &[],
        }
    }

    /// A node of this operator without attributes, called `name`.
    pub fn node(&self, name: String, inputs: Vec<String>, outputs: Vec<String>) -> Node {
        Node {
            name,
            op: self.name.into(),
            domain: self.domain.into(),
            inputs,
            outputs,
            ..Node::default()
        }
    }

    /// Makes `node` one of this operator.
    pub(crate) fn take_over(&self, node: &mut Node) {
        node.op = self.name.into();
        node.domain = self.domain.into();
    }

    /// Whether a node learns from its input `index`, a constant of shape `shape`, given whether it stands behind a product.
    pub fn learns(&self, index: usize, shape: &[usize], behind_product: bool) -> bool {
        let slot = |s: &Slots| s.weight == index || s.bias == Some(index);
        self.weights.iter().any(slot) || (self.learns_constant)(shape, behind_product)
    }
}

impl AsRef<str> for Operator {
    fn as_ref(&self) -> &str {
        self.name
    }
}

/// What the house knows of the operator of `node`.
pub fn find(node: &Node) -> Option<&'static Operator> {
    let domain = if node.is_standard() { "" } else { &node.domain };
    let key = (domain, node.op.as_str());
    let at = TABLE.binary_search_by(|operator| (operator.domain, operator.name).cmp(&key));
    Some(TABLE[at.ok()?])
}

/// Names of the operators that can be run, by name.
pub fn runnable() -> impl Iterator<Item = &'static str> {
    (TABLE.iter()).filter_map(|operator| operator.forward.map(|_| operator.name))
}

/// Whether an operator of this name, in whatever set, computes with integer codes.
pub fn is_quantized(name: &str) -> bool {
    TABLE.iter().any(|o| o.quantized && o.name == name)
}

macro_rules! table {
    ($($family:ident::$operator:ident,)*) => {
        $(pub use $family::$operator;)*

        /// All operators, by operator set and name.
        static TABLE: &[&Operator] = &[$(&$family::$operator),*];
    };
}

table! {
    math::ABS,
    math::ACOS,
    math::ACOSH,
    arithmetic::ADD,
    logic::AND,
    reduce::ARG_MAX,
    reduce::ARG_MIN,
    math::ASIN,
    math::ASINH,
    math::ATAN,
    math::ATANH,
    pool::AVERAGE_POOL,
    normalization::BATCH_NORMALIZATION,
    arithmetic::BIT_SHIFT,
    arithmetic::BITWISE_AND,
    math::BITWISE_NOT,
    arithmetic::BITWISE_OR,
    arithmetic::BITWISE_XOR,
    cast::CAST,
    cast::CAST_LIKE,
    math::CEIL,
    activation::CELU,
    activation::CLIP,
    concat::CONCAT,
    constant::CONSTANT,
    constant::CONSTANT_OF_SHAPE,
    conv::CONV,
    conv::CONV_INTEGER,
    conv::CONV_TRANSPOSE,
    math::COS,
    math::COSH,
    positions::CUM_SUM,
    fourier::DFT,
    space::DEPTH_TO_SPACE,
    quantize::DEQUANTIZE_LINEAR,
    arithmetic::DIV,
    dropout::DROPOUT,
    quantize::DYNAMIC_QUANTIZE_LINEAR,
    einsum::EINSUM,
    activation::ELU,
    logic::EQUAL,
    math::ERF,
    math::EXP,
    expand::EXPAND,
    constant::EYE_LIKE,
    reshape::FLATTEN,
    math::FLOOR,
    recurrent::GRU,
    gather::GATHER,
    gather::GATHER_ELEMENTS,
    gather::GATHER_ND,
    activation::GELU,
    gemm::GEMM,
    pool::GLOBAL_AVERAGE_POOL,
    pool::GLOBAL_LP_POOL,
    pool::GLOBAL_MAX_POOL,
    logic::GREATER,
    logic::GREATER_OR_EQUAL,
    vision::GRID_SAMPLE,
    normalization::GROUP_NORMALIZATION,
    activation::HARD_SIGMOID,
    activation::HARD_SWISH,
    softmax::HARDMAX,
    cast::IDENTITY,
    control::IF,
    normalization::INSTANCE_NORMALIZATION,
    math::IS_INF,
    math::IS_NA_N,
    normalization::LRN,
    recurrent::LSTM,
    normalization::LAYER_NORMALIZATION,
    activation::LEAKY_RELU,
    logic::LESS,
    logic::LESS_OR_EQUAL,
    math::LOG,
    softmax::LOG_SOFTMAX,
    control::LOOP,
    normalization::LP_NORMALIZATION,
    pool::LP_POOL,
    matmul::MAT_MUL,
    matmul::MAT_MUL_INTEGER,
    arithmetic::MAX,
    pool::MAX_POOL,
    arithmetic::MEAN,
    normalization::MEAN_VARIANCE_NORMALIZATION,
    arithmetic::MIN,
    activation::MISH,
    arithmetic::MOD,
    arithmetic::MUL,
    math::NEG,
    vision::NON_MAX_SUPPRESSION,
    select::NON_ZERO,
    logic::NOT,
    select::ONE_HOT,
    logic::OR,
    activation::P_RELU,
    pad::PAD,
    arithmetic::POW,
    conv::Q_LINEAR_CONV,
    matmul::Q_LINEAR_MAT_MUL,
    quantize::QUANTIZE_LINEAR,
    normalization::RMS_NORMALIZATION,
    recurrent::RNN,
    constant::RANGE,
    math::RECIPROCAL,
    reduce::REDUCE_L1,
    reduce::REDUCE_L2,
    reduce::REDUCE_LOG_SUM,
    reduce::REDUCE_LOG_SUM_EXP,
    reduce::REDUCE_MAX,
    reduce::REDUCE_MEAN,
    reduce::REDUCE_MIN,
    reduce::REDUCE_PROD,
    reduce::REDUCE_SUM,
    reduce::REDUCE_SUM_SQUARE,
    activation::RELU,
    reshape::RESHAPE,
    resize::RESIZE,
    positions::REVERSE_SEQUENCE,
    vision::ROI_ALIGN,
    positions::ROTARY_EMBEDDING,
    math::ROUND,
    control::SCAN,
    scatter::SCATTER,
    scatter::SCATTER_ELEMENTS,
    scatter::SCATTER_ND,
    activation::SELU,
    shape::SHAPE,
    activation::SHRINK,
    activation::SIGMOID,
    math::SIGN,
    math::SIN,
    math::SINH,
    shape::SIZE,
    slice::SLICE,
    softmax::SOFTMAX,
    activation::SOFTPLUS,
    activation::SOFTSIGN,
    space::SPACE_TO_DEPTH,
    split::SPLIT,
    math::SQRT,
    squeeze::SQUEEZE,
    arithmetic::SUB,
    arithmetic::SUM,
    activation::SWISH,
    math::TAN,
    activation::TANH,
    activation::THRESHOLDED_RELU,
    expand::TILE,
    select::TOP_K,
    transpose::TRANSPOSE,
    positions::TRILU,
    squeeze::UNSQUEEZE,
    resize::UPSAMPLE,
    logic::WHERE,
    logic::XOR,
    activation::BIAS_GELU,
    quantize::DEQUANTIZE_LINEAR_CONTRIBUTED,
    activation::FAST_GELU,
    activation::GELU_CONTRIBUTED,
    matmul::MAT_MUL_N_BITS,
    quantize::Q_GEMM,
    quantize::Q_LINEAR_ADD,
    quantize::Q_LINEAR_AVERAGE_POOL,
    quantize::Q_LINEAR_CONCAT,
    quantize::Q_LINEAR_GLOBAL_AVERAGE_POOL,
    quantize::Q_LINEAR_LEAKY_RELU,
    quantize::Q_LINEAR_MUL,
    quantize::Q_LINEAR_REDUCE_MEAN,
    quantize::Q_LINEAR_SIGMOID,
    quantize::Q_LINEAR_SOFTMAX,
    quantize::Q_LINEAR_WHERE,
    quantize::QUANTIZE_LINEAR_CONTRIBUTED,
    activation::QUICK_GELU,
}

#[cfg(test)]
mod tests {
    use lapidary_core::tensor::DType;

    use super::*;
    use crate::build::GraphBuilder;
    use crate::shape::Shapes;

    /// The inferred shape of a chain's last value, for one sample.
    pub(super) fn inferred(
        build: impl FnOnce(&mut GraphBuilder, &str) -> String,
        sample: &[usize],
    ) -> Vec<Option<usize>> {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, sample);
        let y = build(&mut b, &x);
        b.output("x", DType::F32, sample);
        let model = b.finish(13).unwrap();
        Shapes::infer(&model, 1).shape(&y).unwrap_or(&[]).to_vec()
    }

    pub(super) fn some(shape: &[usize]) -> Vec<Option<usize>> {
        shape.iter().map(|&d| Some(d)).collect()
    }

    #[test]
    fn the_table_is_sorted_and_names_are_unique() {
        let keys: Vec<_> = TABLE.iter().map(|o| (o.domain, o.name)).collect();
        for pair in keys.windows(2) {
            assert!(pair[0] < pair[1], "{:?} before {:?}", pair[0], pair[1]);
        }
    }

    #[test]
    fn every_operator_is_found_by_a_node_of_it() {
        for operator in TABLE {
            let mut node = operator.node("n".into(), vec![], vec![]);
            assert!(std::ptr::eq(find(&node).unwrap(), *operator));
            assert!(node.is(operator));
            node.domain = "example".into();
            assert!(find(&node).is_none() && !node.is(operator));
        }
    }

    #[test]
    fn changes_rise() {
        for operator in TABLE {
            let versions = operator.changes.iter().map(|c| c.version);
            assert!(versions.is_sorted(), "{}", operator.name);
        }
    }
}
