//! Stop rules: when a running trial is not worth going on with.
//!
//! A trial is compared by the intermediate metrics it reports with the trials that were told when it was asked, of the same
//! fidelity, and with no others. Which those are does not depend on how many trials run at a time or how fast, so a stopped
//! trial is stopped at the same step on every run.
//!
//! The median rule is that of Golovin et al., "Google Vizier: A Service for Black-Box Optimization" (KDD 2017), with the best
//! value by that step on both sides. Several objectives are compared by Pareto domination.

use serde::{Deserialize, Serialize};

use crate::goal::{Direction, Objective};
use crate::rank::dominates;
use crate::trial::{Metrics, Outcome, Trial};

/// When to stop running trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StopRule {
    /// What is asked of a trial.
    pub rule: Rule,
    /// No trial is stopped before this step.
    pub warmup: u64,
    /// The metrics compared, at least one. A report that lacks one of them is passed over.
    pub metrics: Vec<Objective>,
}

/// What is asked of a trial that is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "name")]
pub enum Rule {
    /// Not more than half of the trials that came as far are better by this step.
    Median {
        /// Fewer trials stop none.
        min_trials: u64,
    },
    /// It is among the best so many of a hundred by this step.
    Percentile {
        /// Share that goes on, in percent, in (0, 100).
        percentile: f64,
        /// Fewer trials stop none.
        min_trials: u64,
    },
    /// It got better within so many steps.
    Patience {
        /// Steps without anything better.
        steps: u64,
    },
}

impl Rule {
    /// The rule in a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Median { .. } => "median",
            Self::Percentile { .. } => "percentile",
            Self::Patience { .. } => "patience",
        }
    }
}

impl StopRule {
    /// The compared metrics, all to be minimised; `None` where one is missing. What is no number is worse than any.
    fn read(&self, metrics: &Metrics) -> Option<Vec<f64>> {
        let read = |objective: &Objective| {
            let value = *metrics.get(&objective.metric)?;
            Some(match objective.direction {
                _ if value.is_nan() => f64::INFINITY,
                Direction::Minimize => value,
                Direction::Maximize => -value,
            })
        };
        self.metrics.iter().map(read).collect()
    }
}

/// What told trials had reached at which step, in the order they were told.
#[derive(Debug, Clone)]
pub struct Courses {
    rule: StopRule,
    told: Vec<Course>,
}

#[derive(Debug, Clone)]
struct Course {
    fidelity: f64,
    /// The best of each metric up to each step.
    best: Vec<(u64, Vec<f64>)>,
}

impl Course {
    /// The best by `step`, where the trial came that far.
    fn at(&self, step: u64) -> Option<&[f64]> {
        if self.best.last()?.0 < step {
            return None;
        }
        let later = self.best.partition_point(|(s, _)| *s <= step);
        Some(&self.best[later.checked_sub(1)?].1)
    }
}

impl Courses {
    /// None yet.
    pub fn new(rule: StopRule) -> Self {
        Self {
            rule,
            told: Vec::new(),
        }
    }

    /// Takes note of the next told trial. A failed one says nothing.
    pub fn tell(&mut self, trial: &Trial) {
        let mut best = Vec::new();
        if !matches!(trial.outcome, Outcome::Failed { .. }) {
            let mut so_far = None;
            for report in &trial.curve {
                if let Some(values) = self.rule.read(&report.metrics) {
                    improve(&mut so_far, values);
                    best.extend(so_far.clone().map(|so_far| (report.step, so_far)));
                }
            }
        }
        self.told.push(Course {
            fidelity: trial.candidate.fidelity,
            best,
        });
    }

    /// Number of trials told.
    pub fn len(&self) -> usize {
        self.told.len()
    }

    /// Whether none is told.
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Starts to watch a trial that is asked now.
    pub fn watch(&self, fidelity: f64) -> Watch {
        Watch {
            told: self.told.len(),
            fidelity,
            best: None,
            better_at: None,
            reason: None,
        }
    }
}

/// Takes over what is better of each metric; whether anything is.
fn improve(best: &mut Option<Vec<f64>>, values: Vec<f64>) -> bool {
    let Some(best) = best else {
        *best = Some(values);
        return true;
    };
    let mut better = false;
    for (best, value) in best.iter_mut().zip(values) {
        if value < *best {
            *best = value;
            better = true;
        }
    }
    better
}

/// A running trial under a stop rule.
#[derive(Debug, Clone)]
pub struct Watch {
    /// How many trials were told when it was asked: it is compared with these.
    told: usize,
    fidelity: f64,
    best: Option<Vec<f64>>,
    /// The step that last brought something better.
    better_at: Option<u64>,
    reason: Option<String>,
}

