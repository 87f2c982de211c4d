//! Arithmetic of two or more values, element by element.

use super::{Operator, UNSQUEEZE};
use crate::error::GraphError;
use crate::fold;
use crate::graph::{Attribute, Node};
use crate::opset::{Change, Rewriting};
use crate::shape::{Ints, Known, axis_of, joined};
use crate::structure::rules;
use crate::tape::{Call, Outputs, Tape, Value, Var, aligned, broadcast, of_rank, one};
use crate::types::Alike;
use ndarray::ArrayD;

pub static ADD: Operator = Operator {
    learns_constant: |shape, behind_product| {
        !shape.is_empty() && (shape.iter().product::<usize>() > 1 || behind_product)
    },
    own_vectors: Some(0),
    fold: Some(|c| fold::binary(c, |a, b| a + b)),
    ints: |known| zipped(known, i64::checked_add),
    forward: Some(|call| binary(call, |tape, a, b| tape.add(a, b), i64::checked_add)),
    ..writing("Add")
};

pub static MUL: Operator = Operator {
    learns_constant: |shape, _| shape.iter().product::<usize>() > 1,
    own_vectors: Some(0),
    fold: Some(|c| fold::binary(c, |a, b| a * b)),
    ints: |known| zipped(known, i64::checked_mul),
    forward: Some(|call| binary(call, |tape, a, b| tape.mul(a, b), i64::checked_mul)),
    ..writing("Mul")
};

pub static SUB: Operator = Operator {
    fold: Some(|c| fold::binary(c, |a, b| a - b)),
    ints: |known| zipped(known, i64::checked_sub),
    forward: Some(|call| binary(call, |tape, a, b| tape.sub(a, b), i64::checked_sub)),
    ..writing("Sub")
};

pub static MEAN: Operator = writing("Mean");

pub static SUM: Operator = Operator {
    forward: Some(sum),
    ..writing("Sum")
};

pub static DIV: Operator = Operator {
    fold: Some(|c| fold::binary(c, |a, b| a / b)),
    ints: |known| zipped(known, i64::checked_div),
    forward: Some(|call| binary(call, |tape, a, b| tape.div(a, b), i64::checked_div)),
    ..keeping("Div")
};

pub static MAX: Operator = Operator {
    fold: Some(|c| fold::binary(c, f32::max)),
    ints: |known| zipped(known, |a, b| Some(a.max(b))),
    forward: Some(max),
    ..keeping("Max")
};

pub static MIN: Operator = Operator {
    fold: Some(|c| fold::binary(c, f32::min)),
    ints: |known| zipped(known, |a, b| Some(a.min(b))),
    forward: Some(min),
    ..keeping("Min")
};

pub static POW: Operator = Operator {
    alike: Alike::No,
    fold: Some(|c| fold::binary(c, f32::powf)),
    forward: Some(pow),
    ..keeping("Pow")
};

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
        alike: Alike::All,
        misfit: apart,
        changes: &[Change {
            version: 7,
            rewrite: from_behind,
        }],
        shape: joined,
        ..Operator::standard(name)
    }
}

/// Once a node said where the axes of its second input lie among those of the first; since then they are the last ones.
fn from_behind(rewriting: &mut Rewriting<'_>, node: &mut Node) -> Result<(), GraphError> {
    node.attributes.remove("broadcast");
    let Some(Attribute::Int(axis)) = node.attributes.remove("axis") else {
        return Ok(());
    };
    let rank = |i: usize| Some(rewriting.shapes.shape(node.input(i)?)?.len());
    let places = rank(0).zip(rank(1)).and_then(|(a, b)| {
        let behind = a.checked_sub(axis_of(axis, a)? + b)?;
        Some((b..b + behind).map(|i| i as i64).collect::<Vec<_>>())
    });
    let Some(places) = places else {
        return Err(rewriting.refusal(node));
    };
    if places.is_empty() {
        return Ok(());
    }
    let mut wide = rewriting.beside(node, &UNSQUEEZE, vec![node.inputs[1].clone()]);
    rewriting.set_input(&mut wide, "axes", 1, places);
    node.inputs[1].clone_from(&wide.name);
    rewriting.before.push(wide);
    Ok(())
}

