//! Update rules and schedules.

use lapidary_core::fit::{FitPlan, Schedule, Update};
use rayon::prelude::*;

/// Elements of a weight that are worth a thread's while.
const PIECE: usize = 1 << 14;

/// Keeps AdamW's denominator away from zero.
const EPSILON: f32 = 1e-8;

/// The state of an update rule for all trained weights.
pub(super) struct Updater {
    rule: Update,
    decay: f32,
    peak: f32,
    schedule: Schedule,
    total: usize,
    step: usize,
    /// First and second moments of each weight; SGD uses the first as its velocity.
    moments: Vec<[Vec<f32>; 2]>,
}

/// The factors of one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    learning_rate: f32,
    /// AdamW's corrections `1 − βᵗ` of the first and second moment.
    corrections: [f32; 2],
}

impl Updater {
    /// A fresh state for weights of the given element counts, over `total` steps.
    pub(super) fn new(plan: &FitPlan, elements: &[usize], total: usize) -> Self {
        let second = matches!(plan.update, Update::AdamW { .. });
        let moments = elements
            .iter()
            .map(|&n| [vec![0.0; n], vec![0.0; if second { n } else { 0 }]])
            .collect();
        Self {
            rule: plan.update,
            decay: plan.weight_decay,
            peak: plan.learning_rate,
            schedule: plan.schedule,
            total,
            step: 0,
            moments,
        }
    }

    /// Steps so far, and the moments of each weight.
    pub(super) fn state(&self) -> (usize, &[[Vec<f32>; 2]]) {
        (self.step, &self.moments)
    }

    /// Goes on from a state; whether it is one of such weights under such a rule.
    pub(super) fn restore(&mut self, step: usize, moments: Vec<[Vec<f32>; 2]>) -> bool {
        let sizes = |moments: &[[Vec<f32>; 2]]| -> Vec<[usize; 2]> {
            let sizes = |[first, second]: &[Vec<f32>; 2]| [first.len(), second.len()];
            moments.iter().map(sizes).collect()
        };
        let fits = sizes(&moments) == sizes(&self.moments);
        if fits {
            (self.step, self.moments) = (step, moments);
        }
        fits
    }

    /// Begins the next step.
    pub(super) fn begin(&mut self) -> Rate {
        let share = self.step as f64 / self.total.max(1) as f64;
        self.step += 1;
        let learning_rate = match self.schedule {
            Schedule::Constant => self.peak,
            Schedule::Cosine => {
                (f64::from(self.peak) * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())) as f32
            }
        };
        let corrections = match self.rule {
            Update::AdamW { beta1, beta2 } => [beta1, beta2].map(|beta| {
                (1.0 - f64::from(beta).powi(self.step.min(i32::MAX as usize) as i32)) as f32
            }),
            Update::Sgd { .. } => [1.0; 2],
        };
        Rate {
            learning_rate,
            corrections,
        }
    }

    /// Moves weight number `index` against its gradient. `decays` says whether weight decay applies; masked elements become and stay zero.
    pub(super) fn apply(
        &mut self,
        rate: Rate,
        index: usize,
        weight: &mut [f32],
        grad: &[f32],
        decays: bool,
        mask: Option<&[bool]>,
    ) {
        let decay = if decays { self.decay } else { 0.0 };
        let [first, second] = &mut self.moments[index];
        let lr = rate.learning_rate;
        let pieces = weight
            .par_chunks_mut(PIECE)
            .zip(grad.par_chunks(PIECE))
            .zip(first.par_chunks_mut(PIECE));
        match self.rule {
            Update::Sgd { momentum } => pieces.for_each(|((weight, grad), first)| {
                for ((w, &g), v) in weight.iter_mut().zip(grad).zip(first) {
                    *v = momentum * *v + (g + decay * *w);
                    *w -= lr * *v;
                }
            }),
            Update::AdamW { beta1, beta2 } => {
                let [c1, c2] = rate.corrections;
                let pieces = pieces.zip(second.par_chunks_mut(PIECE));
                pieces.for_each(|(((weight, grad), first), second)| {
                    for (((w, &g), m), v) in weight.iter_mut().zip(grad).zip(first).zip(second) {
                        *m = beta1 * *m + (1.0 - beta1) * g;
                        *v = beta2 * *v + (1.0 - beta2) * (g * g);
                        let step = (*m / c1) / ((*v / c2).sqrt() + EPSILON);
                        *w -= lr * (step + decay * *w);
                    }
                });
            }
        }
        if let Some(mask) = mask {
            zero(weight, mask);
        }
    }
}

/// Zeroes the elements that `mask` does not keep.
pub(super) fn zero(weight: &mut [f32], mask: &[bool]) {
    for (w, &keep) in weight.iter_mut().zip(mask) {
        if !keep {
            *w = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(update: Update, schedule: Schedule) -> FitPlan {
        FitPlan {
            update,
            schedule,
            learning_rate: 0.1,
            weight_decay: 0.5,
            ..FitPlan::default()
        }
    }

    #[test]
    fn sgd_by_hand() {
        let plan = plan(Update::Sgd { momentum: 0.9 }, Schedule::Constant);
        let mut updater = Updater::new(&plan, &[2], 10);
        let mut weight = [1.0, 2.0];
        let rate = updater.begin();
        updater.apply(rate, 0, &mut weight, &[1.0, 0.0], true, None);
        // v = g + 0.5 w = [1.5, 1]; w −= 0.1 v.
        assert_eq!(weight, [0.85, 1.9]);
        let rate = updater.begin();
        updater.apply(rate, 0, &mut weight, &[0.0, 0.0], false, None);
        // v = 0.9 v, no decay.
        assert!(
            (weight[0] - 0.715).abs() < 1e-6 && (weight[1] - 1.81).abs() < 1e-6,
            "{weight:?}"
        );
    }

    #[test]
    fn adamw_by_hand() {
        let rule = Update::AdamW {
            beta1: 0.9,
            beta2: 0.99,
        };
        let plan = plan(rule, Schedule::Constant);
        let mut updater = Updater::new(&plan, &[2], 10);
        let mut weight = [1.0, 1.0];
        let rate = updater.begin();
        // The first corrected step is the gradient's sign; decay comes on top.
        updater.apply(rate, 0, &mut weight, &[0.3, -2.0], true, None);
        assert!(
            (weight[0] - 0.85).abs() < 1e-6 && (weight[1] - 1.05).abs() < 1e-6,
            "{weight:?}"
        );
    }

    #[test]
    fn cosine_falls_from_the_peak_to_zero() {
        let plan = plan(Update::Sgd { momentum: 0.0 }, Schedule::Cosine);
        let mut updater = Updater::new(&plan, &[], 4);
        let rates: Vec<f32> = (0..5).map(|_| updater.begin().learning_rate).collect();
        for (rate, expected) in rates
            .iter()
            .zip([0.1, 0.085_355_34, 0.05, 0.014_644_66, 0.0])
        {
            assert!((rate - expected).abs() < 1e-7, "{rates:?}");
        }
    }

    #[test]
    fn masked_elements_stay_zero() {
        let plan = plan(
            Update::AdamW {
                beta1: 0.9,
                beta2: 0.99,
            },
            Schedule::Constant,
        );
        let mut updater = Updater::new(&plan, &[2], 10);
        let mut weight = [0.0, 1.0];
        let rate = updater.begin();
        updater.apply(
            rate,
            0,
            &mut weight,
            &[1.0, 1.0],
            true,
            Some(&[false, true]),
        );
        assert_eq!(weight[0], 0.0);
        assert!(weight[1] < 1.0);
    }
}
