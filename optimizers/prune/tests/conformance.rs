//! The properties every optimizer keeps, for every form of pruning.

/// Single weights of all layers together.
mod default {
    lapidary_testkit::optimizer_conformance!(lapidary_prune::ENTRY);
}

/// Single weights of each layer, in one step.
mod each_layer {
    lapidary_testkit::optimizer_conformance!(
        lapidary_prune::ENTRY,
        serde_json::json!({"scope": "layer", "sparsity": 0.8, "steps": 1})
    );
}

/// Whole channels of all groups together.
mod channels {
    lapidary_testkit::optimizer_conformance!(
        lapidary_prune::ENTRY,
        serde_json::json!({"structure": "channels", "steps": 2, "finetune_epochs": 1})
    );
}

/// Whole channels of each group.
mod channels_of_each_group {
    lapidary_testkit::optimizer_conformance!(
        lapidary_prune::ENTRY,
        serde_json::json!({"structure": "channels", "scope": "layer", "sparsity": 0.3, "steps": 1})
    );
}
