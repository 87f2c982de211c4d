//! Sums in a fixed order that vectorises: sixteen lanes, then their sum.

const LANES: usize = 16;

/// Σ v.
pub(crate) fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, v)| *lane += v);
    }
    lanes.iter().sum::<f32>() + rest
}

/// Σ (a − a₀)(b − b₀).
pub(crate) fn dot_around(a: &[f32], a0: f32, b: &[f32], b0: f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (chunks_a, chunks_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = chunks_a.remainder().iter().zip(chunks_b.remainder());
    let rest: f32 = rest.map(|(a, b)| (a - a0) * (b - b0)).sum();
    for (a, b) in chunks_a.zip(chunks_b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += (a - a0) * (b - b0);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_cover_whole_lanes_and_the_rest() {
        let values: Vec<f32> = (1..=37).map(|v| v as f32).collect();
        assert_eq!(sum(&values), 703.0);
        let expected: f32 = values.iter().map(|v| (v - 1.0) * (v - 2.0)).sum();
        assert_eq!(dot_around(&values, 1.0, &values, 2.0), expected);
    }
}
