//! Climbing, shaking and starting again.

use std::collections::BTreeMap;
use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::ledger::Ledger;
use lapidary_core::rank;
use lapidary_core::registry::BuildError;
use lapidary_core::rng::Rng;
use lapidary_core::searcher::{SearchError, SearchInit, Searcher, Snapshot, check_objectives};
use lapidary_core::space::{AxisValue, Point, Space};
use lapidary_core::trial::{Candidate, Origin, Score, Trial};
use lapidary_core::tried::Tried;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::error::GreedyError;
use crate::judge::Judge;
use crate::moves::{Move, Pace, Values, WIDEST, along, options, overlay, shake};

const NAME: &str = crate::ENTRY.info.name;
/// Version of the snapshot's form.
const VERSION: u32 = 1;
/// Finest precision a search comes down to.
const FINEST: f64 = 1e-12;
/// Draws of tried points before a neighbourhood counts as used up.
const DRAWS: usize = 32;
/// Shakes that the most promising is chosen from.
const CONTENDERS: usize = 4;
/// Non-dominated points kept, the least crowded.
const ARCHIVE: usize = 200;

/// Makes the searcher.
pub fn build(settings: &Json, init: &SearchInit) -> Result<Box<dyn Searcher>, BuildError> {
    let config: Config = crate::ENTRY.info.read_settings(settings)?;
    config
        .check()
        .map_err(|e| crate::ENTRY.info.refuse(e.to_string()))?;
    Ok(Box::new(Greedy::new(config, init)))
}

/// The searcher.
struct Greedy {
    space: Arc<Space>,
    finite: bool,
    setup: Setup,
    state: State,
}

/// What a snapshot must share with the searcher it restores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Setup {
    config: Config,
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
    /// Candidates whose outcome is not told yet.
    open: BTreeMap<u64, Open>,
    /// Number of the present climb; outcomes of an earlier one move it no more.
    climb: u64,
    /// Where the climb stands; nowhere before the first ask.
    stand: Option<Stand>,
    /// A value for every axis: that of the stand, or, where inactive there, its last one.
    memory: Values,
    paces: Vec<Pace>,
    /// Moves left in this round, the next one last.
    agenda: Vec<Move>,
    /// Moves that were good where they were made, to be made again where the climb stands now; the next one last.
    hopes: Vec<Move>,
    /// The last candidate made from a hope: while it is open, the next hope builds on it.
    hope: Option<u64>,
    /// Where the round began.
    round: Values,
    phase: Phase,
    precision: f64,
    restarts: u64,
    /// Of each option of a choice, how much worse than others of its axis it was when last compared.
    losses: Vec<Vec<f64>>,
    /// The best so far; with several objectives, all that none beats.
    archive: Vec<Known>,
}

/// A candidate and what it was made for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {
    values: Values,
    climb: u64,
    step: Option<Move>,
    /// 0 for a move from the stand, 1 for a hope from there, 2 for a hope built on another.
    depth: u8,
    /// Score of the point it was made from, where the climb has left that since.
    left: Option<Score>,
}

/// The point a climb stands at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stand {
    /// The candidate whose outcome will be its score, where that is open.
    id: Option<u64>,
    values: Values,
    /// `None` is worse than any.
    score: Option<Score>,
    /// The move that led there.
    by: Option<Move>,
}

/// A point with its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    values: Values,
    score: Score,
}

/// What is done when the agenda is empty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Phase {
    /// One-axis moves.
    Climb,
    /// Changes of `width` axes at once, `left` times.
    Shake { width: u32, left: u32 },
}

impl Greedy {
    fn new(config: Config, init: &SearchInit) -> Self {
        let setup = Setup {
            config,
            seed: init.seed,
            objectives: init.objectives,
        };
        let axes = init.space.axes();
        let state = State {
            setup: setup.clone(),
            ledger: Ledger::default(),
            tried: Tried::default(),
            open: BTreeMap::new(),
            climb: 0,
            stand: None,
            memory: axes.iter().map(|a| Some(a.domain.at_unit(0.5))).collect(),
            paces: vec![Pace::of(config.step); axes.len()],
            agenda: Vec::new(),
            hopes: Vec::new(),
            hope: None,
            round: Vec::new(),
            phase: Phase::Climb,
            precision: config.precision,
            restarts: 0,
            losses: axes.iter().map(|a| vec![0.0; options(&a.domain)]).collect(),
            archive: Vec::new(),
        };
        Self {
            space: init.space.clone(),
            finite: init.space.is_finite(),
            setup,
            state,
        }
    }

