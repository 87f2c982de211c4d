//! The testkit itself: a sound optimizer passes every property, and each broken one fails those it breaks.
#![cfg(feature = "optimizers")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use lapidary_core::json::Json;
use lapidary_core::model::{Edit, Model, check_finite};
use lapidary_core::optimizer::{OptimizeContext, OptimizeError, Optimized, Optimizer};
use lapidary_core::registry::{BuildError, Entry, Factory, Info, Promise};
use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::{Schema, Settings};
use lapidary_core::tensor::{Dense, Granularity, Quantized, Shared, Tensor};
use lapidary_testkit::optimizer::PROPERTIES;
use ndarray::{ArrayD, IxDyn};
use serde::{Deserialize, Serialize};

/// What is wrong with an optimizer.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// Nothing.
    None,
    /// It gives an output another name.
    Signature,
    /// It gives a model that overflows.
    Overflow,
    /// It takes the number of threads into account.
    Threads,
    /// It takes NaN for a number.
    NotFinite,
    /// It looks at the first element of a weight that has none.
    Empty,
    /// It moves zeros.
    Zero,
    /// It does not say what it needs.
    Needs,
    /// It does not listen.
    Deaf,
    /// It does not look at the goal.
    Goal,
    /// It says nothing about the goal.
    Silent,
    /// It goes further every time.
    Again,
    /// It changes what it keeps.
    Kept,
    /// It removes large weights.
    Magnitude,
    /// It rounds down.
    Rounding,
    /// Its name has blanks.
    Name,
    /// It takes unknown settings.
    Settings,
    /// It says another default than it has.
    Default,
}

const FAULTS: [Fault; 18] = [
    Fault::None,
    Fault::Signature,
    Fault::Overflow,
    Fault::Threads,
    Fault::NotFinite,
    Fault::Empty,
    Fault::Zero,
    Fault::Needs,
    Fault::Deaf,
    Fault::Goal,
    Fault::Silent,
    Fault::Again,
    Fault::Kept,
    Fault::Magnitude,
    Fault::Rounding,
    Fault::Name,
    Fault::Settings,
    Fault::Default,
];

/// Zeroes weights below a threshold.
struct Threshold {
    fault: Fault,
    below: f32,
}

impl Threshold {
    fn change(&self, values: &Shared<f32>) -> Tensor {
        let below = match self.fault {
            Fault::Threads => self.below * rayon::current_num_threads() as f32,
            Fault::Again => {
                values
                    .iter()
                    .map(|v| v.abs())
                    .filter(|v| *v > 0.0)
                    .fold(1.0, f32::min)
                    * 1.5
            }
            Fault::Empty => {
                self.below * (1.0 + 1e-3 * values.iter().next().expect("a first element"))
            }
            _ => self.below,
        };
        let new = values.mapv(|v| match self.fault {
            Fault::Overflow => f32::MAX,
            Fault::Zero if v == 0.0 => 0.01,
            Fault::Magnitude if v.abs() >= below => 0.0,
            Fault::Magnitude => v,
            _ if v.abs() < below => 0.0,
            Fault::Kept => v * 1.5,
            _ => v,
        });
        if self.fault != Fault::Rounding {
            return Dense::F32(new.into_shared()).into();
        }
        let scale = values.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs())) / 127.0;
        let scale = scale.max(f32::MIN_POSITIVE);
        Tensor::Quantized(Quantized {
            codes: values
                .mapv(|v| (v / scale).floor().max(-127.0) as i16)
                .into_shared(),
            bits: 8,
            signed: true,
            granularity: Granularity::Tensor,
            scales: ArrayD::from_elem(IxDyn(&[]), scale),
            zero_points: ArrayD::zeros(IxDyn(&[])),
        })
    }
}

impl Optimizer for Threshold {
    fn optimize(
        &self,
        model: &dyn Model,
        cx: &OptimizeContext<'_>,
    ) -> Result<Optimized, OptimizeError> {
        let listens = self.fault != Fault::Deaf;
        if listens {
            cx.check_cancel()?;
        }
        if self.fault != Fault::NotFinite {
            check_finite(model)?;
        }
        if self.fault == Fault::Needs && cx.train.or(cx.calibration).is_none() {
            return Err(OptimizeError::Method {
                optimizer: "threshold".into(),
                reason: "it does not work".into(),
            });
        }
        (cx.progress)(0.0, "zeroing");
        if listens {
            cx.check_cancel()?;
        }
        let floats = (model.weights().iter())
            .filter_map(|(name, tensor)| Some((name, tensor.as_dense()?.as_f32()?)))
            .filter(|(_, values)| values.ndim() >= 2);
        let mut edits: Vec<Edit> = floats
            .map(|(name, values)| Edit::SetWeight {
                name: name.clone(),
                tensor: self.change(values).into(),
            })
            .collect();
        if self.fault == Fault::Signature {
            edits.push(Edit::RenameValue {
                from: model.signature().outputs[0].name.clone(),
                to: "renamed".into(),
            });
        }
        let mut result = model.apply(&edits)?;
        let mut notes = Vec::new();
        if self.fault != Fault::Goal && !(cx.accept)(&(cx.measure)(result.as_ref())?) {
            if (cx.accept)(&(cx.measure)(model)?) {
                result = model.share();
            }
            if self.fault != Fault::Silent {
                notes.push("the goal was not met".into());
            }
        }
        Ok(Optimized {
            model: result,
            notes,
        })
    }
}

