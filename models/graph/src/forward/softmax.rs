//! Softmax and its logarithm.

use crate::tape::{Call, Outputs, Tape, Var, axis, one};

pub fn softmax(call: &mut Call<'_>) -> Outputs {
    along(call, |tape, x, axis| tape.softmax(x, axis))
}

pub fn log_softmax(call: &mut Call<'_>) -> Outputs {
    along(call, |tape, x, axis| tape.log_softmax(x, axis))
}

/// Runs `operation` along the node's axis; before operator set 13, along all axes from it on.
fn along(call: &mut Call<'_>, operation: fn(&dyn Tape, Var, usize) -> Var) -> Outputs {
    let tape = call.tape;
    let x = call.float(0)?;
    let shape = x.shape().to_vec();
    if shape.is_empty() {
        let line = operation(tape, tape.reshape(x, &[1]), 0);
        return one(tape.reshape(line, &[]));
    }
    if call.opset >= 13 {
        let axis = axis(call.node.int("axis", -1), shape.len())?;
        return one(operation(tape, x, axis));
    }
    let from = axis(call.node.int("axis", 1), shape.len())?;
    let (rows, width) = (
        shape[..from].iter().product(),
        shape[from..].iter().product(),
    );
    let matrix = operation(tape, tape.reshape(x, &[rows, width]), 1);
    one(tape.reshape(matrix, &shape))
}
