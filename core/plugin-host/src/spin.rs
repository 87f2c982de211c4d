//! Spinning before sleeping, where another process may answer soon.

use std::time::{Duration, Instant};

/// How long to spin: waking up takes longer than most answers do.
const SPIN: Duration = Duration::from_micros(20);
/// After a spin that found nothing, the number of waits without one doubles, up to 2 to this power. So slow answers, or a
/// busy machine, cost others no time.
const MOST: u32 = 10;

/// Decides which waits begin with a spin.
#[derive(Debug, Default)]
pub struct Spinner {
    /// Spins since the last one that found something.
    vain: u32,
    /// Waits without a spin before the next one.
    skip: u32,
}

impl Spinner {
    /// What `attempt` finds while spinning; `None` where it finds nothing, or this wait begins without a spin.
    pub fn spin<T>(&mut self, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        let began = Instant::now();
        loop {
            if let Some(found) = attempt() {
                self.vain = 0;
                return Some(found);
            }
            if began.elapsed() >= SPIN {
                break;
            }
            std::hint::spin_loop();
        }
        self.vain = (self.vain + 1).min(MOST);
        self.skip = 1 << self.vain;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spins_that_find_nothing_become_rare_until_one_finds_something() {
        let mut spinner = Spinner::default();
        // Which of the next waits begin with a spin that finds nothing.
        let mut spins = |waits: usize| -> Vec<usize> {
            let spun = |spinner: &mut Spinner| {
                let mut spun = false;
                let found: Option<()> = spinner.spin(|| {
                    spun = true;
                    None
                });
                assert!(found.is_none());
                spun
            };
            (0..waits).filter(|_| spun(&mut spinner)).collect()
        };
        assert_eq!(spins(17), [0, 3, 8]);
        assert_eq!(spinner.spin(|| Some(7)), Some(7));
        assert_eq!(spinner.spin(|| Some(8)), Some(8));
    }
}
