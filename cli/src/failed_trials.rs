//! Why trials failed, counted.

use std::collections::BTreeMap;

use lapidary_core::text::visible;
use lapidary_core::trial::{Outcome, Trial};

/// Letters of a reason that are shown.
const LETTERS: usize = 60;

/// Reasons that are shown; the rest is only counted.
const SHOWN: usize = 3;

/// How many trials failed for which reason.
#[derive(Default)]
pub struct FailedTrials(BTreeMap<String, usize>);

impl FailedTrials {
    /// Counts `trial` where it failed.
    pub fn add(&mut self, trial: &Trial) {
        if let Outcome::Failed { reason } = &trial.outcome {
            *self.0.entry(short(reason)).or_default() += 1;
        }
    }

    /// The failures among `trials`.
    pub fn of(trials: &[Trial]) -> Self {
        let mut failures = Self::default();
        trials.iter().for_each(|trial| failures.add(trial));
        failures
    }

    /// Number of trials by reason, the most frequent first.
    pub fn by_reason(&self) -> Vec<(&str, usize)> {
        let mut all: Vec<(&str, usize)> = self.0.iter().map(|(r, n)| (r.as_str(), *n)).collect();
        all.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        all
    }

    /// `3 failed: 2 × no luck, 1 × too slow`.
    pub fn text(&self) -> String {
        let all = self.by_reason();
        let count = |reasons: &[(&str, usize)]| reasons.iter().map(|(_, n)| n).sum::<usize>();
        let mut text = format!("{} failed", count(&all));
        let (shown, rest) = all.split_at(all.len().min(SHOWN));
        for (i, (reason, n)) in shown.iter().enumerate() {
            let before = if i == 0 { ": " } else { ", " };
            text.push_str(&format!("{before}{n} × {reason}"));
        }
        if !rest.is_empty() {
            text.push_str(&format!(", {} for other reasons", count(rest)));
        }
        text
    }
}

/// The first line of a reason, cut where it is long.
fn short(reason: &str) -> String {
    let line = visible(reason.lines().next().unwrap_or_default().trim());
    match line.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_short_and_counted() {
        let mut failures = FailedTrials::default();
        assert_eq!(failures.text(), "0 failed");
        for (reason, n) in [("a\nmore", 2), ("b", 5), ("c", 1), ("d", 1)] {
            failures.0.insert(short(reason), n);
        }
        assert_eq!(
            failures.text(),
            "9 failed: 5 × b, 2 × a, 1 × c, 1 for other reasons"
        );
        assert_eq!(short(&"é".repeat(61)), format!("{}…", "é".repeat(60)));
    }
}
