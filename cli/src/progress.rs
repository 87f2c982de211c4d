//! Progress on stderr: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Plain lines come no closer than this.
const PACE: Duration = Duration::from_secs(2);

/// Plain lines of long work come no closer than this share of the time it has taken.
const SHARE: u32 = 30;

/// The bar shows a new text no sooner than this.
const FRAME: Duration = Duration::from_millis(100);

/// Steps a bar has where only a share is known.
const SHARES: u64 = 1000;

/// Shows how far some long work has come.
pub struct Progress {
    bar: ProgressBar,
    total: Option<u64>,
    began: Instant,
    /// When the last text was shown.
    shown: Mutex<Option<Instant>>,
    /// Whether there is no terminal.
    plain: bool,
}

impl Progress {
    /// Progress over `total` steps, or over an unknown number.
    pub fn steps(total: Option<u64>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self {
                bar: ProgressBar::hidden(),
                total,
                began: Instant::now(),
                shown: Mutex::new(None),
                plain: true,
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
            began: Instant::now(),
            shown: Mutex::new(None),
            plain: false,
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
    pub fn step(&self, done: u64, text: impl FnOnce() -> String) {
        self.bar.set_position(done);
        let total = self.total.map_or_else(String::new, |n| format!("/{n}"));
        self.show(text, |text| format!("{done}{total} {text}"));
    }

    /// `share` of the work is done; `text` says what is being done.
    pub fn share(&self, share: f64, text: &str) {
        let share = share.clamp(0.0, 1.0);
        self.bar.set_position((share * SHARES as f64) as u64);
        self.show(
            || text.to_owned(),
            |text| format!("{:3.0} % {text}", share * 100.0),
        );
    }

    /// Shows a text, in a line of its own where there is no terminal, unless one was shown a moment ago.
    fn show(&self, text: impl FnOnce() -> String, line: impl FnOnce(&str) -> String) {
        let Ok(mut shown) = self.shown.lock() else {
            return;
        };
        let pace = if self.plain {
            PACE.max(self.began.elapsed() / SHARE)
        } else {
            FRAME
        };
        if shown.is_some_and(|at| at.elapsed() < pace) {
            return;
        }
        *shown = Some(Instant::now());
        if self.plain {
            eprintln!("{}", line(&text()));
        } else {
            self.bar.set_message(text());
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
