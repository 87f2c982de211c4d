//! The testkit itself: a sound searcher that learns passes every property, and mutants of it, each wrong in one way that a user would pay
//! for, do not.

use std::panic::catch_unwind;
use std::sync::Arc;
use std::time::Instant;

use lapidary_core::json::Json;
use lapidary_core::ledger::Ledger;
use lapidary_core::registry::{BuildError, Entry, Factory, Info, Promise, SearchInit};
use lapidary_core::rng::Rng;
use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::searcher::{SearchError, Searcher, Snapshot};
use lapidary_core::settings::{Checked, Schema, Settings};
use lapidary_core::space::{AxisValue, Domain, Point, Space};
use lapidary_core::trial::{Candidate, Origin, Score, Trial};
use lapidary_core::{rank, trial::Outcome};
use lapidary_testkit::searcher::PROPERTIES;
use serde::{Deserialize, Serialize};

/// What is wrong with a searcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// It keeps the worst point.
    Maximises,
    /// It draws on, whatever comes.
    Deaf,
    /// It says so, but learns.
    FalselyDeaf,
    /// It learns from others' trials only.
    ForeignOnly,
    /// The first axis stays where it was first.
    Stuck,
    /// No option is ever changed.
    StuckChoices,
    /// It has a setting and does not look at it.
    IgnoresSetting,
    /// A failed trial is as good as can be.
    FailedIsBest,
    /// It does not know of constraints.
    Unconstrained,
    /// It likes to violate them.
    Violates,
    /// Only the first objective counts.
    FirstObjective,
    /// Only the last one does.
    LastObjective,
    /// It moves on logarithmic axes as on plain ones.
    Linear,
    /// It draws on logarithmic axes as on plain ones, and learns nothing.
    LinearDraws,
    /// It never draws from the upper tenth of an axis, and learns nothing.
    Short,
    /// It ends after 900 trials.
    Tired,
    /// It fails at four objectives.
    Three,
    /// It looks at the clock.
    Clock,
    /// Its snapshot keeps four bytes of a number.
    Rounded,
    /// Its snapshot forgets the best.
    Forgets,
    /// It learns nothing before trial 400.
    Slow,
    /// It takes the newest for the best.
    Newest,
}

const FAULTS: [Fault; 23] = [
    Fault::None,
    Fault::Maximises,
    Fault::Deaf,
    Fault::FalselyDeaf,
    Fault::ForeignOnly,
    Fault::Stuck,
    Fault::StuckChoices,
    Fault::IgnoresSetting,
    Fault::FailedIsBest,
    Fault::Unconstrained,
    Fault::Violates,
    Fault::FirstObjective,
    Fault::LastObjective,
    Fault::Linear,
    Fault::LinearDraws,
    Fault::Short,
    Fault::Tired,
    Fault::Three,
    Fault::Clock,
    Fault::Rounded,
    Fault::Forgets,
    Fault::Slow,
    Fault::Newest,
];

/// Settings of a climber.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Chance of a point anywhere.
    #[schemars(range(min = 0.0, max = 1.0))]
    wander: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { wander: 0.1 }
    }
}

impl Settings for Config {}

/// Moves every axis of the best point a little.
struct Climber<const FAULT: usize> {
    space: Arc<Space>,
    config: Checked<Config>,
    seed: u64,
    ledger: Ledger,
    best: Option<(Point, Score)>,
    objectives: usize,
    started: Instant,
}

/// What a snapshot holds of the best point.
type Kept = Option<(Vec<Option<AxisValue>>, Score)>;

const fn info<const FAULT: usize>() -> Info {
    Info {
        name: "climber",
        summary: "moves the best point a little",
        docs: "Moves every axis of the best point a little.",
        settings: Schema::of::<Config>(),
        promises: match FAULTS[FAULT] {
            Fault::FalselyDeaf | Fault::LinearDraws | Fault::Short => &[Promise::IgnoresOutcomes],
            _ => &[Promise::LearnsFromForeign],
        },
    }
}

const fn entry<const FAULT: usize>() -> Entry {
    Entry {
        info: info::<FAULT>(),
        factory: Factory::Searcher(&build::<FAULT>),
    }
}

fn build<const FAULT: usize>(
    settings: &Json,
    init: &SearchInit<'_>,
) -> Result<Box<dyn Searcher>, BuildError> {
    Ok(Box::new(Climber::<FAULT> {
        space: init.space.clone(),
        config: info::<FAULT>().read_settings(settings)?,
        seed: init.seed,
        ledger: Ledger::default(),
        best: None,
        objectives: init.objectives,
        started: Instant::now(),
    }))
}

