//! Rounding to integer codes and back.

use lapidary_core::model::{ModelError, Product};
use lapidary_core::tensor::{DType, Dense, Tensor, array};

use super::math::plain;
use super::{
    ADD, AVERAGE_POOL, CAST, CLIP, CONCAT, DIV, GEMM, GLOBAL_AVERAGE_POOL, LEAKY_RELU, MAX, MIN,
    MUL, Operator, REDUCE_MAX, REDUCE_MIN, RESHAPE, ROUND, SIGMOID, SOFTMAX, SUB,
};
use crate::fold::Constants;
use crate::graph::{Attribute, Node};
use crate::lower::{Lowering, held_as, refusal};
use crate::shape::{axis_of, combined, same};
use crate::structure::{Flow, Layouts};
use crate::tape::{Call, Outputs, Value, Var, axis, one};
use crate::types::numbered;

pub static DEQUANTIZE_LINEAR: Operator = Operator {
    types: |typed| vec![typed.said("output_dtype").or_else(|| typed.input(1))],
    lower: Some(lower_dequantize),
    forward: Some(dequantize),
    ..rounding("DequantizeLinear")
};

pub static QUANTIZE_LINEAR: Operator = Operator {
    types: |typed| vec![Some(kind(typed.node, typed.input(2)))],
    fold: Some(fold_quantize),
    lower: Some(lower_quantize),
    forward: Some(quantize),
    ..rounding("QuantizeLinear")
};

pub static DYNAMIC_QUANTIZE_LINEAR: Operator = Operator {
    quantized: true,
    types: |_| vec![Some(DType::U8), Some(DType::F32), Some(DType::U8)],
    lower: Some(lower_dynamic),
    ..plain("DynamicQuantizeLinear")
};

pub static DEQUANTIZE_LINEAR_CONTRIBUTED: Operator = Operator {
    told_by_constants: true,
    ..contributed("DequantizeLinear")
};

pub static QUANTIZE_LINEAR_CONTRIBUTED: Operator = Operator {
    told_by_constants: true,
    ..contributed("QuantizeLinear")
};

/// A matrix product of codes with a bias.
pub static Q_GEMM: Operator = Operator {
    codes: &[3, 6],
    types: |typed| vec![typed.input(8).or(Some(DType::F32))],
    shape: |known| {
        let (a, b) = (known.shape(0)?, known.shape(3)?);
        let turned = |name: &str| usize::from(known.node.int(name, 0) != 0);
        let rows = *a.get(turned("transA"))?;
        Some(vec![rows, *b.get(1 - turned("transB"))?])
    },
    macs: |work| {
        let depth = work
            .weight
            .get(usize::from(work.node.int("transB", 0) != 0))?;
        work.output()?.checked_mul(*depth as u64)
    },
    lower: Some(lower_gemm),
    ..contributed("QGemm")
};

pub static Q_LINEAR_ADD: Operator = Operator {
    shape: |known| Some(combined(&[known.shape(0)?, known.shape(3)?])),
    lower: Some(|lowering, node| lower_codes(lowering, node, &ADD, &[])),
    ..contributed("QLinearAdd")
};

pub static Q_LINEAR_MUL: Operator = Operator {
    shape: |known| Some(combined(&[known.shape(0)?, known.shape(3)?])),
    lower: Some(|lowering, node| lower_codes(lowering, node, &MUL, &[])),
    ..contributed("QLinearMul")
};

pub static Q_LINEAR_AVERAGE_POOL: Operator = Operator {
    shape: super::pool::shape,
    lower: Some(|lowering, node| lower_one(lowering, node, &AVERAGE_POOL)),
    ..contributed("QLinearAveragePool")
};

pub static Q_LINEAR_CONCAT: Operator = Operator {
    lower: Some(lower_concat),
    ..contributed("QLinearConcat")
};

pub static Q_LINEAR_GLOBAL_AVERAGE_POOL: Operator = Operator {
    shape: super::pool::global_shape,
    lower: Some(|lowering, node| lower_one(lowering, node, &GLOBAL_AVERAGE_POOL)),
    ..contributed("QLinearGlobalAveragePool")
};

pub static Q_LINEAR_LEAKY_RELU: Operator = Operator {
    shape: same,
    lower: Some(|lowering, node| lower_one(lowering, node, &LEAKY_RELU)),
    ..contributed("QLinearLeakyRelu")
};

pub static Q_LINEAR_REDUCE_MEAN: Operator = contributed("QLinearReduceMean");

