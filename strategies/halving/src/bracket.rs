//! Rungs of candidates, and which of them go on.

use lapidary_core::rank;
use lapidary_core::trial::Score;
use lapidary_core::wire::Row;
use serde::{Deserialize, Serialize};

/// Candidates that go up rung by rung.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bracket {
    pub number: u64,
    /// The rung where candidates enter.
    pub first: usize,
    /// How many enter; `None` for without end.
    pub size: Option<u64>,
    /// From the first on.
    pub rungs: Vec<Rung>,
}

/// Trials of one fidelity.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    pub asked: u64,
    pub told: u64,
    /// Of those told, how many went on.
    pub promoted: u64,
    /// Of those told, which may still go on, by id; none on the last rung.
    pub waiting: Vec<Member>,
}

/// A candidate that may go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Id of its last trial.
    pub id: u64,
    /// The point.
    pub point: Row,
    /// What its last trial gave.
    pub score: Score,
}

impl Bracket {
    /// An empty bracket.
    pub fn new(number: u64, first: usize, size: Option<u64>, top: usize) -> Self {
        Self {
            number,
            first,
            size,
            rungs: vec![Rung::default(); top - first + 1],
        }
    }

    /// The rung that stands at `index` of the ladder.
    pub fn rung(&mut self, index: usize) -> &mut Rung {
        &mut self.rungs[index - self.first]
    }

    /// Whether further candidates may enter.
    pub fn is_open(&self) -> bool {
        self.size.is_none_or(|size| self.rungs[0].asked < size)
    }

    /// Takes out the candidate that goes on now, with the ladder's index of the rung it leaves; the highest rung comes first.
    /// `dry` says that none will enter any more.
    pub fn promote(&mut self, reduction: u64, dry: bool) -> Option<(usize, Member)> {
        for k in (0..self.rungs.len() - 1).rev() {
            if self.may_promote(k, reduction, dry)
                && let Some(best) = best(&self.rungs[k].waiting)
            {
                self.rungs[k].promoted += 1;
                self.rungs[k + 1].asked += 1;
                return Some((self.first + k, self.rungs[k].waiting.remove(best)));
            }
        }
        None
    }

    /// Whether all is told and nothing will come any more.
    pub fn is_done(&self, reduction: u64, dry: bool) -> bool {
        self.is_settled(self.rungs.len() - 1, reduction, dry)
    }

    fn may_promote(&self, k: usize, reduction: u64, dry: bool) -> bool {
        let rung = &self.rungs[k];
        // Of a rung that is complete at least one goes on, however few there are.
        let quota = if self.is_settled(k, reduction, dry) {
            (rung.told / reduction).max(1)
        } else if self.size.is_none() {
            rung.told / reduction
        } else {
            0
        };
        rung.promoted < quota && !rung.waiting.is_empty()
    }

    /// Whether all trials that rung `k` will ever have are told.
    fn is_settled(&self, k: usize, reduction: u64, dry: bool) -> bool {
        self.rungs[k].told == self.rungs[k].asked
            && match k.checked_sub(1) {
                None => dry || !self.is_open(),
                Some(below) => {
                    self.is_settled(below, reduction, dry)
                        && !self.may_promote(below, reduction, dry)
                }
            }
    }
}

/// The best member: by Deb's rules; with several objectives, of those that no other beats the one that stands most alone
/// (Deb et al., NSGA-II, 2002). The earlier of equals.
fn best(members: &[Member]) -> Option<usize> {
    let scores: Vec<&Score> = members.iter().map(|m| &m.score).collect();
    if scores.first()?.objectives.len() == 1 {
        return (0..scores.len()).min_by(|&a, &b| rank::compare(scores[a], scores[b]));
    }
    let front = rank::best_front(&scores);
    let of_front: Vec<&Score> = front.iter().map(|&i| scores[i]).collect();
    let crowding = rank::crowding(&of_front);
    let alone = (0..front.len()).min_by(|&a, &b| crowding[b].total_cmp(&crowding[a]));
    alone.map(|i| front[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, objectives: &[f64], violation: f64) -> Member {
        Member {
            id,
            point: Row::default(),
            score: Score {
                objectives: objectives.to_vec(),
                violation,
            },
        }
    }

    #[test]
    fn the_best_is_feasible_unbeaten_and_alone() {
        let one = [(3.0, 0.0), (1.0, 0.5), (2.0, 0.0), (2.0, 0.0)];
        let one = one.map(|(objective, violation)| member(0, &[objective], violation));
        assert_eq!(best(&one), Some(2));
        let line = [[9.0, 9.0], [2.0, 2.0], [1.5, 2.5], [0.0, 4.0], [4.0, 0.0]];
        let mut two: Vec<Member> = line.iter().map(|o| member(0, o, 0.0)).collect();
        assert_eq!(best(&two), Some(3));
        two.remove(3);
        assert_eq!(best(&two), Some(2));
        assert_eq!(best(&[]), None);
    }

    /// Tells what was asked of the first rung, `objective` by number.
    fn enter(bracket: &mut Bracket, told: std::ops::Range<u64>) {
        for id in told {
            bracket.rungs[0].asked += 1;
            bracket.rungs[0].told += 1;
            let score = ((id * 7) % 10) as f64;
            bracket.rungs[0].waiting.push(member(id, &[score], 0.0));
        }
    }

    #[test]
    fn a_bracket_goes_up_when_a_rung_is_complete() {
        let mut bracket = Bracket::new(0, 1, Some(9), 3);
        enter(&mut bracket, 0..8);
        assert_eq!(bracket.promote(3, false), None);
        enter(&mut bracket, 8..9);
        let mut gone = Vec::new();
        while let Some((rung, member)) = bracket.promote(3, false) {
            assert_eq!(rung, 1);
            gone.push(member.id);
        }
        // Objectives 0, 1 and 2.
        assert_eq!(gone, [0, 3, 6]);
        let rung = bracket.rung(2);
        rung.told = 2;
        rung.waiting.push(member(20, &[5.0], 0.0));
        assert_eq!(bracket.promote(3, false), None);
        bracket.rung(2).told = 3;
        assert_eq!(
            bracket.promote(3, false).map(|(k, m)| (k, m.id)),
            Some((2, 20))
        );
        assert!(!bracket.is_done(3, false));
        bracket.rung(3).told = 1;
        assert!(bracket.is_done(3, false));
    }

    #[test]
    fn without_end_every_third_goes_on_and_in_the_end_at_least_one() {
        let mut bracket = Bracket::new(0, 0, None, 2);
        enter(&mut bracket, 0..2);
        assert_eq!(bracket.promote(3, false), None);
        enter(&mut bracket, 2..3);
        assert_eq!(bracket.promote(3, false).map(|(_, m)| m.id), Some(0));
        assert_eq!(bracket.promote(3, false), None);
        assert_eq!(bracket.promote(3, true), None);
        bracket.rung(1).told = 1;
        bracket.rung(1).waiting.push(member(3, &[1.0], 0.0));
        assert_eq!(bracket.promote(3, false), None);
        assert_eq!(
            bracket.promote(3, true).map(|(k, m)| (k, m.id)),
            Some((1, 3))
        );
        bracket.rung(2).told = 1;
        assert!(bracket.is_done(3, true));
        assert!(!bracket.is_done(3, false));
    }
}
