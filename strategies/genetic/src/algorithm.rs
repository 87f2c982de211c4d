//! Mating, mutating and surviving.

use std::collections::BTreeMap;
use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::ledger::Ledger;
use lapidary_core::rank;
use lapidary_core::registry::{BuildError, SearchInit};
use lapidary_core::rng::Rng;
use lapidary_core::searcher::{SearchError, Searcher, Snapshot, check_objectives};
use lapidary_core::settings::Checked;
use lapidary_core::space::{AxisValue, Domain, Point, Space};
use lapidary_core::trial::{Candidate, Origin, Score, Trial};
use lapidary_core::tried::Tried;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::error::GeneticError;

const NAME: &str = crate::ENTRY.info.name;
/// Version of the snapshot's form.
const VERSION: u32 = 1;
/// Children that are points tried already before a mutated one, then any point, is looked for.
const TRIES: usize = 8;
/// Mutations draw their distribution index around the setting, by up to this power of two, so that changes of every
/// magnitude occur at any stage of the search.
const SPREAD: f64 = 2.0;

/// Makes the searcher.
pub fn build(settings: &Json, init: &SearchInit) -> Result<Box<dyn Searcher>, BuildError> {
    let config = crate::ENTRY.info.read_settings(settings)?;
    Ok(Box::new(Genetic::new(config, init)))
}

/// A value for every axis; those of inactive axes are carried along unseen.
type Genes = Vec<AxisValue>;

/// The searcher.
struct Genetic {
    space: Arc<Space>,
    finite: bool,
    setup: Setup,
    /// Number of points that survive.
    size: usize,
    mutation_rate: f64,
    state: State,
}

/// What a snapshot must share with the searcher it restores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Setup {
    config: Checked<Config>,
    seed: u64,
    objectives: usize,
}

/// What changes while it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    setup: Setup,
    ledger: Ledger,
    tried: Tried,
    /// Genes of the candidates whose outcome is not told yet.
    open: BTreeMap<u64, Genes>,
    /// Points of the initial design that were asked.
    begun: usize,
    /// The first `ranked` are in order, best first; the others came since.
    members: Vec<Member>,
    ranked: usize,
}

/// One of the population.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    genes: Genes,
    score: Score,
}

impl Genetic {
    fn new(config: Checked<Config>, init: &SearchInit) -> Self {
        let setup = Setup {
            config,
            seed: init.seed,
            objectives: init.objectives,
        };
        let axes = init.space.axes().len().max(1);
        Self {
            space: init.space.clone(),
            finite: init.space.is_finite(),
            size: config.size(init.objectives),
            mutation_rate: config.mutation_rate.unwrap_or(1.0 / axes as f64),
            state: State {
                setup: setup.clone(),
                ledger: Ledger::default(),
                tried: Tried::default(),
                open: BTreeMap::new(),
                begun: 0,
                members: Vec::new(),
                ranked: 0,
            },
            setup,
        }
    }

    /// Genes and point of the next candidate; `None` where every point was tried.
    fn propose(&mut self, rng: &mut Rng) -> Option<(Genes, Point)> {
        if let Some(first) = self.begin(rng) {
            return Some(first);
        }
        for attempt in 0..TRIES {
            let mut genes = self.child(rng);
            if attempt >= TRIES / 2 {
                self.mutate_one(&mut genes, rng);
            }
            if let Some(new) = self.untried(genes) {
                return Some(new);
            }
        }
        for _ in 0..TRIES {
            let genes = self.draw(rng);
            if let Some(new) = self.untried(genes) {
                return Some(new);
            }
        }
        if !self.finite {
            // A continuum has always a next draw, unless its axes are but a few floats wide.
            let genes = self.draw(rng);
            let point = self.point(&genes);
            return Some((genes, point));
        }
        let point = self.state.tried.first_left(&self.space)?;
        Some((self.genes(&point), point))
    }

    /// The genes with their point where it was not tried.
    fn untried(&self, genes: Genes) -> Option<(Genes, Point)> {
        let point = self.point(&genes);
        (!self.state.tried.contains(&point)).then_some((genes, point))
    }

    fn point(&self, genes: &Genes) -> Point {
        self.space.point(genes.iter().copied().map(Some).collect())
    }

    /// The genes of a point, the middle for inactive axes.
    fn genes(&self, point: &Point) -> Genes {
        let axes = self.space.axes().iter().zip(point.values());
        axes.map(|(axis, value)| value.unwrap_or_else(|| axis.domain.at_unit(0.5)))
            .collect()
    }

    fn draw(&self, rng: &mut Rng) -> Genes {
        let axes = self.space.axes().iter();
        axes.map(|axis| axis.domain.sample(rng)).collect()
    }

