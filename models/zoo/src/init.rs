//! Initial weights.

use lapidary_core::rng::Rng;
use lapidary_core::tensor::Dense;
use ndarray::{ArrayD, IxDyn};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::{Normal, Uniform};

use crate::settings::Activation;

/// How the weights of a layer are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Init {
    /// Normal with deviation gain · √(2 / inputs), for layers before a rectifier
    /// (He et al., "Delving Deep into Rectifiers", 2015).
    He {
        /// Factor on the deviation.
        gain: f32,
    },
    /// Uniform within ±√(6 / (inputs + outputs)), for layers before a symmetric or no activation
    /// (Glorot and Bengio, "Understanding the Difficulty of Training Deep Feedforward Neural Networks", 2010).
    Glorot,
}

impl Init {
    /// What suits a layer before `activation`.
    pub(crate) fn before(activation: Activation) -> Self {
        match activation {
            Activation::Tanh | Activation::Sigmoid => Self::Glorot,
            _ => Self::He { gain: 1.0 },
        }
    }

    /// Draws a weight of `shape` `[outputs, inputs, kernel…]` for layer number `layer` of a model made from `seed`.
    /// Every extent is at least 1.
    pub(crate) fn draw(self, shape: &[usize], seed: u64, layer: u64) -> Dense {
        let taps: usize = shape[2..].iter().product();
        let (outputs, inputs) = ((shape[0] * taps) as f32, (shape[1] * taps) as f32);
        let mut rng = Rng::keyed(seed, layer, "init");
        let dim = IxDyn(shape);
        match self {
            Self::He { gain } => {
                let normal = Normal::new(0.0, gain * (2.0 / inputs).sqrt());
                ArrayD::random_using(dim, normal.expect("the deviation is finite"), &mut rng)
            }
            Self::Glorot => {
                let bound = (6.0 / (inputs + outputs)).sqrt();
                let uniform = Uniform::new_inclusive(-bound, bound);
                ArrayD::random_using(dim, uniform.expect("the bound is finite"), &mut rng)
            }
        }
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(init: Init, shape: &[usize], seed: u64, layer: u64) -> Vec<f32> {
        let dense = init.draw(shape, seed, layer);
        dense.as_f32().unwrap().iter().copied().collect()
    }

    #[test]
    fn he_weights_have_the_deviation_of_the_paper() {
        let w = draw(Init::He { gain: 1.0 }, &[64, 32, 3, 3], 1, 0);
        let variance = w.iter().map(|v| v * v).sum::<f32>() / w.len() as f32;
        assert!((variance * 288.0 / 2.0 - 1.0).abs() < 0.05, "{variance}");
    }

    #[test]
    fn glorot_weights_fill_their_bound_and_stay_within() {
        let w = draw(Init::Glorot, &[50, 70], 1, 0);
        let bound = (6.0f32 / 120.0).sqrt();
        let most = w.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        assert!(most <= bound && most > 0.99 * bound, "{most} {bound}");
    }

    #[test]
    fn a_seed_and_layer_give_the_same_bits_and_others_do_not() {
        let init = Init::He { gain: 1.0 };
        let first = draw(init, &[8, 8], 1, 2);
        assert_eq!(first, draw(init, &[8, 8], 1, 2));
        assert_ne!(first, draw(init, &[8, 8], 1, 3));
        assert_ne!(first, draw(init, &[8, 8], 2, 2));
    }
}