/// Extents of inputs that do not go together element by element.
fn apart(known: &Known<'_>) -> Option<String> {
    let shapes: Vec<_> = (0..known.inputs()).filter_map(|i| known.shape(i)).collect();
    let rank = shapes.iter().map(|s| s.len()).max()?;
    (0..rank).find_map(|i| {
        let extents = shapes
            .iter()
            .filter_map(|s| s[(i + s.len()).checked_sub(rank)?]);
        let mut wide = extents.filter(|&d| d != 1);
        let first = wide.next()?;
        let other = wide.find(|&d| d != first)?;
        Some(format!("extents of {first} and {other} do not go together"))
    })
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

type Kernel = fn(&dyn Tape, Var, Var) -> Var;

fn binary(call: &mut Call<'_>, floats: Kernel, ints: fn(i64, i64) -> Option<i64>) -> Outputs {
    match (call.value(0)?, call.value(1)?) {
        (Value::Float(a), Value::Float(b)) => {
            let (a, b) = aligned(call.tape, a, b)?;
            one(floats(call.tape, a, b))
        }
        (Value::Int(a), Value::Int(b)) => {
            let shape = broadcast(a.shape(), b.shape())?;
            let (a, b) = (a.broadcast(shape.clone()), b.broadcast(shape.clone()));
            let (Some(a), Some(b)) = (a, b) else {
                return Err("shapes do not broadcast".into());
            };
            let values: Option<Vec<i64>> =
                a.iter().zip(b.iter()).map(|(&a, &b)| ints(a, b)).collect();
            let values = values.ok_or("integer overflow or division by zero")?;
            let array = ArrayD::from_shape_vec(shape, values).map_err(|e| e.to_string())?;
            Ok(vec![Value::Int(array)])
        }
        _ => Err("one input holds floats, the other integers".into()),
    }
}

/// The sum of any number of tensors.
fn sum(call: &mut Call<'_>) -> Outputs {
    let mut total = call.float(0)?;
    for i in 1..call.inputs.len() {
        let (a, b) = aligned(call.tape, total, call.float(i)?)?;
        total = call.tape.add(a, b);
    }
    one(total)
}

/// The largest of any number of tensors, element by element; of equal ones, the later.
fn max(call: &mut Call<'_>) -> Outputs {
    extreme(call, |tape, a, b| tape.max(a, b))
}

/// The smallest of any number of tensors, element by element; of equal ones, the later.
fn min(call: &mut Call<'_>) -> Outputs {
    extreme(call, |tape, a, b| tape.min(a, b))
}

fn extreme(call: &mut Call<'_>, of_two: Kernel) -> Outputs {
    let tape = call.tape;
    let mut found = call.float(0)?;
    for i in 1..call.inputs.len() {
        let other = call.float(i)?;
        let shape = broadcast(found.shape(), other.shape())?;
        let wide = |x| tape.expand(of_rank(tape, x, shape.len()), &shape);
        found = of_two(tape, wide(found), wide(other));
    }
    one(found)
}

/// A power with a constant exponent.
fn pow(call: &mut Call<'_>) -> Outputs {
    let x = call.float(0)?;
    let exponent = match call.inputs.get(1) {
        Some(Some(Value::Int(a))) if a.len() == 1 => a.iter().map(|&v| v as f32).sum(),
        _ => call.scalar(1)?.ok_or("input 1 is missing")?,
    };
    one(match exponent {
        2.0 => call.tape.mul(x.clone(), x),
        0.5 => call.tape.sqrt(x),
        other => call.tape.power(x, other),
    })
}
