use std::sync::OnceLock;

use lapidary_core::fit::{FitContext, FitPlan, Verdict};
use lapidary_core::model::Edit;
use lapidary_core::optimizer::Optimized;
use lapidary_core::registry::{Entry, Factory, Info, Origin};
use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::{Checked, Schema, Settings};
use lapidary_core::tensor::{Dense, Tensor};
use serde::{Deserialize, Serialize};

use super::*;

/// Multiplies every weight by `factor`, then keeps the result only where it is accepted.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Scale {
    /// Factor.
    factor: f32,
    /// Whether to keep only what is accepted.
    careful: bool,
}

impl Settings for Scale {}

struct Scaler(Checked<Scale>);

impl Default for Scale {
    fn default() -> Self {
        Self {
            factor: 1.0,
            careful: false,
        }
    }
}

impl Optimizer for Scaler {
    fn optimize(
        &self,
        model: &dyn Model,
        cx: &OptimizeContext<'_>,
    ) -> Result<Optimized, OptimizeError> {
        cx.check_cancel()?;
        (cx.progress)(0.5, "scaling");
        let edits: Vec<Edit> = model
            .weights()
            .iter()
            .filter_map(|(name, tensor)| match &**tensor {
                Tensor::Dense(dense) => Some(Edit::SetWeight {
                    name: name.clone(),
                    tensor: Tensor::Dense(Dense::F32(
                        dense.as_f32()?.mapv(|v| v * self.0.factor).into_shared(),
                    ))
                    .into(),
                }),
                _ => None,
            })
            .collect();
        let scaled = model.apply(&edits)?;
        let kept = !self.0.careful || (cx.accept)(&(cx.measure)(scaled.as_ref())?);
        Ok(Optimized {
            model: if kept { scaled } else { model.share() },
            notes: vec![format!("kept: {kept}")],
        })
    }
}

static SCALE: Entry = Entry {
    info: Info {
        name: "scale",
        summary: "for tests",
        docs: "",
        settings: Schema::of::<Scale>(),
        promises: &[],
    },
    factory: Factory::Optimizer(&|json| {
        let scaler = Scaler(SCALE.info.read_settings(json)?);
        Ok(Box::new(scaler))
    }),
};

fn registry() -> Registry {
    let mut registry = Registry::new(lapidary_zoo::ENTRIES).unwrap();
    registry.add(SCALE, Origin::Builtin).unwrap();
    registry
}

/// A trained network for the digits with their parts.
fn trained(registry: &Registry) -> (Box<dyn Model>, lapidary_data::Split) {
    let digits = lapidary_data::open("digits", &Default::default()).unwrap();
    let split = digits.split().unwrap();
    let settings = serde_json::json!({ "depth": 1, "width": 16 });
    let model = registry
        .family("mlp", &settings, &digits.task_shape().unwrap(), 1)
        .unwrap();
    let plan = FitPlan {
        epochs: 3,
        learning_rate: 0.01,
        ..FitPlan::default()
    };
    let cx = FitContext {
        cancel: &Cancel::new(),
        epoch: &|_| Verdict::Continue,
    };
    let fitted = model
        .trainable()
        .unwrap()
        .fit(&plan, &split.train, None, &cx)
        .unwrap();
    (fitted.model, split)
}

/// What models are measured by.
fn runtime() -> &'static dyn Runtime {
    static RUNTIME: OnceLock<Box<dyn Runtime>> = OnceLock::new();
    let make = || {
        let registry = Registry::new(lapidary_model::ENTRIES).unwrap();
        registry.runtime(measure::RUNTIME, &Json::Null).unwrap()
    };
    RUNTIME.get_or_init(make).as_ref()
}

fn context<'a>(
    registry: &'a Registry,
    split: &'a lapidary_data::Split,
    cancel: &'a Cancel,
) -> RecipeContext<'a> {
    RecipeContext {
        registry,
        runtime: runtime(),
        train: Some(&split.train),
        valid: Some(&split.valid),
        test: Some(&split.test),
        calibration: None,
        batch: measure::BATCH,
        output: None,
        limit: Some(Limit {
            metric: Metric::Accuracy,
            max_drop: "1%".parse().unwrap(),
        }),
        latency: None,
        seed: 0,
        cancel,
        progress: &|_, _| {},
    }
}

fn recipe(steps: &[&str]) -> Recipe {
    Recipe {
        steps: steps.iter().map(|s| parse_step(s).unwrap()).collect(),
    }
}

#[test]
fn steps_are_read_with_typed_settings() {
    let step = parse_step(
        "quantize:bits=8, scheme=static,layers=[\"a,b\", 'c'],student.width=16,rate=1e-3,fast=true",
    )
    .unwrap();
    assert_eq!(step.name, "quantize");
    assert_eq!(
        step.settings.to_string(),
        r#"{"bits":8,"scheme":"static","layers":["a,b","c"],"student":{"width":16},"rate":0.001,"fast":true}"#
    );
    assert_eq!(parse_step("prune").unwrap().settings.to_string(), "{}");
    for (text, wanted) in [
        ("", "--with : write NAME:key=value"),
        ("quantize:bits", "`bits` is not key=value"),
        ("quantize:=8", "the key has an empty part"),
        ("quantize:bits=8,bits.x=1", "`bits` is not a table"),
    ] {
        let message = parse_step(text).unwrap_err().to_string();
        assert!(message.contains(wanted), "{text}: {message}");
    }
}