    /// The next candidate's point, the move that made it and its depth; `None` where every point was tried.
    fn propose(&mut self, rng: &mut Rng) -> Option<(Point, Option<Move>, u8)> {
        if self.state.stand.is_none() {
            let middle = self.space.middle();
            if !self.state.tried.contains(&middle) {
                self.stand_at(
                    middle.values().to_vec(),
                    None,
                    Some(self.state.ledger.next()),
                );
                return Some((middle, None, 0));
            }
            // The middle was a foreign trial that failed.
            let point = self
                .untried(rng, |space, rng| space.sample(rng))
                .or_else(|| self.state.tried.first_left(&self.space))?;
            self.stand_at(
                point.values().to_vec(),
                None,
                Some(self.state.ledger.next()),
            );
            return Some((point, None, 0));
        }
        while let Some(step) = self.state.hopes.pop() {
            let open = self.state.hope.and_then(|id| self.state.open.get(&id));
            let built_on = open.filter(|o| o.climb == self.state.climb);
            let target = match built_on {
                Some(open) => self.target_from(&open.values, step),
                None => self.target(step),
            };
            let depth = 1 + u8::from(built_on.is_some());
            if let Some(point) = target.filter(|p| !self.state.tried.contains(p)) {
                self.state.hope = Some(self.state.ledger.next());
                return Some((point, Some(step), depth));
            }
        }
        loop {
            while let Some(step) = self.state.agenda.pop() {
                if let Some(point) = self.target(step).filter(|p| !self.state.tried.contains(p)) {
                    return Some((point, Some(step), 0));
                }
            }
            match self.state.phase {
                Phase::Climb => {
                    self.fill_agenda(rng);
                    if self.state.agenda.is_empty() {
                        self.end_climb();
                    }
                }
                Phase::Shake { width, left } if left > 0 => {
                    self.state.phase = Phase::Shake {
                        width,
                        left: left - 1,
                    };
                    match self.shaken(width, rng) {
                        Some(point) => return Some((point, None, 0)),
                        None => {
                            self.state.phase = Phase::Shake { width, left: 0 };
                        }
                    }
                }
                Phase::Shake { width, .. } => {
                    let most = self
                        .setup
                        .config
                        .breadth
                        .min(self.space.axes().len() as u32);
                    if width < most {
                        self.state.phase = self.shaking(width + 1);
                        continue;
                    }
                    let left = self.state.tried.first_left(&self.space);
                    if left.is_none() && self.finite {
                        return None;
                    }
                    // Where draws keep failing near the best and anywhere, whatever is left.
                    return self.start_again(rng).or(left).map(|p| (p, None, 0));
                }
            }
        }
    }

    /// A draw that was not tried; `None` where draws keep failing.
    fn untried(
        &self,
        rng: &mut Rng,
        draw: impl Fn(&Arc<Space>, &mut Rng) -> Point,
    ) -> Option<Point> {
        (0..DRAWS)
            .map(|_| draw(&self.space, rng))
            .find(|point| !self.state.tried.contains(point))
    }

