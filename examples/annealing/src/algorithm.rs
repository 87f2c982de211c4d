//! The walk.

use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::ledger::Ledger;
use lapidary_core::registry::{BuildError, SearchInit};
use lapidary_core::rng::Rng;
use lapidary_core::searcher::{SearchError, Searcher, check_objectives};
use lapidary_core::settings::Checked;
use lapidary_core::space::{AxisValue, Domain, Point, Space};
use lapidary_core::trial::{Candidate, Origin, Score, Trial};
use lapidary_core::tried::Tried;

use crate::config::Config;

const NAME: &str = crate::ENTRY.info.name;
/// Moves to tried points before the rest of a finite space is walked through.
const DRAWS: usize = 64;

/// Makes the searcher.
pub fn build(settings: &Json, init: &SearchInit<'_>) -> Result<Box<dyn Searcher>, BuildError> {
    let config = crate::ENTRY.info.read_settings(settings)?;
    Ok(Box::new(Annealing::new(config, init)))
}

/// The searcher.
struct Annealing {
    space: Arc<Space>,
    finite: bool,
    config: Checked<Config>,
    seed: u64,
    objectives: usize,
    ledger: Ledger,
    /// Stays empty where the space is a continuum.
    tried: Tried,
    /// Where the walk stands; nowhere before the first score.
    stand: Option<Stand>,
    /// How far scores lie apart: in violation, then in each objective.
    spreads: Vec<Spread>,
}

/// A point with its score.
struct Stand {
    values: Vec<Option<AxisValue>>,
    score: Score,
}

/// The mean of absolute differences.
#[derive(Clone, Copy, Default)]
struct Spread {
    mean: f64,
    count: u64,
}

impl Spread {
    fn note(&mut self, difference: f64) {
        self.count = self.count.saturating_add(1);
        self.mean += (difference.abs() - self.mean) / self.count as f64;
    }

    /// `difference` in units of the mean.
    fn units(&self, difference: f64) -> f64 {
        if self.mean > 0.0 {
            (difference / self.mean).clamp(-1e9, 1e9)
        } else {
            0.0
        }
    }
}

impl Annealing {
    fn new(config: Checked<Config>, init: &SearchInit<'_>) -> Self {
        Self {
            space: init.space.clone(),
            finite: init.space.is_finite(),
            config,
            seed: init.seed,
            objectives: init.objectives,
            ledger: Ledger::default(),
            tried: Tried::default(),
            stand: None,
            spreads: vec![Spread::default(); 1 + init.objectives],
        }
    }

    /// The next point; `None` where every point of a finite space was tried.
    fn propose(&mut self) -> Option<Point> {
        let id = self.ledger.next();
        let temperature = self.config.temperature(id);
        let mut rng = Rng::keyed(self.seed, id, "annealing: move");
        for _ in 0..DRAWS {
            let point = match &self.stand {
                Some(stand) => neighbour(&self.space, stand, temperature, &mut rng),
                None => self.space.sample(&mut rng),
            };
            if !self.finite || self.tried.insert(&point) {
                return Some(point);
            }
        }
        let point = self.tried.first_left(&self.space)?;
        self.tried.insert(&point);
        Some(point)
    }

    /// Goes to the point of a scored trial, or stays. A foreign trial has no temperature: it must not be worse.
    fn step(&mut self, trial: &Trial, score: &Score) {
        let id = match trial.origin {
            Origin::Own => Some(trial.candidate.id),
            Origin::Foreign => None,
        };
        if let Some(stand) = &self.stand {
            let differences = differences(score, &stand.score);
            for &(i, difference) in &differences {
                self.spreads[i].note(difference);
            }
            let loss = self.loss(&differences);
            if loss > 0.0 && !id.is_some_and(|id| self.forgives(loss, id)) {
                return;
            }
        }
        self.stand = Some(Stand {
            values: trial.candidate.point.values().to_vec(),
            score: score.clone(),
        });
    }

    /// How much worse a point is, in mean differences.
    fn loss(&self, differences: &[(usize, f64)]) -> f64 {
        let cooling = self.ledger.next() / self.config.cooling;
        let mut rng = Rng::keyed(self.seed, cooling, "annealing: weights");
        let weighted = |&(i, difference): &(usize, f64)| {
            // Evenly distributed over all shares, as intervals between random events are.
            let weight = -libm::log(1.0 - rng.unit()) + f64::MIN_POSITIVE;
            (weight, weight * self.spreads[i].units(difference))
        };
        let (weights, loss) = differences
            .iter()
            .map(weighted)
            .fold((0.0, 0.0), |(w, l), (weight, loss)| (w + weight, l + loss));
        loss / weights
    }

    /// Whether the walk takes the point of trial `id`, though it is worse.
    fn forgives(&self, loss: f64, id: u64) -> bool {
        let chance = libm::exp(-loss / self.config.temperature(id));
        Rng::keyed(self.seed, id, "annealing: forgive").chance(chance)
    }
}

