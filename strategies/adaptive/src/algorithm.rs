//! The portfolio: whose turn it is, and what each trial teaches.

use std::collections::BTreeMap;
use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::ledger::Ledger;
use lapidary_core::registry::{BuildError, SearchInit};
use lapidary_core::rng::Rng;
use lapidary_core::searcher::{SearchError, Searcher, Snapshot, check_objectives};
use lapidary_core::settings::Checked;
use lapidary_core::space::{Point, Space};
use lapidary_core::trial::{Candidate, Origin, Score, Trial};
use lapidary_core::tried::Tried;
use serde::{Deserialize, Serialize};

use crate::archive::Archive;
use crate::config::{Config, Start};
use crate::credit::Credits;
use crate::entry::Entry;
use crate::error::AdaptiveError;
use crate::member::{Lesson, View};
use crate::place::{Place, other_option, reflect};
use crate::portfolio::{Portfolio, Who};

const NAME: &str = crate::ENTRY.info.name;
/// Version of the snapshot's form.
const VERSION: u32 = 1;
/// Proposals of a member that may be refused in one turn.
const TRIES: usize = 3;
/// Draws of tried points before the rest of the space is walked through.
const DRAWS: usize = 32;

/// Trials without gain before a descent is given up: so many, and so many for each axis.
const PATIENCE: (u32, u32) = (30, 8);
/// With several objectives, trials without gain before they are seen in another way, besides one for each axis.
const PATIENCE_OF_A_VIEW: u32 = 8;

/// Makes the searcher.
pub fn build(settings: &Json, init: &SearchInit) -> Result<Box<dyn Searcher>, BuildError> {
    let config = crate::ENTRY.info.read_settings(settings)?;
    Ok(Box::new(Adaptive::new(config, init)))
}

/// The searcher.
struct Adaptive {
    space: Arc<Space>,
    /// Axes with numbers and axes with choices.
    numbers: Vec<usize>,
    choices: Vec<usize>,
    state: State,
}

/// What changes while it runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    config: Checked<Config>,
    seed: u64,
    ledger: Ledger,
    tried: Tried,
    /// Candidates that are not told yet.
    pending: BTreeMap<u64, Asked>,
    /// Number of tells.
    told: u64,
    archive: Archive,
    credits: Credits,
    members: Portfolio,
    /// The best of the running descent; none until its start is told.
    base: Option<Entry>,
    /// Places to begin the running descent from, the next last.
    starts: Vec<Place>,
    descent: u32,
    /// Trials of the descent since it last gained.
    since: u32,
}

/// How a candidate came about.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The member that proposed it; none for starts and draws.
    by: Option<Who>,
    descent: u32,
}

impl Adaptive {
    fn new(config: Checked<Config>, init: &SearchInit) -> Self {
        let axes = init.space.axes();
        let (choices, numbers) = (0..axes.len()).partition(|&i| axes[i].domain.is_choice());
        let starts = match config.start {
            Start::Middle => vec![Place::of(&init.space.middle())],
            Start::Random => Vec::new(),
        };
        Self {
            space: init.space.clone(),
            numbers,
            choices,
            state: State {
                config,
                seed: init.seed,
                ledger: Ledger::default(),
                tried: Tried::default(),
                pending: BTreeMap::new(),
                told: 0,
                archive: Archive::new(init.objectives),
                credits: Credits::new(),
                members: Portfolio::new(axes.len()),
                base: None,
                starts,
                descent: 0,
                since: 0,
            },
        }
    }

