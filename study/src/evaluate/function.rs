//! Test functions with known optima, over the active axes in the space's order.
//!
//! Single-objective definitions follow Jamil and Yang, "A Literature Survey of Benchmark Functions for Global
//! Optimization Problems" (2013), two-objective ones Zitzler, Deb and Thiele, "Comparison of Multiobjective Evolutionary
//! Algorithms: Empirical Results" (2000). All are to be minimised, and are defined for any number of axes from
//! [`Function::fewest`] on.

use std::f64::consts::{E, PI, TAU};

use lapidary_core::evaluator::{EvalContext, Evaluator, MetricInfo};
use lapidary_core::inventory;
use lapidary_core::json::Json;
use lapidary_core::registry::{BuildError, Entry, EvalInit, EvalSource, Factory, Info, Linked};
use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::{Schema, Settings};
use lapidary_core::space::{Axis, AxisValue, Domain, Point};
use lapidary_core::text::{did_you_mean, listed};
use lapidary_core::trial::{Candidate, Metrics, Outcome};
use libm::{cos, exp, pow, sin, sqrt};
use serde::{Deserialize, Serialize};

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "function",
        summary: "a test function with a known optimum, over all active axes",
        docs: "Functions of one objective (Jamil and Yang 2013) give the metric `value`, those of two (Zitzler, Deb and Thiele 2000) \
               `f1` and `f2`; all are to be minimised.",
        settings: Schema::of::<FunctionSettings>(),
        promises: &[],
    },
    factory: Factory::Evaluator {
        make: &make,
        axes: &axes,
    },
};

inventory::submit! { Linked(&ENTRY) }

/// Settings of `function`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FunctionSettings {
    /// Its name. It gives the metric `value`, or `f1` and `f2` where the name begins with zdt.
    #[schemars(extend("enum" = FUNCTIONS.map(|f| f.name)))]
    name: String,
}

impl Settings for FunctionSettings {}

fn axes(settings: &Json, _: &EvalSource<'_>) -> Result<Vec<Axis>, BuildError> {
    // An unknown function is told when the evaluator is made, with the name that was meant.
    if known(settings).is_ok() {
        ENTRY.info.read_settings::<FunctionSettings>(settings)?;
    }
    Ok(Vec::new())
}

/// Refuses a name that no function has.
fn known(settings: &Json) -> Result<(), BuildError> {
    let Some(name) = settings["name"].as_str() else {
        return Ok(());
    };
    let names = FUNCTIONS.map(|f| f.name);
    if names.contains(&name) {
        return Ok(());
    }
    let hint = did_you_mean(name, &names);
    let reason = format!("no function `{name}`{hint}; there are {}", listed(&names));
    Err(ENTRY.info.refuse_at(&["name"], reason))
}

fn make<'a>(settings: &Json, init: &EvalInit<'a>) -> Result<Box<dyn Evaluator + 'a>, BuildError> {
    known(settings)?;
    let settings = ENTRY.info.read_settings::<FunctionSettings>(settings)?;
    let refuse = |reason| ENTRY.info.refuse_at(&["name"], reason);
    let function = Function::named(&settings.name).expect("its name was just found");
    let axes = init.space.axes().len();
    if axes < function.fewest {
        return Err(refuse(format!(
            "{} needs at least {} axes, the space has {axes}",
            function.name, function.fewest
        )));
    }
    Ok(Box::new(function))
}

/// A test function.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// Name in the study file.
    pub name: &'static str,
    /// Axes it needs at least.
    pub fewest: usize,
    form: Form,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    /// Gives the metric `value`.
    One(fn(&[f64]) -> f64),
    /// Gives the metrics `f1` and `f2`.
    Two(fn(&[f64]) -> [f64; 2]),
}

