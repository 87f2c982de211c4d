//! Quantization: weights, and where wanted activations, as 8-bit or 4-bit integers.
//!
//! Weights of 8 bits are symmetric, one scale for each output channel, in [−127, 127]; of 4 bits they are affine, one
//! scale and zero point for each block along the input axis of a matrix (what `MatMulNBits` holds). Activations are
//! unsigned 8-bit with one scale and zero point, whose range is calibrated on samples, after Jacob et al., "Quantization
//! and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference" (2018); the histogram methods
//! follow Wu et al., "Integer Quantization for Deep Learning Inference" (2020). Biases stay float.
//!
//! Ranges are taken in f64, scales are at least `f32::MIN_POSITIVE`, zero is always exact, and weights are rounded to
//! the nearest code (ties to even), so that |w − ŵ| ≤ scale / 2.
//!
//! Where a goal is not met, gentler forms are tried: other calibrations, then the layers to which the model's outputs
//! are most sensitive at more bits or in float.

mod activations;
mod algorithm;
mod config;
mod error;
mod weights;

pub use algorithm::Quantize;
pub use config::{Calibration, Config, Scheme};
pub use error::QuantizeError;
pub use weights::{quantize_blocks, quantize_symmetric};

use lapidary_core::inventory;
use lapidary_core::registry::{Entry, Factory, Info, Linked, Promise};
use lapidary_core::settings::Schema;

/// The entry of this optimizer.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "quantize",
        summary: "8-bit weights and calibrated activations, or weights alone in 8 or 4 bits",
        docs: "Post-training quantization of Conv, Gemm and MatMul layers with constant weights (Jacob et al. 2018; Wu et al. 2020). \
               `static`: int8 weights per channel and uint8 activations calibrated on samples, written as QuantizeLinear and \
               DequantizeLinear. `weight_only`: weights alone; with 4 bits matrices are stored in blocks (MatMulNBits), and \
               convolutions, for which ONNX has no such operator, in 8 bits per channel. Where the goal is not met, other \
               calibrations are tried, then the layers that disturb the outputs most are kept at more bits or in float.",
        settings: Schema::of::<Config>(),
        promises: &[Promise::Idempotent, Promise::RoundToNearest],
    },
    factory: Factory::Optimizer(&|settings| {
        let config = ENTRY.info.read_settings(settings)?;
        Ok(Box::new(Quantize::new(config)))
    }),
};

inventory::submit! { Linked(&ENTRY) }
