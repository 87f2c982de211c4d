//! Arithmetic of two or more values, element by element.

use super::Operator;
use crate::shape::{Ints, Known, joined};
use crate::structure::rules;

pub static ADD: Operator = Operator {
    learns_constant: |shape, behind_product| {
        !shape.is_empty() && (shape.iter().product::<usize>() > 1 || behind_product)
    },
    own_vectors: Some(0),
    ints: |known| zipped(known, i64::checked_add),
    ..writing("Add")
};

pub static MUL: Operator = Operator {
    learns_constant: |shape, _| shape.iter().product::<usize>() > 1,
    own_vectors: Some(0),
    ints: |known| zipped(known, i64::checked_mul),
    ..writing("Mul")
};

pub static SUB: Operator = Operator {
    ints: |known| zipped(known, i64::checked_sub),
    ..writing("Sub")
};

pub static MEAN: Operator = writing("Mean");
pub static SUM: Operator = writing("Sum");

pub static DIV: Operator = Operator {
    ints: |known| zipped(known, i64::checked_div),
    ..keeping("Div")
};

pub static MAX: Operator = Operator {
    ints: |known| zipped(known, |a, b| Some(a.max(b))),
    ..keeping("Max")
};

pub static MIN: Operator = Operator {
    ints: |known| zipped(known, |a, b| Some(a.min(b))),
    ..keeping("Min")
};

pub static POW: Operator = keeping("Pow");

pub static BIT_SHIFT: Operator = pairwise("BitShift");
pub static BITWISE_AND: Operator = pairwise("BitwiseAnd");
pub static BITWISE_OR: Operator = pairwise("BitwiseOr");
pub static BITWISE_XOR: Operator = pairwise("BitwiseXor");

pub static MOD: Operator = Operator {
    ints: |known| zipped(known, i64::checked_rem_euclid),
    ..pairwise("Mod")
};

/// An operator that makes channels zero where all it combines is zero.
const fn writing(name: &'static str) -> Operator {
    Operator {
        channels: |flow, node| rules::joined(flow, node, true),
        ..pairwise(name)
    }
}

/// An operator that does not.
const fn keeping(name: &'static str) -> Operator {
    Operator {
        channels: |flow, node| rules::joined(flow, node, false),
        ..pairwise(name)
    }
}

/// An operator that combines its inputs element by element, small ones repeated.
pub(super) const fn pairwise(name: &'static str) -> Operator {
    Operator {
        shape: joined,
        ..Operator::standard(name)
    }
}

/// Elements of two inputs combined one by one; a single element goes with all of the other input.
pub(super) fn zipped(known: &Known<'_>, f: impl Fn(i64, i64) -> Option<i64>) -> Option<Ints> {
    let (a, b) = (known.partial(0)?, known.partial(1)?);
    if known.inputs() != 2 {
        return None;
    }
    let n = a.len().max(b.len());
    let (a, b) = (stretched(a, n)?, stretched(b, n)?);
    Some((0..n).map(|i| f(a(i)?, b(i)?)).collect())
}

/// The elements of a list of `n`, or of a single one that stands for all.
pub(super) fn stretched(list: &Ints, n: usize) -> Option<impl Fn(usize) -> Option<i64>> {
    let fits = list.len() == n || list.len() == 1;
    fits.then_some(move |i: usize| if list.len() == 1 { list[0] } else { list[i] })
}
