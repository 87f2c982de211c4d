//! Operators along positions, which keep the shape.

use super::Operator;
use super::math::plain;

pub static CUM_SUM: Operator = plain("CumSum");
pub static REVERSE_SEQUENCE: Operator = plain("ReverseSequence");
pub static ROTARY_EMBEDDING: Operator = plain("RotaryEmbedding");
pub static TRILU: Operator = plain("Trilu");
