//! Climbing, shaking and starting again.

use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::registry::{BuildError, SearchInit};
use lapidary_core::rng::Rng;
use lapidary_core::searcher::{SearchError, Searcher, Snapshot, check_objectives};
use lapidary_core::settings::Checked;
use lapidary_core::space::{AxisValue, Point, Space};
use lapidary_core::trial::{Candidate, Origin, Score, Trial};

use crate::archive::Known;
use crate::config::Config;
use crate::judge::Judge;
use crate::moves::{Move, Pace, Values, overlay, shake};
use crate::state::{FINEST, Open, Phase, Setup, Stand, State};

const NAME: &str = crate::ENTRY.info.name;
/// Version of the snapshot's form.
const VERSION: u32 = 1;
/// Draws of tried points before a neighbourhood counts as used up.
const DRAWS: usize = 32;
/// Shakes that the most promising is chosen from.
const CONTENDERS: usize = 4;

/// Makes the searcher.
pub fn build(settings: &Json, init: &SearchInit) -> Result<Box<dyn Searcher>, BuildError> {
    let config = crate::ENTRY.info.read_settings(settings)?;
    Ok(Box::new(Greedy::new(config, init)))
}

/// The searcher.
pub struct Greedy {
    pub space: Arc<Space>,
    finite: bool,
    setup: Setup,
    pub state: State,
}

impl Greedy {
    fn new(config: Checked<Config>, init: &SearchInit) -> Self {
        let setup = Setup {
            config,
            seed: init.seed,
            objectives: init.objectives,
        };
        Self {
            space: init.space.clone(),
            finite: init.space.is_finite(),
            state: State::new(setup.clone(), init.space.axes()),
            setup,
        }
    }

    /// The next candidate's point and the moves that made it; `None` where every point was tried.
    fn propose(&mut self, rng: &mut Rng) -> Option<(Point, Vec<Move>)> {
        if self.state.stand.is_none() {
            let point = self.start(rng)?;
            return Some((point, Vec::new()));
        }
        if let Some(found) = self.hoped() {
            return Some(found);
        }
        loop {
            while let Some(step) = self.state.agenda.pop() {
                if let Some(point) = self.target(step) {
                    return Some((point, vec![step]));
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
                        Some(point) => return Some((point, Vec::new())),
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
                    return self.start_again(rng).or(left).map(|p| (p, Vec::new()));
                }
            }
        }
    }

    /// The middle, or anywhere else where that was a foreign trial that failed.
    fn start(&mut self, rng: &mut Rng) -> Option<Point> {
        let middle = self.space.middle();
        let point = if self.state.tried.contains(&middle) {
            self.untried(rng, |space, rng| space.sample(rng))
                .or_else(|| self.state.tried.first_left(&self.space))?
        } else {
            middle
        };
        self.stand_at(
            point.values().to_vec(),
            None,
            Some(self.state.ledger.next()),
        );
        Some(point)
    }

    /// All hopes together, or else one of those that failed so.
    fn hoped(&mut self) -> Option<(Point, Vec<Move>)> {
        let hopes = std::mem::take(&mut self.state.hopes);
        if let Some((point, steps)) = self.joined(hopes) {
            if !self.state.tried.contains(&point) {
                self.state.lead = Some(self.state.ledger.next());
                return Some((point, steps));
            }
            if steps.len() > 1 {
                self.state.apart.extend(steps);
            }
        }
        while let Some(step) = self.state.apart.pop() {
            if let Some(point) = self.target(step) {
                return Some((point, vec![step]));
            }
        }
        None
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
            by: Vec::new(),
        });
        state.forget_moves();
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
        self.state.archive.best(&self.judge())
    }

    /// How scores compare at present.
    pub fn judge(&self) -> Judge {
        let rng = Rng::keyed(self.setup.seed, self.state.restarts, "greedy weights");
        self.state.archive.judge(self.setup.objectives, rng)
    }
}

impl Searcher for Greedy {
    fn ask(&mut self, n: usize) -> Result<Vec<Candidate>, SearchError> {
        let mut candidates = Vec::new();
        while candidates.len() < n {
            let mut rng = Rng::keyed(self.setup.seed, self.state.ledger.next(), "greedy");
            let lead = self.lead().map(|(id, _)| id);
            let Some((point, steps)) = self.propose(&mut rng) else {
                break;
            };
            self.state.tried.insert(&point);
            let open = Open {
                values: point.values().to_vec(),
                climb: self.state.climb,
                on: lead.filter(|_| !steps.is_empty()),
                steps,
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
                        self.state.archive.keep(&values, score);
                    }
                } else if let Some(score) = score {
                    self.state.archive.keep(&open.values, score);
                }
            }
            Origin::Foreign => {
                self.state.tried.insert(&trial.candidate.point);
                if let Some(score) = score {
                    let values = trial.candidate.point.values().to_vec();
                    self.state.archive.keep(&values, score);
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
        state.check(&self.setup, &self.space)?;
        self.state = state;
        Ok(())
    }
}
