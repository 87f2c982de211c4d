//! What a study's outcomes count for, in the order they are told.

use std::collections::HashMap;

use crate::goal::Goal;
use crate::space::{Point, PointKey};
use crate::trial::{Metrics, Outcome, Score};

/// Turns outcomes into scores. Where repeated points are evaluated again, a point counts by the mean of its metrics so far.
#[derive(Debug)]
pub struct Scorer<'a> {
    goal: &'a Goal,
    /// Measurements and sums of metrics by point, where repeats are evaluated.
    sums: Option<HashMap<PointKey, (u32, Metrics)>>,
}

/// What an outcome counts for.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// The outcome; failed where it has no score and was not stopped.
    pub outcome: Outcome,
    /// Its score; `None` where there is none.
    pub score: Option<Score>,
    /// Whether it is good enough to end the study.
    pub reached: bool,
}

impl<'a> Scorer<'a> {
    /// Scores by `goal`, with `repeats` by the mean over all measurements of a point.
    pub fn new(goal: &'a Goal, repeats: bool) -> Self {
        Self {
            goal,
            sums: repeats.then(HashMap::new),
        }
    }

    /// Scores the next outcome, which is one of `point`.
    pub fn score(&mut self, point: &Point, outcome: Outcome) -> Scored {
        // What has no score of its own takes no part in a mean: one broken measurement spoils no other.
        let scored = self.goal.score(&outcome).and_then(|score| {
            let metrics = outcome.metrics().cloned().unwrap_or_default();
            if matches!(outcome, Outcome::Measured { .. })
                && let Some(metrics) = self.mean(point, &metrics)
            {
                let mean = Outcome::Measured {
                    metrics: metrics.clone(),
                };
                return Ok((self.goal.score(&mean)?, metrics));
            }
            Ok((score, metrics))
        });
        match scored {
            Ok((score, metrics)) => Scored {
                outcome,
                score: Some(score),
                reached: self.goal.is_reached(&metrics),
            },
            Err(reason) => Scored {
                outcome: match outcome {
                    Outcome::Stopped { .. } => outcome,
                    _ => Outcome::Failed { reason },
                },
                score: None,
                reached: false,
            },
        }
    }

    /// The mean of every metric over all measurements of the point so far.
    fn mean(&mut self, point: &Point, metrics: &Metrics) -> Option<Metrics> {
        let (count, sums) = self
            .sums
            .as_mut()?
            .entry(point.key())
            .or_insert_with(|| (0, Metrics::new()));
        *count += 1;
        for (name, value) in metrics {
            *sums.entry(name.clone()).or_insert(0.0) += value;
        }
        let mean = |sum: &f64| sum / f64::from(*count);
        Some(
            sums.iter()
                .map(|(name, sum)| (name.clone(), mean(sum)))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goal::{Constraint, Direction, Objective};
    use crate::space::{Axis, Domain, Space};
    use std::sync::Arc;

    #[test]
    fn a_repeated_point_counts_by_its_mean_and_a_broken_measurement_spoils_no_other() {
        let options = vec!["a".into(), "b".into()];
        let space = Space::new(vec![Axis::new("x", Domain::Choice { options })]).unwrap();
        let point = Arc::new(space).middle();
        let objective = Objective {
            metric: "loss".into(),
            direction: Direction::Minimize,
        };
        let stop_at = vec![Constraint::parse("loss < 2.5").unwrap()];
        let goal = Goal::new(vec![objective], vec![], stop_at).unwrap();
        let measured = |loss: f64| Outcome::Measured {
            metrics: [("loss".to_owned(), loss)].into(),
        };
        let losses = |repeats| {
            let mut scorer = Scorer::new(&goal, repeats);
            [1.0, f64::NAN, 5.0, 0.0].map(|loss| {
                let scored = scorer.score(&point, measured(loss));
                assert_eq!(scored.score.is_none(), scored.outcome.metrics().is_none());
                (scored.score.map(|s| s.objectives[0]), scored.reached)
            })
        };
        let failed = (None, false);
        assert_eq!(
            losses(false),
            [
                (Some(1.0), true),
                failed,
                (Some(5.0), false),
                (Some(0.0), true)
            ]
        );
        assert_eq!(
            losses(true),
            [
                (Some(1.0), true),
                failed,
                (Some(3.0), false),
                (Some(2.0), true)
            ]
        );
    }
}
