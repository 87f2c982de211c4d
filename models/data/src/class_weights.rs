//! Weights that make up for classes of different size.

use lapidary_core::samples::Targets;

/// The weight of each class that makes all count alike: `samples / (classes · samples of the class)`; 0 for a class
/// without samples. Empty where the targets are numbers.
pub fn class_weights(targets: &Targets) -> Vec<f32> {
    let Targets::Classes { labels, names } = targets else {
        return Vec::new();
    };
    let mut counts = vec![0usize; names.len()];
    for &label in labels {
        counts[label] += 1;
    }
    let present = counts.iter().filter(|&&count| count > 0).count();
    counts
        .into_iter()
        .map(|count| match count {
            0 => 0.0,
            count => (labels.len() as f64 / (present * count) as f64) as f32,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_balance_the_classes_that_are_there() {
        let targets = Targets::Classes {
            labels: vec![0, 0, 0, 2],
            names: ["a", "b", "c"].map(String::from).to_vec(),
        };
        let weights = class_weights(&targets);
        assert_eq!(weights[1..], [0.0, 2.0]);
        assert!((weights[0] * 3.0 - weights[2]).abs() < 1e-6);
        assert!((weights[0] * 3.0 + weights[2] - 4.0).abs() < 1e-6);
    }
}
