//! How long a model takes.

use std::time::Instant;

use lapidary_core::model::{Model, ModelError};
use lapidary_core::samples::Inputs;
use lapidary_core::tensor::Tensor;

/// The name of the runtime that latencies are measured with.
pub const RUNTIME: &str = "rten";

/// The fewest timed runs.
const FEWEST_RUNS: usize = 30;

/// Runs before timing starts.
const WARM_UP: usize = 5;

/// The median time in milliseconds that one batch of `inputs` takes through rten, over at least 30 runs after
/// warming up; nothing else should run meanwhile. `None` for a model that rten does not run as it is: rten has no
/// kernels for quantized weights and activations, so its time would be that of another model.
///
/// # Errors
/// When the model cannot be run.
pub fn latency_ms(
    model: &dyn Model,
    inputs: &Inputs,
    runs: usize,
) -> Result<Option<f64>, ModelError> {
    if is_quantized(model) {
        return Ok(None);
    }
    for _ in 0..WARM_UP {
        model.forward(inputs)?;
    }
    let mut times = Vec::new();
    for _ in 0..runs.max(FEWEST_RUNS) {
        let start = Instant::now();
        model.forward(inputs)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    Ok(Some(if times.len() % 2 == 1 {
        times[middle]
    } else {
        (times[middle - 1] + times[middle]) / 2.0
    }))
}

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