/// A place on a plain scale where the axis has a logarithmic one.
fn on_a_plain_scale(domain: &Domain, unit: f64) -> f64 {
    match domain {
        Domain::Float {
            low,
            high,
            log: true,
            ..
        } => {
            let value = low + (high - low) * unit;
            (value / low).ln() / (high / low).ln()
        }
        _ => unit,
    }
}

impl<const FAULT: usize> Climber<FAULT> {
    fn is(&self, fault: Fault) -> bool {
        FAULTS[FAULT] == fault
    }

    fn propose(&self) -> Point {
        let id = self.ledger.next();
        let late = self.is(Fault::Clock) && self.started.elapsed().as_millis() > 1_000;
        let mut rng = Rng::keyed(self.seed, id ^ u64::from(late) << 40, "climber");
        let axes = self.space.axes();
        let mut units: Vec<f64> = axes.iter().map(|_| rng.unit()).collect();
        let wander = match FAULTS[FAULT] {
            Fault::IgnoresSetting => 0.1,
            _ => self.config.wander,
        };
        let best = self.best.as_ref().filter(|_| !rng.chance(wander));
        let steps: Vec<f64> = axes.iter().map(|_| 0.08 * rng.normal()).collect();
        if let Some((best, _)) = best {
            for (i, unit) in best.to_unit().into_iter().enumerate() {
                let choice = matches!(axes[i].domain, Domain::Choice { .. });
                match unit {
                    // An option is drawn anew now and then.
                    Some(unit) if choice && rng.chance(0.7) => units[i] = unit,
                    Some(_) if choice => {}
                    Some(unit) if self.is(Fault::Linear) => {
                        let step = if steps[i] < 0.0 { -0.3 } else { 0.3 };
                        let plain = (units[i] + step).clamp(0.0, 1.0);
                        units[i] = match axes[i].domain {
                            Domain::Float { log: true, .. } => {
                                on_a_plain_scale(&axes[i].domain, plain)
                            }
                            _ => (unit + steps[i]).clamp(0.0, 1.0),
                        };
                    }
                    Some(unit) => units[i] = (unit + steps[i]).clamp(0.0, 1.0),
                    None => {}
                }
            }
        } else if self.is(Fault::Linear) || self.is(Fault::LinearDraws) {
            for (unit, axis) in units.iter_mut().zip(axes) {
                *unit = on_a_plain_scale(&axis.domain, *unit);
            }
        }
        if self.is(Fault::Short) {
            units.iter_mut().for_each(|unit| *unit *= 0.9);
        }
        if self.is(Fault::Stuck)
            && let Some(unit) = units.first_mut()
        {
            *unit = 0.5;
        }
        if self.is(Fault::StuckChoices) {
            for (unit, axis) in units.iter_mut().zip(axes) {
                if matches!(axis.domain, Domain::Choice { .. }) {
                    *unit = 0.0;
                }
            }
        }
        self.space.at_unit(&units)
    }

    fn is_better(&self, new: &Score, old: &Score) -> bool {
        let order = match FAULTS[FAULT] {
            Fault::Unconstrained => new.objectives[0].total_cmp(&old.objectives[0]),
            Fault::Violates => old.violation.total_cmp(&new.violation),
            Fault::FirstObjective => (new.violation.total_cmp(&old.violation))
                .then(new.objectives[0].total_cmp(&old.objectives[0])),
            Fault::LastObjective => {
                let last = self.objectives - 1;
                (new.violation.total_cmp(&old.violation))
                    .then(new.objectives[last].total_cmp(&old.objectives[last]))
            }
            Fault::Maximises => rank::compare(old, new),
            Fault::Newest => std::cmp::Ordering::Less,
            _ => rank::compare(new, old),
        };
        order.is_lt()
    }
}

impl<const FAULT: usize> Searcher for Climber<FAULT> {
    fn ask(&mut self, n: usize) -> Result<Vec<Candidate>, SearchError> {
        let mut candidates = Vec::new();
        for _ in 0..n {
            if self.is(Fault::Tired) && self.ledger.next() >= 900 {
                break;
            }
            let point = self.propose();
            candidates.push(self.ledger.candidate(point));
        }
        Ok(candidates)
    }

