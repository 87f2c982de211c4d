//! Normalization and dropout.

use burn_backend::{Scalar, TensorMetadata};

use super::{BatchStatistics, Call, Pass, axis, dims, one, reshaped};
use crate::engine::{Engine, Value, tensor};

type Out<B> = Result<Vec<Value<B>>, String>;

/// Batch normalization: by the batch's statistics in training (which are collected for the running ones), by the running ones in evaluation.
pub(super) fn batch<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let epsilon = call.node.float("epsilon", 1e-5);
    let (x, scale, bias) = (call.float(0)?, call.float(1)?, call.float(2)?);
    let (mean, variance) = (call.float(3)?, call.float(4)?);
    let shape = dims(&x);
    if shape.len() < 2 {
        return Err(format!("an input of shape {shape:?} has no channels"));
    }
    let channels = shape[1];
    for (name, given) in [
        ("scale", dims(&scale)),
        ("bias", dims(&bias)),
        ("mean", dims(&mean)),
        ("variance", dims(&variance)),
    ] {
        if given != [channels] {
            return Err(format!(
                "{name} of shape {given:?} does not fit {channels} channels"
            ));
        }
    }
    if let Pass::Train { batches, .. } = call.pass {
        let (Some(mean), Some(variance)) = (call.slots[3], call.slots[4]) else {
            return Err("running mean and variance are missing".into());
        };
        let (out, values) = B::normalize(x, scale, bias, epsilon);
        batches.push(BatchStatistics {
            slots: [mean, variance],
            momentum: call.node.float("momentum", 0.9),
            values,
        });
        return one(out);
    }
    // y = x · factor + (bias − mean · factor), each a vector over channels.
    let deviation = B::float_sqrt(B::float_add_scalar(
        variance,
        Scalar::Float(f64::from(epsilon)),
    ));
    let factor = B::float_div(scale, deviation);
    let offset = B::float_sub(bias, B::float_mul(mean, factor.clone()));
    let mut wide = vec![1; shape.len()];
    wide[1] = channels;
    let scaled = B::float_mul(x, reshaped::<B>(factor, &wide));
    one(B::float_add(scaled, reshaped::<B>(offset, &wide)))
}

/// Normalization over all axes from `axis` on (Ba et al., "Layer Normalization", 2016).
pub(super) fn layer<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let epsilon = call.node.float("epsilon", 1e-5);
    let (x, scale, bias) = (call.float(0)?, call.float(1)?, call.optional(2)?);
    let shape = dims(&x);
    let from = axis(call.node.int("axis", -1), shape.len())?;
    let (rows, width) = (
        shape[..from].iter().product(),
        shape[from..].iter().product(),
    );
    for given in [Some(&scale), bias.as_ref()]
        .into_iter()
        .flatten()
        .map(dims)
    {
        if given.iter().product::<usize>() != width {
            return Err(format!(
                "a scale or bias of shape {given:?} does not fit {:?}",
                &shape[from..]
            ));
        }
    }
    let bias = bias.map(|b| reshaped::<B>(b, &[width]));
    let x = reshaped::<B>(x, &[rows, width]);
    let out = B::layer_norm(x, reshaped::<B>(scale, &[width]), bias, f64::from(epsilon));
    one(reshaped::<B>(out, &shape))
}

/// Zeroes elements with the given probability and scales the others up, in training only (Srivastava et al., "Dropout", 2014).
pub(super) fn dropout<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let ratio = match call.scalar(1)? {
        Some(ratio) => ratio,
        None => call.node.float("ratio", 0.5),
    };
    let x = call.float(0)?;
    let Pass::Train { rng, .. } = call.pass else {
        return one(x);
    };
    if !(0.0..1.0).contains(&ratio) {
        return Err(format!("a ratio of {ratio} is not in [0, 1)"));
    }
    let kept = 1.0 / (1.0 - ratio);
    let mask = (0..x.shape().num_elements())
        .map(|_| {
            if rng.chance(f64::from(ratio)) {
                0.0
            } else {
                kept
            }
        })
        .collect();
    let mask = tensor(mask, &dims(&x));
    one(B::float_mul(x, B::constant(mask)))
}

#[cfg(test)]
mod tests {
    use lapidary_core::tensor::Dense;

    use crate::check::{gradients, graph, node, numbers, output, positive};
    use lapidary_graph::Attribute;

    #[test]
    fn gradients_of_batch_normalization() {
        let weights = [
            ("scale", positive(&[3], 2)),
            ("bias", numbers(&[3], 3)),
            ("mean", numbers(&[3], 4)),
            ("variance", positive(&[3], 5)),
        ];
        for shape in [vec![2, 3, 2, 3], vec![5, 3], vec![3, 3, 4]] {
            let graph = graph(
                &shape[1..],
                vec![node(
                    "y = BatchNormalization x scale bias mean variance",
                    &[],
                )],
                &weights,
            );
            for training in [false, true] {
                gradients(&graph, &numbers(&shape, 1), training).unwrap();
            }
        }
    }

    #[test]
    fn gradients_of_layer_normalization() {
        for (axis, width) in [(-1, vec![4]), (1, vec![3, 4])] {
            let weights = [("scale", positive(&width, 2)), ("bias", numbers(&width, 3))];
            let nodes = vec![node(
                "y = LayerNormalization x scale bias",
                &[("axis", Attribute::Int(axis))],
            )];
            gradients(
                &graph(&[3, 4], nodes, &weights),
                &numbers(&[2, 3, 4], 1),
                false,
            )
            .unwrap();
        }
    }

    #[test]
    fn dropout_keeps_the_mean_and_does_nothing_in_evaluation() {
        let graph = graph(
            &[40],
            vec![node("y = Dropout x", &[("ratio", Attribute::Float(0.25))])],
            &[],
        );
        let x = Dense::f32(&[3, 40], vec![1.0; 120]).unwrap();
        assert_eq!(output(&graph, &x).unwrap(), x);
        gradients(&graph, &numbers(&[3, 8], 1), true).unwrap();
    }

    #[test]
    fn evaluation_uses_the_running_statistics() {
        let vector = |v: f32| Dense::f32(&[1], vec![v]).unwrap();
        let weights = [
            ("s", vector(2.0)),
            ("b", vector(1.0)),
            ("m", vector(3.0)),
            ("v", vector(4.0)),
        ];
        let nodes = vec![node(
            "y = BatchNormalization x s b m v",
            &[("epsilon", Attribute::Float(0.0))],
        )];
        let y = output(
            &graph(&[1], nodes, &weights),
            &Dense::f32(&[2, 1], vec![3.0, 7.0]).unwrap(),
        )
        .unwrap();
        assert_eq!(y, Dense::f32(&[2, 1], vec![1.0, 5.0]).unwrap());
    }
}