impl Searcher for Annealing {
    fn ask(&mut self, n: usize) -> Result<Vec<Candidate>, SearchError> {
        let mut candidates = Vec::new();
        while candidates.len() < n {
            let Some(point) = self.propose() else { break };
            candidates.push(self.ledger.candidate(point));
        }
        Ok(candidates)
    }

    fn tell(&mut self, trial: &Trial) -> Result<(), SearchError> {
        check_objectives(NAME, trial, self.objectives)?;
        match trial.origin {
            Origin::Own => self.ledger.tell(NAME, trial.candidate.id)?,
            Origin::Foreign if self.finite => {
                self.tried.insert(&trial.candidate.point);
            }
            Origin::Foreign => {}
        }
        if let Some(score) = &trial.score {
            self.step(trial, score);
        }
        Ok(())
    }
}

/// By how much `new` is worse than `old`: in violation as long as one of them violates constraints, else in each
/// objective, by the index of its spread. Halves throughout, as twice the largest float is none.
fn differences(new: &Score, old: &Score) -> Vec<(usize, f64)> {
    if new.violation > 0.0 || old.violation > 0.0 {
        return vec![(0, new.violation / 2.0 - old.violation / 2.0)];
    }
    let pairs = new.objectives.iter().zip(&old.objectives);
    (1..)
        .zip(pairs.map(|(new, old)| new / 2.0 - old / 2.0))
        .collect()
}

/// A point near the stand: one axis moves, and every other with the temperature as its chance.
fn neighbour(space: &Arc<Space>, stand: &Stand, temperature: f64, rng: &mut Rng) -> Point {
    let active: Vec<usize> = (0..stand.values.len())
        .filter(|&i| stand.values[i].is_some())
        .collect();
    let sure = active.get(rng.index(active.len().max(1)));
    let axes = space.axes().iter().zip(&stand.values).enumerate();
    let values = axes.map(|(i, (axis, old))| {
        Some(match old {
            // Needed where a move makes the axis active.
            None => axis.domain.sample(rng),
            Some(old) if sure == Some(&i) || rng.chance(temperature) => {
                moved(&axis.domain, *old, temperature, rng)
            }
            Some(old) => *old,
        })
    });
    let values = values.collect();
    space.point(values)
}

/// Another value of the domain, where there is one: another option, or a number near by.
fn moved(domain: &Domain, old: AxisValue, temperature: f64, rng: &mut Rng) -> AxisValue {
    let ranked = domain.rank(old).zip(domain.cardinality());
    if let (true, Some((rank, n))) = (domain.is_choice(), ranked) {
        return domain.nth((rank + 1 + rng.below(n.max(2) - 1)) % n);
    }
    let by = distance(temperature, rng.unit());
    let u = domain.to_unit(old) + by;
    // What goes over the end of the axis comes back from there.
    let new = domain.at_unit(if u > 1.0 { 2.0 - u } else { u.abs() });
    match ranked {
        // Less than a step: the next value on that side, or on the other at the end.
        Some((rank, n)) if new == old && n > 1 => {
            let up = rank == 0 || (by > 0.0 && rank + 1 < n);
            domain.nth(if up { rank + 1 } else { rank - 1 })
        }
        _ => new,
    }
}

/// How far a number moves, as a share of its axis in [−1, 1], for `u` uniform in [0, 1) (Ingber 1989, equation 10).
fn distance(temperature: f64, u: f64) -> f64 {
    let v = 2.0 * u - 1.0;
    let far = temperature * (libm::pow(1.0 + 1.0 / temperature, v.abs()) - 1.0);
    if v < 0.0 { -far } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_shrink_with_the_temperature_but_reach_the_whole_axis() {
        let typical = |t: f64| distance(t, 0.75);
        assert!(typical(1.0) > 0.4 && typical(0.01) < 0.1 && typical(1e-4) < 0.01);
        for t in [1.0, 0.01, 1e-4] {
            assert!((distance(t, 0.0) + 1.0).abs() < 1e-9);
            assert!(distance(t, 0.5).abs() < 1e-12);
        }
    }

    #[test]
    fn every_move_leads_to_another_value() {
        let mut rng = Rng::keyed(1, 0, "test");
        let int = |log| Domain::Int {
            low: 1,
            high: 3,
            log,
            step: 1,
        };
        let choice = Domain::Choice {
            options: (0..3).map(Json::from).collect(),
        };
        for domain in [int(false), int(true), choice] {
            for rank in 0..3 {
                for temperature in [1.0, 1e-6] {
                    let old = domain.nth(rank);
                    let new = moved(&domain, old, temperature, &mut rng);
                    assert!(domain.contains(new) && new != old, "{domain}: {old:?}");
                }
            }
        }
    }

    #[test]
    fn a_feasible_point_beats_any_that_is_not() {
        let score = |objective, violation| Score {
            objectives: vec![objective],
            violation,
        };
        assert_eq!(differences(&score(9.0, 0.0), &score(1.0, 2.0)), [(0, -1.0)]);
        assert_eq!(differences(&score(9.0, 0.0), &score(1.0, 0.0)), [(1, 4.0)]);
    }
}