pub static Q_LINEAR_SIGMOID: Operator = Operator {
    shape: same,
    lower: Some(|lowering, node| lower_one(lowering, node, &SIGMOID)),
    ..contributed("QLinearSigmoid")
};

pub static Q_LINEAR_SOFTMAX: Operator = Operator {
    shape: same,
    lower: Some(|lowering, node| lower_one(lowering, node, &SOFTMAX)),
    ..contributed("QLinearSoftmax")
};

pub static Q_LINEAR_WHERE: Operator = contributed("QLinearWhere");

const fn rounding(name: &'static str) -> Operator {
    Operator {
        told_by_constants: true,
        quantized: true,
        hands_on: true,
        keeps_numbers: true,
        shape: same,
        channels,
        ..Operator::standard(name)
    }
}

const fn contributed(name: &'static str) -> Operator {
    Operator {
        quantized: true,
        ..Operator::contributed(name)
    }
}

/// The element type of codes, given that of their zero points.
fn kind(node: &Node, zeros: Option<DType>) -> DType {
    let said = numbered(node.int("output_dtype", 0));
    zeros.or(said).unwrap_or(DType::U8)
}

/// The smallest and largest code of a type.
fn range(kind: DType) -> Option<(f32, f32)> {
    Some(match kind {
        DType::U8 => (0.0, 255.0),
        DType::I8 => (-128.0, 127.0),
        DType::U16 => (0.0, 65535.0),
        DType::I16 => (-32768.0, 32767.0),
        // ONNX's numbers of the 4-bit types.
        DType::Other(21) => (0.0, 15.0),
        DType::Other(22) => (-8.0, 7.0),
        _ => return None,
    })
}

/// Constant floats as 8-bit codes.
fn fold_quantize(c: &Constants<'_>) -> Option<Tensor> {
    let (x, scales) = (c.dense(0)?.to_f32()?, c.dense(1)?.to_f32()?);
    let kind = kind(c.node, c.dense(2).map(Dense::dtype));
    let zeros: Vec<f32> = match c.node.input(2) {
        Some(_) => crate::codes::codes(c.dense(2)?)?
            .0
            .iter()
            .map(|&z| z.into())
            .collect(),
        None => vec![0.0; scales.len()],
    };
    if c.node.int("block_size", 0) != 0 || zeros.len() != scales.len() {
        return None;
    }
    // Elements that share a scale lie in runs of `inner`.
    let inner: usize = match scales.len() {
        1 => x.len(),
        n => {
            let axis = axis_of(c.node.int("axis", 1), x.ndim())?;
            (x.shape()[axis] == n).then(|| x.shape()[axis + 1..].iter().product())?
        }
    };
    let (low, high) = range(kind)?;
    let scales: Vec<f32> = scales.iter().copied().collect();
    let codes = x.iter().enumerate().map(|(i, v)| {
        let at = i / inner.max(1) % scales.len();
        ((v / scales[at]).round_ties_even() + zeros[at]).clamp(low, high)
    });
    Some(match kind {
        DType::I8 => Dense::I8(array(x.shape(), codes.map(|c| c as i8).collect()).ok()?).into(),
        DType::U8 => Dense::U8(array(x.shape(), codes.map(|c| c as u8).collect()).ok()?).into(),
        _ => return None,
    })
}

/// A scale or zero point of `node` as floats that go together with its input element by element.
fn spread(lowering: &mut Lowering<'_>, node: &Node, i: usize) -> Option<String> {
    let name = node.input(i)?.to_owned();
    let scalar = |shape: &[Option<usize>]| shape.iter().all(|d| *d == Some(1));
    let shape = lowering.shapes.shape(node.input(1)?)?.to_vec();
    let floats = match lowering.types.get(&name).copied().map(held_as) {
        Some(DType::F32) => name,
        _ => lowering.step(&node.name, &CAST, &[&name], &[("to", 1.into())]),
    };
    if node.int("block_size", 0) != 0 {
        return None;
    }
    let behind = match scalar(&shape) {
        true => 0,
        false => {
            let rank = lowering.rank(node, 0)?;
            rank - 1 - axis_of(node.int("axis", 1), rank)?
        }
    };
    if behind == 0 {
        return Some(floats);
    }
    let target = lowering.list(&node.name, [vec![-1], vec![1; behind]].concat());
    Some(lowering.step(&node.name, &RESHAPE, &[&floats, &target], &[]))
}

