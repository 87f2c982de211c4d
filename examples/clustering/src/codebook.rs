//! The values that weights share.

/// Most rounds of k-means; it settles long before.
const ROUNDS: usize = 200;

/// Values found by one-dimensional k-means (Lloyd, "Least Squares Quantization in PCM", 1982).
#[derive(Debug, Clone, PartialEq)]
pub struct Codebook {
    /// Rising.
    centres: Vec<f32>,
    /// Halfway between neighbouring centres.
    borders: Vec<f64>,
}

impl Codebook {
    /// At most `k` values for `weights`, which must be finite. Centres begin evenly spread from the smallest to the largest.
    /// Without weights or with `k` = 0 there are none.
    pub fn new(weights: &[f32], k: usize) -> Self {
        let mut sorted = weights.to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        // Sums of the first so many: the sum of any cluster, which is a run of the sorted weights, is a difference of two.
        let mut sums = vec![0.0];
        for &w in &sorted {
            sums.push(sums[sums.len() - 1] + f64::from(w));
        }
        let mut centres = spread(&sorted, k);
        let mut ends = Vec::new();
        for _ in 0..ROUNDS {
            let before = std::mem::replace(&mut ends, ends_of_clusters(&sorted, &centres));
            if before == ends {
                break;
            }
            let starts = std::iter::once(0).chain(ends.iter().copied());
            for (centre, (start, &end)) in centres.iter_mut().zip(starts.zip(&ends)) {
                // A centre without weights stays where it is.
                if start < end {
                    let mean = (sums[end] - sums[start]) / (end - start) as f64;
                    // Differences of sums are rounded: the mean must not leave its cluster.
                    *centre = mean.clamp(sorted[start].into(), sorted[end - 1].into());
                }
            }
        }
        let centres: Vec<f32> = centres.into_iter().map(|c| c as f32).collect();
        let exact: Vec<f64> = centres.iter().map(|&c| c.into()).collect();
        Self {
            borders: borders(&exact),
            centres,
        }
    }

    /// The value nearest to `weight`, of two the larger; `None` where there are no values.
    pub fn nearest(&self, weight: f32) -> Option<f32> {
        let cluster = self.borders.partition_point(|&b| b <= weight.into());
        self.centres.get(cluster).copied()
    }
}

/// `k` places evenly from the first to the last of `sorted`.
fn spread(sorted: &[f32], k: usize) -> Vec<f64> {
    let (Some(&low), Some(&high)) = (sorted.first(), sorted.last()) else {
        return Vec::new();
    };
    let (low, high) = (f64::from(low), f64::from(high));
    let steps = k.saturating_sub(1).max(1) as f64;
    (0..k)
        .map(|i| low + (high - low) * (i as f64 / steps))
        .collect()
}

fn borders(centres: &[f64]) -> Vec<f64> {
    centres.windows(2).map(|c| (c[0] + c[1]) / 2.0).collect()
}

/// Where in `sorted` the cluster of each centre ends.
fn ends_of_clusters(sorted: &[f32], centres: &[f64]) -> Vec<usize> {
    let mut ends: Vec<usize> = borders(centres)
        .into_iter()
        .map(|border| sorted.partition_point(|&w| f64::from(w) < border))
        .collect();
    ends.push(sorted.len());
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(weights: &[f32], book: &Codebook) -> f64 {
        let off = |w: &f32| f64::from(*w - book.nearest(*w).unwrap()).powi(2);
        weights.iter().map(off).sum()
    }

    #[test]
    fn separate_groups_get_their_means() {
        let weights = [-1.5, -0.5, 3.5, 4.5, 7.0, 9.0];
        let book = Codebook::new(&weights, 3);
        assert_eq!(book.centres, [-1.0, 4.0, 8.0]);
        assert_eq!(book.nearest(6.5), Some(8.0));
        assert_eq!(book.nearest(-4.0), Some(-1.0));
    }

    #[test]
    fn it_is_better_than_an_even_grid() {
        // Most weights are small, as in a trained layer.
        let weights: Vec<f32> = (-50..=50).map(|i| (i as f32 / 50.0).powi(3)).collect();
        for k in [2, 4, 16] {
            let book = Codebook::new(&weights, k);
            let grid: Vec<f64> = spread(&[-1.0, 1.0], k);
            let grid = Codebook {
                borders: borders(&grid),
                centres: grid.into_iter().map(|c| c as f32).collect(),
            };
            assert!(error(&weights, &book) < 0.8 * error(&weights, &grid), "{k}");
        }
    }

    #[test]
    fn a_second_clustering_of_few_values_changes_none() {
        let weights = [f32::MAX, -f32::MAX, f32::MAX, 1.0];
        let book = Codebook::new(&weights, 3);
        assert!(
            weights.iter().all(|&w| book.nearest(w) == Some(w)),
            "{book:?}"
        );
    }

    #[test]
    fn extreme_weights_have_finite_values() {
        for weights in [
            vec![],
            vec![0.25; 5],
            vec![f32::MAX, -f32::MAX],
            vec![f32::from_bits(1), -f32::from_bits(1)],
        ] {
            for k in [0, 1, 2, 256] {
                let book = Codebook::new(&weights, k);
                assert_eq!(book.nearest(0.3).is_some(), k > 0 && !weights.is_empty());
                assert!(
                    weights
                        .iter()
                        .all(|&w| book.nearest(w).is_none_or(f32::is_finite))
                );
            }
        }
    }
}
