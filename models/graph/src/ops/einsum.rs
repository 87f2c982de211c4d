//! `Einsum`.

use std::collections::HashMap;

use super::Operator;
use crate::shape::{Extents, Known};
use crate::types::Alike;

pub static EINSUM: Operator = Operator {
    alike: Alike::All,
    shape,
    ..Operator::standard("Einsum")
};

fn shape(known: &Known<'_>) -> Option<Extents> {
    let equation: String = known.node.text("equation")?.split_whitespace().collect();
    let (terms, result) = equation.split_once("->")?;
    let mut extents = HashMap::new();
    for (i, term) in terms.split(',').enumerate() {
        let shape = known.shape(i)?;
        if term.contains('.') || term.chars().count() != shape.len() {
            return None;
        }
        extents.extend(term.chars().zip(shape.iter().copied()));
    }
    result.chars().map(|c| extents.get(&c).copied()).collect()
}
