//! Splits: which samples are for training, validation and test.

use std::collections::BTreeMap;

use lapidary_core::rng::Rng;

/// Cuts samples into parts by `shares` (percent, adding up to 100), each class within one sample of its share in each
/// part. `classes` holds the class of each sample. Returns the rows of each part in rising order; the same seed gives the
/// same parts.
///
/// What a class leaves over after rounding down goes to the parts that earlier classes have left shortest, so small
/// classes do not all land in the same part.
pub fn stratified(classes: &[usize], shares: &[usize], seed: u64) -> Vec<Vec<usize>> {
    debug_assert_eq!(shares.iter().sum::<usize>(), 100);
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (row, &class) in classes.iter().enumerate() {
        members.entry(class).or_default().push(row);
    }
    let mut parts = vec![Vec::new(); shares.len()];
    // What each part is still owed, in hundredths of a sample.
    let mut owed = vec![0i64; shares.len()];
    for (class, mut rows) in members {
        Rng::keyed(seed, class as u64, "split").shuffle(&mut rows);
        let mut counts: Vec<usize> = shares.iter().map(|s| rows.len() * s / 100).collect();
        let rests: Vec<i64> = shares
            .iter()
            .map(|s| (rows.len() * s % 100) as i64)
            .collect();
        for (owed, rest) in owed.iter_mut().zip(&rests) {
            *owed += rest;
        }
        let mut order: Vec<usize> = (0..shares.len()).filter(|&p| rests[p] > 0).collect();
        order.sort_by_key(|&p| std::cmp::Reverse(owed[p]));
        let spare = rows.len() - counts.iter().sum::<usize>();
        for &part in &order[..spare] {
            counts[part] += 1;
            owed[part] -= 100;
        }
        let mut rows = rows.into_iter();
        for (part, count) in parts.iter_mut().zip(counts) {
            part.extend(rows.by_ref().take(count));
        }
    }
    for part in &mut parts {
        part.sort_unstable();
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHARES: [usize; 3] = [70, 15, 15];

    #[test]
    fn a_hundred_of_each_class_split_exactly() {
        let classes: Vec<usize> = (0..300).map(|i| i % 3).collect();
        let parts = stratified(&classes, &SHARES, 1);
        assert_eq!(
            parts.iter().map(Vec::len).collect::<Vec<_>>(),
            [210, 45, 45]
        );
        for part in &parts {
            let of_class_0 = part.iter().filter(|&&row| classes[row] == 0).count();
            assert_eq!(of_class_0 * 3, part.len());
        }
    }

    #[test]
    fn classes_of_two_still_reach_every_part() {
        let classes: Vec<usize> = (0..200).map(|i| i / 2).collect();
        let parts = stratified(&classes, &SHARES, 1);
        assert_eq!(
            parts.iter().map(Vec::len).collect::<Vec<_>>(),
            [140, 30, 30]
        );
    }

    #[test]
    fn another_seed_gives_another_split() {
        let classes = vec![0; 100];
        assert_ne!(
            stratified(&classes, &SHARES, 1),
            stratified(&classes, &SHARES, 2)
        );
    }

    proptest! {
        #[test]
        fn a_split_is_a_stratified_partition(
            classes in prop::collection::vec(0usize..6, 0..400),
            train in 0usize..=100,
            seed: u64,
        ) {
            let shares = [train, (100 - train) / 2, (100 - train).div_ceil(2)];
            let parts = stratified(&classes, &shares, seed);
            let mut rows: Vec<usize> = parts.concat();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..classes.len()).collect::<Vec<_>>());
            for class in 0..6 {
                let total = classes.iter().filter(|&&c| c == class).count();
                for (part, share) in parts.iter().zip(shares) {
                    prop_assert!(part.is_sorted());
                    let count = part.iter().filter(|&&row| classes[row] == class).count();
                    prop_assert!((count * 100).abs_diff(total * share) < 100);
                }
            }
            prop_assert_eq!(parts, stratified(&classes, &shares, seed));
        }
    }
}
