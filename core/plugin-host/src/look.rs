//! Looking for what another process answers before going to sleep.

use std::time::{Duration, Instant};

/// So long one looks: to be woken takes longer than most answers do.
const LOOK: Duration = Duration::from_micros(20);
/// After looks in vain twice as many waits go without one each time, up to two to the power of this: so whoever waits for slow
/// answers, or on a machine that is busy, takes no time from others.
const MOST: u32 = 10;

/// Who looks at times before it waits.
#[derive(Debug, Default)]
pub struct Lookout {
    /// Looks in vain since the last one that was not.
    vain: u32,
    /// Waits without a look before the next one.
    skip: u32,
}

impl Lookout {
    /// What `attempt` finds within a look; `None` where there is nothing, or it is no time for a look.
    pub fn look<T>(&mut self, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
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
            if began.elapsed() >= LOOK {
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
    fn looks_in_vain_become_rare_and_one_that_is_not_brings_them_back() {
        let mut lookout = Lookout::default();
        // Which of the next waits begin with a look that finds nothing.
        let mut looks = |waits: usize| -> Vec<usize> {
            let looked = |lookout: &mut Lookout| {
                let mut looked = false;
                let found: Option<()> = lookout.look(|| {
                    looked = true;
                    None
                });
                assert!(found.is_none());
                looked
            };
            (0..waits).filter(|_| looked(&mut lookout)).collect()
        };
        assert_eq!(looks(17), [0, 3, 8]);
        assert_eq!(lookout.look(|| Some(7)), Some(7));
        assert_eq!(lookout.look(|| Some(8)), Some(8));
    }
}