    fn tell(&mut self, trial: &Trial) -> Result<(), SearchError> {
        if trial.origin == Origin::Own {
            self.ledger.tell("climber", trial.candidate.id)?;
        }
        assert!(!(self.is(Fault::Three) && self.objectives > 3));
        let deaf = match FAULTS[FAULT] {
            Fault::Deaf | Fault::LinearDraws | Fault::Short => trial.origin == Origin::Own,
            Fault::ForeignOnly => trial.origin == Origin::Own,
            Fault::Slow => trial.candidate.id < 400,
            _ => false,
        };
        let ignores = info::<FAULT>().promises.contains(&Promise::IgnoresOutcomes);
        if deaf || ignores && trial.origin == Origin::Foreign {
            return Ok(());
        }
        let failed = matches!(trial.outcome, Outcome::Failed { .. });
        let score = match &trial.score {
            Some(score) => score.clone(),
            None if self.is(Fault::FailedIsBest) && failed => Score {
                objectives: vec![f64::MIN; self.objectives],
                violation: 0.0,
            },
            None => return Ok(()),
        };
        let best = self.best.as_ref();
        if best.is_none_or(|(_, best)| self.is_better(&score, best)) {
            self.best = Some((trial.candidate.point.clone(), score));
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Snapshot, SearchError> {
        let kept: Kept = self.best.as_ref().map(|(point, score)| {
            let value = |value: &AxisValue| match value {
                AxisValue::Float(number) if self.is(Fault::Rounded) => {
                    AxisValue::Float(f64::from(*number as f32))
                }
                _ => *value,
            };
            let values = point.values().iter();
            let values = values.map(|v| v.as_ref().map(value));
            (values.collect(), score.clone())
        });
        let kept = kept.filter(|_| !self.is(Fault::Forgets));
        Snapshot::of("climber", 1, &(&self.ledger, kept))
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), SearchError> {
        let (ledger, kept): (Ledger, Kept) = snapshot.read("climber", 1)?;
        let malformed = || SearchError::MalformedSnapshot {
            strategy: "climber",
            reason: "it is of another space".into(),
        };
        let best = match kept {
            None => None,
            Some((values, score)) => {
                let point = self.space.point(values.clone());
                if point.values() != values || score.objectives.len() != self.objectives {
                    return Err(malformed());
                }
                Some((point, score))
            }
        };
        (self.ledger, self.best) = (ledger, best);
        Ok(())
    }
}

/// Names of the properties that a searcher does not keep.
fn broken<const FAULT: usize>() -> Vec<&'static str> {
    PROPERTIES
        .iter()
        .filter(|(_, property)| catch_unwind(|| property(&entry::<FAULT>())).is_err())
        .map(|(name, _)| *name)
        .collect()
}

macro_rules! mutants {
    ($($name:ident: $fault:literal $property:literal,)*) => {$(
        #[test]
        fn $name() {
            let broken = broken::<$fault>();
            assert!(
                broken.contains(&$property),
                "{:?}: {} holds, not {broken:?}",
                FAULTS[$fault],
                $property
            );
        }
    )*};
}

#[test]
fn a_sound_searcher_passes() {
    assert_eq!(broken::<0>(), Vec::<&str>::new());
}

mutants! {
    one_that_maximises_is_found: 1 "better_than_random_on_smooth_worlds",
    one_that_ignores_its_results_is_found: 2 "own_results_are_learnt_or_ignored_as_declared",
    one_that_learns_though_it_says_not_is_found: 3 "own_results_are_learnt_or_ignored_as_declared",
    one_that_learns_from_others_only_is_found: 4 "own_results_are_learnt_or_ignored_as_declared",
    one_that_never_moves_an_axis_is_found: 5 "every_axis_moves",
    one_that_never_changes_an_option_is_found: 6 "every_axis_moves",
    one_that_ignores_a_setting_is_found: 7 "every_setting_changes_something",
    one_that_takes_failures_for_best_is_found: 8 "failed_trials_are_shunned",
    one_that_ignores_constraints_is_found: 9 "infeasible_trials_are_shunned",
    one_that_likes_violations_is_found: 10 "infeasible_trials_are_shunned",
    one_that_learns_from_the_first_objective_only_is_found: 11 "every_objective_is_learnt_from",
    one_that_learns_from_the_last_objective_only_is_found: 12 "every_objective_is_learnt_from",
    one_that_takes_logarithmic_axes_for_plain_is_found: 13 "better_than_random_on_smooth_worlds",
    one_that_draws_logarithmic_axes_as_plain_is_found: 14 "draws_are_even_on_the_scale_of_an_axis",
    one_that_leaves_out_a_tenth_of_each_axis_is_found: 15 "draws_are_even_on_the_scale_of_an_axis",
    one_that_ends_after_900_trials_is_found: 16 "long_searches_and_many_objectives_work",
    one_that_fails_at_four_objectives_is_found: 17 "long_searches_and_many_objectives_work",
    one_that_reads_the_clock_is_found: 18 "time_changes_nothing",
    one_whose_snapshots_round_is_found: 19 "snapshots_restore_the_sequence",
    one_whose_snapshots_forget_is_found: 20 "snapshots_restore_the_sequence",
    one_that_learns_too_late_is_found: 21 "better_than_random_on_smooth_worlds",
    one_that_follows_the_newest_is_found: 22 "better_than_random_on_smooth_worlds",
}