/// All functions, by name.
pub const FUNCTIONS: [Function; 11] = [
    one("ackley", 1, ackley),
    one("griewank", 1, griewank),
    one("levy", 1, levy),
    one("rastrigin", 1, rastrigin),
    one("rosenbrock", 2, rosenbrock),
    one("sphere", 1, sphere),
    two("zdt1", zdt1),
    two("zdt2", zdt2),
    two("zdt3", zdt3),
    two("zdt4", zdt4),
    two("zdt6", zdt6),
];

const fn one(name: &'static str, fewest: usize, f: fn(&[f64]) -> f64) -> Function {
    Function {
        name,
        fewest,
        form: Form::One(f),
    }
}

const fn two(name: &'static str, f: fn(&[f64]) -> [f64; 2]) -> Function {
    Function {
        name,
        fewest: 2,
        form: Form::Two(f),
    }
}

impl Function {
    /// The function called `name`.
    pub fn named(name: &str) -> Option<Self> {
        FUNCTIONS.into_iter().find(|f| f.name == name)
    }

    /// The metrics of the function at `x`; one axis for each element.
    pub fn at(&self, x: &[f64]) -> Metrics {
        match self.form {
            Form::One(f) => [("value".to_owned(), f(x))].into(),
            Form::Two(f) => {
                let [f1, f2] = f(x);
                [("f1".to_owned(), f1), ("f2".to_owned(), f2)].into()
            }
        }
    }
}

impl Evaluator for Function {
    fn evaluate(&self, candidate: &Candidate, _: &EvalContext<'_>) -> Outcome {
        let x = coordinates(&candidate.point);
        if x.len() < self.fewest {
            return Outcome::Failed {
                reason: format!(
                    "{} needs {} active axes, the point has {}",
                    self.name,
                    self.fewest,
                    x.len()
                ),
            };
        }
        Outcome::Measured {
            metrics: self.at(&x),
        }
    }

    fn metrics(&self) -> Option<Vec<MetricInfo>> {
        let names: &[&str] = match self.form {
            Form::One(_) => &["value"],
            Form::Two(_) => &["f1", "f2"],
        };
        Some(
            names
                .iter()
                .map(|name| MetricInfo {
                    name: (*name).to_owned(),
                    volatile: false,
                    stepwise: false,
                })
                .collect(),
        )
    }
}

/// The active axes as numbers: options that are numbers by their value, others by their index.
fn coordinates(point: &Point) -> Vec<f64> {
    let axes = point.space().axes().iter();
    axes.zip(point.values())
        .filter_map(|(axis, value)| {
            Some(match ((*value)?, &axis.domain) {
                (AxisValue::Float(v), _) => v,
                (AxisValue::Int(v), _) => v as f64,
                (AxisValue::Choice(i), Domain::Choice { options }) => {
                    options.get(i).and_then(Json::as_f64).unwrap_or(i as f64)
                }
                (AxisValue::Choice(i), _) => i as f64,
            })
        })
        .collect()
}

/// Σ xᵢ²; minimum 0 at the origin.
fn sphere(x: &[f64]) -> f64 {
    x.iter().map(|v| v * v).sum()
}

/// Σ (xᵢ² − 10 cos 2πxᵢ + 10); minimum 0 at the origin, usually on [−5.12, 5.12].
fn rastrigin(x: &[f64]) -> f64 {
    x.iter().map(|v| v * v - 10.0 * cos(TAU * v) + 10.0).sum()
}

/// Σ 100 (xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)²; minimum 0 at (1, …, 1), usually on [−2.048, 2.048].
fn rosenbrock(x: &[f64]) -> f64 {
    x.windows(2)
        .map(|w| {
            let (bend, base) = (w[1] - w[0] * w[0], 1.0 - w[0]);
            100.0 * bend * bend + base * base
        })
        .sum()
}

