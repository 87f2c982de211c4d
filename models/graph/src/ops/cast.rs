//! Values handed on, as they are or as another type.

use super::Operator;
use super::math::{element, plain};
use crate::shape::same_ints;

pub static CAST: Operator = Operator {
    ints: same_ints,
    ..element("Cast")
};

pub static CAST_LIKE: Operator = plain("CastLike");

pub static IDENTITY: Operator = Operator {
    hands_on: true,
    ints: same_ints,
    ..element("Identity")
};
