//! Comparisons and truth values.

use super::Operator;
use super::arithmetic::{pairwise, stretched, zipped};
use crate::shape::{Ints, Known};

pub static AND: Operator = pairwise("And");
pub static GREATER: Operator = pairwise("Greater");
pub static GREATER_OR_EQUAL: Operator = pairwise("GreaterOrEqual");
pub static LESS: Operator = pairwise("Less");
pub static LESS_OR_EQUAL: Operator = pairwise("LessOrEqual");
pub static OR: Operator = pairwise("Or");
pub static XOR: Operator = pairwise("Xor");

pub static EQUAL: Operator = Operator {
    ints: |known| zipped(known, |a, b| Some(i64::from(a == b))),
    ..pairwise("Equal")
};

pub static WHERE: Operator = Operator {
    ints: chosen,
    ..pairwise("Where")
};

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