    /// A point that was not tried, with the member that proposes it; `None` where there is none left.
    fn propose(&mut self, rng: &mut Rng) -> Option<(Option<Who>, Point)> {
        let state = &mut self.state;
        while let Some(start) = state.starts.pop() {
            let point = start.point(&self.space, rng);
            if state.tried.insert(&point) {
                return Some((None, point));
            }
        }
        if let Some(base) = &state.base {
            let mut open = state.config.members.clone();
            while !open.is_empty() {
                let who = state.credits.draw(&open, rng);
                let view = View {
                    trial: state.ledger.next(),
                    space: &self.space,
                    archive: &state.archive,
                    base,
                    numbers: &self.numbers,
                    choices: &self.choices,
                };
                for _ in 0..TRIES {
                    let Some(place) = state.members.get(who).propose(&view, rng) else {
                        break;
                    };
                    let point = place.point(&self.space, rng);
                    if state.tried.insert(&point) {
                        return Some((Some(who), point));
                    }
                    state.members.get(who).refused(view.trial);
                }
                open.retain(|other| *other != who);
            }
        }
        for _ in 0..DRAWS {
            let point = self.space.sample(rng);
            if state.tried.insert(&point) {
                return Some((None, point));
            }
        }
        let point = state.tried.first_left(&self.space)?;
        state.tried.insert(&point);
        Some((None, point))
    }

    fn learn(&mut self, candidate: &Candidate, score: Option<Score>, asked: Option<Asked>) {
        let state = &mut self.state;
        let place = Place::of(&candidate.point);
        let at = state.told;
        state.told += 1;
        let mut rng = Rng::keyed(state.seed, at, "adaptive tell");
        let several = state.archive.scalarisation().objectives() > 1;
        let entry = score.map(|score| state.archive.entry(place.clone(), score, at));
        let running = asked.is_none_or(|a| a.descent == state.descent);

        // How much better it is than the best, and than the running descent's base.
        let best = state.archive.best().cloned();
        let gain = |entry: &Entry, over: Option<&Entry>| match over {
            None => Some(1.0),
            Some(over) => entry
                .compare(over)
                .is_lt()
                .then(|| state.archive.share(entry, over)),
        };
        let record = entry.as_ref().and_then(|e| gain(e, best.as_ref()));
        let over_base = entry.as_ref().and_then(|e| gain(e, state.base.as_ref()));
        let over_base = over_base.filter(|_| running);

        let was_feasible = state.archive.is_feasible();
        let front_gain = entry.as_ref().map_or(0.0, |e| state.archive.add(e));
        if entry.is_none() {
            state.archive.fail(place.clone());
        }
        if let (Some(entry), Some(_)) = (&entry, over_base) {
            state.base = Some(entry.clone());
        }
        if running {
            if over_base.is_some_and(|gain| gain > 1e-3) {
                state.since = 0;
            } else {
                state.since = state.since.saturating_add(1);
            }
        }

        if let Some(who) = asked.and_then(|a| a.by) {
            let reward = if several {
                if front_gain > 0.0 {
                    0.2 + 0.8 * (front_gain * 10.0).min(1.0)
                } else {
                    0.0
                }
            } else {
                match (record, over_base) {
                    (Some(gain), _) => 0.2 + 0.8 * gain,
                    (None, Some(_)) => 0.1,
                    (None, None) => 0.0,
                }
            };
            state.credits.give(who, reward);
            if running || who == Who::Cma {
                let lesson = Lesson {
                    trial: candidate.id,
                    archive: &state.archive,
                    place: &place,
                    entry: entry.as_ref(),
                    improved: over_base.is_some(),
                };
                state.members.get(who).learn(&lesson);
            }
        }
        if state.archive.is_feasible() != was_feasible {
            // Merits mean something else from now on.
            state.members.restart();
        }
        let axes = self.space.axes().len() as u32;
        if several && state.since > PATIENCE_OF_A_VIEW + axes {
            self.turn(&mut rng);
        } else if !several && state.since > PATIENCE.0 + PATIENCE.1 * axes {
            self.restart(&mut rng);
        }
    }

    /// Looks at the objectives in another way and goes on from what is best then.
    fn turn(&mut self, rng: &mut Rng) {
        let state = &mut self.state;
        state.descent = state.descent.wrapping_add(1);
        state.since = 0;
        state
            .archive
            .look(|scalarisation, front| scalarisation.turn(front, rng));
        state.members.restart();
        if let Some(best) = state.archive.best_of_front() {
            state.base = Some(best.clone());
        }
    }

