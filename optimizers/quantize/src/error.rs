//! What can go wrong.

use lapidary_core::optimizer::OptimizeError;
use thiserror::Error;

/// Why a model cannot be quantized.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum QuantizeError {
    #[error("the activation `{value}` became {found} on the calibration samples")]
    Activation { value: String, found: f64 },
}

impl From<QuantizeError> for OptimizeError {
    fn from(error: QuantizeError) -> Self {
        Self::Method {
            optimizer: "quantize".into(),
            reason: error.to_string(),
        }
    }
}
