//! Training from end to end on small problems.

use std::sync::atomic::{AtomicUsize, Ordering};

use lapidary_core::cancel::Cancel;
use lapidary_core::fit::{Loss, Schedule, Update};

use super::check::{graph, ints, node, numbers, output, positive};
use super::*;
use lapidary_core::model::Model;
use lapidary_graph::{Attribute, Node};

fn uniform(shape: &[usize], fan_in: usize, seed: u64) -> Dense {
    let mut rng = Rng::keyed(seed, 0, "weights");
    let bound = (6.0 / fan_in as f64).sqrt();
    let values = (0..shape.iter().product()).map(|_| ((rng.unit() * 2.0 - 1.0) * bound) as f32);
    Dense::f32(shape, values.collect()).unwrap()
}

fn constant(shape: &[usize], value: f32) -> Dense {
    Dense::f32(shape, vec![value; shape.iter().product()]).unwrap()
}

fn classified(x: Dense, labels: Vec<usize>, classes: usize) -> Samples {
    Samples {
        inputs: Inputs::from([("x".to_owned(), x)]),
        targets: Some(Targets::Classes {
            labels,
            names: (0..classes).map(|c| format!("class {c}")).collect(),
        }),
    }
}

/// Points around ±1 in two dimensions, labelled by whether their signs differ.
fn xor(n: usize) -> Samples {
    let mut rng = Rng::keyed(3, 0, "xor");
    let (mut x, mut labels) = (Vec::new(), Vec::new());
    for i in 0..n {
        let (a, b) = (i % 2, i / 2 % 2);
        let mut near =
            |side: usize| (side as f64 * 2.0 - 1.0 + 0.3 * rng.normal()).clamp(-1.9, 1.9) as f32;
        x.extend([near(a), near(b)]);
        labels.push(a ^ b);
    }
    classified(Dense::f32(&[n, 2], x).unwrap(), labels, 2)
}

/// Images of bars, standing or lying, with noise.
fn bars(n: usize) -> Samples {
    let mut rng = Rng::keyed(4, 0, "bars");
    let (mut x, mut labels) = (Vec::new(), Vec::new());
    for i in 0..n {
        let (label, at) = (i % 2, rng.index(6));
        for row in 0..6 {
            for column in 0..6 {
                let on = if label == 0 { row == at } else { column == at };
                x.push((f64::from(u8::from(on)) + 0.3 * rng.normal()) as f32);
            }
        }
        labels.push(label);
    }
    classified(Dense::f32(&[n, 1, 6, 6], x).unwrap(), labels, 2)
}

fn mlp(outputs: usize) -> Graph {
    let by_columns = [("transB", Attribute::Int(1))];
    let nodes = vec![
        node("h = Gemm x w1 b1", &by_columns),
        node("a = Relu h", &[]),
        node("y = Gemm a w2 b2", &by_columns),
    ];
    graph(
        &[2],
        nodes,
        &[
            ("w1", uniform(&[16, 2], 2, 1)),
            ("b1", constant(&[16], 0.0)),
            ("w2", uniform(&[outputs, 16], 16, 2)),
            ("b2", constant(&[outputs], 0.0)),
        ],
    )
}

/// Two convolutions with batch normalization, the second with a skip around it.
fn residual() -> Graph {
    let same = [("pads", ints(&[1, 1, 1, 1]))];
    let nodes: Vec<Node> = vec![
        node("c1 = Conv x k1", &same),
        node("n1 = BatchNormalization c1 s1 o1 m1 v1", &[]),
        node("a1 = Relu n1", &[]),
        node("c2 = Conv a1 k2", &same),
        node("n2 = BatchNormalization c2 s2 o2 m2 v2", &[]),
        node("r = Add n2 a1", &[]),
        node("a2 = Relu r", &[]),
        node("p = GlobalAveragePool a2", &[]),
        node("f = Flatten p", &[]),
        node("z = Gemm f w b", &[("transB", Attribute::Int(1))]),
        node("y = Softmax z", &[]),
    ];
    let mut weights = vec![
        ("k1", uniform(&[6, 1, 3, 3], 9, 1)),
        ("k2", uniform(&[6, 6, 3, 3], 54, 2)),
        ("w", uniform(&[2, 6], 6, 3)),
        ("b", constant(&[2], 0.0)),
    ];
    for name in ["s1", "s2", "v1", "v2"] {
        weights.push((name, constant(&[6], 1.0)));
    }
    for name in ["o1", "o2", "m1", "m2"] {
        weights.push((name, constant(&[6], 0.0)));
    }
    graph(&[1, 6, 6], nodes, &weights)
}

