//! The members of the portfolio: each proposes places from what all have learnt.

pub mod additive;
pub mod cma;
pub mod cross;
pub mod line;
pub mod quadratic;
pub mod step;
pub mod tpe;

use std::sync::Arc;

use lapidary_core::rng::Rng;
use lapidary_core::space::Space;

use crate::archive::Archive;
use crate::entry::Entry;
use crate::place::Place;

/// What a member sees when it proposes.
pub struct View<'a> {
    /// Number of the trial that is proposed.
    pub trial: u64,
    /// The space.
    pub space: &'a Arc<Space>,
    /// Everything told.
    pub archive: &'a Archive,
    /// The best of the running descent.
    pub base: &'a Entry,
    /// Axes with numbers.
    pub numbers: &'a [usize],
    /// Axes with choices.
    pub choices: &'a [usize],
}

/// What came of a member's proposal.
pub struct Lesson<'a> {
    /// Number of the trial.
    pub trial: u64,
    /// Everything told, this trial included.
    pub archive: &'a Archive,
    /// What was evaluated.
    pub place: &'a Place,
    /// The scored point; `None` where the trial failed.
    pub entry: Option<&'a Entry>,
    /// Whether the trial became the base.
    pub improved: bool,
}

/// One way to propose.
pub trait Member {
    /// The next place to look at; `None` where the member has nothing to say now.
    fn propose(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<Place>;

    /// Learns what came of its proposal within the running descent.
    fn learn(&mut self, _lesson: &Lesson<'_>) {}

    /// Its proposal for a trial was tried before and is not evaluated.
    fn refused(&mut self, _trial: u64) {}

    /// Forgets the running descent.
    fn restart(&mut self) {}
}

#[cfg(test)]
pub mod tests {
    use lapidary_core::json::Json;
    use lapidary_core::space::{Axis, Domain};
    use lapidary_core::trial::Score;

    use super::*;

    /// A space of numbers in [0, 1] and choices.
    pub fn space(numbers: usize, options: &[usize]) -> Arc<Space> {
        let number = |i| {
            let domain = Domain::Float {
                low: 0.0,
                high: 1.0,
                log: false,
                step: None,
            };
            Axis::new(format!("x{i}"), domain)
        };
        let choice = |(i, n): (usize, &usize)| {
            let options = (0..*n).map(Json::from).collect();
            Axis::new(format!("c{i}"), Domain::Choice { options })
        };
        let axes = (0..numbers).map(number);
        let axes = axes.chain(options.iter().enumerate().map(choice));
        Arc::new(Space::new(axes.collect()).unwrap())
    }

    /// One member alone with a function to minimise.
    pub struct Study<F> {
        space: Arc<Space>,
        pub archive: Archive,
        pub base: Entry,
        f: F,
        told: u64,
    }

    impl<F: Fn(&[f64]) -> Option<f64>> Study<F> {
        /// Begins at a place that has a value.
        pub fn new(space: Arc<Space>, start: &[f64], f: F) -> Self {
            let mut archive = Archive::new(1);
            let place = Place::from(start.iter().map(|u| Some(*u)).collect::<Vec<_>>());
            let base = archive.entry(place, score(f(start).unwrap()), 0);
            archive.add(&base);
            Self {
                space,
                archive,
                base,
                f,
                told: 1,
            }
        }

        fn rng(&self, purpose: &str) -> Rng {
            Rng::keyed(5, self.told, purpose)
        }

        /// Draws a place evenly and notes its value.
        pub fn sample(&mut self) {
            let mut rng = self.rng("sample");
            let place = Place::of(&self.space.sample(&mut rng));
            self.note(place);
        }

        /// What the member proposes.
        pub fn proposal(&mut self, member: &mut dyn Member) -> Option<Place> {
            let axes = self.space.axes();
            let (choices, numbers): (Vec<usize>, Vec<usize>) =
                (0..axes.len()).partition(|&i| axes[i].domain.is_choice());
            let mut rng = self.rng("propose");
            let view = View {
                trial: self.told,
                space: &self.space,
                archive: &self.archive,
                base: &self.base,
                numbers: &numbers,
                choices: &choices,
            };
            member.propose(&view, &mut rng)
        }

        /// Lets the member propose and learn; false where it has nothing to say.
        pub fn turn(&mut self, member: &mut dyn Member) -> bool {
            let Some(place) = self.proposal(member) else {
                return false;
            };
            let trial = self.told;
            let (entry, improved) = self.note(place.clone());
            member.learn(&Lesson {
                trial,
                archive: &self.archive,
                place: &place,
                entry: entry.as_ref(),
                improved,
            });
            true
        }

        /// Notes a place's value, and whether it is the base now.
        pub fn note(&mut self, place: Place) -> (Option<Entry>, bool) {
            let at = self.told;
            self.told += 1;
            let Some(value) = (self.f)(&place) else {
                self.archive.fail(place);
                return (None, false);
            };
            let entry = self.archive.entry(place, score(value), at);
            self.archive.add(&entry);
            let improved = entry.compare(&self.base).is_lt();
            if improved {
                self.base = entry.clone();
            }
            (Some(entry), improved)
        }
    }

    fn score(value: f64) -> Score {
        Score {
            objectives: vec![value],
            violation: 0.0,
        }
    }
}