/// rten multiplies by the inverse of the scale, which rounds ties otherwise than dividing by it, and has codes of 8 bits only.
fn lower_quantize(lowering: &mut Lowering<'_>, node: Node) -> Result<(), ModelError> {
    let kind = kind(&node, lowering.dtype(&node, 2));
    let (Some((low, high)), Some(scale)) = (range(kind), spread(lowering, &node, 1)) else {
        lowering.push(node);
        return Ok(());
    };
    let zeros = spread(lowering, &node, 2);
    rounded(lowering, &node, &scale, zeros.as_ref(), (low, high), kind);
    Ok(())
}

/// What a `QuantizeLinear` gives: codes within `low` and `high`, given as integers.
fn rounded(
    lowering: &mut Lowering<'_>,
    node: &Node,
    scale: &String,
    zeros: Option<&String>,
    (low, high): (f32, f32),
    kind: DType,
) {
    let around = &node.name;
    let scaled = lowering.step(around, &DIV, &[&node.inputs[0], scale], &[]);
    let mut codes = lowering.step(around, &ROUND, &[&scaled], &[]);
    if let Some(zeros) = zeros {
        codes = lowering.step(around, &ADD, &[&codes, zeros], &[]);
    }
    let (low, high) = (lowering.number(around, low), lowering.number(around, high));
    let codes = lowering.step(around, &CLIP, &[&codes, &low, &high], &[]);
    let to = match kind {
        DType::U8 => 2,
        DType::I8 => 3,
        _ => 6,
    };
    let name = lowering.name(around, "cast");
    let mut cast = CAST.node(name, vec![codes], vec![node.outputs[0].clone()]);
    cast.attributes.insert("to".into(), Attribute::Int(to));
    lowering.push(cast);
}

/// rten has codes of 8 bits only.
fn lower_dequantize(lowering: &mut Lowering<'_>, mut node: Node) -> Result<(), ModelError> {
    let blocks = node.int("block_size", 0) != 0;
    let small = matches!(
        lowering.dtype(&node, 0),
        None | Some(DType::U8 | DType::I8 | DType::I32)
    );
    if small && !blocks {
        node.attributes.remove("output_dtype");
        lowering.push(node);
        return Ok(());
    }
    let Some(scale) = spread(lowering, &node, 1) else {
        return Err(refusal(&node, "codes of such a type or in blocks"));
    };
    let around = node.name.clone();
    let mut values = lowering.step(&around, &CAST, &[&node.inputs[0]], &[("to", 1.into())]);
    if let Some(zeros) = spread(lowering, &node, 2) {
        values = lowering.step(&around, &SUB, &[&values, &zeros], &[]);
    }
    lowering.finish(&around, &MUL, vec![values, scale], node.outputs);
    Ok(())
}

/// By its definition in the ONNX standard.
fn lower_dynamic(lowering: &mut Lowering<'_>, node: Node) -> Result<(), ModelError> {
    let Some(x) = node.input(0).map(str::to_owned) else {
        lowering.push(node);
        return Ok(());
    };
    let around = node.name.clone();
    let (zero, top) = (
        lowering.number(&around, 0.0),
        lowering.number(&around, 255.0),
    );
    let mut end = |reduce, limit| {
        let end = lowering.step(&around, reduce, &[&x], &[("keepdims", 0.into())]);
        lowering.step(&around, limit, &[&end, &zero], &[])
    };
    let (least, most) = (end(&REDUCE_MIN, &MIN), end(&REDUCE_MAX, &MAX));
    let range = lowering.step(&around, &SUB, &[&most, &least], &[]);
    let scale = lowering.step(&around, &DIV, &[&range, &top], &[]);
    let below = lowering.step(&around, &DIV, &[&least, &scale], &[]);
    let start = lowering.step(&around, &SUB, &[&zero, &below], &[]);
    let start = lowering.step(&around, &ROUND, &[&start], &[]);
    let start = lowering.step(&around, &CLIP, &[&start, &zero, &top], &[]);
    rounded(
        lowering,
        &node,
        &scale,
        Some(&start),
        (0.0, 255.0),
        DType::U8,
    );
    let given = |i: usize| node.outputs.get(i).filter(|name| !name.is_empty()).cloned();
    if let Some(name) = given(1) {
        lowering.finish(&around, &super::IDENTITY, vec![scale], vec![name]);
    }
    if let Some(name) = given(2) {
        let cast = lowering.name(&around, "cast");
        let mut cast = CAST.node(cast, vec![start], vec![name]);
        cast.attributes.insert("to".into(), Attribute::Int(2));
        lowering.push(cast);
    }
    Ok(())
}