fn plan(epochs: usize, learning_rate: f32) -> FitPlan {
    FitPlan {
        epochs,
        learning_rate,
        batch: 16,
        ..FitPlan::default()
    }
}

fn fit_quietly(
    graph: &Graph,
    plan: &FitPlan,
    train: &Samples,
    valid: Option<&Samples>,
) -> Result<(Graph, Vec<Epoch>), ModelError> {
    let cx = FitContext {
        cancel: &Cancel::new(),
        epoch: &|_| Verdict::Continue,
    };
    let (graph, history, _) = fit(graph, plan, train, valid, &cx)?;
    Ok((graph, history))
}

fn weight<'a>(graph: &'a Graph, name: &str) -> &'a Shared<f32> {
    graph.weights[name].as_dense().unwrap().as_f32().unwrap()
}

#[test]
fn an_mlp_learns_xor_by_either_rule() {
    let (train, valid) = (xor(120), xor(64));
    for (update, rate) in [
        (Update::Sgd { momentum: 0.9 }, 0.1),
        (FitPlan::default().update, 0.03),
    ] {
        let plan = FitPlan {
            update,
            ..plan(30, rate)
        };
        let (_, history) = fit_quietly(&mlp(2), &plan, &train, Some(&valid)).unwrap();
        assert_eq!(history.len(), 30);
        assert!(history[29].loss < 0.1 * history[0].loss, "{history:?}");
        assert_eq!(history[29].valid, Some(1.0));
    }
}

#[test]
fn a_single_sigmoid_output_is_a_logistic_regression() {
    let mut graph = mlp(1);
    graph.nodes.push(node("p = Sigmoid y", &[]));
    graph.outputs[0].name = "p".into();
    let (_, history) = fit_quietly(&graph, &plan(30, 0.03), &xor(120), Some(&xor(64))).unwrap();
    assert_eq!(history[29].valid, Some(1.0));
}

#[test]
fn values_are_fitted() {
    let x = numbers(&[64, 2], 1);
    let y: Vec<f32> = x
        .as_f32()
        .unwrap()
        .outer_iter()
        .map(|r| 0.5 * r[0] - 0.25 * r[1] + 0.1)
        .collect();
    let y = Dense::f32(&[64, 1], y).unwrap().as_f32().unwrap().clone();
    let samples = Samples {
        inputs: Inputs::from([("x".to_owned(), x)]),
        targets: Some(Targets::Values(y)),
    };
    let plan = FitPlan {
        weight_decay: 0.0,
        ..plan(60, 0.02)
    };
    let (_, history) = fit_quietly(&mlp(1), &plan, &samples, Some(&samples)).unwrap();
    // The targets' variance is about 4.
    assert!(history[59].valid.unwrap() > -0.04, "{:?}", history[59]);
}

#[test]
fn a_residual_network_with_batch_normalization_learns() {
    let (train, valid) = (bars(160), bars(80));
    let graph = residual();
    let (trained, history) = fit_quietly(&graph, &plan(12, 0.02), &train, Some(&valid)).unwrap();
    let last = history.last().unwrap();
    assert!(last.valid.unwrap() >= 0.95, "{history:?}");
    // Running statistics follow the batches, and evaluation by the returned graph agrees with the history.
    assert_ne!(weight(&trained, "m1"), weight(&graph, "m1"));
    assert!(weight(&trained, "v2").iter().all(|v| *v > 0.0));
    let y = output(&trained, &valid.inputs["x"]).unwrap();
    let rows = y.as_f32().unwrap().iter().copied().collect();
    let accuracy = metric(valid.targets.as_ref().unwrap(), rows, 2).unwrap();
    assert_eq!(Some(accuracy), last.valid);
    assert_eq!(
        y.as_f32()
            .unwrap()
            .sum_axis(ndarray::Axis(1))
            .iter()
            .filter(|s| (**s - 1.0).abs() > 1e-5)
            .count(),
        0
    );
}