    /// The most promising of some untried shakes, by what its options lost when last compared.
    fn shaken(&self, width: u32, rng: &mut Rng) -> Option<Point> {
        let memory = &self.state.memory;
        let active = self.active();
        let loss = |point: &Point| -> f64 {
            let pairs = point.values().iter().zip(memory).zip(&self.state.losses);
            pairs
                .map(|((new, old), losses)| match (new, old) {
                    (Some(AxisValue::Choice(new)), Some(AxisValue::Choice(old))) => {
                        losses[*new] - losses[*old]
                    }
                    _ => 0.0,
                })
                .sum()
        };
        (0..CONTENDERS)
            .map_while(|_| {
                self.untried(rng, |space, rng| {
                    shake(space, memory, &active, width, false, rng)
                })
            })
            .map(|point| (loss(&point), point))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, point)| point)
    }

    fn shaking(&self, width: u32) -> Phase {
        let axes = self.space.axes().len() as u32;
        Phase::Shake {
            width,
            left: self.setup.config.patience.saturating_mul(axes),
        }
    }

    /// Indices of the axes active where the climb stands.
    fn active(&self) -> Vec<usize> {
        let stand = self.state.stand.as_ref();
        (0..self.space.axes().len())
            .filter(|&i| stand.is_some_and(|s| s.values[i].is_some()))
            .collect()
    }

    /// The point a move leads to; `None` where it leads nowhere.
    fn target(&self, step: Move) -> Option<Point> {
        self.target_from(&self.state.stand.as_ref()?.values, step)
    }

    fn target_from(&self, base: &Values, step: Move) -> Option<Point> {
        let mut values = overlay(&self.state.memory, base);
        match step {
            Move::Step { axis, up, size } => {
                let domain = &self.space.axes()[axis].domain;
                values[axis] = Some(along(domain, base[axis]?, up, size)?);
            }
            Move::Switch { axis, option, .. } => {
                let old = base[axis]?;
                values[axis] = Some(AxisValue::Choice(option)).filter(|new| *new != old);
                values[axis]?;
            }
            Move::Pattern => {
                let axes = self.space.axes().iter().zip(base);
                for (i, ((axis, new), old)) in axes.zip(&self.state.round).enumerate() {
                    if let (Some(new), Some(old), false) = (new, old, axis.domain.is_choice()) {
                        let u = 2.0 * axis.domain.to_unit(*new) - axis.domain.to_unit(*old);
                        values[i] = Some(axis.domain.at_unit(u));
                    }
                }
            }
        }
        Some(self.space.point(values))
    }

    /// A new round of one-axis moves: those that lead to points not tried, in random order of the axes.
    fn fill_agenda(&mut self, rng: &mut Rng) {
        let mut moves = Vec::new();
        let mut axes = self.active();
        rng.shuffle(&mut axes);
        for axis in axes {
            let domain = &self.space.axes()[axis].domain;
            if let Some(AxisValue::Choice(from)) = self.state.memory[axis] {
                let mut options: Vec<usize> = (0..options(domain)).collect();
                rng.shuffle(&mut options);
                let switches =
                    options
                        .into_iter()
                        .map(|option| Move::Switch { axis, option, from });
                moves.extend(switches.filter(|m| self.leads_on(*m)));
            } else {
                let up = self.state.paces[axis].up;
                // The later of the two is tried first.
                moves.extend(self.longest(axis, !up));
                moves.extend(self.longest(axis, up));
            }
        }
        let moved = self.state.stand.as_ref().map_or(0, |stand| {
            let pairs = stand.values.iter().zip(&self.state.round);
            pairs.filter(|(a, b)| a != b).count()
        });
        // What lost most when last compared comes last, that is, stands first.
        let loss = |step: &Move| match *step {
            Move::Switch { axis, option, from } => {
                let losses = &self.state.losses[axis];
                losses[option] - losses[from]
            }
            _ => 0.0,
        };
        moves.sort_by(|a, b| loss(b).total_cmp(&loss(a)));
        self.state.agenda = moves;
        if moved > 1 && self.leads_on(Move::Pattern) {
            self.state.agenda.push(Move::Pattern);
        }
        self.state.round = self
            .state
            .stand
            .as_ref()
            .map_or(Vec::new(), |s| s.values.clone());
    }

    fn leads_on(&self, step: Move) -> bool {
        self.target(step)
            .is_some_and(|p| !self.state.tried.contains(&p))
    }

    /// The longest step up or down an axis, halved from its pace, to a point not tried; none below the precision.
    fn longest(&mut self, axis: usize, up: bool) -> Option<Move> {
        let finite = self.space.axes()[axis].domain.cardinality();
        // A finite axis is walked down to single neighbours.
        let shortest = finite.map_or(self.state.precision, |n| 0.5 / n as f64);
        let mut size = self.state.paces[axis].step;
        while size >= shortest {
            let step = Move::Step { axis, up, size };
            match self.target(step) {
                None => break,
                Some(point) if !self.state.tried.contains(&point) => return Some(step),
                Some(_) => size *= 0.5,
            }
        }
        // Nothing to find on this side: as good as failed.
        self.state.paces[axis].fail(up, f64::INFINITY);
        None
    }

    /// Puts the climb somewhere, with a new number.
    fn stand_at(&mut self, values: Values, score: Option<Score>, id: Option<u64>) {
        let state = &mut self.state;
        state.memory = overlay(&state.memory, &values);
        state.climb += 1;
        state.round = values.clone();
        state.stand = Some(Stand {
            id,
            values,
            score,
            by: None,
        });
        state.agenda.clear();
        state.hopes.clear();
        state.phase = Phase::Climb;
    }

    /// No one-axis move is left: the best is shaken, any other place is left for the best.
    fn end_climb(&mut self) {
        let stand = self.state.stand.as_ref().map(|s| &s.values);
        let best = self.best().map(|known| &known.values);
        if best.is_none() || best == stand {
            self.state.phase = self.shaking(1);
        } else {
            self.state.precision = (self.state.precision / 8.0).max(FINEST);
            self.back_to_best(8.0 * self.state.precision);
        }
    }

    /// Climbs from the best known point for the present weights, with steps of at least `step`.
    fn back_to_best(&mut self, step: f64) {
        if let Some(best) = self.best().cloned() {
            self.stand_at(best.values, Some(best.score), None);
        }
        for pace in &mut self.state.paces {
            *pace = Pace {
                step: pace.step.max(step),
                failed: [false; 2],
                ..*pace
            };
        }
    }

    /// Begins a climb elsewhere: at a changed copy of the best, ever more of it changed; with several objectives, at the best
    /// for other weights. Gives the point where it is a new one.
    fn start_again(&mut self, rng: &mut Rng) -> Option<Point> {
        self.state.restarts += 1;
        let axes = self.space.axes().len() as u64;
        if let Some(best) = self.best().cloned() {
            self.stand_at(best.values, Some(best.score), None);
        }
        let memory = self.state.memory.clone();
        let active = self.active();
        let width = 2 + (self.state.restarts - 1) % axes.saturating_sub(1).max(1);
        let point = self
            .untried(rng, |space, rng| {
                shake(space, &memory, &active, width as u32, true, rng)
            })
            .or_else(|| self.untried(rng, |space, rng| space.sample(rng)))?;
        self.stand_at(
            point.values().to_vec(),
            None,
            Some(self.state.ledger.next()),
        );
        self.state.paces = vec![Pace::of(self.setup.config.step / 2.0); self.space.axes().len()];
        Some(point)
    }

    /// The best known point; with several objectives, for the present weights.
    fn best(&self) -> Option<&Known> {
        let judge = self.judge();
        self.state
            .archive
            .iter()
            .min_by(|a, b| judge.compare(&a.score, &b.score))
    }

    /// How scores compare at present.
    fn judge(&self) -> Judge {
        let n = self.setup.objectives;
        let mut rng = Rng::keyed(self.setup.seed, self.state.restarts, "greedy weights");
        let scale = |m: usize| {
            let values = self.state.archive.iter().map(|k| k.score.objectives[m]);
            let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
                (l.min(v), h.max(v))
            });
            let weight = -libm::log(1.0 - rng.unit());
            // Half a weight for each half of the span, which may exceed the largest float.
            let span = (high / 2.0 - low / 2.0).max(f64::MIN_POSITIVE);
            (low, weight / 2.0 / span)
        };
        Judge {
            scales: (0..n).filter(|_| n > 1).map(scale).collect(),
        }
    }

    /// Keeps a scored point where no other beats it.
    fn keep(&mut self, values: &Values, score: &Score) {
        let archive = &mut self.state.archive;
        let one = self.setup.objectives == 1;
        let stays = |a: &Score, b: &Score| {
            if one {
                rank::compare(a, b).is_le()
            } else {
                rank::beats(a, b) || rank::compare(a, b).is_eq()
            }
        };
        if archive.iter().any(|k| stays(&k.score, score)) {
            return;
        }
        archive.retain(|k| !(one || rank::beats(score, &k.score)));
        archive.push(Known {
            values: values.clone(),
            score: score.clone(),
        });
        if archive.len() > ARCHIVE {
            let scores: Vec<&Score> = archive.iter().map(|k| &k.score).collect();
            let crowding = rank::crowding(&scores);
            let least = (0..archive.len()).min_by(|a, b| crowding[*a].total_cmp(&crowding[*b]));
            archive.remove(least.expect("it is not empty"));
        }
    }

    /// Notes how an option compares with the one it replaced.
    fn learn(&mut self, judge: &Judge, open: &Open, score: Option<&Score>, base: Option<&Score>) {
        if let Some(Move::Switch { axis, option, from }) = open.step
            && let Some(loss) = judge.loss(score, base)
        {
            let losses = &mut self.state.losses[axis];
            losses[option] = losses[from] + loss;
        }
    }

    /// What the outcome of a candidate of this climb means for it.
    fn follow(&mut self, id: u64, open: Open, score: Option<&Score>) {
        let Some(stand) = &mut self.state.stand else {
            return;
        };
        if stand.id == Some(id) {
            stand.id = None;
            stand.score = score.cloned();
            return;
        }
        let (old, by) = (stand.score.clone(), stand.by);
        let late = open.left.is_some();
        let judge = self.judge();
        if open.depth < 2 {
            self.learn(&judge, &open, score, open.left.as_ref().or(old.as_ref()));
        }
        if !judge.better(score, old.as_ref()) {
            if open.depth > 1 || late && judge.better(score, open.left.as_ref()) {
                // Good where it was made, or built on what failed: as a move it may be good from here.
                self.state.hopes.extend(open.step);
            } else if let (Some(Move::Step { axis, up, size }), 0) = (open.step, open.depth) {
                self.state.paces[axis].fail(up, size);
            }
            return;
        }
        let state = &mut self.state;
        for other in state.open.values_mut().filter(|o| o.climb == state.climb) {
            if other.left.is_none() {
                other.left = old.clone();
            }
        }
        let from = std::mem::take(&mut state.memory);
        state.memory = overlay(&from, &open.values);
        state.stand = Some(Stand {
            id: None,
            values: open.values,
            score: score.cloned(),
            by: open.step,
        });
        state.phase = Phase::Climb;
        match open.step {
            Some(Move::Step { axis, up, size }) => {
                let step = (2.0 * size).min(WIDEST);
                state.paces[axis] = Pace {
                    step,
                    up,
                    failed: [false; 2],
                };
                // On in the same direction, before all else.
                state.agenda.retain(|m| m.axis() != Some(axis));
                state.agenda.push(Move::Step {
                    axis,
                    up,
                    size: step,
                });
            }
            Some(Move::Switch { axis, .. }) => state.agenda.retain(|m| m.axis() != Some(axis)),
            Some(Move::Pattern) => state.agenda.push(Move::Pattern),
            None => {
                // A shake: the axes that moved are walked anew, with steps as long as the jump.
                state.agenda.clear();
                state.hopes.clear();
                for (i, axis) in self.space.axes().iter().enumerate() {
                    if let (Some(a), Some(b)) = (from[i], state.memory[i])
                        && a != b
                        && !axis.domain.is_choice()
                    {
                        let jump = (axis.domain.to_unit(a) - axis.domain.to_unit(b)).abs();
                        state.paces[i] =
                            Pace::of((jump / 2.0).clamp(4.0 * state.precision, WIDEST));
                    }
                }
            }
        }
        if late {
            // It was made from an earlier point: the move that led on from there is worth another try.
            self.state.hopes.extend(by);
        }
    }
}

