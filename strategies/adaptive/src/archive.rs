//! What was told: the scored points that are worth remembering, and the front.

use lapidary_core::rank;
use lapidary_core::trial::Score;
use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::place::Place;
use crate::scalarisation::Scalarisation;

/// Entries that are kept: the best for one objective, the latest for several.
const KEPT: usize = 2000;
/// Members of the front that are kept: the least crowded.
const FRONT: usize = 200;
/// Failed places that are kept: the latest.
const FAILED: usize = 16;
/// Rank of the entry that gains are measured against.
const YARDSTICK: usize = 20;

/// The scored points.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// `sight` in snapshots.
    #[serde(rename = "sight")]
    scalarisation: Scalarisation,
    /// Best first under the scalarisation, constraints before objectives.
    entries: Vec<Entry>,
    /// With several objectives, entries that no other beats, oldest first.
    front: Vec<Entry>,
    /// Places of failed trials, oldest first.
    failed: Vec<Place>,
}

impl Archive {
    /// An empty archive of scores with `objectives` objectives.
    pub fn new(objectives: usize) -> Self {
        Self {
            scalarisation: Scalarisation::new(objectives),
            entries: Vec::new(),
            front: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// How objectives are seen as one.
    pub fn scalarisation(&self) -> &Scalarisation {
        &self.scalarisation
    }

    /// Scored points, best first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Where trials failed lately.
    pub fn failed(&self) -> &[Place] {
        &self.failed
    }

    /// Notes that a trial failed.
    pub fn fail(&mut self, place: Place) {
        if self.failed.len() >= FAILED {
            self.failed.remove(0);
        }
        self.failed.push(place);
    }

    /// The best of all.
    pub fn best(&self) -> Option<&Entry> {
        self.entries.first()
    }

    /// Whether anything feasible is known.
    pub fn is_feasible(&self) -> bool {
        self.best().is_some_and(|e| e.score.violation == 0.0)
    }

    /// The entry at a place.
    pub fn find(&self, place: &Place) -> Option<&Entry> {
        self.entries.iter().find(|e| e.place == *place)
    }

    /// What a model of numbers descends: the loss, and before anything feasible is known the violation. What is infeasible
    /// later is worse than all that is feasible.
    pub fn merit(&self, entry: &Entry) -> f64 {
        let violation = entry.score.violation;
        if !self.is_feasible() {
            violation
        } else if violation == 0.0 {
            entry.loss
        } else {
            let feasible = self.entries.partition_point(|e| e.score.violation == 0.0);
            let (best, worst) = (self.entries[0].loss, self.entries[feasible - 1].loss);
            worst + (worst - best) * violation / (1.0 + violation)
        }
    }

    /// An entry under the archive's scalarisation.
    pub fn entry(&self, place: Place, score: Score, at: u64) -> Entry {
        let loss = self.scalarisation.loss(&score.objectives);
        Entry {
            place,
            score,
            at,
            loss,
        }
    }

    /// Takes in an entry. What it adds to the front is in [0, 1]: the least improvement that every member of the front would
    /// need, in units of the front's extent, to be as good (the additive ε-indicator of Zitzler et al., 2003); 0 where it is
    /// beaten, and always with one objective.
    pub fn add(&mut self, entry: &Entry) -> f64 {
        let at = self.entries.partition_point(|e| e.compare(entry).is_le());
        self.entries.insert(at, entry.clone());
        if self.scalarisation.objectives() == 1 {
            self.entries.truncate(KEPT);
            return 0.0;
        }
        if self.entries.len() >= 2 * KEPT {
            let mut ages: Vec<u64> = self.entries.iter().map(|e| e.at).collect();
            let (_, oldest, _) = ages.select_nth_unstable(KEPT);
            let oldest = *oldest;
            self.entries.retain(|e| e.at >= oldest);
        }
        self.extend_front(entry)
    }

    fn extend_front(&mut self, new: &Entry) -> f64 {
        let beaten = |old: &Entry| {
            rank::beats(&old.score, &new.score) || rank::compare(&old.score, &new.score).is_eq()
        };
        if self.front.iter().any(beaten) {
            return 0.0;
        }
        let ahead = |old: &Entry| {
            let pairs = old.score.objectives.iter().zip(&new.score.objectives);
            let gains = pairs.enumerate().map(|(m, (a, b))| {
                self.scalarisation.normal(m, *a) - self.scalarisation.normal(m, *b)
            });
            gains.fold(f64::NEG_INFINITY, f64::max)
        };
        let gain = self
            .front
            .iter()
            .map(ahead)
            .fold(1.0, f64::min)
            .clamp(0.0, 1.0);
        self.front
            .retain(|old| !rank::beats(&new.score, &old.score));
        self.front.push(new.clone());
        if self.front.len() > FRONT {
            let scores: Vec<&Score> = self.front.iter().map(|e| &e.score).collect();
            let crowding = rank::crowding(&scores);
            let crowded = (0..crowding.len()).min_by(|&a, &b| crowding[a].total_cmp(&crowding[b]));
            self.front.remove(crowded.expect("the front is not empty"));
        }
        gain
    }

    /// Looks at the objectives in another way: measures the front, lets `aim` turn the scalarisation, and sorts by the new losses.
    pub fn look(&mut self, aim: impl FnOnce(&mut Scalarisation, &[Entry])) {
        self.scalarisation
            .fit(self.front.iter().map(|e| e.score.objectives.as_slice()));
        aim(&mut self.scalarisation, &self.front);
        self.sort();
    }

    fn sort(&mut self) {
        for entry in self.entries.iter_mut().chain(&mut self.front) {
            entry.loss = self.scalarisation.loss(&entry.score.objectives);
        }
        self.entries.sort_by(Entry::compare);
    }

    /// What `entry` gains over `over`, as a share of what is to be gained there from the entry at [`YARDSTICK`].
    pub fn share(&self, entry: &Entry, over: &Entry) -> f64 {
        let Some(last) = self.entries.len().checked_sub(1) else {
            return 1.0;
        };
        let worst = self.merit(&self.entries[last.min(YARDSTICK)]);
        let merit = self.merit(entry);
        let share = (self.merit(over) - merit) / (worst - merit);
        if share.is_nan() {
            0.0
        } else {
            share.clamp(0.0, 1.0)
        }
    }

    /// The member of the front that is best under the scalarisation.
    pub fn best_of_front(&self) -> Option<&Entry> {
        self.front.iter().min_by(|a, b| a.compare(b))
    }

    /// Makes up what is not written of an entry kept elsewhere; false where it is none of such points.
    pub fn adopt(&self, entry: &mut Entry, axes: usize) -> bool {
        entry.loss = self.scalarisation.loss(&entry.score.objectives);
        self.fits(entry, axes)
    }

    fn fits(&self, e: &Entry, axes: usize) -> bool {
        e.place.len() == axes
            && e.score.objectives.len() == self.scalarisation.objectives()
            && e.score.objectives.iter().all(|v| v.is_finite())
            && e.score.violation >= 0.0
    }

    /// Makes up what is not written; false where it is no archive of such points.
    pub fn restore(&mut self, axes: usize, objectives: usize) -> bool {
        if !self.scalarisation.is_sound(objectives)
            || !self
                .entries
                .iter()
                .chain(&self.front)
                .all(|e| self.fits(e, axes))
            || !self.failed.iter().all(|p| p.len() == axes)
        {
            return false;
        }
        self.sort();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(objectives: &[f64], violation: f64) -> Score {
        Score {
            objectives: objectives.to_vec(),
            violation,
        }
    }

    fn place(u: f64) -> Place {
        Place::from(vec![Some(u)])
    }

    fn archive(scores: &[Score]) -> Archive {
        let mut archive = Archive::new(scores[0].objectives.len());
        for (at, score) in scores.iter().enumerate() {
            let entry = archive.entry(place(at as f64 / 100.0), score.clone(), at as u64);
            archive.add(&entry);
        }
        archive
    }

    #[test]
    fn the_best_comes_first_and_only_the_best_are_kept() {
        let scores: Vec<Score> = (0..KEPT + 50)
            .map(|i| score(&[((i * 7919) % (KEPT + 50)) as f64], 0.0))
            .collect();
        let archive = archive(&scores);
        let losses: Vec<f64> = archive.entries().iter().map(|e| e.loss).collect();
        assert_eq!(losses, (0..KEPT).map(|i| i as f64).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_infeasible_is_worse_than_all_that_is_feasible() {
        let archive = archive(&[score(&[1.0], 0.0), score(&[5.0], 0.0), score(&[0.0], 0.3)]);
        let merits: Vec<f64> = archive.entries().iter().map(|e| archive.merit(e)).collect();
        assert!(merits[0] < merits[1] && merits[1] < merits[2], "{merits:?}");
    }

    #[test]
    fn the_front_grows_by_what_none_beats() {
        let mut archive = archive(&[score(&[0.0, 4.0], 0.0), score(&[4.0, 0.0], 0.0)]);
        archive.look(|_, _| {});
        let mut gain = |a: f64, b: f64| {
            let entry = archive.entry(place(0.5), score(&[a, b], 0.0), 9);
            archive.add(&entry)
        };
        assert_eq!(gain(1.0, 5.0), 0.0);
        // A quarter of the extent better than the nearer end.
        assert_eq!(gain(3.0, 1.0), 0.25);
        assert_eq!(gain(3.0, 1.0), 0.0);
        assert!(gain(1.0, 1.0) > 0.0);
        assert_eq!(archive.front.len(), 3);
    }

    #[test]
    fn the_latest_failures_are_remembered() {
        let mut archive = Archive::new(1);
        (0..FAILED + 3).for_each(|i| archive.fail(place(i as f64 / 100.0)));
        assert_eq!(archive.failed().len(), FAILED);
        assert_eq!(archive.failed()[0][0], 0.03);
    }
}
