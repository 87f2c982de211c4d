//! Comparisons and truth values (0 and 1) of integers.

use crate::tape::{Call, Outputs, broadcast, spread, whole};

/// Combines two integer inputs element by element.
fn combine(call: &mut Call<'_>, by: fn(i64, i64) -> bool) -> Outputs {
    let (a, b) = (call.ints(0)?, call.ints(1)?);
    let (a, b) = a.zip(b).ok_or("two inputs are needed")?;
    let shape = broadcast(a.shape(), b.shape())?;
    let (mut a, b) = (spread(&a, &shape)?, spread(&b, &shape)?);
    a.zip_mut_with(&b, |a, &b| *a = i64::from(by(*a, b)));
    whole(a)
}

pub fn equal(call: &mut Call<'_>) -> Outputs {
    combine(call, |a, b| a == b)
}

pub fn less(call: &mut Call<'_>) -> Outputs {
    combine(call, |a, b| a < b)
}

pub fn less_or_equal(call: &mut Call<'_>) -> Outputs {
    combine(call, |a, b| a <= b)
}

pub fn greater(call: &mut Call<'_>) -> Outputs {
    combine(call, |a, b| a > b)
}

pub fn greater_or_equal(call: &mut Call<'_>) -> Outputs {
    combine(call, |a, b| a >= b)
}

pub fn and(call: &mut Call<'_>) -> Outputs {
    combine(call, |a, b| a != 0 && b != 0)
}

pub fn or(call: &mut Call<'_>) -> Outputs {
    combine(call, |a, b| a != 0 || b != 0)
}

pub fn not(call: &mut Call<'_>) -> Outputs {
    let a = call.ints(0)?.ok_or("input 0 is missing")?;
    whole(a.mapv(|v| i64::from(v == 0)))
}