    /// The next point of the initial design: the middle, then a Latin hypercube. `None` when there are enough.
    fn begin(&mut self, rng: &mut Rng) -> Option<(Genes, Point)> {
        while self.state.begun < self.size && self.state.members.len() < self.size {
            let turn = self.state.begun;
            self.state.begun += 1;
            let genes = if turn == 0 {
                let axes = self.space.axes().iter();
                axes.map(|axis| axis.domain.at_unit(0.5)).collect()
            } else {
                let axes = self.space.axes().iter().enumerate();
                axes.map(|(i, axis)| {
                    let place = stratum(self.setup.seed, i, turn as u64, self.size as u64);
                    axis.domain
                        .at_unit((place as f64 + rng.unit()) / self.size as f64)
                })
                .collect()
            };
            if let Some(new) = self.untried(genes) {
                return Some(new);
            }
        }
        None
    }

    /// A parent by tournament: the best-ranked of those drawn.
    fn parent(&self, rng: &mut Rng) -> usize {
        (0..self.setup.config.tournament)
            .map(|_| rng.index(self.state.ranked))
            .min()
            .unwrap_or(0)
    }

    /// A child of one or two parents, mutated; any point while there are none.
    fn child(&self, rng: &mut Rng) -> Genes {
        if self.state.ranked == 0 {
            return self.draw(rng);
        }
        let config = &self.setup.config;
        let first = self.parent(rng);
        let mut genes = self.state.members[first].genes.clone();
        if rng.chance(config.crossover_rate) {
            let second = self.parent(rng);
            let other = &self.state.members[second].genes;
            for (i, axis) in self.space.axes().iter().enumerate() {
                if genes[i] != other[i] && rng.chance(0.5) {
                    genes[i] = cross(&axis.domain, genes[i], other[i], config.crossover_eta, rng);
                }
            }
        }
        let mut same = genes == self.state.members[first].genes;
        for (i, axis) in self.space.axes().iter().enumerate() {
            if rng.chance(self.mutation_rate) {
                genes[i] = mutate(&axis.domain, genes[i], config.mutation_eta, rng);
                same = false;
            }
        }
        if same {
            self.mutate_one(&mut genes, rng);
        }
        genes
    }

    fn mutate_one(&self, genes: &mut Genes, rng: &mut Rng) {
        if !genes.is_empty() {
            let i = rng.index(genes.len());
            let domain = &self.space.axes()[i].domain;
            genes[i] = mutate(domain, genes[i], self.setup.config.mutation_eta, rng);
        }
    }

    /// Takes a scored point into the population.
    fn join(&mut self, genes: Genes, score: Score) {
        let state = &mut self.state;
        let member = Member { genes, score };
        if self.setup.objectives == 1 {
            // Of equals the newer is before, so that a plateau is wandered over.
            let place = state
                .members
                .partition_point(|m| rank::compare(&m.score, &member.score).is_lt());
            state.members.insert(place, member);
            state.members.truncate(self.size);
            state.ranked = state.members.len();
        } else {
            state.members.push(member);
            let batch = (self.size / 4).max(1);
            if state.ranked < self.size || state.members.len() >= self.size + batch {
                self.survive();
            }
        }
    }

    /// Ranks all by fronts and crowding, and keeps the best.
    fn survive(&mut self) {
        let members = std::mem::take(&mut self.state.members);
        let scores: Vec<&Score> = members.iter().map(|m| &m.score).collect();
        let mut order = Vec::with_capacity(members.len());
        for front in rank::fronts(&scores) {
            if order.len() >= self.size {
                break;
            }
            let crowding = rank::crowding(&front.iter().map(|i| scores[*i]).collect::<Vec<_>>());
            let mut places: Vec<usize> = (0..front.len()).collect();
            places.sort_by(|a, b| crowding[*b].total_cmp(&crowding[*a]).then(a.cmp(b)));
            order.extend(places.into_iter().map(|place| front[place]));
        }
        order.truncate(self.size);
        let mut members: Vec<Option<Member>> = members.into_iter().map(Some).collect();
        self.state.members = order.iter().filter_map(|i| members[*i].take()).collect();
        self.state.ranked = self.state.members.len();
    }

    /// Whether a state is one this searcher can go on from.
    fn check(&self, state: &State) -> Result<(), GeneticError> {
        if state.setup != self.setup {
            return Err(GeneticError::OtherSearch);
        }
        let axes = self.space.axes();
        let genes = |genes: &Genes| {
            genes.len() == axes.len()
                && axes
                    .iter()
                    .zip(genes)
                    .all(|(axis, v)| axis.domain.contains(*v))
        };
        let scored = |score: &Score| {
            score.objectives.len() == self.setup.objectives
                && score.objectives.iter().all(|v| v.is_finite())
        };
        let wrong = |what| Err(GeneticError::OtherSpace { what });
        if !state.open.values().all(genes) {
            return wrong("an open candidate");
        }
        if !state
            .members
            .iter()
            .all(|m| genes(&m.genes) && scored(&m.score))
        {
            return wrong("a member");
        }
        if state.ranked > state.members.len() || state.begun > self.size {
            return wrong("a count");
        }
        Ok(())
    }
}

