//! The Sobol' sequence under Owen scrambling.

/// Primitive polynomials and initial numbers m₁ … m_s of dimensions 2 to 53, all of degree at most 8, as (s, a, m): the
/// table `new-joe-kuo-6` of Joe and Kuo (2008). Dimension 1 is the van der Corput sequence.
const JOE_KUO: [(u32, u32, &[u32]); 52] = [
    (1, 0, &[1]),
    (2, 1, &[1, 3]),
    (3, 1, &[1, 3, 1]),
    (3, 2, &[1, 1, 1]),
    (4, 1, &[1, 1, 3, 3]),
    (4, 4, &[1, 3, 5, 13]),
    (5, 2, &[1, 1, 5, 5, 17]),
    (5, 4, &[1, 1, 5, 5, 5]),
    (5, 7, &[1, 1, 7, 11, 19]),
    (5, 11, &[1, 1, 5, 1, 1]),
    (5, 13, &[1, 1, 1, 3, 11]),
    (5, 14, &[1, 3, 5, 5, 31]),
    (6, 1, &[1, 3, 3, 9, 7, 49]),
    (6, 13, &[1, 1, 1, 15, 21, 21]),
    (6, 16, &[1, 3, 1, 13, 27, 49]),
    (6, 19, &[1, 1, 1, 15, 7, 5]),
    (6, 22, &[1, 3, 1, 15, 13, 25]),
    (6, 25, &[1, 1, 5, 5, 19, 61]),
    (7, 1, &[1, 3, 7, 11, 23, 15, 103]),
    (7, 4, &[1, 3, 7, 13, 13, 15, 69]),
    (7, 7, &[1, 1, 3, 13, 7, 35, 63]),
    (7, 8, &[1, 3, 5, 9, 1, 25, 53]),
    (7, 14, &[1, 3, 1, 13, 9, 35, 107]),
    (7, 19, &[1, 3, 1, 5, 27, 61, 31]),
    (7, 21, &[1, 1, 5, 11, 19, 41, 61]),
    (7, 28, &[1, 3, 5, 3, 3, 13, 69]),
    (7, 31, &[1, 1, 7, 13, 1, 19, 1]),
    (7, 32, &[1, 3, 7, 5, 13, 19, 59]),
    (7, 37, &[1, 1, 3, 9, 25, 29, 41]),
    (7, 41, &[1, 3, 5, 13, 23, 1, 55]),
    (7, 42, &[1, 3, 7, 3, 13, 59, 17]),
    (7, 50, &[1, 3, 1, 3, 5, 53, 69]),
    (7, 55, &[1, 1, 5, 5, 23, 33, 13]),
    (7, 56, &[1, 1, 7, 7, 1, 61, 123]),
    (7, 59, &[1, 1, 7, 9, 13, 61, 49]),
    (7, 62, &[1, 3, 3, 5, 3, 55, 33]),
    (8, 14, &[1, 3, 1, 15, 31, 13, 49, 245]),
    (8, 21, &[1, 3, 5, 15, 31, 59, 63, 97]),
    (8, 22, &[1, 3, 1, 11, 11, 11, 77, 249]),
    (8, 38, &[1, 3, 1, 11, 27, 43, 71, 9]),
    (8, 47, &[1, 1, 7, 15, 21, 11, 81, 45]),
    (8, 49, &[1, 3, 7, 3, 25, 31, 65, 79]),
    (8, 50, &[1, 3, 1, 1, 19, 11, 3, 205]),
    (8, 52, &[1, 1, 5, 9, 19, 21, 29, 157]),
    (8, 56, &[1, 3, 7, 11, 1, 33, 89, 185]),
    (8, 67, &[1, 3, 3, 3, 15, 9, 79, 71]),
    (8, 70, &[1, 3, 7, 11, 15, 39, 119, 27]),
    (8, 84, &[1, 1, 3, 1, 11, 31, 97, 225]),
    (8, 97, &[1, 1, 1, 3, 23, 43, 57, 177]),
    (8, 103, &[1, 3, 7, 7, 17, 17, 37, 71]),
    (8, 115, &[1, 3, 1, 5, 27, 63, 123, 213]),
    (8, 122, &[1, 1, 3, 5, 11, 43, 53, 133]),
];

/// Dimensions of one block: an axis beyond them uses the block again, its indices shuffled anew.
const BLOCK: usize = JOE_KUO.len() + 1;

/// A scrambled Sobol' sequence of any dimension.
#[derive(Debug, Clone)]
pub struct Sobol {
    dimensions: usize,
    seed: u64,
    /// Direction numbers by dimension within a block, the first bit of the index first.
    directions: Vec<[u32; 32]>,
}

impl Sobol {
    /// The sequence of `seed` in `dimensions` dimensions.
    pub fn new(dimensions: usize, seed: u64) -> Self {
        Self {
            dimensions,
            seed,
            directions: (0..dimensions.min(BLOCK)).map(directions).collect(),
        }
    }