/// The values of the codes at input `i` of a node, with scale and zero point behind them, along `axis`.
fn values(
    lowering: &mut Lowering<'_>,
    node: &Node,
    i: usize,
    axis: i64,
) -> Result<String, ModelError> {
    let inputs: Vec<String> = (i..i + 3)
        .map(|i| node.input(i).unwrap_or_default().to_owned())
        .collect();
    let name = lowering.name(&node.name, "values");
    let mut part = DEQUANTIZE_LINEAR.node(name.clone(), inputs, vec![name.clone()]);
    part.attributes.insert("axis".into(), Attribute::Int(axis));
    while part.inputs.last().is_some_and(String::is_empty) {
        part.inputs.pop();
    }
    lower_dequantize(lowering, part)?;
    Ok(name)
}

/// Rounds `value` to the codes that a node gives, by the scale at input `i` and the zero point behind it.
fn give(
    lowering: &mut Lowering<'_>,
    node: &Node,
    value: String,
    i: usize,
) -> Result<(), ModelError> {
    let mut inputs = vec![value, node.input(i).unwrap_or_default().to_owned()];
    inputs.extend(node.input(i + 1).map(str::to_owned));
    let name = lowering.name(&node.name, "codes");
    lower_quantize(
        lowering,
        QUANTIZE_LINEAR.node(name, inputs, node.outputs.clone()),
    )
}

fn plain_attributes(node: &Node) -> Vec<(&str, Attribute)> {
    let attributes = node.attributes.iter();
    attributes.map(|(k, v)| (k.as_str(), v.clone())).collect()
}

/// An operator on codes of one input, by `op` on the values they stand for.
fn lower_one(lowering: &mut Lowering<'_>, node: Node, op: &Operator) -> Result<(), ModelError> {
    if node.int("channels_last", 0) != 0 {
        return Err(refusal(&node, "channels behind the maps"));
    }
    let x = values(lowering, &node, 0, 1)?;
    let mut attributes = plain_attributes(&node);
    attributes.retain(|(name, _)| !matches!(*name, "channels_last" | "opset"));
    let name = lowering.name(&node.name, "value");
    let mut part = op.node(
        lowering.name(&node.name, "float"),
        vec![x],
        vec![name.clone()],
    );
    part.attributes = attributes
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v))
        .collect();
    match op.lower {
        Some(lower) => lower(lowering, part)?,
        None => lowering.push(part),
    }
    give(lowering, &node, name, 3)
}

/// An operator on codes of two inputs, by `op` on the values they stand for; its bias, where there is one, is at the
/// first of `bias`, in steps of both scales.
pub(super) fn lower_codes(
    lowering: &mut Lowering<'_>,
    node: Node,
    op: &Operator,
    bias: &[usize],
) -> Result<(), ModelError> {
    // Kernels have a scale for each first index, matrices for each column.
    let axis = match op.product {
        Some(Product::Matrix) => -1,
        _ => 0,
    };
    let (a, b) = (
        values(lowering, &node, 0, 1)?,
        values(lowering, &node, 3, axis)?,
    );
    let around = node.name.clone();
    let mut inputs = vec![a, b];
    if let Some(bias) = bias.first().and_then(|&i| node.input(i)).map(str::to_owned) {
        let steps = lowering.step(&around, &MUL, &[&node.inputs[1], &node.inputs[4]], &[]);
        let bias = lowering.step(&around, &CAST, &[&bias], &[("to", 1.into())]);
        inputs.push(lowering.step(&around, &MUL, &[&bias, &steps], &[]));
    }
    let name = lowering.name(&around, "value");
    let mut part = op.node(lowering.name(&around, "float"), inputs, vec![name.clone()]);
    part.attributes.clone_from(&node.attributes);
    // Its kernel is told by the shape of the codes.
    if let (Some(codes), Some(kernel)) = (node.input(3), part.inputs.get(1)) {
        let fact = lowering.shapes.fact(codes);
        lowering.shapes.learn(kernel, fact);
    }
    if let (Some(codes), Some(x)) = (node.input(0), part.inputs.first()) {
        let fact = lowering.shapes.fact(codes);
        lowering.shapes.learn(x, fact);
    }
    match op.lower {
        Some(lower) => lower(lowering, part)?,
        None => lowering.push(part),
    }
    give(lowering, &node, name, 6)
}