#[test]
fn recipe_files_are_read_or_refused_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.toml");
    let load = |text: &str| {
        std::fs::write(&path, text).unwrap();
        load_recipe(&path).map_err(|e| e.to_string())
    };
    let text = "[[step]]\nname = \"prune\"\nsparsity = 0.5\n[[step]]\nname = \"quantize\"\n";
    assert_eq!(
        load(text).unwrap(),
        recipe(&["prune:sparsity=0.5", "quantize"])
    );
    for (text, wanted) in [
        ("", "recipe.toml:1:1: a recipe needs at least one [[step]]"),
        (
            "[[steps]]\n",
            "1:3: the file has no key `steps` (did you mean `step`?)",
        ),
        ("[[step]]\nnam = 1\n", "`step.name` is missing"),
        (
            "[[step]]\nname = 1\n",
            "2:8: `step.name` must be a text, found 1",
        ),
    ] {
        let message = load(text).unwrap_err();
        assert!(message.contains(wanted), "{text}: {message}");
    }
}

#[test]
fn a_drop_counts_in_the_metrics_direction() {
    let limit = |metric, text: &str| Limit {
        metric,
        max_drop: text.parse().unwrap(),
    };
    let points = limit(Metric::Accuracy, "0.01");
    assert!(points.holds(0.98, 0.97) && points.holds(0.5, 0.9) && !points.holds(0.98, 0.9699));
    let percent = limit(Metric::Mse, "5%");
    assert!(percent.holds(2.0, 2.1) && percent.holds(2.0, 1.0) && !percent.holds(2.0, 2.11));
    for (text, wanted) in [("-1", "at least 0"), ("much", "is not a number")] {
        let message = text.parse::<MaxDrop>().unwrap_err().to_string();
        assert!(message.contains(wanted), "{message}");
    }
}

#[test]
fn every_stage_is_measured_by_the_host() {
    let registry = registry();
    let (model, split) = trained(&registry);
    let cancel = Cancel::new();
    let mut cx = context(&registry, &split, &cancel);
    cx.latency = Some(1);
    let steps = recipe(&["scale:factor=1", "scale:factor=0,careful=true"]);
    let run = run_recipe(model.as_ref(), &steps, &cx).unwrap();
    let names: Vec<&str> = run.stages.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["original", "scale", "scale"]);
    assert!(run.goal_met);
    // All zero is refused by the limit, so the last model is the one before.
    assert_eq!(run.stages[2].notes, ["kept: false"]);
    let first = &run.stages[0];
    let expected = measure::quality(runtime(), model.as_ref(), &split.test, &[], None, 7)
        .unwrap()
        .metrics;
    assert_eq!(first.metrics["accuracy"], expected["accuracy"]);
    assert!(first.metrics["accuracy"] > 0.6, "{:?}", first.metrics);
    assert_eq!(first.size.params, 64 * 16 + 16 + 16 * 10 + 10);
    assert_eq!(first.bytes, model.file_bytes().unwrap());
    let latency = first.latency.unwrap();
    assert!(latency.runs >= 30 && latency.ms > 0.0 && latency.batch == 1);
    let json = stages_json(&run.stages);
    assert_eq!(json[2]["macs"], 64 * 16 + 16 * 10);

    let careless = recipe(&["scale:factor=0"]);
    let run = run_recipe(model.as_ref(), &careless, &cx).unwrap();
    assert!(!run.goal_met);
    assert_eq!(run.stages[1].size.sparsity, 1.0);
}

#[test]
fn mistakes_in_a_recipe_are_found_before_anything_runs() {
    let registry = registry();
    let (model, split) = trained(&registry);
    let cancel = Cancel::new();
    let mut cx = context(&registry, &split, &cancel);
    let run = |steps: &[&str], cx: &RecipeContext<'_>| {
        run_recipe(model.as_ref(), &recipe(steps), cx)
            .err()
            .unwrap()
            .to_string()
    };
    assert_eq!(
        run(&["scale", "shrink"], &cx),
        "step 2: no optimizer `shrink`; there are prune, scale"
    );
    let message = run(&["scale:facto=2"], &cx);
    assert!(
        message.starts_with("step 1: settings of scale: unknown field `facto`"),
        "{message}"
    );
    assert!(
        message.ends_with("its settings are factor, careful"),
        "{message}"
    );
    cx.valid = None;
    assert_eq!(
        run(&["scale"], &cx),
        "a limit on accuracy needs data to measure it on"
    );
    cx.limit = None;
    cancel.cancel();
    assert_eq!(run(&["scale"], &cx), "interrupted");
}

#[test]
fn a_student_fits_the_task_of_the_model() {
    let registry = registry();
    let (model, split) = trained(&registry);
    let cancel = Cancel::new();
    let cx = context(&registry, &split, &cancel);
    let spec = ModelSpec::Family {
        name: "mlp".into(),
        settings: serde_json::json!({ "depth": 0 }),
    };
    let student = cx.build(model.as_ref(), &spec).unwrap();
    assert_eq!(Size::of(student.as_ref()).params, 64 * 10 + 10);
    assert_eq!(student.signature().inputs, model.signature().inputs);
    let missing = ModelSpec::File("missing.onnx".into());
    let message = cx
        .build(model.as_ref(), &missing)
        .err()
        .unwrap()
        .to_string();
    assert!(message.contains("missing.onnx"), "{message}");
}
