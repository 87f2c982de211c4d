//! Comparisons and truth values.

use lapidary_core::tensor::DType;

use super::Operator;
use super::arithmetic::{pairwise, stretched, zipped};
use super::math::plain;
use crate::shape::{Ints, Known};
use crate::tape::{Call, Outputs, Value, broadcast, of_rank, one, spread, whole};
use crate::types::Alike;

pub static AND: Operator = Operator {
    forward: Some(|call| combine(call, |a, b| a != 0 && b != 0)),
    ..telling("And")
};

pub static GREATER: Operator = Operator {
    forward: Some(|call| combine(call, |a, b| a > b)),
    ..telling("Greater")
};

pub static GREATER_OR_EQUAL: Operator = Operator {
    forward: Some(|call| combine(call, |a, b| a >= b)),
    ..telling("GreaterOrEqual")
};

pub static LESS: Operator = Operator {
    forward: Some(|call| combine(call, |a, b| a < b)),
    ..telling("Less")
};

pub static LESS_OR_EQUAL: Operator = Operator {
    forward: Some(|call| combine(call, |a, b| a <= b)),
    ..telling("LessOrEqual")
};

pub static OR: Operator = Operator {
    forward: Some(|call| combine(call, |a, b| a != 0 || b != 0)),
    ..telling("Or")
};

pub static XOR: Operator = telling("Xor");

pub static EQUAL: Operator = Operator {
    ints: |known| zipped(known, |a, b| Some(i64::from(a == b))),
    forward: Some(|call| combine(call, |a, b| a == b)),
    ..telling("Equal")
};

pub static NOT: Operator = Operator {
    forward: Some(not),
    types: |_| vec![Some(DType::Bool)],
    ..plain("Not")
};

pub static WHERE: Operator = Operator {
    types: |typed| vec![typed.input(1)],
    alike: Alike::Of(&[1, 2]),
    ints: chosen,
    forward: Some(choose),
    ..pairwise("Where")
};

/// An operator that tells a truth of each pair of elements.
const fn telling(name: &'static str) -> Operator {
    Operator {
        types: |_| vec![Some(DType::Bool)],
        ..pairwise(name)
    }
}

fn chosen(known: &Known<'_>) -> Option<Ints> {
    let (condition, a, b) = (known.partial(0)?, known.partial(1)?, known.partial(2)?);
    let n = condition.len().max(a.len()).max(b.len());
    let (condition, a, b) = (stretched(condition, n)?, stretched(a, n)?, stretched(b, n)?);
    let choose = |i: usize| match condition(i)? {
        0 => b(i),
        _ => a(i),
    };
    Some((0..n).map(choose).collect())
}

/// Combines two integer inputs element by element.
fn combine(call: &mut Call<'_>, by: fn(i64, i64) -> bool) -> Outputs {
    let (a, b) = (call.ints(0)?, call.ints(1)?);
    let (a, b) = a.zip(b).ok_or("two inputs are needed")?;
    let shape = broadcast(a.shape(), b.shape())?;
    let (mut a, b) = (spread(&a, &shape)?, spread(&b, &shape)?);
    a.zip_mut_with(&b, |a, &b| *a = i64::from(by(*a, b)));
    whole(a)
}

fn not(call: &mut Call<'_>) -> Outputs {
    let a = call.ints(0)?.ok_or("input 0 is missing")?;
    whole(a.mapv(|v| i64::from(v == 0)))
}

/// The second input where the first is true, else the third.
fn choose(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let condition = call.ints(0)?.ok_or("the condition is missing")?;
    match (call.value(1)?, call.value(2)?) {
        (Value::Int(a), Value::Int(b)) => {
            let shape = broadcast(&broadcast(a.shape(), b.shape())?, condition.shape())?;
            let (a, mut b) = (spread(&a, &shape)?, spread(&b, &shape)?);
            let condition = spread(&condition, &shape)?;
            ndarray::Zip::from(&mut b)
                .and(&a)
                .and(&condition)
                .for_each(|b, &a, &c| {
                    if c != 0 {
                        *b = a;
                    }
                });
            whole(b)
        }
        (Value::Float(a), Value::Float(b)) => {
            let shape = broadcast(&broadcast(a.shape(), b.shape())?, condition.shape())?;
            let condition = spread(&condition, &shape)?;
            let mask = condition.iter().map(|&c| c != 0).collect();
            let wide = |x| tape.expand(of_rank(tape, x, shape.len()), &shape);
            let b = wide(b);
            one(tape.select(mask, wide(a), b))
        }
        _ => Err("one input holds floats, the other integers".into()),
    }
}