impl Watch {
    /// Takes a report of the trial; gives the reason where it is to stop. `courses` are those it was asked under, to which
    /// others may have been added since.
    pub fn report(&mut self, step: u64, metrics: &Metrics, courses: &Courses) -> Option<&str> {
        if self.reason.is_none()
            && let Some(values) = courses.rule.read(metrics)
        {
            if improve(&mut self.best, values) {
                self.better_at = Some(step);
            }
            if step >= courses.rule.warmup {
                self.reason = self.judge(step, courses);
            }
        }
        self.reason()
    }

    /// Why the trial is to stop, where it is.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    fn judge(&self, step: u64, courses: &Courses) -> Option<String> {
        let rule = courses.rule.rule;
        let (share, min_trials) = match rule {
            Rule::Median { min_trials } => (0.5, min_trials),
            Rule::Percentile {
                percentile,
                min_trials,
            } => (percentile / 100.0, min_trials),
            Rule::Patience { steps } => {
                let since = step.saturating_sub(self.better_at?);
                return (since >= steps).then(|| {
                    format!(
                        "{}: nothing better for {since} steps at step {step}",
                        rule.name()
                    )
                });
            }
        };
        let best = self.best.as_deref()?;
        let (mut all, mut better) = (0u64, 0u64);
        let told = courses.told.iter().take(self.told);
        for course in told.filter(|c| c.fidelity == self.fidelity) {
            if let Some(other) = course.at(step) {
                all += 1;
                better += u64::from(dominates(other, best));
            }
        }
        (all >= min_trials.max(1) && better as f64 > share * all as f64).then(|| {
            format!(
                "{}: {better} of {all} trials were better at step {step}",
                rule.name()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{Axis, Domain, Space};
    use crate::trial::{Candidate, Origin, Report};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn rule(rule: Rule, metrics: &[(&str, Direction)], warmup: u64) -> StopRule {
        let metrics = metrics.iter().map(|(metric, direction)| Objective {
            metric: (*metric).into(),
            direction: *direction,
        });
        StopRule {
            rule,
            warmup,
            metrics: metrics.collect(),
        }
    }

    fn loss(rule_: Rule) -> Courses {
        Courses::new(rule(rule_, &[("loss", Direction::Minimize)], 0))
    }

    const MEDIAN: Rule = Rule::Median { min_trials: 3 };

    fn metrics(names: &[&str], values: &[f64]) -> Metrics {
        let names = names.iter().map(|n| (*n).to_owned());
        names.zip(values.iter().copied()).collect()
    }

    /// A told trial with one metric at steps 1, 2, ….
    fn told(losses: &[f64], fidelity: f64) -> Trial {
        let domain = Domain::Choice {
            options: vec![0.into()],
        };
        let space = Arc::new(Space::new(vec![Axis::new("x", domain)]).unwrap());
        let curve = (1..).zip(losses).map(|(step, loss)| Report {
            step,
            metrics: metrics(&["loss"], &[*loss]),
        });
        Trial {
            candidate: Candidate {
                id: 0,
                point: space.middle(),
                fidelity,
                parent: None,
            },
            origin: Origin::Own,
            outcome: Outcome::Measured {
                metrics: Metrics::new(),
            },
            score: None,
            curve: curve.collect(),
            repeats: None,
        }
    }

    /// The step at which a trial with these losses is stopped, and why.
    fn stopped(courses: &Courses, losses: &[f64]) -> Option<(u64, String)> {
        let mut watch = courses.watch(1.0);
        (1..).zip(losses).find_map(|(step, loss)| {
            let reason = watch.report(step, &metrics(&["loss"], &[*loss]), courses)?;
            Some((step, reason.to_owned()))
        })
    }

    #[test]
    fn the_median_stops_what_most_were_better_than_by_the_same_step() {
        let mut courses = loss(MEDIAN);
        for last in [1.0, 2.0] {
            courses.tell(&told(&[5.0, last, 9.0], 1.0));
        }
        assert_eq!(stopped(&courses, &[9.0, 9.0, 9.0]), None);
        courses.tell(&told(&[5.0, 3.0, 9.0], 1.0));
        let reason = "median: 3 of 3 trials were better at step 1".to_owned();
        assert_eq!(stopped(&courses, &[9.0]), Some((1, reason)));
        let reason = "median: 2 of 3 trials were better at step 2".to_owned();
        assert_eq!(stopped(&courses, &[5.0, 2.5]), Some((2, reason)));
        // The best so far counts, on both sides: at step 3 the others still have what they had at step 2.
        assert_eq!(stopped(&courses, &[2.0, 7.0, 7.0, 7.0]), None);
        // What diverged is worse than anything.
        assert_eq!(stopped(&courses, &[f64::NAN]).map(|s| s.0), Some(1));
    }

    #[test]
    fn only_trials_of_the_same_fidelity_that_came_so_far_and_were_told_before_count() {
        let mut courses = loss(Rule::Median { min_trials: 2 });
        let mut early = courses.watch(1.0);
        for (losses, fidelity) in [
            (&[1.0, 1.0, 1.0][..], 0.5),
            (&[1.0][..], 1.0),
            (&[1.0, 1.0][..], 1.0),
        ] {
            courses.tell(&told(losses, fidelity));
        }
        let mut failed = told(&[1.0, 1.0, 1.0], 1.0);
        failed.outcome = Outcome::Failed { reason: "x".into() };
        courses.tell(&failed);
        assert_eq!(courses.len(), 4);
        assert_eq!(stopped(&courses, &[2.0]).map(|s| s.0), Some(1));
        let mut late = courses.watch(1.0);
        let bad = metrics(&["loss"], &[2.0]);
        assert_eq!(late.report(2, &bad, &courses), None);
        assert_eq!(early.report(1, &bad, &courses), None);
    }

    #[test]
    fn percentile_warmup_and_patience() {
        let mut courses = loss(Rule::Percentile {
            percentile: 25.0,
            min_trials: 4,
        });
        courses.rule.warmup = 2;
        for last in [1.0, 2.0, 3.0, 4.0] {
            courses.tell(&told(&[last; 3], 1.0));
        }
        assert_eq!(stopped(&courses, &[1.5; 3]), None);
        assert_eq!(stopped(&courses, &[2.5; 3]).map(|s| s.0), Some(2));

        let courses = loss(Rule::Patience { steps: 2 });
        assert_eq!(stopped(&courses, &[5.0, 4.0, 4.0, 3.0, 3.5]), None);
        let (step, reason) = stopped(&courses, &[5.0, 4.0, 4.0, 6.0]).unwrap();
        assert_eq!(
            (step, reason.as_str()),
            (4, "patience: nothing better for 2 steps at step 4")
        );
    }

    #[test]
    fn several_objectives_compare_by_domination_and_a_report_without_them_is_passed_over() {
        let two = [
            ("loss", Direction::Minimize),
            ("accuracy", Direction::Maximize),
        ];
        let mut courses = Courses::new(rule(MEDIAN, &two, 0));
        for (loss, accuracy) in [(1.0, 0.9), (2.0, 0.8), (1.5, 0.7)] {
            let mut trial = told(&[0.0], 1.0);
            trial.curve[0].metrics = metrics(&["loss", "accuracy"], &[loss, accuracy]);
            courses.tell(&trial);
        }
        let judged = |names: &[&str], values: &[f64]| {
            let mut watch = courses.watch(1.0);
            watch.report(1, &metrics(names, values), &courses).is_some()
        };
        assert!(judged(&["loss", "accuracy"], &[3.0, 0.6]));
        assert!(!judged(&["loss", "accuracy"], &[3.0, 0.85]));
        assert!(!judged(&["loss", "accuracy"], &[0.5, 0.1]));
        assert!(!judged(&["loss"], &[9.0]));
    }

    proptest! {
        /// What is told after a trial was asked changes nothing for it, and the best of all is never stopped by comparison.
        #[test]
        fn later_trials_change_nothing(
            before in prop::collection::vec(prop::collection::vec(0.0..9.0f64, 0..6), 0..9),
            after in prop::collection::vec(prop::collection::vec(0.0..9.0f64, 0..6), 1..9),
            running in prop::collection::vec(0.0..9.0f64, 1..6),
            percentile in 1.0..99.0f64,
        ) {
            let mut courses = loss(Rule::Percentile { percentile, min_trials: 2 });
            before.iter().for_each(|losses| courses.tell(&told(losses, 1.0)));
            let mut watch = courses.watch(1.0);
            let mut again = watch.clone();
            let mut later = courses.clone();
            after.iter().for_each(|losses| later.tell(&told(losses, 1.0)));
            for (step, loss) in (1..).zip(&running) {
                let report = metrics(&["loss"], &[*loss]);
                let found = watch.report(step, &report, &courses).map(str::to_owned);
                prop_assert_eq!(again.report(step, &report, &later), found.as_deref());
            }
            prop_assert_eq!(stopped(&courses, &[-1.0; 6]), None);
        }
    }
}
