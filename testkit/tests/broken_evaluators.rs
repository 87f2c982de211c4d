//! The testkit itself: a sound evaluator passes every property, and each broken one fails those it breaks.

use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use lapidary_core::evaluator::{Artefact, Checkpoints, EvalContext, Evaluator, MetricInfo};
use lapidary_core::fit::Verdict;
use lapidary_core::json::Json;
use lapidary_core::registry::{BuildError, Entry, EvalInit, EvalSource, Factory, Info, Promise};
use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::{Schema, Settings};
use lapidary_core::space::{Axis, AxisValue, Domain};
use lapidary_core::trial::{Candidate, Metrics, Outcome};
use lapidary_testkit::evaluator::{Case, PROPERTIES};
use serde::{Deserialize, Serialize};

/// What is wrong with an evaluator.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// Nothing.
    None,
    /// It measures what it does not declare.
    Undeclared,
    /// It does not measure what it declares.
    Missing,
    /// It measures no time where the goal reads it.
    Timeless,
    /// It remembers how often it was called.
    Memory,
    /// It takes the number of threads into account.
    Threads,
    /// It breaks at a corner of the space.
    Corner,
    /// Its steps go back.
    Steps,
    /// It does not stop.
    Deaf,
    /// It does not look whether it was cancelled.
    Tireless,
    /// It fails at small fidelities.
    Whole,
    /// It goes on from another state than it ended with.
    Cut,
    /// It leaves a file in another folder.
    Elsewhere,
    /// It promises a model and leaves none.
    Model,
    /// It cannot evaluate the axes it offers.
    Axes,
    /// Its name has blanks.
    Name,
    /// It takes unknown settings.
    Settings,
    /// It says another default than it has.
    Default,
}

const FAULTS: [Fault; 18] = [
    Fault::None,
    Fault::Undeclared,
    Fault::Missing,
    Fault::Timeless,
    Fault::Memory,
    Fault::Threads,
    Fault::Corner,
    Fault::Steps,
    Fault::Deaf,
    Fault::Tireless,
    Fault::Whole,
    Fault::Cut,
    Fault::Elsewhere,
    Fault::Model,
    Fault::Axes,
    Fault::Name,
    Fault::Settings,
    Fault::Default,
];

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Steps of a whole evaluation.
    #[schemars(range(min = 1))]
    steps: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { steps: 6 }
    }
}

/// The same with another default.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Other {
    /// Steps of a whole evaluation.
    #[schemars(range(min = 1))]
    steps: u64,
}

impl Default for Other {
    fn default() -> Self {
        Self { steps: 7 }
    }
}

/// The same, open to anything.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Open {
    steps: Option<u64>,
}

impl Settings for Config {}
impl Settings for Other {}
impl Settings for Open {}

/// Goes towards the distance from 0.3, step by step.
struct Sound<const FAULT: usize> {
    steps: u64,
    times: bool,
    calls: AtomicU64,
    checkpoints: Arc<dyn Checkpoints>,
}

fn read<const FAULT: usize>(settings: &Json) -> Result<u64, BuildError> {
    let info = info::<FAULT>();
    Ok(match FAULTS[FAULT] {
        Fault::Settings => {
            let open = info.read_settings::<Open>(settings)?;
            open.steps.unwrap_or(Config::default().steps)
        }
        _ => info.read_settings::<Config>(settings)?.steps,
    })
}

fn axes<const FAULT: usize>(settings: &Json, _: &EvalSource<'_>) -> Result<Vec<Axis>, BuildError> {
    read::<FAULT>(settings)?;
    let name = if FAULTS[FAULT] == Fault::Axes {
        "y"
    } else {
        "x"
    };
    let domain = Domain::Float {
        low: 0.0,
        high: 1.0,
        log: false,
        step: None,
    };
    Ok(vec![Axis::new(name, domain)])
}

fn make<'a, const FAULT: usize>(
    settings: &Json,
    init: &EvalInit<'a>,
) -> Result<Box<dyn Evaluator + 'a>, BuildError> {
    Ok(Box::new(Sound::<FAULT> {
        steps: read::<FAULT>(settings)?,
        times: init.goal.metrics().contains(&"seconds"),
        calls: AtomicU64::new(0),
        checkpoints: init.checkpoints.clone(),
    }))
}

fn info<const FAULT: usize>() -> Info {
    Info {
        name: match FAULTS[FAULT] {
            Fault::Name => "a sound one",
            _ => "sound",
        },
        summary: "measures a distance",
        docs: "Measures a distance.",
        settings: match FAULTS[FAULT] {
            Fault::Default => Schema::of::<Other>(),
            _ => Schema::of::<Config>(),
        },
        promises: match FAULTS[FAULT] {
            Fault::Model => &[
                Promise::TakesFidelity,
                Promise::Reports,
                Promise::LeavesModel,
            ],
            _ => &[Promise::TakesFidelity, Promise::Reports],
        },
    }
}

fn entry<const FAULT: usize>() -> &'static Entry {
    Box::leak(Box::new(Entry {
        info: info::<FAULT>(),
        factory: Factory::Evaluator {
            make: &make::<FAULT>,
            axes: &axes::<FAULT>,
        },
    }))
}

impl<const FAULT: usize> Sound<FAULT> {
    fn step_at(&self, fidelity: f64) -> u64 {
        ((self.steps as f64 * fidelity).ceil() as u64).clamp(1, self.steps)
    }

