//! Which of two scores is better.

use std::cmp::Ordering;

use lapidary_core::trial::Score;

/// Compares scores by Deb's rules, several objectives joined by an augmented Chebyshev distance from the ideal of the archive.
pub struct Judge {
    /// Ideal and weight of each objective; none where there is but one.
    pub scales: Vec<(f64, f64)>,
}

impl Judge {
    pub fn compare(&self, a: &Score, b: &Score) -> Ordering {
        a.violation
            .total_cmp(&b.violation)
            .then_with(|| self.joined(a).total_cmp(&self.joined(b)))
    }

    pub fn joined(&self, score: &Score) -> f64 {
        if self.scales.is_empty() {
            return score.objectives[0];
        }
        let pairs = score.objectives.iter().zip(&self.scales);
        let (most, sum) = pairs.fold(
            (f64::NEG_INFINITY, 0.0),
            |(most, sum), (v, (low, weight))| {
                let distance = weight * (v - low);
                (distance.max(most), sum + distance)
            },
        );
        most + 0.05 * sum
    }

    /// Whether `a` is better than `b`; none at all is worse than any.
    pub fn better(&self, a: Option<&Score>, b: Option<&Score>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => self.compare(a, b).is_lt(),
            (a, b) => a.is_some() && b.is_none(),
        }
    }

    /// By how much `a` is worse than `b`, where both keep the constraints.
    pub fn loss(&self, a: Option<&Score>, b: Option<&Score>) -> Option<f64> {
        let (a, b) = a.zip(b)?;
        let loss = self.joined(a) - self.joined(b);
        (a.violation == 0.0 && b.violation == 0.0 && loss.is_finite()).then_some(loss)
    }
}
