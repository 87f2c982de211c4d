//! Labelled images as bytes, and how bytes become numbers.

use lapidary_core::tensor::{Dense, TensorError};

use crate::error::DataError;
use crate::options::Options;

/// Labelled images of one size.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Images {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// Pixels of all images, each channel by channel and row by row.
    pub bytes: Vec<u8>,
    /// Class of each image.
    pub labels: Vec<usize>,
    /// Names of the classes.
    pub names: Vec<String>,
    /// The byte that stands for 1.
    pub full: f32,
}

/// What each byte stands for, by channel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scale(Vec<[f32; 256]>);

impl Scale {
    /// Bytes divided by `full`, then less the mean and over the deviation of `options`.
    ///
    /// # Errors
    /// When there are neither as many means (deviations) as channels, nor one, nor none, or one cannot be used.
    pub fn new(channels: usize, full: f32, options: &Options) -> Result<Self, DataError> {
        let mean = per_channel("mean", &options.mean, channels, 0.0, |m| m.is_finite())?;
        let std = per_channel("std", &options.std, channels, 1.0, |s| {
            s.is_normal() && s > 0.0
        })?;
        let table =
            |(mean, std): (f32, f32)| std::array::from_fn(|byte| (byte as f32 / full - mean) / std);
        Ok(Self(mean.into_iter().zip(std).map(table).collect()))
    }

    /// The images of `shape` at `rows` as numbers, `[rows, channels, height, width]`.
    pub fn apply(
        &self,
        bytes: &[u8],
        shape: [usize; 3],
        rows: &[usize],
    ) -> Result<Dense, TensorError> {
        let [channels, height, width] = shape;
        let plane = height * width;
        let mut values = Vec::with_capacity(rows.len() * channels * plane);
        for row in rows {
            let image = &bytes[row * channels * plane..][..channels * plane];
            for (channel, table) in image.chunks_exact(plane).zip(&self.0) {
                values.extend(channel.iter().map(|&byte| table[usize::from(byte)]));
            }
        }
        Dense::f32(&[rows.len(), channels, height, width], values)
    }
}

/// `given` for each of `channels`, `default` where none is given.
fn per_channel(
    name: &'static str,
    given: &[f32],
    channels: usize,
    default: f32,
    usable: impl Fn(f32) -> bool,
) -> Result<Vec<f32>, DataError> {
    if let Some(value) = given.iter().find(|&&v| !usable(v)) {
        return Err(DataError::Option {
            name,
            reason: format!("{value} cannot be used"),
        });
    }
    match given {
        [] => Ok(vec![default; channels]),
        [one] => Ok(vec![*one; channels]),
        all if all.len() == channels => Ok(all.to_vec()),
        all => Err(DataError::Option {
            name,
            reason: format!(
                "{} values for images of {channels} channels; give {channels}, or one for all",
                all.len()
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_scaled_then_normalised_by_channel() {
        let options = Options {
            mean: vec![0.5, 0.25],
            std: vec![0.5, 0.125],
            ..Options::default()
        };
        let scale = Scale::new(2, 255.0, &options).unwrap();
        let out = scale.apply(&[9, 9, 0, 255], [2, 1, 1], &[1]).unwrap();
        assert_eq!(out, Dense::f32(&[1, 2, 1, 1], vec![-1.0, 6.0]).unwrap());
    }

    #[test]
    fn means_and_deviations_must_fit_the_channels() {
        let with = |mean: &[f32], std: &[f32]| {
            let options = Options {
                mean: mean.to_vec(),
                std: std.to_vec(),
                ..Options::default()
            };
            Scale::new(3, 255.0, &options).map_err(|e| e.to_string())
        };
        assert!(with(&[0.5], &[]).is_ok());
        assert_eq!(
            with(&[0.5, 0.5], &[]).unwrap_err(),
            "mean: 2 values for images of 3 channels; give 3, or one for all"
        );
        for bad in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e-44] {
            assert!(with(&[], &[bad]).is_err(), "{bad}");
        }
        assert!(with(&[f32::NAN], &[]).is_err());
    }
}
