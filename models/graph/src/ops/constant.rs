//! Values that are made rather than computed.

use lapidary_core::tensor::{DType, Dense};

use super::Operator;
use super::math::plain;
use crate::graph::Attribute;
use crate::shape::{Extents, Fact, Ints, Known, MOST_INTS, extent};
use crate::tape::{Call, Outputs, Value, extents, one, sized, whole};
use crate::types::{Alike, Typed};
use ndarray::{ArrayD, IxDyn};

pub static CONSTANT: Operator = Operator {
    types: |typed| vec![told(typed)],
    shape: |known| constant(known).shape,
    ints: |known| constant(known).ints,
    ..Operator::standard("Constant")
};

pub static CONSTANT_OF_SHAPE: Operator = Operator {
    types: |typed| vec![told(typed).or(Some(DType::F32))],
    shape: filled_shape,
    ints: filled,
    forward: Some(constant_of_shape),
    ..Operator::standard("ConstantOfShape")
};

pub static EYE_LIKE: Operator = Operator {
    types: |typed| vec![typed.said("dtype").or_else(|| typed.input(0))],
    ..plain("EyeLike")
};

pub static RANGE: Operator = Operator {
    alike: Alike::All,
    shape: range_shape,
    ints: range_ints,
    forward: Some(range),
    ..Operator::standard("Range")
};

/// The element type of the numbers that a node holds itself.
fn told(typed: &Typed<'_>) -> Option<DType> {
    let (_, value) = typed.node.attributes.iter().next()?;
    Some(match value {
        Attribute::Tensor(dense) => dense.dtype(),
        Attribute::Float(_) | Attribute::Floats(_) => DType::F32,
        Attribute::Int(_) | Attribute::Ints(_) => DType::I64,
        Attribute::String(_) | Attribute::Strings(_) => DType::String,
        _ => return None,
    })
}

fn constant(known: &Known<'_>) -> Fact {
    let scalar = |v: i64| Fact {
        shape: Some(vec![]),
        ints: Some(vec![Some(v)]),
        ..Fact::default()
    };
    for (name, value) in &known.node.attributes {
        match (name.as_str(), value) {
            ("value", Attribute::Tensor(dense)) => return Fact::of(dense),
            ("value_int", Attribute::Int(v)) => return scalar(*v),
            ("value_float", _) => return Fact::shaped(vec![]),
            ("value_ints", Attribute::Ints(list)) => {
                return Fact {
                    shape: Some(vec![Some(list.len())]),
                    ints: Some(list.iter().map(|&v| Some(v)).collect()),
                    ..Fact::default()
                };
            }
            ("value_floats", Attribute::Floats(list)) => {
                return Fact::shaped(vec![Some(list.len())]);
            }
            _ => {}
        }
    }
    Fact::default()
}

fn filled_shape(known: &Known<'_>) -> Option<Extents> {
    match known.partial(0) {
        Some(dims) => Some(dims.iter().map(|d| extent((*d)?)).collect()),
        None => Some(vec![None; (*known.shape(0)?.first()?)?.min(64)]),
    }
}

fn filled(known: &Known<'_>) -> Option<Ints> {
    let dims = known.ints(0)?;
    let count = dims
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(extent(d)?))?;
    let value = match known.node.attributes.get("value") {
        Some(Attribute::Tensor(Dense::I64(a))) => *a.first()?,
        Some(Attribute::Tensor(Dense::I32(a))) => i64::from(*a.first()?),
        _ => return None,
    };
    (count <= MOST_INTS).then(|| vec![Some(value); count])
}

fn range_shape(known: &Known<'_>) -> Option<Extents> {
    let at = |i: usize| known.ints(i)?.first().copied();
    let (from, to, by) = (at(0)?, at(1)?, at(2)?);
    let n = to
        .checked_sub(from)?
        .checked_add(by.checked_sub(by.signum())?)?
        .checked_div(by)?;
    Some(vec![extent(n.max(0))])
}

fn range_ints(known: &Known<'_>) -> Option<Ints> {
    let at = |i: usize| known.ints(i)?.first().copied();
    let (from, to, by) = (at(0)?, at(1)?, at(2)?);
    let mut list = Vec::new();
    let mut v = from;
    while (by > 0 && v < to) || (by < 0 && v > to) {
        if list.len() >= MOST_INTS {
            return None;
        }
        list.push(Some(v));
        v = v.checked_add(by)?;
    }
    Some(list)
}

/// A tensor of one repeated number, a float 0 where none is given.
fn constant_of_shape(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let shape = call.ints(0)?.ok_or("the shape is missing")?;
    let shape: Vec<usize> = extents(&shape)?;
    let count = sized(&shape)?;
    let value = match call.node.attributes.get("value") {
        Some(Attribute::Tensor(dense)) => Value::of(dense, tape)?,
        _ => Value::Float(tape.constant(vec![0.0], &[1])),
    };
    match value {
        Value::Int(a) => whole(ArrayD::from_elem(
            IxDyn(&shape),
            a.first().copied().unwrap_or(0),
        )),
        Value::Float(x) => {
            let value = tape.read(&x).first().copied().unwrap_or(0.0);
            one(tape.constant(vec![value; count], &shape))
        }
    }
}

/// The integers from a start to before a limit.
fn range(call: &mut Call<'_>) -> Outputs {
    let mut next = |index| match call.ints(index)? {
        Some(a) if a.len() == 1 => Ok(a.iter().copied().sum::<i64>()),
        _ => Err(format!("input {index} must be one integer")),
    };
    let (start, limit, delta) = (next(0)?, next(1)?, next(2)?);
    if delta == 0 {
        return Err("a step of 0 leads nowhere".into());
    }
    let span = i128::from(limit) - i128::from(start);
    let count = (span + i128::from(delta) - i128::from(delta.signum())) / i128::from(delta);
    let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
    sized(&[count])?;
    whole(ArrayD::from_shape_fn(IxDyn(&[count]), |at| {
        start + at[0] as i64 * delta
    }))
}
