//! Whether a model computes with integer codes.

use lapidary_core::model::Model;
use lapidary_core::tensor::Tensor;
use lapidary_graph::ops;

/// Whether weights or activations of a model are held as integer codes.
pub fn is_quantized(model: &dyn Model) -> bool {
    model
        .weights()
        .values()
        .any(|w| matches!(w.as_ref(), Tensor::Quantized(_)))
        || (model.topology().nodes.iter()).any(|node| ops::is_quantized(&node.op))
}