/// −20 e^(−0.2 √(Σxᵢ²/n)) − e^(Σ cos 2πxᵢ / n) + 20 + e; minimum 0 at the origin, usually on [−32.768, 32.768].
fn ackley(x: &[f64]) -> f64 {
    let n = x.len() as f64;
    let waves: f64 = x.iter().map(|v| cos(TAU * v)).sum();
    -20.0 * exp(-0.2 * sqrt(sphere(x) / n)) - exp(waves / n) + 20.0 + E
}

/// Σ xᵢ²/4000 − Π cos(xᵢ/√i) + 1; minimum 0 at the origin, usually on [−600, 600].
fn griewank(x: &[f64]) -> f64 {
    let waves: f64 = x
        .iter()
        .enumerate()
        .map(|(i, v)| cos(v / sqrt(i as f64 + 1.0)))
        .product();
    sphere(x) / 4000.0 - waves + 1.0
}

/// sin² πw₁ + Σ (wᵢ − 1)² (1 + 10 sin²(πwᵢ + 1)) + (wₙ − 1)² (1 + sin² 2πwₙ) with w = 1 + (x − 1)/4; minimum 0 at
/// (1, …, 1), usually on [−10, 10].
fn levy(x: &[f64]) -> f64 {
    let square = |v: f64| v * v;
    let w: Vec<f64> = x.iter().map(|v| 1.0 + (v - 1.0) / 4.0).collect();
    let (Some(first), Some((last, before))) = (w.first(), w.split_last()) else {
        return 0.0;
    };
    let middle: f64 = before
        .iter()
        .map(|w| square(w - 1.0) * (1.0 + 10.0 * square(sin(PI * w + 1.0))))
        .sum();
    square(sin(PI * first)) + middle + square(last - 1.0) * (1.0 + square(sin(TAU * last)))
}

/// 1 + 9 · mean of x₂ … xₙ, which is 1 on the Pareto front of ZDT1 to ZDT3; all axes on [0, 1].
fn zdt_g(x: &[f64]) -> f64 {
    1.0 + 9.0 * x[1..].iter().sum::<f64>() / (x.len() - 1) as f64
}

/// Convex front f₂ = 1 − √f₁.
fn zdt1(x: &[f64]) -> [f64; 2] {
    let g = zdt_g(x);
    [x[0], g * (1.0 - sqrt(x[0] / g))]
}

/// Concave front f₂ = 1 − f₁².
fn zdt2(x: &[f64]) -> [f64; 2] {
    let g = zdt_g(x);
    [x[0], g * (1.0 - (x[0] / g) * (x[0] / g))]
}

/// Front in five pieces of f₂ = 1 − √f₁ − f₁ sin 10πf₁.
fn zdt3(x: &[f64]) -> [f64; 2] {
    let g = zdt_g(x);
    let share = x[0] / g;
    [
        x[0],
        g * (1.0 - sqrt(share) - share * sin(10.0 * PI * x[0])),
    ]
}

/// The front of ZDT1 behind 21ⁿ⁻¹ local ones; x₁ on [0, 1], the others on [−5, 5].
fn zdt4(x: &[f64]) -> [f64; 2] {
    let g = 1.0 + rastrigin(&x[1..]);
    [x[0], g * (1.0 - sqrt(x[0] / g))]
}