    /// Point number `index`, each coordinate in [0, 1). After 2^32 points the sequence goes on under another scrambling.
    pub fn point(&self, index: u64) -> Vec<f64> {
        let era = mix(self.seed ^ mix(index >> 32));
        let mut shuffled = 0;
        (0..self.dimensions)
            .map(|d| {
                if d % BLOCK == 0 {
                    let seed = mix(era ^ (d / BLOCK) as u64) as u32;
                    shuffled = scramble(index as u32, seed);
                }
                let bits = self.directions[d % BLOCK]
                    .iter()
                    .enumerate()
                    .fold(0, |bits, (i, v)| bits ^ (v * ((shuffled >> i) & 1)));
                let hash = mix(era ^ mix(d as u64 + 1));
                let high = u64::from(scramble(bits, hash as u32));
                // The scrambling goes on below the 32 bits: there it is a hash of all bits above.
                let low = mix(hash ^ high) >> 43;
                ((high << 21) | low) as f64 / (1u64 << 53) as f64
            })
            .collect()
    }
}

/// Direction numbers of a dimension by the recurrence of Bratley and Fox (1988).
fn directions(dimension: usize) -> [u32; 32] {
    let mut v: [u32; 32] = std::array::from_fn(|i| 1 << (31 - i));
    if let Some((s, a, m)) = dimension.checked_sub(1).map(|d| JOE_KUO[d]) {
        let s = s as usize;
        for i in 0..32 {
            v[i] = if i < s {
                m[i] << (31 - i)
            } else {
                (1..s)
                    .filter(|k| (a >> (s - 1 - k)) & 1 == 1)
                    .fold(v[i - s] ^ (v[i - s] >> s), |x, k| x ^ v[i - k])
            };
        }
    }
    v
}

/// Nested uniform scrambling of a binary fraction: a hash in which each bit depends on the bits above it only (the
/// permutation of Laine and Karras, 2011, with the constants of Vegdahl, 2021).
fn scramble(bits: u32, seed: u32) -> u32 {
    let mut x = bits.reverse_bits();
    x ^= x.wrapping_mul(0x3d20_adea);
    x = x.wrapping_add(seed);
    x = x.wrapping_mul((seed >> 16) | 1);
    x ^= x.wrapping_mul(0x0552_6c56);
    x ^= x.wrapping_mul(0x53a2_2864);
    x.reverse_bits()
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 2^k points every dimension has one in each of 2^k equal parts, and the first two dimensions have one in each
    /// elementary box: what makes it a (0, 2)-sequence, kept by the scrambling.
    #[test]
    fn strata_are_filled_evenly() {
        for seed in 0..4 {
            let sobol = Sobol::new(120, seed);
            let points: Vec<_> = (256..512).map(|i| sobol.point(i)).collect();
            for d in 0..120 {
                let mut seen = [false; 256];
                for p in &points {
                    assert!(!std::mem::replace(&mut seen[(p[d] * 256.0) as usize], true));
                }
            }
            for wide in 0..=8 {
                let mut seen = [false; 256];
                for p in &points {
                    let column = (p[0] * f64::from(1 << wide)) as usize;
                    let row = (p[1] * f64::from(1 << (8 - wide))) as usize;
                    assert!(!std::mem::replace(
                        &mut seen[(column << (8 - wide)) | row],
                        true
                    ));
                }
            }
        }
    }

    #[test]
    fn the_table_is_of_primitive_polynomials_and_odd_numbers() {
        for (s, a, m) in JOE_KUO {
            assert_eq!(m.len(), s as usize);
            assert!(m.iter().enumerate().all(|(i, m)| m % 2 == 1 && *m < 2 << i));
            // x has order 2^s − 1 modulo x^s + a₁x^(s−1) + … + 1.
            let polynomial = (1 << s) | (a << 1) | 1;
            let mut power = 1u32;
            let order = (1..)
                .find(|_| {
                    power <<= 1;
                    if power >> s == 1 {
                        power ^= polynomial;
                    }
                    power == 1
                })
                .unwrap();
            assert_eq!(order, (1 << s) - 1, "{s} {a}");
        }
    }

    #[test]
    fn a_smooth_integral_is_met_much_better_than_by_chance() {
        let n = 1024;
        let error = |seed| {
            let sobol = Sobol::new(10, seed);
            let sum: f64 = (0..n)
                .map(|i| sobol.point(i).iter().map(|u| 0.5 + u).product::<f64>())
                .sum();
            (sum / n as f64 - 1.0).powi(2)
        };
        let rms = ((0..20).map(error).sum::<f64>() / 20.0).sqrt();
        // Independent draws: √((1 + 1/12)^10 − 1) / 32 ≈ 0.035.
        assert!(rms < 0.01, "{rms}");
    }
}
