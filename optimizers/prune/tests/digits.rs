//! Pruning of models for the digits.

use lapidary_core::json::Json;
use lapidary_core::model::{Model, Size};
use lapidary_core::optimizer::Optimized;
use lapidary_core::registry::Entry;
use lapidary_core::trial::Metrics;
use lapidary_prune::ENTRY;
use lapidary_testkit::optimizer::{World, accuracy, digits, family, trained};
use serde_json::json;

fn run(model: &dyn Model, settings: Json) -> Optimized {
    World::digits().run(&ENTRY, &settings, model).unwrap()
}

/// Elements and zeros of each weight with at least two axes, by name.
fn zeros(model: &dyn Model) -> Vec<(String, usize, usize)> {
    (model.weights().iter())
        .filter_map(|(name, tensor)| Some((name.clone(), tensor.to_f32()?)))
        .filter(|(_, values)| values.ndim() >= 2)
        .map(|(name, values)| {
            let zeros = values.iter().filter(|v| **v == 0.0).count();
            (name, values.len(), zeros)
        })
        .collect()
}

fn rounded(share: f64, n: usize) -> usize {
    (share * n as f64).round() as usize
}

#[test]
fn the_share_of_zeros_is_exact_and_survives_training() {
    for (name, settings) in [
        ("convnet", json!({"width": 8, "skip": true})),
        ("mlp", json!({"width": 24})),
    ] {
        let model = family(name, &settings, 3).unwrap();
        for share in [0.25, 0.6, 0.93] {
            let pruned = run(
                model.as_ref(),
                json!({"sparsity": share, "steps": 2, "finetune_epochs": 1}),
            );
            let counts = zeros(pruned.model.as_ref());
            let (n, zero) = counts.iter().fold((0, 0), |(n, z), c| (n + c.1, z + c.2));
            assert_eq!(zero, rounded(share, n), "{name} {share}");

            let each = run(
                model.as_ref(),
                json!({"sparsity": share, "scope": "layer", "finetune_epochs": 1}),
            );
            for (weight, n, zero) in zeros(each.model.as_ref()) {
                assert_eq!(zero, rounded(share, n), "{name} {share}: {weight}");
            }
        }
    }
}

#[test]
fn over_all_layers_no_kept_weight_is_smaller_than_a_removed_one() {
    let model = family("mlp", &json!({"width": 24}), 3).unwrap();
    let pruned = World::without_training()
        .run(&ENTRY, &json!({"sparsity": 0.7}), model.as_ref())
        .unwrap();
    let (mut removed, mut kept) = (0f32, f32::INFINITY);
    for (name, old) in model.weights() {
        let (old, new) = (
            old.to_f32().unwrap(),
            pruned.model.weights()[name].to_f32().unwrap(),
        );
        for (old, new) in old.iter().zip(&new).filter(|_| old.ndim() >= 2) {
            if *new == 0.0 {
                removed = removed.max(old.abs());
            } else {
                kept = kept.min(new.abs());
            }
        }
    }
    assert!(
        removed > 0.0 && kept >= removed,
        "{kept} kept, {removed} removed"
    );
    assert!(
        pruned
            .notes
            .iter()
            .any(|n| n.contains("no training samples")),
        "{:?}",
        pruned.notes
    );
}

#[test]
fn none_of_it_is_the_identity() {
    let model = family("convnet", &json!({"width": 8}), 3).unwrap();
    for structure in ["unstructured", "channels"] {
        let same = run(
            model.as_ref(),
            json!({"sparsity": 0.0, "structure": structure}),
        );
        assert_eq!(same.model.weights(), model.weights(), "{structure}");
    }
}