fn lower_gemm(lowering: &mut Lowering<'_>, node: Node) -> Result<(), ModelError> {
    let axis = i64::from(node.int("transB", 0) == 0);
    let (a, b) = (
        values(lowering, &node, 0, 1)?,
        values(lowering, &node, 3, axis)?,
    );
    let around = node.name.clone();
    let mut attributes = plain_attributes(&node);
    let mut inputs = vec![a, b];
    if let Some(bias) = node.input(6).map(str::to_owned) {
        let mut steps = lowering.step(&around, &MUL, &[&node.inputs[1], &node.inputs[4]], &[]);
        let alpha = node.float("alpha", 1.0);
        if alpha != 1.0 {
            let alpha = lowering.number(&around, alpha);
            steps = lowering.step(&around, &MUL, &[&steps, &alpha], &[]);
        }
        let bias = lowering.step(&around, &CAST, &[&bias], &[("to", 1.into())]);
        inputs.push(lowering.step(&around, &MUL, &[&bias, &steps], &[]));
    }
    attributes.push(("beta", Attribute::Float(1.0)));
    let inputs: Vec<&String> = inputs.iter().collect();
    let value = lowering.step(&around, &GEMM, &inputs, &attributes);
    if node.input(7).is_none() {
        lowering.finish(&around, &super::IDENTITY, vec![value], node.outputs);
        return Ok(());
    }
    give(lowering, &node, value, 7)
}

/// Scale and zero point of the result come first, then each part with its own.
fn lower_concat(lowering: &mut Lowering<'_>, node: Node) -> Result<(), ModelError> {
    let parts = (2..node.inputs.len())
        .step_by(3)
        .map(|i| values(lowering, &node, i, 1))
        .collect::<Result<Vec<_>, _>>()?;
    let parts: Vec<&String> = parts.iter().collect();
    let joined = lowering.step(&node.name, &CONCAT, &parts, &plain_attributes(&node));
    give(lowering, &node, joined, 0)
}

fn channels<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    let Some(x) = flow.at(node, 0) else {
        return flow.untouched(node).then(|| vec![None]);
    };
    let rank = flow.rank(node.input(0)?)?;
    for input in [1, 2] {
        if flow.is_scalar(node, input) {
            continue;
        }
        if node.int("block_size", 0) != 0 {
            return None;
        }
        if axis_of(node.int("axis", 1), rank)? == x.axis {
            flow.weight(node, input)?;
            flow.stand_vector(node, input, &x.units, false)?;
        }
    }
    Some(vec![Some(x)])
}

/// Scale and zero point, shaped to broadcast to `shape`: one for all, or one for each index of the node's axis.
fn parameters(call: &mut Call<'_>, shape: &[usize]) -> Result<(Var, Option<Var>), String> {
    let tape = call.tape;
    let scale = call.float(1)?;
    let zero_point = call.ints(2)?;
    let count: usize = scale.shape().iter().product();
    let mut wide = vec![1; shape.len()];
    if count != 1 {
        let axis = axis(call.node.int("axis", 1), shape.len())?;
        if scale.shape() != [shape[axis]] {
            return Err(format!(
                "scales of shape {:?} do not fit axis {axis} of {shape:?}",
                scale.shape()
            ));
        }
        wide[axis] = count;
    }
    let zero_point = match zero_point {
        Some(zeros) if zeros.len() != count => {
            return Err(format!("{} zero points for {count} scales", zeros.len()));
        }
        Some(zeros) => {
            let zeros = zeros.iter().map(|&z| z as f32).collect();
            Some(tape.constant(zeros, &wide))
        }
        None => None,
    };
    Ok((tape.reshape(scale, &wide), zero_point))
}

/// Codes as floats: `clamp(round(x / scale) + zero_point)`.
fn quantize(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let x = call.float(0)?;
    let (scale, zero_point) = parameters(call, x.shape())?;
    let mut codes = tape.round(tape.div(x, scale));
    if let Some(zero_point) = zero_point {
        codes = tape.add(codes, zero_point);
    }
    let (low, high) = if call.signed {
        (-128.0, 127.0)
    } else {
        (0.0, 255.0)
    };
    one(tape.clamp(codes, Some(low), Some(high)))
}

/// `(codes − zero_point) · scale`; stored codes become constants.
fn dequantize(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let codes = match call.value(0)? {
        Value::Float(codes) => codes,
        Value::Int(codes) => {
            let values = codes.iter().map(|&c| c as f32).collect();
            tape.constant(values, codes.shape())
        }
    };
    let (scale, zero_point) = parameters(call, codes.shape())?;
    let centred = match zero_point {
        Some(zero_point) => tape.sub(codes, zero_point),
        None => codes,
    };
    one(tape.mul(centred, scale))
}
