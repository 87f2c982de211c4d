//! Whether a model computes with integer codes.

use lapidary_core::model::Model;
use lapidary_core::tensor::Tensor;

/// Whether weights or activations of a model are held as integer codes.
pub fn is_quantized(model: &dyn Model) -> bool {
    model
        .weights()
        .values()
        .any(|w| matches!(w.as_ref(), Tensor::Quantized(_)))
        || model.topology().nodes.iter().any(|n| {
            let integer = [
                "QuantizeLinear",
                "DequantizeLinear",
                "MatMulNBits",
                "DynamicQuantizeLinear",
            ];
            integer.contains(&n.op.as_str())
                || n.op.ends_with("Integer")
                || n.op.starts_with("QLinear")
        })
}
