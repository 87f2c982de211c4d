//! Orders of axes.

use ndarray::IxDyn;

use crate::tape::{Call, Outputs, Value, axis};

pub fn transpose(call: &mut Call<'_>) -> Outputs {
    let x = call.value(0)?;
    let rank = x.shape().len();
    let order = match call.node.ints("perm") {
        Some(order) => order
            .iter()
            .map(|&i| axis(i, rank))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..rank) {
        return Err(format!("perm {order:?} is not an order of {rank} axes"));
    }
    Ok(vec![match x {
        Value::Float(x) => Value::Float(call.tape.permute(x, &order)),
        Value::Int(a) => Value::Int(
            a.permuted_axes(IxDyn(&order))
                .as_standard_layout()
                .into_owned(),
        ),
    }])
}
