//! What trying gentler forms costs: quantization of a transformer of 22.6 million parameters under a goal that nothing meets,
//! which spends all its 12 attempts, each measured on a few short texts.
//!
//! The model is `models/minilm_l6.onnx` of the folder LAPIDARY_DATA, or one of its size where that is not set.

use std::path::PathBuf;

use criterion::{Criterion, criterion_group, criterion_main};
use lapidary_core::cancel::Cancel;
use lapidary_core::model::{Model, ModelError};
use lapidary_core::optimizer::{OptimizeContext, Optimizer};
use lapidary_core::rng::Rng;
use lapidary_core::samples::{Inputs, Samples};
use lapidary_core::tensor::{DType, Dense};
use lapidary_core::trial::Metrics;
use lapidary_graph::build::GraphBuilder;
use lapidary_graph::ops;
use lapidary_model::GraphModel;
use serde_json::{Value, json};

/// Texts and their length in words.
const TEXTS: [usize; 2] = [8, 16];
/// Words there are, width of a layer, and of its inner product.
const SIZES: [usize; 3] = [30_522, 384, 1536];
const LAYERS: usize = 6;

fn model() -> GraphModel {
    let data = std::env::var_os("LAPIDARY_DATA").map(PathBuf::from);
    let path = data.map(|folder| folder.join("models/minilm_l6.onnx"));
    match path.filter(|path| path.exists()) {
        Some(path) => GraphModel::open(path).expect("the model can be read"),
        None => generated(),
    }
}

/// A stack of products and residual sums with the weights of a transformer.
fn generated() -> GraphModel {
    let [words, width, inner] = SIZES;
    let mut b = GraphBuilder::new("stack");
    let mut rng = Rng::keyed(1, 0, "bench: attempts");
    let mut weight = |b: &mut GraphBuilder, name: &str, shape: [usize; 2]| {
        let data = (0..shape[0] * shape[1]).map(|_| 0.03 * rng.normal() as f32);
        let dense = Dense::f32(&shape, data.collect()).expect("as many as the shape takes");
        b.weight(name, dense)
    };
    let ids = b.input("input_ids", DType::I64, &[TEXTS[1]]);
    let table = weight(&mut b, "table", [words, width]);
    let mut x = b.node(&ops::GATHER, "words", &[&table, &ids], []);
    for layer in 0..LAYERS {
        let shapes = [
            ("query", [width, width]),
            ("key", [width, width]),
            ("value", [width, width]),
            ("out", [width, width]),
            ("up", [width, inner]),
            ("down", [inner, width]),
        ];
        let mut y = x.clone();
        for (name, shape) in shapes {
            let name = format!("layer{layer}_{name}");
            let w = weight(&mut b, &format!("{name}.weight"), shape);
            y = b.node(&ops::MAT_MUL, &name, &[&y, &w], []);
        }
        x = b.node(&ops::ADD, &format!("layer{layer}"), &[&x, &y], []);
    }
    b.output(&x, DType::F32, &[TEXTS[1], width]);
    GraphModel::from_graph(b.finish(17).expect("it is sound")).expect("it is sound")
}

fn samples(model: &dyn Model) -> Samples {
    let mut rng = Rng::keyed(2, 0, "bench: texts");
    let mut words = |name: &str| -> Dense {
        let most = if name == "input_ids" {
            SIZES[0] as u64
        } else {
            1
        };
        let data = (0..TEXTS[0] * TEXTS[1]).map(|_| match name {
            "attention_mask" => 1,
            _ => rng.below(most) as i64,
        });
        Dense::i64(&TEXTS, data.collect()).expect("as many as the shape takes")
    };
    let ports = &model.signature().inputs;
    let inputs: Inputs = (ports.iter())
        .map(|port| (port.name.clone(), words(&port.name)))
        .collect();
    Samples {
        inputs,
        targets: None,
    }
}

/// Quantizes `model`, no form of which is good enough.
fn attempts(model: &dyn Model, samples: &Samples, settings: &Value) {
    let entry = &lapidary_quantize::ENTRY;
    let registry = lapidary_core::registry::Registry::new(&[entry]).expect("one entry");
    let quantize: Box<dyn Optimizer> = registry
        .optimizer("quantize", settings)
        .expect("the settings fit");
    let measure = |model: &dyn Model| -> Result<Metrics, ModelError> {
        model.forward(&samples.inputs)?;
        Ok([("bytes".to_owned(), model.file_bytes()? as f64)].into())
    };
    let cx = OptimizeContext {
        train: Some(samples),
        valid: None,
        calibration: None,
        measure: &measure,
        accept: &|_| false,
        build: &|_| unreachable!("quantization builds no other model"),
        seed: 0,
        cancel: &Cancel::new(),
        progress: &|_, _| {},
    };
    quantize
        .optimize(model, &cx)
        .expect("the model can be quantized");
}

fn quantize(criterion: &mut Criterion) {
    let model = model();
    let samples = samples(&model);
    let mut group = criterion.benchmark_group("12 attempts of quantize");
    group.sample_size(10);
    for (name, settings) in [
        ("weights and activations", json!({})),
        ("weights alone", json!({"scheme": "weight_only"})),
    ] {
        group.bench_function(name, |b| b.iter(|| attempts(&model, &samples, &settings)));
    }
    group.finish();
}

criterion_group!(benches, quantize);
criterion_main!(benches);