/// A concave front on which solutions lie unevenly; all axes on [0, 1].
fn zdt6(x: &[f64]) -> [f64; 2] {
    let f1 = 1.0 - exp(-4.0 * x[0]) * pow(sin(6.0 * PI * x[0]), 6.0);
    let mean = x[1..].iter().sum::<f64>() / (x.len() - 1) as f64;
    let g = 1.0 + 9.0 * pow(mean, 0.25);
    [f1, g * (1.0 - (f1 / g) * (f1 / g))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use lapidary_core::cancel::Cancel;
    use lapidary_core::fit::Verdict;
    use lapidary_core::space::{Axis, Space};

    fn at(name: &str, x: &[f64]) -> Metrics {
        Function::named(name).unwrap().at(x)
    }

    #[test]
    fn each_function_is_zero_at_its_optimum_and_larger_elsewhere() {
        for (name, best) in [
            ("ackley", 0.0),
            ("griewank", 0.0),
            ("levy", 1.0),
            ("rastrigin", 0.0),
            ("rosenbrock", 1.0),
            ("sphere", 0.0),
        ] {
            let optimum = at(name, &[best; 4])["value"];
            assert!(optimum.abs() < 1e-14, "{name}: {optimum}");
            for step in [-1.5, 1e-3, 0.4, 2.0] {
                let mut x = [best; 4];
                x[2] += step;
                assert!(at(name, &x)["value"] > 1e-9, "{name} at {step}");
            }
        }
    }

    #[test]
    fn values_agree_with_hand_computed_ones() {
        let near = |name: &str, x: &[f64], wanted: f64| {
            let value = at(name, x)["value"];
            assert!((value - wanted).abs() < 1e-9, "{name}: {value}");
        };
        near("sphere", &[1.0, -2.0, 3.0], 14.0);
        near("rastrigin", &[0.5, 1.0], 0.25 + 20.0 + 1.0);
        near("rosenbrock", &[0.0, 0.0, 2.0], 1.0 + 401.0);
        // At (1, 1): 20 − 20 e^(−0.2), all waves being at their crest.
        near("ackley", &[1.0, 1.0], 3.625_384_938_440_363);
        near("griewank", &[TAU], TAU * TAU / 4000.0);
        // w = 2: sin² 2π = 0, (2 − 1)² (1 + sin² 4π) = 1.
        near("levy", &[5.0], 1.0);
    }

    #[test]
    fn fronts_of_zdt_have_their_shape_and_nothing_lies_below() {
        for share in [0.0, 0.25, 0.81, 1.0] {
            let on = |name: &str| at(name, &[share, 0.0, 0.0])["f2"];
            assert!((on("zdt1") - (1.0 - share.sqrt())).abs() < 1e-12);
            assert!((on("zdt2") - (1.0 - share * share)).abs() < 1e-12);
            let wave = share * (10.0 * PI * share).sin();
            assert!((on("zdt3") - (1.0 - share.sqrt() - wave)).abs() < 1e-12);
            assert!((on("zdt4") - (1.0 - share.sqrt())).abs() < 1e-12);
            let six = at("zdt6", &[share, 0.0, 0.0]);
            assert!((six["f2"] - (1.0 - six["f1"] * six["f1"])).abs() < 1e-12);
            for name in ["zdt1", "zdt2", "zdt3", "zdt4", "zdt6"] {
                let off = at(name, &[share, 0.0, 0.3]);
                assert!(off["f2"] > at(name, &[share, 0.0, 0.0])["f2"], "{name}");
            }
        }
    }

    #[test]
    fn choices_count_by_number_or_index_and_too_few_axes_fail() {
        let choice = |options: Vec<Json>| Domain::Choice { options };
        let axes = vec![
            Axis::new("fixed", choice(vec![3.into()])),
            Axis::new("word", choice(vec!["a".into(), "b".into()])),
        ];
        let point =
            Arc::new(Space::new(axes).unwrap()).point(vec![None, Some(AxisValue::Choice(1))]);
        assert_eq!(coordinates(&point), [3.0, 1.0]);

        let lone = Arc::new(Space::new(vec![Axis::new("x", choice(vec![1.into()]))]).unwrap());
        let candidate = Candidate {
            id: 0,
            point: lone.middle(),
            fidelity: 1.0,
            parent: None,
        };
        let cx = EvalContext {
            seed: 0,
            cancel: &Cancel::new(),
            lineage: &[],
            keep: &|_, _| {},
            report: &|_, _| Verdict::Continue,
        };
        let outcome = Function::named("zdt1").unwrap().evaluate(&candidate, &cx);
        assert!(matches!(outcome, Outcome::Failed { reason } if reason.contains("needs 2")));
    }
}
