//! Settings that the families share.

use lapidary_core::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};

/// The nonlinearity behind a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// x where positive, else x / 100.
    LeakyRelu,
    /// The hyperbolic tangent.
    Tanh,
    /// The logistic function.
    Sigmoid,
    /// x·Φ(x), exact (Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016).
    Gelu,
    /// x·σ(x) (Elfwing, Uchibe and Doya, "Sigmoid-Weighted Linear Units", 2018).
    Silu,
    /// x·clip(x / 6 + 1 / 2, 0, 1) (Howard et al., "Searching for MobileNetV3", 2019).
    Hardswish,
}

impl Activation {
    /// The oldest operator set that has the activation and everything else a family uses.
    pub(crate) fn opset(self) -> i64 {
        match self {
            Self::Gelu => 20,
            _ => 17,
        }
    }
}

/// How the outputs of a layer are normalised before the activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// Not at all; the layer has a bias instead.
    None,
    /// Over the batch (Ioffe and Szegedy, "Batch Normalization", 2015).
    Batch,
    /// Over the features of a sample (Ba, Kiros and Hinton, "Layer Normalization", 2016).
    Layer,
}

/// What stands between the last map and the last layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The mean over the map of each channel.
    Average,
    /// Nothing: the last layer reads all positions.
    Flatten,
}