#[test]
fn both_engines_give_the_same_numbers() {
    let mut graph = residual();
    graph.opsets.insert(String::new(), 17);
    for name in ["m1", "o1", "o2"] {
        graph
            .weights
            .insert(name.into(), Arc::new(uniform(&[6], 6, 9).into()));
    }
    let images = bars(10).inputs;
    let ours = run(&graph, &images).unwrap();
    let theirs = lapidary_model::GraphModel::from_graph(graph)
        .unwrap()
        .forward(&images)
        .unwrap();
    let (ours, theirs) = (ours[0].as_f32().unwrap(), theirs[0].as_f32().unwrap());
    assert_eq!(ours.shape(), theirs.shape());
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn a_student_learns_from_soft_targets_alone() {
    let train = xor(120);
    let (teacher, _) = fit_quietly(&mlp(2), &plan(30, 0.03), &train, None).unwrap();
    let rows = output(&teacher, &train.inputs["x"]).unwrap();
    let soft = Loss::SoftTargets {
        logits: Arc::new(rows.as_f32().unwrap().clone()),
        temperature: 2.0,
    };
    let mut student = mlp(2);
    student
        .weights
        .insert("w1".into(), Arc::new(uniform(&[16, 2], 2, 77).into()));
    let plan = FitPlan {
        losses: vec![(soft, 1.0)],
        ..plan(40, 0.03)
    };
    let unlabelled = Samples {
        targets: None,
        ..train.clone()
    };
    let (_, history) = fit_quietly(&student, &plan, &unlabelled, Some(&xor(64))).unwrap();
    assert_eq!(history[39].valid, Some(1.0));
}

#[test]
fn the_same_bits_at_any_number_of_threads() {
    let mut graph = residual();
    graph.nodes.insert(
        9,
        node("d = Dropout f", &[("ratio", Attribute::Float(0.2))]),
    );
    graph.nodes[10].inputs[0] = "d".into();
    let train = bars(97);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| fit_quietly(&graph, &plan(3, 0.02), &train, Some(&train)).unwrap())
    };
    let (one, history) = run(1);
    for threads in [1, 2, 5] {
        let (other, again) = run(threads);
        assert_eq!(one.weights, other.weights, "{threads} threads");
        assert_eq!(history, again);
    }
    let seeded = FitPlan {
        seed: 1,
        ..plan(3, 0.02)
    };
    let (other, _) = fit_quietly(&graph, &seeded, &train, None).unwrap();
    assert_ne!(one.weights, other.weights);
}

#[test]
fn runs_side_by_side_do_not_disturb_each_other() {
    let (graph, train) = (residual(), bars(64));
    let alone = fit_quietly(&graph, &plan(2, 0.02), &train, None).unwrap().0;
    std::thread::scope(|scope| {
        let run = || fit_quietly(&graph, &plan(2, 0.02), &train, None).unwrap().0;
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        for run in runs {
            assert_eq!(run.join().unwrap().weights, alone.weights);
        }
    });
}

#[test]
fn large_products_have_the_same_bits_at_any_number_of_threads() {
    // Products and sums beyond the sizes from which the engine splits its work.
    let nodes = vec![
        node("h = MatMul x w1", &[]),
        node("n = LayerNormalization h s", &[]),
        node("g = Gelu n", &[]),
        node("o = MatMul g w2", &[]),
        node(
            "y = ReduceMean o",
            &[("axes", ints(&[1])), ("keepdims", Attribute::Int(0))],
        ),
    ];
    let weights = [
        ("w1", uniform(&[64, 300], 64, 1)),
        ("s", positive(&[300], 2)),
        ("w2", uniform(&[300, 4], 300, 3)),
    ];
    let graph = graph(&[96, 64], nodes, &weights);
    let train = classified(
        uniform(&[160, 96, 64], 1, 5),
        (0..160).map(|i| i % 4).collect(),
        4,
    );
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let plan = FitPlan {
            batch: 160,
            ..plan(2, 0.01)
        };
        pool.install(|| fit_quietly(&graph, &plan, &train, None).unwrap().0.weights)
    };
    let one = run(1);
    assert!(one == run(2) && one == run(5));
}

