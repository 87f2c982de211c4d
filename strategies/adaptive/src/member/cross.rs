//! Evolution: a child of two good points, recombined axis by axis and mutated (in the manner of Deb and Agrawal's real-coded
//! genetic algorithms, with uniform crossover of choices).

use lapidary_core::rng::Rng;

use super::{Member, View};
use crate::place::{Place, other_option, reflect};

/// Best entries that may be parents, and entries for each of them before it counts for something to be one.
const PARENTS: usize = 30;
const RIVALS: usize = 3;

/// Keeps nothing.
#[derive(Debug, Clone, Default)]
pub struct Cross;

impl Member for Cross {
    fn propose(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<Place> {
        let entries = view.archive.entries();
        if entries.len() < RIVALS * PARENTS {
            return None;
        }
        // The better of two draws.
        let mut pick = || &entries[rng.index(PARENTS).min(rng.index(PARENTS))].place;
        let (a, b) = (pick(), pick());
        let mut child = a.clone();
        let rate = 1.0 / child.len().max(1) as f64;
        for i in 0..child.len() {
            if b[i].is_nan() {
                continue;
            }
            if child[i].is_nan() {
                child[i] = b[i];
            } else if view.space.axes()[i].domain.is_choice() {
                if rng.chance(0.5) {
                    child[i] = b[i];
                }
                if rng.chance(rate) {
                    child[i] = other_option(view.space, i, child[i], rng);
                }
            } else {
                match rng.index(4) {
                    0 => child[i] = b[i],
                    // Between the parents, or a quarter beyond.
                    1 => child[i] = reflect(a[i] + (1.5 * rng.unit() - 0.25) * (b[i] - a[i])),
                    _ => {}
                }
                if rng.chance(rate) {
                    let width = if rng.chance(0.3) { 0.25 } else { 0.03 };
                    child[i] = reflect(child[i] + width * rng.normal());
                }
            }
        }
        Some(child)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Study, space};
    use super::*;

    #[test]
    fn children_take_after_good_parents() {
        let mut study = Study::new(space(2, &[3]), &[0.5, 0.5, 0.0], |x| {
            Some(x[0] + x[1] + x[2])
        });
        assert_eq!(study.proposal(&mut Cross), None);
        (0..200).for_each(|_| study.sample());
        let mean = |places: &[Place]| {
            places.iter().map(|p| p[0] + p[1] + p[2]).sum::<f64>() / places.len() as f64
        };
        let mut children = Vec::new();
        for _ in 0..50 {
            children.push(study.proposal(&mut Cross).unwrap());
            study.sample();
        }
        let all: Vec<Place> = study
            .archive
            .entries()
            .iter()
            .map(|e| e.place.clone())
            .collect();
        assert!(
            mean(&children) < 0.6 * mean(&all),
            "{} {}",
            mean(&children),
            mean(&all)
        );
    }
}