#[test]
fn excluded_layers_are_left_alone() {
    let model = family("mlp", &json!({"depth": 2, "width": 24}), 3).unwrap();
    let pruned = run(
        model.as_ref(),
        json!({"exclude": ["logits"], "finetune_epochs": 0}),
    );
    let layer = model
        .topology()
        .layers
        .iter()
        .find(|l| l.name == "logits")
        .unwrap();
    let weight = layer.weight.as_ref().unwrap();
    assert_eq!(pruned.model.weights()[weight], model.weights()[weight]);
    let others = zeros(pruned.model.as_ref());
    let others = others.iter().filter(|(name, ..)| name != weight);
    let (n, zero) = others.fold((0, 0), |(n, z), c| (n + c.1, z + c.2));
    assert_eq!(zero, rounded(0.5, n));
}

#[test]
fn fewer_channels_are_fewer_bytes_and_operations_and_training_keeps_accuracy() {
    let model = trained("convnet", &json!({"width": 12, "skip": true}), 6);
    let world = World {
        train: Some(digits().0.train.clone()),
        ..World::digits()
    };
    let test = &digits().0.test;
    for scope in ["global", "layer"] {
        let settings = json!({"structure": "channels", "scope": scope, "sparsity": 0.4, "steps": 2, "learning_rate": 0.003});
        let pruned = world.run(&ENTRY, &settings, model.as_ref()).unwrap().model;
        let (was, is) = (Size::of(model.as_ref()), Size::of(pruned.as_ref()));
        let bytes = (model.file_bytes().unwrap(), pruned.file_bytes().unwrap());
        assert!(
            is.macs < was.macs * 7 / 10 && is.params < was.params * 7 / 10,
            "{scope}: {was:?} {is:?}"
        );
        assert!(bytes.1 < bytes.0 * 8 / 10, "{scope}: {bytes:?}");
        let (before, after) = (
            accuracy(model.as_ref(), test).unwrap(),
            accuracy(pruned.as_ref(), test).unwrap(),
        );
        assert!(
            after > before - 0.05,
            "{scope}: accuracy {before} became {after}"
        );
    }
}

#[test]
fn each_group_keeps_some_channels() {
    let model = family("mlp", &json!({"depth": 2, "width": 20}), 3).unwrap();
    let settings = json!({"structure": "channels", "sparsity": 0.99, "finetune_epochs": 0});
    let pruned = run(model.as_ref(), settings).model;
    let groups = pruned.structure().unwrap().groups();
    let channels: Vec<usize> = groups.iter().map(|g| g.channels).collect();
    assert_eq!(channels, [2, 2]);
}

/// Whether the optimizer is under a goal that the model meets, and what its result is.
fn under(
    entry: &Entry,
    settings: Json,
    model: &dyn Model,
    accept: &(dyn Fn(&Metrics) -> bool + Sync),
) -> (f64, Vec<String>) {
    let result = World::without_training()
        .run_with(entry, &settings, model, accept)
        .unwrap();
    (Size::of(result.model.as_ref()).sparsity, result.notes)
}

#[test]
fn pruning_goes_as_far_as_the_goal_allows() {
    let model = family("mlp", &json!({"depth": 2, "width": 24}), 3).unwrap();
    // Met by the model, and no longer met above 0.55.
    let (sparsity, notes) = under(&ENTRY, json!({"sparsity": 0.9}), model.as_ref(), &|m| {
        m["sparsity"] <= 0.55
    });
    assert!((0.45..=0.55).contains(&sparsity), "{sparsity} {notes:?}");
    assert!(
        notes.iter().any(|n| n.starts_with("stopped at sparsity")),
        "{notes:?}"
    );
    // Not met by the model: it is pruned until it is, and no further.
    let (sparsity, notes) = under(
        &ENTRY,
        json!({"sparsity": 0.9, "steps": 6}),
        model.as_ref(),
        &|m| m["sparsity"] >= 0.4,
    );
    assert!((0.4..0.7).contains(&sparsity), "{sparsity} {notes:?}");
    assert!(
        notes
            .iter()
            .any(|n| n.starts_with("the goal was met at sparsity")),
        "{notes:?}"
    );
}
