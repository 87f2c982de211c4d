//! Functions of single numbers.

use lapidary_core::model::ModelError;
use lapidary_core::tensor::DType;

use super::{CAST, GREATER, LESS, Operator, SUB};
use crate::fold;
use crate::graph::Node;
use crate::lower::Lowering;
use crate::shape::same;
use crate::structure::rules;
use crate::tape::one;

pub static ABS: Operator = Operator {
    forward: Some(|call| one(call.tape.abs(call.float(0)?))),
    fold: Some(|c| fold::unary(c, f32::abs)),
    ..element("Abs")
};

pub static CEIL: Operator = element("Ceil");
pub static COS: Operator = element("Cos");

pub static ERF: Operator = Operator {
    forward: Some(|call| one(call.tape.erf(call.float(0)?))),
    ..element("Erf")
};

pub static EXP: Operator = Operator {
    forward: Some(|call| one(call.tape.exp(call.float(0)?))),
    fold: Some(|c| fold::unary(c, f32::exp)),
    ..element("Exp")
};

pub static FLOOR: Operator = element("Floor");

pub static LOG: Operator = Operator {
    forward: Some(|call| one(call.tape.log(call.float(0)?))),
    fold: Some(|c| fold::unary(c, f32::ln)),
    ..element("Log")
};

pub static NEG: Operator = Operator {
    forward: Some(|call| one(call.tape.neg(call.float(0)?))),
    fold: Some(|c| fold::unary(c, |v| -v)),
    ..element("Neg")
};

pub static RECIPROCAL: Operator = Operator {
    forward: Some(|call| one(call.tape.reciprocal(call.float(0)?))),
    fold: Some(|c| fold::unary(c, f32::recip)),
    ..element("Reciprocal")
};

pub static ROUND: Operator = element("Round");
pub static SIN: Operator = element("Sin");

pub static SQRT: Operator = Operator {
    forward: Some(|call| one(call.tape.sqrt(call.float(0)?))),
    fold: Some(|c| fold::unary(c, f32::sqrt)),
    ..element("Sqrt")
};

pub static SIGN: Operator = Operator {
    lower: Some(lower_sign),
    ..element("Sign")
};

pub static ACOS: Operator = plain("Acos");
pub static ACOSH: Operator = plain("Acosh");
pub static ASIN: Operator = plain("Asin");
pub static ASINH: Operator = plain("Asinh");
pub static ATAN: Operator = plain("Atan");
pub static ATANH: Operator = plain("Atanh");
pub static BITWISE_NOT: Operator = plain("BitwiseNot");
pub static COSH: Operator = plain("Cosh");
pub static IS_INF: Operator = Operator {
    types: |_| vec![Some(DType::Bool)],
    ..plain("IsInf")
};

pub static IS_NA_N: Operator = Operator {
    types: |_| vec![Some(DType::Bool)],
    ..plain("IsNaN")
};
pub static SINH: Operator = plain("Sinh");
pub static TAN: Operator = plain("Tan");

/// A function of each element by itself.
pub(super) const fn element(name: &'static str) -> Operator {
    Operator {
        channels: rules::passed,
        ..plain(name)
    }
}

/// A function that keeps the shape of its first input.
pub(super) const fn plain(name: &'static str) -> Operator {
    Operator {
        shape: same,
        ..Operator::standard(name)
    }
}

/// rten takes the sign of zero to be 1.
fn lower_sign(lowering: &mut Lowering<'_>, node: Node) -> Result<(), ModelError> {
    let Some(x) = node.input(0).map(str::to_owned) else {
        lowering.push(node);
        return Ok(());
    };
    let zero = lowering.number(&node.name, 0.0);
    let mut side = |op| {
        let side = lowering.step(&node.name, op, &[&x, &zero], &[]);
        lowering.step(&node.name, &CAST, &[&side], &[("to", 1.into())])
    };
    let sides = vec![side(&GREATER), side(&LESS)];
    lowering.finish(&node.name, &SUB, sides, node.outputs);
    Ok(())
}