/// The part of an axis, of `size` equal parts, in which point `turn` of the initial design lies: a random permutation by
/// cycle walking (every axis another), so that nothing of it needs to be kept.
fn stratum(seed: u64, axis: usize, turn: u64, size: u64) -> u64 {
    let mut rng = Rng::keyed(seed, axis as u64, "genetic strata");
    let mask = size.next_power_of_two() - 1;
    let (factor, offset) = (rng.below(1 << 32) | 1, rng.below(1 << 32));
    let shift = mask.count_ones().div_ceil(2).max(1);
    let mut place = turn;
    loop {
        for _ in 0..2 {
            place = (place.wrapping_mul(factor).wrapping_add(offset)) & mask;
            place ^= place >> shift;
        }
        if place < size {
            return place;
        }
    }
}

/// One of the two children of simulated binary crossover within bounds (the form of Deb's NSGA-II code); of two options,
/// the other parent's.
fn cross(domain: &Domain, a: AxisValue, b: AxisValue, eta: f64, rng: &mut Rng) -> AxisValue {
    if domain.is_choice() {
        return b;
    }
    let (a, b) = (domain.to_unit(a), domain.to_unit(b));
    let (low, high) = (a.min(b), a.max(b));
    let spread = high - low;
    if spread < 1e-14 {
        return domain.at_unit(b);
    }
    let draw = rng.unit();
    let lower = rng.chance(0.5);
    let room = if lower { low } else { 1.0 - high };
    let alpha = 2.0 - libm::pow(1.0 + 2.0 * room / spread, -(eta + 1.0));
    let beta = if draw <= 1.0 / alpha {
        libm::pow(draw * alpha, 1.0 / (eta + 1.0))
    } else {
        libm::pow(1.0 / (2.0 - draw * alpha), 1.0 / (eta + 1.0))
    };
    let middle = 0.5 * (low + high);
    let child = 0.5 * beta * spread;
    domain.at_unit(if lower {
        middle - child
    } else {
        middle + child
    })
}

/// Polynomial mutation of a number within bounds, by one neighbour at least; another option of a choice.
fn mutate(domain: &Domain, value: AxisValue, eta: f64, rng: &mut Rng) -> AxisValue {
    let cardinality = domain.cardinality();
    if domain.is_choice() {
        let (n, rank) = (cardinality.unwrap_or(1), domain.rank(value).unwrap_or(0));
        if n < 2 {
            return value;
        }
        let other = rng.below(n - 1);
        return domain.nth(other + u64::from(other >= rank));
    }
    let u = domain.to_unit(value);
    let eta = eta * libm::exp2(SPREAD * (2.0 * rng.unit() - 1.0));
    let draw = rng.unit();
    let power = 1.0 / (eta + 1.0);
    let delta = if draw < 0.5 {
        let rest = libm::pow(1.0 - u, eta + 1.0);
        libm::pow(2.0 * draw + (1.0 - 2.0 * draw) * rest, power) - 1.0
    } else {
        let rest = libm::pow(u, eta + 1.0);
        1.0 - libm::pow(2.0 * (1.0 - draw) + (2.0 * draw - 1.0) * rest, power)
    };
    let new = domain.at_unit(u + delta);
    match (cardinality, domain.rank(value)) {
        (Some(n), Some(rank)) if new == value && n > 1 => {
            let up = if rank == 0 {
                true
            } else {
                rank + 1 < n && draw >= 0.5
            };
            domain.nth(if up { rank + 1 } else { rank - 1 })
        }
        _ => new,
    }
}

impl Searcher for Genetic {
    fn ask(&mut self, n: usize) -> Result<Vec<Candidate>, SearchError> {
        let mut candidates = Vec::new();
        while candidates.len() < n {
            let mut rng = Rng::keyed(self.setup.seed, self.state.ledger.next(), "genetic");
            let Some((genes, point)) = self.propose(&mut rng) else {
                break;
            };
            self.state.tried.insert(&point);
            let candidate = self.state.ledger.candidate(point);
            self.state.open.insert(candidate.id, genes);
            candidates.push(candidate);
        }
        Ok(candidates)
    }