#[test]
fn masks_keep_zeros_and_frozen_weights_keep_their_bits() {
    let graph = residual();
    let mask: Vec<bool> = (0..6 * 54).map(|i| i % 3 != 0).collect();
    let mask = ArcArray::from_shape_vec(IxDyn(&[6, 6, 3, 3]), mask).unwrap();
    let frozen = ["k1", "s1", "m2"].map(String::from).to_vec();
    let plan = FitPlan {
        masks: [("k2".to_owned(), Arc::new(mask.clone()))].into(),
        frozen: frozen.clone(),
        ..plan(2, 0.02)
    };
    let (trained, _) = fit_quietly(&graph, &plan, &bars(64), None).unwrap();
    for (value, keep) in weight(&trained, "k2").iter().zip(&mask) {
        assert_eq!(*value != 0.0, *keep);
    }
    for name in &frozen {
        assert!(
            Arc::ptr_eq(&graph.weights[name], &trained.weights[name]),
            "{name}"
        );
    }
    for name in ["o1", "s2", "m1", "v2", "w", "b"] {
        assert_ne!(weight(&trained, name), weight(&graph, name), "{name}");
    }
}

#[test]
fn wrong_masks_and_names_are_refused() {
    let error = |plan: FitPlan| {
        fit_quietly(&mlp(2), &plan, &xor(8), None)
            .unwrap_err()
            .to_string()
    };
    let mask = Arc::new(ArcArray::from_elem(IxDyn(&[3]), true));
    let message = error(FitPlan {
        masks: [("w1".to_owned(), mask)].into(),
        ..plan(1, 0.1)
    });
    assert_eq!(message, "weight `w1`: shape [3] where [16, 2] is needed");
    let message = error(FitPlan {
        frozen: vec!["nope".into()],
        ..plan(1, 0.1)
    });
    assert_eq!(message, "no weight `nope`; there are b1, b2, w1, w2");
    let message = error(FitPlan {
        batch: 0,
        ..plan(1, 0.1)
    });
    assert!(message.contains("at least one sample"), "{message}");
}

#[test]
fn shared_vectors_are_trained_apart_and_shared_matrices_as_one() {
    let nodes = vec![
        node("a = LayerNormalization x s o", &[]),
        node("b = MatMul a w", &[]),
        node("c = LayerNormalization b s o", &[]),
        node("y = MatMul c w", &[]),
    ];
    let weights = [
        ("s", constant(&[2], 1.0)),
        ("o", constant(&[2], 0.0)),
        ("w", uniform(&[2, 2], 2, 1)),
    ];
    let graph = graph(&[2], nodes, &weights);
    let plan = FitPlan {
        frozen: vec!["o".into()],
        ..plan(3, 0.05)
    };
    let (trained, _) = fit_quietly(&graph, &plan, &xor(32), None).unwrap();
    let inputs: Vec<&[String]> = trained.nodes.iter().map(|n| &n.inputs[1..]).collect();
    assert_eq!(inputs, [&["s", "o"][..], &["w"], &["s_2", "o_2"], &["w"]]);
    assert_ne!(weight(&trained, "s"), weight(&trained, "s_2"));
    assert_eq!(weight(&trained, "o"), weight(&trained, "o_2"));
    assert_ne!(weight(&trained, "w"), weight(&graph, "w"));
}

#[test]
fn patience_stops_and_returns_the_best_epoch() {
    let (train, valid) = (xor(64), xor(32));
    // A rate at which the metric cannot keep improving: it is 1 after a few epochs.
    let plan = FitPlan {
        patience: Some(2),
        schedule: Schedule::Constant,
        ..plan(50, 0.05)
    };
    let (trained, history) = fit_quietly(&mlp(2), &plan, &train, Some(&valid)).unwrap();
    assert!(history.len() < 50);
    let best = history.iter().filter_map(|e| e.valid).fold(0.0, f64::max);
    let first_best = history.iter().position(|e| e.valid == Some(best)).unwrap();
    assert_eq!(history.len(), first_best + 3);
    let shorter = FitPlan {
        epochs: first_best + 1,
        patience: None,
        ..plan.clone()
    };
    let (expected, _) = fit_quietly(&mlp(2), &shorter, &train, Some(&valid)).unwrap();
    assert_eq!(trained.weights, expected.weights);
}