impl Searcher for Greedy {
    fn ask(&mut self, n: usize) -> Result<Vec<Candidate>, SearchError> {
        let mut candidates = Vec::new();
        while candidates.len() < n {
            let mut rng = Rng::keyed(self.setup.seed, self.state.ledger.next(), "greedy");
            let Some((point, step, depth)) = self.propose(&mut rng) else {
                break;
            };
            self.state.tried.insert(&point);
            let open = Open {
                values: point.values().to_vec(),
                climb: self.state.climb,
                step,
                depth,
                left: None,
            };
            let candidate = self.state.ledger.candidate(point);
            self.state.open.insert(candidate.id, open);
            candidates.push(candidate);
        }
        Ok(candidates)
    }

    fn tell(&mut self, trial: &Trial) -> Result<(), SearchError> {
        let id = trial.candidate.id;
        check_objectives(NAME, trial, self.setup.objectives)?;
        let score = trial.score.as_ref();
        match trial.origin {
            Origin::Own => {
                self.state.ledger.tell(NAME, id)?;
                let Some(open) = self.state.open.remove(&id) else {
                    return Ok(());
                };
                if open.climb == self.state.climb {
                    let values = open.values.clone();
                    self.follow(id, open, score);
                    if let Some(score) = score {
                        self.keep(&values, score);
                    }
                } else if let Some(score) = score {
                    self.keep(&open.values, score);
                }
            }
            Origin::Foreign => {
                self.state.tried.insert(&trial.candidate.point);
                if let Some(score) = score {
                    let values = trial.candidate.point.values().to_vec();
                    self.keep(&values, score);
                    let stand = self.state.stand.as_ref().and_then(|s| s.score.as_ref());
                    if self.judge().better(Some(score), stand) {
                        self.stand_at(values, Some(score.clone()), None);
                    }
                }
            }
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

impl Greedy {
    /// Whether a state is one this searcher can go on from.
    fn check(&self, state: &State) -> Result<(), GreedyError> {
        if state.setup != self.setup {
            return Err(GreedyError::OtherSearch);
        }
        let wrong = |what| Err(GreedyError::OtherSpace { what });
        let axes = self.space.axes();
        let scored = |score: &Score| {
            score.objectives.len() == self.setup.objectives
                && score.objectives.iter().all(|v| v.is_finite())
        };
        let possible = |step: &Move| match *step {
            Move::Step { axis, size, .. } => {
                axis < axes.len() && !axes[axis].domain.is_choice() && size > 0.0 && size <= WIDEST
            }
            Move::Switch { axis, option, from } => {
                axis < axes.len()
                    && axes[axis].domain.contains(AxisValue::Choice(from))
                    && axes[axis].domain.contains(AxisValue::Choice(option))
            }
            Move::Pattern => true,
        };
        if state.paces.len() != axes.len()
            || !state.paces.iter().all(|p| p.step > 0.0 && p.step <= WIDEST)
        {
            return wrong("a pace");
        }
        let remembered = |(axis, value): (&lapidary_core::space::Axis, &Option<AxisValue>)| {
            value.is_some_and(|v| axis.domain.contains(v))
        };
        if state.memory.len() != axes.len() || !axes.iter().zip(&state.memory).all(remembered) {
            return wrong("the memory");
        }
        if !(state.round.is_empty() || self.space.admits(&state.round)) {
            return wrong("the round's beginning");
        }
        if let Some(stand) = &state.stand
            && !(self.space.admits(&stand.values) && stand.score.iter().all(scored))
        {
            return wrong("the stand");
        }
        if !state.agenda.iter().chain(&state.hopes).all(possible) {
            return wrong("a move");
        }
        let open = |open: &Open| self.space.admits(&open.values) && open.step.iter().all(possible);
        if !state.open.values().all(open) {
            return wrong("an open candidate");
        }
        let losses = |(axis, losses): (&lapidary_core::space::Axis, &Vec<f64>)| {
            losses.len() == options(&axis.domain) && losses.iter().all(|v| v.is_finite())
        };
        if state.losses.len() != axes.len() || !axes.iter().zip(&state.losses).all(losses) {
            return wrong("a loss");
        }
        if !(state.precision >= FINEST && state.precision <= WIDEST) {
            return wrong("the precision");
        }
        if state.restarts > 1 << 62 || state.climb > 1 << 62 {
            return wrong("a count");
        }
        if !state
            .archive
            .iter()
            .all(|k| self.space.admits(&k.values) && scored(&k.score))
        {
            return wrong("a known point");
        }
        Ok(())
    }
}
