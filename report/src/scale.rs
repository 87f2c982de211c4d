//! Scales: where a value stands along an axis, and what is written beside it.

/// Values from here to the largest one need a logarithmic scale.
const LOG_FROM: f64 = 100.0;

/// How values stand along an axis.
#[derive(Debug, Clone, PartialEq)]
pub enum Scale {
    /// By their differences.
    Linear {
        /// The value at 0.
        low: f64,
        /// The value at 1.
        high: f64,
    },
    /// By their ratios.
    Log {
        /// The value at 0.
        low: f64,
        /// The value at 1.
        high: f64,
    },
}

impl Scale {
    /// A scale with some room around `values`: logarithmic where all are above 0 and the largest is a hundred times the
    /// smallest.
    pub fn around(values: impl Iterator<Item = f64> + Clone) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        if low > 0.0 && high / low >= LOG_FROM {
            let room = (0.05 * (high.ln() - low.ln())).exp();
            return Self::Log {
                low: (low / room).max(f64::MIN_POSITIVE),
                high: (high * room).min(f64::MAX),
            };
        }
        // Halves, since the difference may exceed the largest float.
        let room = 0.1 * (high / 2.0 - low / 2.0);
        let room = if room > 0.0 {
            room
        } else {
            (0.05 * high.abs()).max(1e-9)
        };
        Self::Linear {
            low: (low - room).max(f64::MIN / 4.0),
            high: (high + room).min(f64::MAX / 4.0),
        }
    }

    /// Where `value` stands, in [0, 1] within the scale.
    pub fn place(&self, value: f64) -> f64 {
        let share = |low: f64, high: f64, value: f64| {
            if high > low {
                (value - low) / (high - low)
            } else {
                0.5
            }
        };
        match self {
            Self::Linear { low, high } => share(*low, *high, value),
            Self::Log { low, high } => share(low.ln(), high.ln(), value.ln()),
        }
    }

    /// Values to write beside the axis, about `n`, each with its text.
    pub fn ticks(&self, n: usize) -> Vec<(f64, String)> {
        match *self {
            Self::Linear { low, high } => linear(low, high, n),
            Self::Log { low, high } => logarithmic(low, high, n),
        }
    }
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn linear(low: f64, high: f64, n: usize) -> Vec<(f64, String)> {
    let rough = (high - low) / n as f64;
    if rough.is_nan() || rough <= 0.0 {
        return vec![(low, number(low, 0.0))];
    }
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|m| m * power)
        .into_iter()
        .find(|step| *step >= rough)
        .unwrap_or(10.0 * power);
    let first = (low / step).ceil();
    let count = (high / step).floor() - first;
    (0..=count as usize)
        .map(|i| (first + i as f64) * step)
        .map(|value| (value, number(value, step)))
        .collect()
}

/// Powers of ten, and between few of them 2 and 5 times as much.
fn logarithmic(low: f64, high: f64, n: usize) -> Vec<(f64, String)> {
    let decades = high.log10() - low.log10();
    let between: &[f64] = match decades {
        d if d < 1.0 => return linear(low, high, n),
        d if d < 0.5 * n as f64 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let every = (decades / n as f64).ceil().max(1.0) as usize;
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    (first..=last)
        .step_by(every)
        .flat_map(|power| between.iter().map(move |m| m * 10f64.powi(power)))
        .filter(|value| (low..=high).contains(value))
        .map(|value| (value, number(value, value)))
        .collect()
}

/// A value whose neighbours are `step` away, in as many digits as tell them apart.
fn number(value: f64, step: f64) -> String {
    let value = if value.abs() < 1e-9 * step {
        0.0
    } else {
        value
    };
    let digits = |of: f64, step: f64| {
        let decimals = if step > 0.0 {
            -step.log10().floor()
        } else {
            3.0
        };
        format!("{of:.0$}", decimals.clamp(0.0, 15.0) as usize)
    };
    let size = value.abs().max(step);
    if value == 0.0 || (1e-4..1e6).contains(&size) {
        return digits(value, step);
    }
    let power = value.abs().log10().floor();
    let unit = 10f64.powf(power);
    format!("{}e{power}", digits(value / unit, step / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: &Scale) -> Vec<String> {
        scale.ticks(5).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_and_told_apart() {
        let linear = |low, high| texts(&Scale::Linear { low, high });
        assert_eq!(linear(0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(linear(-7.0, 12.0), ["-5", "0", "5", "10"]);
        assert_eq!(linear(0.9812, 0.9824), ["0.9815", "0.9820"]);
        assert_eq!(linear(0.0, 4e7), ["0", "1e7", "2e7", "3e7", "4e7"]);
        assert_eq!(linear(3.0, 3.0), ["3.000"]);
        let log = |low, high| texts(&Scale::Log { low, high });
        assert_eq!(
            log(0.001, 0.1),
            ["0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1"]
        );
        assert_eq!(
            log(1e-9, 10.0),
            ["1e-9", "1e-7", "1e-5", "0.001", "0.1", "10"]
        );
        assert_eq!(log(2.0, 9.0), ["2", "4", "6", "8"]);
    }

    #[test]
    fn a_scale_fits_its_values() {
        let around = |values: &[f64]| Scale::around(values.iter().copied());
        for values in [
            &[0.0, 1.0][..],
            &[3.0],
            &[0.0],
            &[1e-300, 1e300],
            &[f64::MIN / 8.0, f64::MAX / 8.0],
            &[-5.0, 1000.0],
        ] {
            let scale = around(values);
            for value in values {
                let place = scale.place(*value);
                assert!(
                    (0.0..=1.0).contains(&place),
                    "{value} at {place} of {scale:?}"
                );
            }
            assert!((1..20).contains(&scale.ticks(5).len()), "{scale:?}");
        }
        assert!(matches!(around(&[0.001, 0.1]), Scale::Log { .. }));
        assert!(matches!(around(&[0.0, 0.1]), Scale::Linear { .. }));
    }
}
