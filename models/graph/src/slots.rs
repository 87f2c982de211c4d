//! Which inputs of an operator are its weights.

use crate::graph::Node;

/// Where a layer's weights stand among its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// The main weight.
    pub weight: usize,
    /// The bias.
    pub bias: Option<usize>,
    /// All weights, the two above included.
    pub all: &'static [usize],
    /// The activations.
    pub input: usize,
}

/// The places of a node's weights; `None` where the operator has none.
pub fn slots(node: &Node) -> Option<Slots> {
    let slots = |weight, bias, all| Slots {
        weight,
        bias,
        all,
        input: 0,
    };
    if node.domain == "com.microsoft" {
        return (node.op == "MatMulNBits").then_some(slots(1, Some(5), &[1, 2, 3, 5]));
    }
    if !node.is_standard() {
        return None;
    }
    Some(match node.op.as_str() {
        "Conv" | "ConvTranspose" | "Gemm" => slots(1, Some(2), &[1, 2]),
        "MatMul" | "PRelu" => slots(1, None, &[1]),
        "LSTM" => slots(1, Some(3), &[1, 2, 3, 7]),
        "GRU" | "RNN" => slots(1, Some(3), &[1, 2, 3]),
        "BatchNormalization" => slots(1, Some(2), &[1, 2, 3, 4]),
        "LayerNormalization" | "GroupNormalization" | "InstanceNormalization" => {
            slots(1, Some(2), &[1, 2])
        }
        "RMSNormalization" => slots(1, None, &[1]),
        "Gather" => Slots {
            weight: 0,
            bias: None,
            all: &[0],
            input: 1,
        },
        _ => return None,
    })
}