#[test]
fn a_paused_run_goes_on_with_the_bits_of_one_that_was_not() {
    let (train, valid) = (bars(50), bars(20));
    let plan = |rule, patience, epochs| FitPlan {
        update: rule,
        patience,
        ..plan(epochs, 0.02)
    };
    let adam = FitPlan::default().update;
    let plans = [
        plan(adam, None, 4),
        plan(Update::Sgd { momentum: 0.9 }, None, 4),
        // Over before its end, so that one pause comes after that.
        plan(adam, Some(1), 30),
    ];
    for whole in plans {
        let (trained, history) = fit_quietly(&residual(), &whole, &train, Some(&valid)).unwrap();
        let mut from = None;
        let pauses = [1, 1, 3, history.len(), whole.epochs];
        for (before, pause) in [0].into_iter().chain(pauses).zip(pauses) {
            let part = FitPlan {
                pause: Some(pause),
                from: from.take(),
                ..whole.clone()
            };
            let seen = std::sync::Mutex::new(Vec::new());
            let cx = FitContext {
                cancel: &Cancel::new(),
                epoch: &|epoch| {
                    seen.lock().unwrap().push(epoch.epoch);
                    Verdict::Continue
                },
            };
            let (graph, epochs, paused) =
                fit(&residual(), &part, &train, Some(&valid), &cx).unwrap();
            let done = pause.min(history.len());
            assert_eq!(epochs, history[..done]);
            let new: Vec<usize> = (before.min(done) + 1..=done).collect();
            assert_eq!(*seen.lock().unwrap(), new);
            let paused = std::sync::Arc::new(paused.unwrap());
            // What is kept does not hang on how often the run was paused.
            let at_once = FitPlan {
                pause: Some(pause),
                ..whole.clone()
            };
            let again = fit(&residual(), &at_once, &train, Some(&valid), &cx).unwrap();
            assert_eq!(
                (&again.0.weights, again.2.as_ref()),
                (&graph.weights, Some(&*paused))
            );
            if pause == whole.epochs {
                assert_eq!(graph.weights, trained.weights);
            }
            from = Some(paused);
        }
    }
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused() {
    let train = xor(32);
    let cx = FitContext {
        cancel: &Cancel::new(),
        epoch: &|_| Verdict::Continue,
    };
    let paused = FitPlan {
        pause: Some(2),
        ..plan(4, 0.05)
    };
    let (_, _, checkpoint) = fit(&mlp(2), &paused, &train, None, &cx).unwrap();
    let bytes = checkpoint.unwrap().0;
    let refused = |graph: &Graph, plan: FitPlan, bytes: &[u8]| {
        let plan = FitPlan {
            from: Some(Arc::new(Checkpoint(bytes.to_vec()))),
            ..plan
        };
        fit(graph, &plan, &train, None, &cx)
            .err()
            .unwrap()
            .to_string()
    };
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        let message = refused(&mlp(2), plan(4, 0.05), &bytes[..cut]);
        assert!(
            message.contains("the checkpoint cannot be read"),
            "{message}"
        );
    }
    let mut later = bytes.clone();
    later[0] = 9;
    let message = refused(&mlp(2), plan(4, 0.05), &later);
    assert!(message.contains("has version 9, not 1"), "{message}");
    let message = refused(&mlp(1), plan(4, 0.05), &bytes);
    assert!(message.contains("is of another model"), "{message}");
    let sgd = FitPlan {
        update: Update::Sgd { momentum: 0.0 },
        ..plan(4, 0.05)
    };
    let message = refused(&mlp(2), sgd, &bytes);
    assert!(message.contains("is of another plan"), "{message}");
    let earlier = FitPlan {
        pause: Some(1),
        ..plan(4, 0.05)
    };
    let message = refused(&mlp(2), earlier, &bytes);
    assert!(
        message.contains("after the epoch that is wanted"),
        "{message}"
    );
}