fn build<const FAULT: usize>(settings: &Json) -> Result<Box<dyn Optimizer>, BuildError> {
    let fault = FAULTS[FAULT];
    let info = info::<FAULT>();
    let mut below = below();
    match settings {
        Json::Null => {}
        Json::Object(settings) => {
            for (name, value) in settings {
                match (name.as_str(), value.as_f64()) {
                    ("below", Some(value)) => below = value as f32,
                    _ if fault == Fault::Settings => {}
                    _ => return Err(info.refuse(format!("{name} = {value}"))),
                }
            }
        }
        other => return Err(info.refuse(format!("{other} is no table"))),
    }
    Ok(Box::new(Threshold { fault, below }))
}

/// What it says of its settings.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The threshold.
    #[serde(default = "below")]
    below: f32,
}

fn below() -> f32 {
    0.05
}

/// The same with another default than it has.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Misstated {
    /// The threshold.
    #[serde(default = "misstated")]
    below: f32,
}

fn misstated() -> f32 {
    0.1
}

impl Settings for Config {}
impl Settings for Misstated {}

const fn info<const FAULT: usize>() -> Info {
    Info {
        name: if matches!(FAULTS[FAULT], Fault::Name) {
            "a threshold"
        } else {
            "threshold"
        },
        summary: "zeroes small weights",
        docs: "Zeroes weights below a threshold.",
        settings: if matches!(FAULTS[FAULT], Fault::Default) {
            Schema::of::<Misstated>()
        } else {
            Schema::of::<Config>()
        },
        promises: if matches!(FAULTS[FAULT], Fault::Rounding) {
            &[Promise::RoundToNearest]
        } else {
            &[
                Promise::Idempotent,
                Promise::KeepsWeights,
                Promise::Magnitude,
            ]
        },
    }
}

/// Names of the properties that an optimizer does not keep.
fn broken<const FAULT: usize>() -> Vec<&'static str> {
    let entry = Entry {
        info: info::<FAULT>(),
        factory: Factory::Optimizer(&build::<FAULT>),
    };
    (PROPERTIES.iter())
        .filter(|(_, property)| {
            catch_unwind(AssertUnwindSafe(|| property(&entry, &Json::Null))).is_err()
        })
        .map(|(name, _)| *name)
        .collect()
}

#[test]
fn a_sound_optimizer_passes() {
    assert_eq!(broken::<0>(), Vec::<&str>::new());
}

#[test]
fn each_fault_is_found() {
    let found = [
        (broken::<1>(), "the_signature_stays"),
        (broken::<2>(), "outputs_are_finite"),
        (broken::<3>(), "seeds_decide_and_threads_do_not"),
        (broken::<4>(), "weights_that_are_not_finite_are_named"),
        (broken::<5>(), "extreme_weights_work"),
        (broken::<6>(), "extreme_weights_work"),
        (broken::<7>(), "missing_samples_are_named_or_not_needed"),
        (broken::<8>(), "cancelling_returns_promptly"),
        (broken::<9>(), "goals_that_are_met_stay_met"),
        (broken::<10>(), "goals_nobody_meets_come_to_an_end"),
        (
            broken::<11>(),
            "a_second_time_changes_nothing_where_promised",
        ),
        (
            broken::<12>(),
            "kept_weights_keep_their_bits_where_promised",
        ),
        (
            broken::<13>(),
            "no_kept_weight_is_smaller_than_a_removed_one_where_promised",
        ),
        (
            broken::<14>(),
            "weights_are_rounded_to_nearest_where_promised",
        ),
        (broken::<15>(), "the_entry_is_complete"),
        (broken::<16>(), "wrong_settings_are_refused"),
        (broken::<17>(), "listed_defaults_are_the_defaults"),
    ];
    for (broken, wanted) in found {
        assert!(broken.contains(&wanted), "{wanted} holds, not {broken:?}");
    }
}
