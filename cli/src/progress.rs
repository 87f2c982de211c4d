//! Progress on stderr: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Plain lines come no closer than this.
const PACE: Duration = Duration::from_secs(2);

/// Steps a bar has where only a share is known.
const SHARES: u64 = 1000;

/// Shows how far some long work has come.
pub struct Progress {
    bar: ProgressBar,
    total: Option<u64>,
    /// When the last plain line was written; `None` on a terminal.
    plain: Option<Mutex<Option<Instant>>>,
}

impl Progress {
    /// Progress over `total` steps, or over an unknown number.
    pub fn steps(total: Option<u64>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self {
                bar: ProgressBar::hidden(),
                total,
                plain: Some(Mutex::new(None)),
            };
        }
        let bar = match total {
            Some(total) => ProgressBar::new(total)
                .with_style(style("{elapsed_precise} {bar:30} {pos}/{len} {wide_msg}")),
            None => ProgressBar::no_length()
                .with_style(style("{elapsed_precise} {spinner} {pos} {wide_msg}")),
        };
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            bar,
            total,
            plain: None,
        }
    }

    /// Progress told as shares in [0, 1].
    pub fn shares() -> Self {
        let progress = Self::steps(Some(SHARES));
        progress.bar.set_style(style(
            "{elapsed_precise} {bar:30} {percent:>3} % {wide_msg}",
        ));
        progress
    }

    /// `done` steps are done; `text` says what stands.
    pub fn step(&self, done: u64, text: &str) {
        self.bar.set_position(done);
        self.bar.set_message(text.to_owned());
        let total = self.total.map_or_else(String::new, |n| format!("/{n}"));
        self.line_now_and_then(|| format!("{done}{total} {text}"));
    }

    /// `share` of the work is done; `text` says what is being done.
    pub fn share(&self, share: f64, text: &str) {
        let share = share.clamp(0.0, 1.0);
        self.bar.set_position((share * SHARES as f64) as u64);
        self.bar.set_message(text.to_owned());
        self.line_now_and_then(|| format!("{:3.0} % {text}", share * 100.0));
    }

    fn line_now_and_then(&self, line: impl FnOnce() -> String) {
        let Some(Ok(mut last)) = self.plain.as_ref().map(Mutex::lock) else {
            return;
        };
        if last.is_none_or(|at| at.elapsed() >= PACE) {
            *last = Some(Instant::now());
            eprintln!("{}", line());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is fixed and valid")
}