    fn tell(&mut self, trial: &Trial) -> Result<(), SearchError> {
        let id = trial.candidate.id;
        check_objectives(NAME, trial, self.setup.objectives)?;
        let genes = match trial.origin {
            Origin::Own => {
                self.state.ledger.tell(NAME, id)?;
                self.state.open.remove(&id)
            }
            // A foreign trial told again has nothing new to say.
            Origin::Foreign => self
                .state
                .tried
                .insert(&trial.candidate.point)
                .then(|| self.genes(&trial.candidate.point)),
        };
        if let (Some(genes), Some(score)) = (genes, &trial.score) {
            self.join(genes, score.clone());
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Snapshot, SearchError> {
        Snapshot::of(NAME, VERSION, &self.state)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), SearchError> {
        let state: State = snapshot.read(NAME, VERSION)?;
        self.check(&state)?;
        self.state = state;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_core::settings::Settings;

    const UNIT: Domain = Domain::Float {
        low: 0.0,
        high: 1.0,
        log: false,
        step: None,
    };

    fn number(value: AxisValue) -> f64 {
        match value {
            AxisValue::Float(v) => v,
            AxisValue::Int(v) => v as f64,
            AxisValue::Choice(v) => v as f64,
        }
    }

    #[test]
    fn the_initial_design_is_a_latin_hypercube() {
        for size in [4, 5, 20, 64, 100] {
            for axis in 0..4 {
                let mut places: Vec<u64> =
                    (0..size).map(|turn| stratum(9, axis, turn, size)).collect();
                assert_ne!(places, (0..size).collect::<Vec<_>>());
                places.sort_unstable();
                assert_eq!(places, (0..size).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn crossover_keeps_the_mean_and_narrows_with_its_index() {
        let mut rng = Rng::keyed(1, 0, "test");
        let (a, b) = (AxisValue::Float(0.4), AxisValue::Float(0.6));
        let mut spread = |eta| {
            let children: Vec<f64> = (0..20_000)
                .map(|_| number(cross(&UNIT, a, b, eta, &mut rng)))
                .collect();
            let mean = children.iter().sum::<f64>() / 2e4;
            assert!((mean - 0.5).abs() < 0.005, "{mean}");
            children
                .iter()
                .map(|c| ((c - 0.5).abs() - 0.1).abs())
                .sum::<f64>()
                / 2e4
        };
        let (wide, narrow) = (spread(2.0), spread(50.0));
        assert!(narrow < wide / 5.0, "{narrow} {wide}");
    }

    #[test]
    fn mutation_always_changes_what_has_other_values() {
        let mut rng = Rng::keyed(2, 0, "test");
        let int = Domain::Int {
            low: -3,
            high: 3,
            log: false,
            step: 2,
        };
        let choice = Domain::Choice {
            options: vec![Json::from("a"), Json::from("b")],
        };
        for domain in [int, choice] {
            for rank in 0..domain.cardinality().unwrap() {
                for _ in 0..200 {
                    let value = domain.nth(rank);
                    let new = mutate(&domain, value, 1e6, &mut rng);
                    assert!(domain.contains(new) && new != value, "{domain}: {value:?}");
                }
            }
        }
    }

    #[test]
    fn mutations_at_a_bound_stay_inside_and_move() {
        let mut rng = Rng::keyed(3, 0, "test");
        for value in [0.0, 1.0] {
            let moved = (0..1000)
                .map(|_| number(mutate(&UNIT, AxisValue::Float(value), 20.0, &mut rng)))
                .inspect(|v| assert!((0.0..=1.0).contains(v)))
                .filter(|v| *v != value)
                .count();
            // Half of the draws lead out of bounds, where there is no room.
            assert!((400..600).contains(&moved), "{moved}");
        }
    }

    #[test]
    fn survivors_are_the_best_fronts_and_the_ends_come_first() {
        let init = SearchInit {
            space: Arc::new(Space::new(vec![lapidary_core::space::Axis::new("x", UNIT)]).unwrap()),
            seed: 1,
            objectives: 2,
            trials: None,
            installed: None,
        };
        let config = Config {
            population: Some(4),
            ..Config::default()
        };
        let mut genetic = Genetic::new(config.check().unwrap(), &init);
        for (a, b) in [
            (5.0, 5.0),
            (0.0, 9.0),
            (4.0, 4.0),
            (9.0, 0.0),
            (4.1, 3.9),
            (3.0, 7.0),
        ] {
            genetic.state.members.push(Member {
                genes: vec![AxisValue::Float(0.1 * a)],
                score: Score {
                    objectives: vec![a, b],
                    violation: 0.0,
                },
            });
        }
        genetic.survive();
        let firsts: Vec<f64> = genetic
            .state
            .members
            .iter()
            .map(|m| m.score.objectives[0])
            .collect();
        // (5, 5) is beaten; of the inner points those with most room stay.
        assert_eq!(firsts, [0.0, 9.0, 4.1, 3.0]);
    }
}
