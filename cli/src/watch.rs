//! Watches a running study: shows how it stands, and keeps a line a trial where that is asked for.

use std::time::{Duration, Instant};

use lapidary_core::goal::Goal;
use lapidary_core::log::{Log, LogError};
use lapidary_core::rank::Front;
use lapidary_core::trial::{Candidate, Score, Trial};
use lapidary_study::file::StudyFile;
use lapidary_study::store::export;

use crate::failed_trials::FailedTrials;
use crate::output::number;
use crate::progress::Progress;

/// Watches a study.
pub struct Watch {
    progress: Progress,
    goal: Goal,
    began: Instant,
    /// Trials of the budget, and time of the budget that is left for this run.
    trials: Option<u64>,
    time: Option<Duration>,
    /// Trials that earlier runs finished: they take no time.
    recalled: u64,
    told: u64,
    /// Feasible trials at full fidelity that no other beats, the best first where there is one objective.
    front: Front<Score, f64>,
    failures: FailedTrials,
    lines: Option<String>,
}

impl Watch {
    /// Watches the study of `file`, of which earlier runs finished so many trials in so much time.
    pub fn new(file: &StudyFile, recalled: usize, spent: Duration, keep_lines: bool) -> Self {
        let trials = file.budget.trials;
        Self {
            progress: Progress::steps(trials),
            goal: file.goal.clone(),
            began: Instant::now(),
            trials,
            time: file.budget.time.map(|time| time.saturating_sub(spent)),
            recalled: recalled as u64,
            told: 0,
            front: Front::default(),
            failures: FailedTrials::default(),
            lines: keep_lines.then(String::new),
        }
    }

    /// The lines that were kept.
    pub fn finish(self) -> String {
        self.lines.unwrap_or_default()
    }

    /// Takes a trial into the front, where no other beats it.
    fn rank(&mut self, trial: &Trial) {
        let full = trial.is_feasible() && trial.candidate.fidelity == 1.0;
        let (true, Some(score)) = (full && trial.repeats.is_none(), &trial.score) else {
            return;
        };
        let metrics = trial.outcome.metrics();
        let value = metrics.and_then(|m| m.get(&self.goal.objectives[0].metric));
        let value = value.copied().unwrap_or(f64::NAN);
        self.front.add(score.clone(), value);
    }

    /// How the study stands.
    fn text(&self) -> String {
        let mut text = match self.front.entries() {
            [] => "nothing feasible yet".to_owned(),
            [(_, best), ..] if self.goal.objectives.len() == 1 => {
                format!("best {} {}", self.goal.objectives[0].metric, number(*best))
            }
            front => format!("front of {}", front.len()),
        };
        let elapsed = self.began.elapsed();
        if let Some(rate) = self.rate(elapsed) {
            text.push_str(&format!(" | {}", pace(rate)));
            if let Some(left) = self.left(rate, elapsed) {
                text.push_str(&format!(" | {} left", humantime::format_duration(left)));
            }
        }
        if !self.failures.by_reason().is_empty() {
            text.push_str(&format!(" | {}", self.failures.text()));
        }
        text
    }

    /// Trials a second in this run.
    fn rate(&self, elapsed: Duration) -> Option<f64> {
        let told = self.told.checked_sub(self.recalled).filter(|n| *n > 0)?;
        Some(told as f64 / elapsed.as_secs_f64().max(1e-6))
    }

    /// How long the study still takes: until its trials or its time are spent, whichever is first; in whole seconds.
    fn left(&self, rate: f64, elapsed: Duration) -> Option<Duration> {
        let trials = (self.trials)
            .map(|trials| trials.saturating_sub(self.told) as f64 / rate)
            .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
        let time = self.time.map(|time| time.saturating_sub(elapsed));
        let left = trials.into_iter().chain(time).min()?;
        Some(Duration::from_secs(left.as_secs_f64().round() as u64))
    }
}

/// A rate in the unit that reads well.
fn pace(rate: f64) -> String {
    if rate >= 1.0 {
        format!("{rate:.1} trials/s")
    } else {
        format!("{:.1} s/trial", 1.0 / rate)
    }
}

impl Log for Watch {
    fn asked(&mut self, _: &Candidate) -> Result<(), LogError> {
        Ok(())
    }

    fn told(&mut self, trial: &Trial) -> Result<(), LogError> {
        self.told += 1;
        self.failures.add(trial);
        self.rank(trial);
        self.progress.step(self.told, || self.text());
        if let Some(lines) = &mut self.lines {
            lines.push_str(&export::line(trial));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_core::registry::Registry;
    use lapidary_study::file::Overrides;
    use std::path::Path;

    fn watch(budget: &str) -> Watch {
        let text = format!(
            "[study]\nstrategy = \"random\"\n[budget]\n{budget}\n[goal]\nminimize = [\"f\"]\n\
             [space]\nx = {{ float = [0, 1] }}\n[[start]]\nx = 0.5\n"
        );
        let file = StudyFile::parse(
            Path::new("s.toml"),
            &text,
            &Overrides::default(),
            &Registry::new(&[]).unwrap(),
        )
        .unwrap();
        Watch::new(&file, 10, Duration::from_secs(30), false)
    }

    #[test]
    fn what_is_left_is_told_by_whichever_budget_ends_first() {
        let seconds = |budget: &str| {
            let mut watch = watch(budget);
            watch.told = 30;
            let elapsed = Duration::from_secs(5);
            let rate = watch.rate(elapsed).unwrap();
            assert_eq!(rate, 4.0, "recalled trials take no time");
            watch.left(rate, elapsed).map(|left| left.as_secs())
        };
        assert_eq!(seconds("trials = 50"), Some(5));
        assert_eq!(seconds("trials = 50\ntime = \"38s\""), Some(3));
        assert_eq!(seconds("time = \"10s\""), Some(0));
        assert_eq!(seconds(""), None);
        assert_eq!(pace(4.0), "4.0 trials/s");
        assert_eq!(pace(0.25), "4.0 s/trial");
    }
}