    /// Begins another descent: mostly near the best with one choice changed, sometimes anywhere.
    fn restart(&mut self, rng: &mut Rng) {
        let state = &mut self.state;
        state.descent = state.descent.wrapping_add(1);
        state.since = 0;
        state.members.restart();
        state.base = None;
        let Some(best) = state.archive.best() else {
            return;
        };
        let mut place = best.place.clone();
        let round = state.descent % 4;
        if round == 3 {
            place = Place::of(&self.space.sample(rng));
        } else {
            let width = 0.05 * f64::from(1 + round);
            for &i in &self.numbers {
                if !place[i].is_nan() {
                    place[i] = reflect(place[i] + width * rng.normal());
                }
            }
            if !self.choices.is_empty() {
                let i = self.choices[rng.index(self.choices.len())];
                place[i] = other_option(&self.space, i, place[i], rng);
            }
        }
        state.starts.push(place);
    }
}

impl Searcher for Adaptive {
    fn ask(&mut self, n: usize) -> Result<Vec<Candidate>, SearchError> {
        let mut candidates = Vec::new();
        while candidates.len() < n {
            let mut rng = Rng::keyed(self.state.seed, self.state.ledger.next(), "adaptive");
            let Some((by, point)) = self.propose(&mut rng) else {
                break;
            };
            let state = &mut self.state;
            let candidate = state.ledger.candidate(point);
            let asked = Asked {
                by,
                descent: state.descent,
            };
            state.pending.insert(candidate.id, asked);
            candidates.push(candidate);
        }
        Ok(candidates)
    }

    fn tell(&mut self, trial: &Trial) -> Result<(), SearchError> {
        let state = &mut self.state;
        let id = trial.candidate.id;
        if trial.origin == Origin::Own {
            state.ledger.check(NAME, id)?;
        }
        check_objectives(NAME, trial, state.archive.scalarisation().objectives())?;
        let asked = match trial.origin {
            Origin::Own => {
                state.ledger.tell(NAME, id)?;
                state.pending.remove(&id)
            }
            Origin::Foreign => {
                state.tried.insert(&trial.candidate.point);
                None
            }
        };
        let usable = |s: &&Score| s.objectives.iter().all(|v| v.is_finite()) && s.violation >= 0.0;
        let score = trial.score.as_ref().filter(usable).cloned();
        self.learn(&trial.candidate, score, asked);
        Ok(())
    }

    fn snapshot(&self) -> Result<Snapshot, SearchError> {
        Snapshot::of(NAME, VERSION, &self.state)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), SearchError> {
        let mut state: State = snapshot.read(NAME, VERSION)?;
        if state.config != self.state.config || state.seed != self.state.seed {
            return Err(AdaptiveError::OtherSearch.into());
        }
        state.restore(
            self.space.axes().len(),
            self.state.archive.scalarisation().objectives(),
        )?;
        self.state = state;
        Ok(())
    }
}

impl State {
    /// Makes up what is not written.
    fn restore(&mut self, axes: usize, objectives: usize) -> Result<(), AdaptiveError> {
        let unfit = |what| Err(AdaptiveError::Unfit { what });
        if !self.archive.restore(axes, objectives) {
            return unfit("scored points");
        }
        let base = self.base.as_mut();
        if base.is_some_and(|b| !self.archive.adopt(b, axes)) {
            return unfit("coordinates of the base");
        }
        if self.starts.iter().any(|s| s.len() != axes) {
            return unfit("starts");
        }
        if !self.pending.keys().copied().eq(self.ledger.pending()) {
            return unfit("open trials");
        }
        if !self.members.is_sound(axes) || !self.credits.is_sound() {
            return unfit("members");
        }
        if self.told > 1 << 60 {
            return unfit("counters");
        }
        Ok(())
    }
}
