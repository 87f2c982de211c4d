//! Values that are made rather than computed.

use lapidary_core::tensor::Dense;

use super::Operator;
use super::math::plain;
use crate::graph::Attribute;
use crate::shape::{Extents, Fact, Ints, Known, MOST_INTS, extent};

pub static CONSTANT: Operator = Operator {
    shape: |known| constant(known).shape,
    ints: |known| constant(known).ints,
    ..Operator::standard("Constant")
};

pub static CONSTANT_OF_SHAPE: Operator = Operator {
    shape: filled_shape,
    ints: filled,
    ..Operator::standard("ConstantOfShape")
};

pub static EYE_LIKE: Operator = plain("EyeLike");

pub static RANGE: Operator = Operator {
    shape: range_shape,
    ints: range,
    ..Operator::standard("Range")
};

fn constant(known: &Known<'_>) -> Fact {
    let scalar = |v: i64| Fact {
        shape: Some(vec![]),
        ints: Some(vec![Some(v)]),
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

fn range(known: &Known<'_>) -> Option<Ints> {
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