#[test]
fn the_host_can_stop_and_cancel() {
    let epochs = AtomicUsize::new(0);
    let stop = |_: &Epoch| {
        epochs.fetch_add(1, Ordering::Relaxed);
        Verdict::Stop
    };
    let cx = FitContext {
        cancel: &Cancel::new(),
        epoch: &stop,
    };
    let (trained, history, _) = fit(&mlp(2), &plan(5, 0.05), &xor(32), None, &cx).unwrap();
    assert_eq!((history.len(), epochs.load(Ordering::Relaxed)), (1, 1));
    assert_ne!(weight(&trained, "w1"), weight(&mlp(2), "w1"));

    let cancel = Cancel::new();
    let cancelling = |_: &Epoch| {
        cancel.cancel();
        Verdict::Continue
    };
    let cx = FitContext {
        cancel: &cancel,
        epoch: &cancelling,
    };
    assert!(matches!(
        fit(&mlp(2), &plan(usize::MAX / 100, 0.05), &xor(32), None, &cx),
        Err(ModelError::Cancelled)
    ));
}

#[test]
fn an_operator_without_a_gradient_names_its_node() {
    let mut graph = mlp(2);
    graph.nodes.insert(1, node("f = Floor h", &[]));
    graph.nodes[2].inputs[0] = "f".into();
    let message = fit_quietly(&graph, &plan(1, 0.1), &xor(8), None)
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("node `node_f` (Floor): no gradient is known for this operator"),
        "{message}"
    );
    // Where the trained output does not need it, it is no obstacle.
    let mut graph = mlp(2);
    graph.nodes.push(node("label = ArgMax y", &[]));
    fit_quietly(&graph, &plan(1, 0.1), &xor(8), None).unwrap();
}

#[test]
fn quantized_weights_and_missing_inputs_are_refused() {
    let mut graph = mlp(2);
    let codes = lapidary_core::tensor::Quantized {
        codes: ArcArray::from_elem(IxDyn(&[16, 2]), 1i16),
        bits: 8,
        signed: true,
        granularity: lapidary_core::tensor::Granularity::Tensor,
        scales: ndarray::ArrayD::from_elem(IxDyn(&[1]), 0.1),
        zero_points: ndarray::ArrayD::from_elem(IxDyn(&[1]), 0),
    };
    graph
        .weights
        .insert("w1".into(), Arc::new(Tensor::Quantized(codes)));
    let message = fit_quietly(&graph, &plan(1, 0.1), &xor(8), None)
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("node `node_h` (Gemm): weight `w1` is quantized"),
        "{message}"
    );
    let mut samples = xor(8);
    let x = samples.inputs.remove("x").unwrap();
    samples.inputs.insert("image".into(), x);
    let message = fit_quietly(&mlp(2), &plan(1, 0.1), &samples, None)
        .unwrap_err()
        .to_string();
    assert_eq!(message, "the model wants the input `x`; given were image");
}

#[test]
fn a_loss_that_is_not_finite_names_epoch_and_step() {
    let plan = FitPlan {
        update: Update::Sgd { momentum: 0.9 },
        ..plan(50, 1e8)
    };
    let message = fit_quietly(&mlp(2), &plan, &xor(64), None)
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("training: ") && message.contains("in epoch "),
        "{message}"
    );
}

#[test]
fn an_infinite_constant_is_no_failure() {
    let mut graph = mlp(2);
    graph.nodes.push(node("m = Max y least", &[]));
    graph.outputs[0].name = "m".into();
    graph.weights.insert(
        "least".into(),
        Arc::new(constant(&[], f32::NEG_INFINITY).into()),
    );
    let (trained, _) = fit_quietly(&graph, &plan(2, 0.03), &xor(32), None).unwrap();
    assert!(Arc::ptr_eq(
        &trained.weights["least"],
        &graph.weights["least"]
    ));
}

#[test]
fn a_last_batch_of_one_joins_the_one_before() {
    assert_eq!(batches(33, 16), [0..16, 16..33]);
    assert_eq!(batches(34, 16), [0..16, 16..32, 32..34]);
    assert_eq!(batches(1, 16).len(), 1);
    assert_eq!(batches(3, 1), [0..1, 1..2, 2..3]);
}
