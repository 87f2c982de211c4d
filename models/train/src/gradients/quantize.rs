//! Quantize–dequantize pairs.

use lapidary_core::tensor::{Dense, Shared};
use ndarray::{ArcArray, IxDyn};

use crate::check::{graph, node, output};
use crate::engine::{self, DEVICE, Gradients};
use crate::{Program, only};
use lapidary_graph::tape::{Pass, Value};

fn codes(values: &[u8]) -> Dense {
    let array: Shared<u8> = ArcArray::from_shape_vec(IxDyn(&[]), values.to_vec()).unwrap();
    Dense::U8(array)
}

#[test]
fn a_pair_rounds_and_clips() {
    let weights = [
        ("s", Dense::f32(&[], vec![0.5]).unwrap()),
        ("z", codes(&[10])),
    ];
    let nodes = vec![
        node("q = QuantizeLinear x s z", &[]),
        node("y = DequantizeLinear q s z", &[]),
    ];
    let x = Dense::f32(&[1, 4], vec![0.7, -0.3, -9.0, 500.0]).unwrap();
    let y = output(&graph(&[4], nodes, &weights), &x).unwrap();
    assert_eq!(
        y,
        Dense::f32(&[1, 4], vec![0.5, -0.5, -5.0, 122.5]).unwrap()
    );
}

#[test]
fn gradients_pass_rounding_and_stop_at_clipping() {
    let weights = [
        ("s", Dense::f32(&[], vec![0.5]).unwrap()),
        ("z", codes(&[10])),
    ];
    let nodes = vec![
        node("q = QuantizeLinear x s z", &[]),
        node("y = DequantizeLinear q s z", &[]),
    ];
    let program = Program::new(&graph(&[4], nodes, &weights), &["y"]).unwrap();
    let leaf = engine::leaf(&DEVICE.constant(vec![0.7, -0.3, -9.0, 500.0], &[1, 4]));
    let y = program
        .run(
            DEVICE,
            program.plain(),
            vec![Value::Float(leaf.clone())],
            1,
            &mut Pass::Evaluate,
        )
        .unwrap();
    let gradients = Gradients::of(only(y).unwrap(), vec![1.0, 2.0, 3.0, 4.0]);
    assert_eq!(gradients.by(&leaf).unwrap(), [1.0, 2.0, 0.0, 0.0]);
}
