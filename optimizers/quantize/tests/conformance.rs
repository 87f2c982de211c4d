//! The properties every optimizer keeps, for every form of quantization.

/// Static, 8 bits.
mod default {
    lapidary_testkit::optimizer_conformance!(lapidary_quantize::ENTRY);
}

/// Static with one scale for each weight and a histogram method.
mod per_tensor {
    lapidary_testkit::optimizer_conformance!(
        lapidary_quantize::ENTRY,
        serde_json::json!({"per_channel": false, "calibration": "mse"})
    );
}

/// Weights alone, 8 bits.
mod weight_only {
    lapidary_testkit::optimizer_conformance!(
        lapidary_quantize::ENTRY,
        serde_json::json!({"scheme": "weight_only"})
    );
}

/// Weights alone, 4 bits in blocks.
mod four_bits {
    lapidary_testkit::optimizer_conformance!(
        lapidary_quantize::ENTRY,
        serde_json::json!({"bits": 4, "block": 16})
    );
}
