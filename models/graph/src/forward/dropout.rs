//! Dropout.

use crate::tape::{Call, Outputs, Pass, one};

/// Zeroes elements with the given probability and scales the others up, in training only (Srivastava et al., "Dropout", 2014).
pub fn dropout(call: &mut Call<'_>) -> Outputs {
    let ratio = match call.scalar(1)? {
        Some(ratio) => ratio,
        None => call.node.float("ratio", 0.5),
    };
    let x = call.float(0)?;
    let Pass::Train { rng, .. } = call.pass else {
        return one(x);
    };
    if !(0.0..1.0).contains(&ratio) {
        return Err(format!("a ratio of {ratio} is not in [0, 1)"));
    }
    let kept = 1.0 / (1.0 - ratio);
    let mask = (0..x.shape().iter().product())
        .map(|_| {
            if rng.chance(f64::from(ratio)) {
                0.0
            } else {
                kept
            }
        })
        .collect();
    let mask = call.tape.constant(mask, x.shape());
    one(call.tape.mul(x, mask))
}