    /// The step that an earlier stage came to, and how far it had come.
    fn state(&self, cx: &EvalContext<'_>) -> (u64, f64) {
        let last = cx.lineage.last();
        let kept = last.and_then(|stage| {
            let state = self.checkpoints.load(stage.id, "sound")?;
            let value = f64::from_le_bytes(state.try_into().ok()?);
            Some((self.step_at(stage.fidelity), value))
        });
        match kept {
            Some((step, value)) if FAULTS[FAULT] == Fault::Cut => (step, value * 0.9),
            Some(kept) => kept,
            None => (0, 1.0),
        }
    }
}

impl<const FAULT: usize> Evaluator for Sound<FAULT> {
    fn evaluate(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Outcome {
        let (fault, began) = (FAULTS[FAULT], Instant::now());
        let failed = |reason: &str| Outcome::Failed {
            reason: reason.to_owned(),
        };
        let Some(AxisValue::Float(x)) = candidate.point.get("x") else {
            return failed("the point has no `x`");
        };
        assert!(fault != Fault::Corner || x > 0.0, "it is at a corner");
        if fault == Fault::Whole && candidate.fidelity < 0.5 {
            return failed("that is too little");
        }
        let last = self.step_at(candidate.fidelity);
        let reported = cx.lineage.last().map_or(0, |s| self.step_at(s.fidelity));
        let (done, mut off) = self.state(cx);
        let mut loss = (x - 0.3).abs() + off;
        if fault == Fault::Memory {
            loss += self.calls.fetch_add(1, Ordering::SeqCst) as f64;
        }
        if fault == Fault::Threads {
            loss += rayon::current_num_threads() as f64;
        }
        let more = loss - ((x - 0.3).abs() + off);
        let mut stopped = false;
        for step in done + 1..=last {
            if cx.cancel.is_cancelled() && fault != Fault::Tireless {
                return failed("interrupted");
            }
            off /= 2.0;
            loss = (x - 0.3).abs() + off + more;
            if step <= reported {
                continue;
            }
            let shown = match fault {
                Fault::Steps => last - step + 1,
                _ => step,
            };
            let verdict = (cx.report)(shown, &[("loss".to_owned(), loss)].into());
            if verdict == Verdict::Stop && fault != Fault::Deaf {
                stopped = true;
                break;
            }
        }
        if !stopped && candidate.fidelity < 1.0 {
            self.checkpoints
                .save(candidate.id, "sound", &off.to_le_bytes());
        }
        let name = if fault == Fault::Elsewhere {
            "../log"
        } else {
            "log"
        };
        (cx.keep)(name, Artefact::Bytes(format!("{loss}").into_bytes()));
        let mut metrics = Metrics::from([("loss".to_owned(), loss), ("place".to_owned(), x)]);
        if fault == Fault::Undeclared {
            metrics.insert("more".to_owned(), 1.0);
        }
        if fault == Fault::Missing {
            metrics.remove("place");
        }
        if self.times && fault != Fault::Timeless {
            metrics.insert("seconds".to_owned(), began.elapsed().as_secs_f64());
        }
        match stopped {
            true => Outcome::Stopped {
                metrics,
                reason: "as told".to_owned(),
            },
            false => Outcome::Measured { metrics },
        }
    }

    fn metrics(&self) -> Option<Vec<MetricInfo>> {
        let metric = |name: &str, volatile, stepwise| MetricInfo {
            name: name.to_owned(),
            volatile,
            stepwise,
        };
        Some(vec![
            metric("loss", false, true),
            metric("place", false, false),
            metric("seconds", true, false),
        ])
    }
}

/// Names of the properties that an evaluator does not keep.
fn broken<const FAULT: usize>() -> Vec<&'static str> {
    let holds = |property: fn(&Case)| {
        let check = || property(&Case::new(entry::<FAULT>(), Json::Null));
        catch_unwind(check).is_ok()
    };
    PROPERTIES
        .iter()
        .filter(|(_, property)| !holds(*property))
        .map(|(name, _)| *name)
        .collect()
}

#[test]
fn a_sound_evaluator_passes() {
    assert_eq!(broken::<0>(), Vec::<&str>::new());
}

#[test]
fn each_fault_is_found() {
    let found = [
        (broken::<1>(), "metrics_are_as_declared"),
        (broken::<2>(), "metrics_are_as_declared"),
        (
            broken::<3>(),
            "volatile_metrics_are_measured_where_the_goal_reads_them",
        ),
        (broken::<4>(), "the_same_candidate_gives_the_same_outcome"),
        (broken::<5>(), "threads_change_nothing"),
        (broken::<6>(), "no_point_makes_it_panic"),
        (broken::<7>(), "reports_rise_where_promised"),
        (broken::<8>(), "stopping_is_honoured_where_promised"),
        (broken::<9>(), "cancelling_returns_promptly"),
        (broken::<10>(), "fidelity_saves_where_promised"),
        (
            broken::<11>(),
            "what_earlier_stages_kept_is_only_a_short_cut",
        ),
        (broken::<12>(), "what_is_left_has_a_plain_name"),
        (broken::<13>(), "a_model_is_left_where_promised"),
        (broken::<14>(), "its_own_axes_can_be_searched"),
        (broken::<15>(), "info_is_complete"),
        (broken::<16>(), "wrong_settings_are_refused"),
        (broken::<17>(), "listed_defaults_are_the_defaults"),
    ];
    for (broken, wanted) in found {
        assert!(broken.contains(&wanted), "{wanted} holds, not {broken:?}");
    }
}
