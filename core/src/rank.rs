//! Comparing scores: domination, constrained comparison, non-dominated sorting and crowding.

use std::borrow::Borrow;
use std::cmp::Ordering;

use crate::trial::Score;

/// Whether `a` is at least as good as `b` in every objective and better in one (Pareto domination).
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    let mut better = false;
    for (x, y) in a.iter().zip(b) {
        if x > y {
            return false;
        }
        better |= x < y;
    }
    better
}

/// Whether `a` constrained-dominates `b` (Deb, "An Efficient Constraint Handling Method for Genetic Algorithms", 2000): a
/// feasible score beats an infeasible one, of two infeasible ones the lesser violation wins, two feasible ones compare by
/// Pareto domination.
pub fn beats(a: &Score, b: &Score) -> bool {
    match (a.violation > 0.0, b.violation > 0.0) {
        (false, true) => true,
        (true, false) => false,
        (true, true) => a.violation < b.violation,
        (false, false) => dominates(&a.objectives, &b.objectives),
    }
}

/// A total order for a single objective by Deb's rules: feasible before infeasible, then violation, then objective. With
/// several objectives, those are compared in order after the violation.
pub fn compare(a: &Score, b: &Score) -> Ordering {
    a.violation.total_cmp(&b.violation).then_with(|| {
        a.objectives
            .iter()
            .zip(&b.objectives)
            .map(|(x, y)| x.total_cmp(y))
            .find(|o| o.is_ne())
            .unwrap_or(Ordering::Equal)
    })
}

/// Fronts of mutually non-dominated scores, best first, each as rising indices into `scores` (the fast non-dominated sort of
/// Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", 2002).
pub fn fronts(scores: &[&Score]) -> Vec<Vec<usize>> {
    let n = scores.len();
    let mut beaten_by = vec![0usize; n];
    let mut beaten: Vec<Vec<usize>> = vec![Vec::new(); n];
    for i in 0..n {
        for j in i + 1..n {
            if beats(scores[i], scores[j]) {
                beaten[i].push(j);
                beaten_by[j] += 1;
            } else if beats(scores[j], scores[i]) {
                beaten[j].push(i);
                beaten_by[i] += 1;
            }
        }
    }
    let mut fronts = Vec::new();
    let mut front: Vec<usize> = (0..n).filter(|&i| beaten_by[i] == 0).collect();
    while !front.is_empty() {
        let mut next = Vec::new();
        for &i in &front {
            for &j in &beaten[i] {
                beaten_by[j] -= 1;
                if beaten_by[j] == 0 {
                    next.push(j);
                }
            }
        }
        next.sort_unstable();
        fronts.push(std::mem::replace(&mut front, next));
    }
    fronts
}

/// Crowding distance of each score of one front: the normalised perimeter of the box between its neighbours, infinite at the
/// ends (Deb et al., 2002, §III-B).
pub fn crowding(scores: &[&Score]) -> Vec<f64> {
    let n = scores.len();
    let mut distance = vec![0.0; n];
    let objectives = scores.first().map_or(0, |s| s.objectives.len());
    for m in 0..objectives {
        let value = |i: usize| scores[i].objectives[m];
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| value(a).total_cmp(&value(b)).then(a.cmp(&b)));
        let span = value(order[n - 1]) - value(order[0]);
        distance[order[0]] = f64::INFINITY;
        distance[order[n - 1]] = f64::INFINITY;
        if span > 0.0 {
            for w in order.windows(3) {
                distance[w[1]] += (value(w[2]) - value(w[0])) / span;
            }
        }
    }
    distance
}

/// Indices of the scores that no other beats, rising; of scores that are equal in all, the first only.
pub fn best_front(scores: &[&Score]) -> Vec<usize> {
    let mut front = Front::default();
    for (i, score) in scores.iter().enumerate() {
        front.add(*score, i);
    }
    front.entries().iter().map(|(_, i)| *i).collect()
}

/// The scores that no other beats, of those that were added so far, each with what belongs to it; of scores that are equal in
/// all, the first only.
#[derive(Debug, Clone)]
pub struct Front<S, T>(Vec<(S, T)>);

impl<S, T> Default for Front<S, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<S: Borrow<Score>, T> Front<S, T> {
    /// Whether a score would have a place here.
    pub fn has_place_for(&self, score: &Score) -> bool {
        let beaten = |other: &Score| beats(other, score) || compare(other, score).is_eq();
        !self.0.iter().any(|(other, _)| beaten(other.borrow()))
    }

    /// Adds a score where it has a place here. What belongs to those that leave is returned: the scores that it beats, or itself.
    pub fn add(&mut self, score: S, of: T) -> Vec<T> {
        if !self.has_place_for(score.borrow()) {
            return vec![of];
        }
        let left = self.remove(|other, _| beats(score.borrow(), other));
        self.0.push((score, of));
        left
    }

    /// Takes out the scores for which `leaves` holds, and returns what belongs to them.
    pub fn remove(&mut self, leaves: impl Fn(&Score, &T) -> bool) -> Vec<T> {
        let left = self
            .0
            .extract_if(.., |(score, of)| leaves((*score).borrow(), of));
        left.map(|(_, of)| of).collect()
    }

    /// The scores, in the order they were added.
    pub fn entries(&self) -> &[(S, T)] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn score(objectives: &[f64], violation: f64) -> Score {
        Score {
            objectives: objectives.to_vec(),
            violation,
        }
    }

    #[test]
    fn feasible_beats_infeasible_whatever_the_objectives() {
        assert!(beats(&score(&[9.0], 0.0), &score(&[1.0], 0.1)));
        assert!(beats(&score(&[9.0], 0.1), &score(&[1.0], 0.2)));
        assert!(!beats(&score(&[1.0, 2.0], 0.0), &score(&[2.0, 1.0], 0.0)));
    }

    #[test]
    fn crowding_favours_the_ends_and_the_gaps() {
        let scores = [
            score(&[0.0, 4.0], 0.0),
            score(&[1.0, 3.0], 0.0),
            score(&[3.0, 1.0], 0.0),
            score(&[4.0, 0.0], 0.0),
        ];
        let d = crowding(&scores.iter().collect::<Vec<_>>());
        assert_eq!(d, [f64::INFINITY, 1.5, 1.5, f64::INFINITY]);
    }

    proptest! {
        #[test]
        fn fronts_partition_and_the_first_is_the_best_front(
            raw in prop::collection::vec((0u8..4, 0u8..4, 0u8..2), 1..40)
        ) {
            let scores: Vec<Score> = raw.iter().map(|&(a, b, v)| score(&[a.into(), b.into()], v.into())).collect();
            let scores: Vec<&Score> = scores.iter().collect();
            let fronts = fronts(&scores);
            let mut all: Vec<usize> = fronts.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..scores.len()).collect::<Vec<_>>());
            for i in best_front(&scores) {
                prop_assert!(fronts[0].contains(&i));
            }
            for pair in fronts.windows(2) {
                for &j in &pair[1] {
                    prop_assert!(pair[0].iter().any(|&i| beats(scores[i], scores[j])));
                }
            }
        }
    }
}
