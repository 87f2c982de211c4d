//! The fidelities of the rungs and the sizes of brackets.

use lapidary_core::settings::Checked;

use crate::config::{Config, Variant};

/// The rungs, the cheapest first, and how brackets stand on them.
#[derive(Debug, Clone)]
pub struct Ladder {
    /// Fidelity of each rung; 1 for the last.
    pub fidelities: Vec<f64>,
    /// One of so many goes on.
    pub reduction: u64,
    variant: Variant,
}

impl Ladder {
    /// The ladder of the settings.
    pub fn new(config: &Checked<Config>) -> Self {
        let reduction = f64::from(config.reduction);
        // A share such as 0.037 written for 1/27 is meant to reach it.
        let least = config.min_fidelity * (1.0 - 1e-2 / reduction);
        let parts = std::iter::successors(Some(1.0), |parts| Some(parts * reduction));
        let mut fidelities: Vec<f64> = parts
            .map(|parts| 1.0 / parts)
            .take_while(|f| *f >= least)
            .collect();
        fidelities.reverse();
        Self {
            fidelities,
            reduction: config.reduction.into(),
            variant: config.variant,
        }
    }

    /// The last rung, where evaluations are full.
    pub fn top(&self) -> usize {
        self.fidelities.len() - 1
    }

    /// The first rung of bracket `number` and how many candidates enter there; `None` for without end.
    pub fn bracket(&self, number: u64) -> (usize, Option<u64>) {
        let rungs = self.fidelities.len() as u64;
        let first = match self.variant {
            Variant::Asynchronous => return (0, None),
            Variant::Successive => 0,
            Variant::Hyperband => number % rungs,
        };
        // Brackets cost about the same: ⌈(s_max + 1) / (s + 1) · η^s⌉ candidates for s rungs above the first (Li et al. 2018,
        // algorithm 1).
        let above = rungs - 1 - first;
        let size = (rungs * self.reduction.pow(above as u32)).div_ceil(above + 1);
        (first as usize, Some(size))
    }

    /// How many of so many trials are first trials of their candidates, about.
    pub fn entries(&self, trials: u64) -> u64 {
        let brackets = match self.variant {
            Variant::Hyperband => self.fidelities.len() as u64,
            _ => 1,
        };
        let (mut entries, mut all) = (0u64, 0u64);
        for number in 0..brackets {
            let (first, size) = self.bracket(number);
            let mut size = size.unwrap_or_else(|| self.reduction.pow(self.top() as u32));
            entries += size;
            for _ in first..=self.top() {
                all += size;
                size = (size / self.reduction).max(1);
            }
        }
        (u128::from(trials) * u128::from(entries) / u128::from(all)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_core::settings::Settings;

    fn ladder(variant: Variant, reduction: u32, min_fidelity: f64) -> Ladder {
        let config = Config {
            variant,
            reduction,
            min_fidelity,
            ..Config::default()
        };
        Ladder::new(&config.check().unwrap())
    }

    #[test]
    fn rungs_reach_down_to_the_least_share() {
        let rungs = |reduction, least| ladder(Variant::Successive, reduction, least).fidelities;
        assert_eq!(
            rungs(3, 1.0 / 27.0),
            [1.0 / 27.0, 1.0 / 9.0, 1.0 / 3.0, 1.0]
        );
        assert_eq!(rungs(3, 0.037), rungs(3, 1.0 / 27.0));
        assert_eq!(rungs(2, 0.3), [0.5, 1.0]);
        assert_eq!(rungs(4, 1.0), [1.0]);
        assert_eq!(rungs(100, 1e-6).len(), 4);
        assert_eq!(rungs(2, 1e-6).len(), 20);
    }

    #[test]
    fn brackets_have_the_sizes_of_the_papers() {
        let sizes = |variant, min_fidelity| {
            let ladder = ladder(variant, 3, min_fidelity);
            (0..6).map(|n| ladder.bracket(n)).collect::<Vec<_>>()
        };
        // Table 1 of the Hyperband paper: R = 81, η = 3.
        let hyperband = [81, 34, 15, 8, 5].map(Some);
        let found = sizes(Variant::Hyperband, 1.0 / 81.0);
        assert_eq!(
            found[..5].iter().map(|b| b.1).collect::<Vec<_>>(),
            hyperband
        );
        assert_eq!(
            found.iter().map(|b| b.0).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4, 0]
        );
        assert_eq!(sizes(Variant::Successive, 1.0 / 27.0), [(0, Some(27)); 6]);
        assert_eq!(sizes(Variant::Asynchronous, 1.0 / 27.0), [(0, None); 6]);
    }

    #[test]
    fn entries_are_their_share_of_all_trials() {
        // 27 of 27 + 9 + 3 + 1.
        assert_eq!(ladder(Variant::Successive, 3, 1.0 / 27.0).entries(40), 27);
        assert_eq!(
            ladder(Variant::Asynchronous, 2, 1.0).entries(u64::MAX),
            u64::MAX
        );
    }
}
