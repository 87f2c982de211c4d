//! Weights stored as integer codes: `DequantizeLinear` over constants, and `MatMulNBits` of ONNX Runtime.
//!
//! On reading they become [`Tensor::Quantized`] weights of the graph, on writing they become those nodes again.
//! `MatMulNBits` keeps a matrix `[K, N]` as `[N, blocks, bytes]`: for each column, blocks of codes along K, 4-bit
//! codes two in a byte with the first in the low half, the last block padded; zero points are packed column by
//! column in the same way.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use lapidary_core::tensor::{DType, Dense, Granularity, Quantized, Tensor, array};
use ndarray::{Array2, ArrayD, ArrayView2, Axis, IxDyn};

use crate::codes::{codes, nibbles, pack_nibbles, unpack_nibbles};
use crate::error::GraphError;
use crate::fold::{self, drop_unused};
use crate::graph::{Attribute, Graph, Node, fresh_name};
use crate::ops;
use crate::types::number_of;

/// Turns quantized constants into quantized weights, and what is computed of constants to be a layer's weight into
/// initialisers.
///
/// # Errors
/// When stored codes, scales and zero points do not fit each other.
pub fn fold(graph: &mut Graph) -> Result<(), GraphError> {
    fold::fold(graph);
    fold_dequantize(graph)?;
    // A weight of codes may stand behind further nodes.
    fold::fold(graph);
    fold_matmul_bits(graph)
}

fn dense<'a>(graph: &'a Graph, name: Option<&str>) -> Option<&'a Dense> {
    graph.weight(name?)?.as_dense()
}

fn fold_dequantize(graph: &mut Graph) -> Result<(), GraphError> {
    let mut folded = Vec::new();
    let consumers = graph.consumers();
    for (i, node) in graph.nodes.iter().enumerate() {
        if !node.is(&ops::DEQUANTIZE_LINEAR) || graph.is_output(&node.outputs[0]) {
            continue;
        }
        let (Some(stored), Some(scales)) =
            (dense(graph, node.input(0)), dense(graph, node.input(1)))
        else {
            continue;
        };
        let stands_for = scales.dtype();
        let said = node.int("output_dtype", 0);
        let (Some(scales), true) = (
            scales.to_f32(),
            matches!(said, 0) || said == number_of(stands_for),
        ) else {
            continue;
        };
        let zero_points = match node.input(2) {
            None => None,
            Some(name) => match dense(graph, Some(name)).and_then(codes) {
                Some((zeros, ..)) => Some(zeros),
                None => continue,
            },
        };
        let alone = node.input(0).is_some_and(|name| consumers[name].len() == 1);
        let (Some((codes, bits, signed)), true) = (codes(stored), alone) else {
            continue;
        };
        let granularity = granularity(node, codes.shape(), scales.shape())?;
        if zero_points
            .as_ref()
            .is_some_and(|z| z.len() != scales.len())
        {
            return Err(GraphError::node(
                node,
                "it has another number of zero points than scales",
            ));
        }
        let scales = match granularity {
            Granularity::Tensor => scales.to_owned().into_shape_with_order(IxDyn(&[])),
            _ => Ok(scales.to_owned()),
        };
        let scales: ArrayD<f32> = scales.expect("one scale for the tensor was checked");
        let zero_points = match zero_points {
            Some(zeros) => (zeros.to_shape(scales.raw_dim()).expect("counts agree")).into_owned(),
            None => ArrayD::zeros(scales.raw_dim()),
        };
        let weight = Quantized {
            codes,
            bits,
            signed,
            granularity,
            scales,
            zero_points,
        };
        folded.push((i, weight, stands_for));
    }
    let mut parts = HashSet::new();
    for (i, weight, stands_for) in folded.into_iter().rev() {
        let node = graph.nodes.remove(i);
        parts.extend(node.inputs);
        let name = node.outputs.into_iter().next().unwrap_or_default();
        if stands_for != DType::F32 {
            graph.stands_for.insert(name.clone(), stands_for);
        }
        graph
            .weights
            .insert(name, Arc::new(Tensor::Quantized(weight)));
    }
    drop_unused(graph, &parts);
    Ok(())
}

/// How the codes of a `DequantizeLinear` node share scales.
fn granularity(node: &Node, codes: &[usize], scales: &[usize]) -> Result<Granularity, GraphError> {
    let misfit = || {
        GraphError::node(
            node,
            format!("scales of shape {scales:?} do not fit codes of shape {codes:?}"),
        )
    };
    let axis = node.int("axis", 1);
    let axis = usize::try_from(if axis < 0 {
        axis + codes.len() as i64
    } else {
        axis
    })
    .ok()
    .filter(|&a| a < codes.len());
    let block = usize::try_from(node.int("block_size", 0)).map_err(|_| misfit())?;
    if block > 0 {
        let axis = axis.ok_or_else(misfit)?;
        let mut wanted = codes.to_vec();
        wanted[axis] = wanted[axis].div_ceil(block);
        if scales != wanted {
            return Err(misfit());
        }
        return Ok(Granularity::Block { axis, size: block });
    }
    match scales {
        [] => Ok(Granularity::Tensor),
        // One scale for an axis of one index is one for the tensor, unless the node speaks of an axis.
        [1] if !node.attributes.contains_key("axis") => Ok(Granularity::Tensor),
        [n] if axis.is_some_and(|a| codes[a] == *n) => {
            Ok(Granularity::Axis(axis.expect("just seen")))
        }
        [1] => Ok(Granularity::Tensor),
        _ => Err(misfit()),
    }
}

fn fold_matmul_bits(graph: &mut Graph) -> Result<(), GraphError> {
    let consumers = graph.consumers();
    let is_bits = |node: &Node| node.is(&ops::MAT_MUL_N_BITS);
    let mut weights: BTreeMap<String, Quantized> = BTreeMap::new();
    let mut folded = Vec::new();
    for (i, node) in graph.nodes.iter().enumerate().filter(|(_, n)| is_bits(n)) {
        let name = node.input(1).unwrap_or_default();
        // A weight read by several nodes stays one weight where all of them say the same about it.
        let same = consumers.get(name).is_some_and(|users| {
            users.iter().all(|&u| {
                let user = &graph.nodes[u];
                is_bits(user)
                    && user.inputs.get(1..4) == node.inputs.get(1..4)
                    && user.attributes == node.attributes
            })
        });
        if !same || graph.is_output(name) {
            continue;
        }
        if !weights.contains_key(name) {
            match unpack_matrix(graph, node)? {
                Some(weight) => weights.insert(name.to_owned(), weight),
                None => continue,
            };
        }
        folded.push(i);
    }
    let mut taken = graph.names();
    let mut parts = HashSet::new();
    for i in folded.into_iter().rev() {
        let node = &mut graph.nodes[i];
        let bias = node.input(5).map(str::to_owned);
        parts.extend(
            node.inputs
                .iter()
                .skip(2)
                .filter(|n| !n.is_empty())
                .cloned(),
        );
        ops::MAT_MUL.take_over(node);
        node.attributes.clear();
        node.inputs.truncate(2);
        if let Some(bias) = bias {
            parts.remove(&bias);
            let product = fresh_name(&mut taken, &format!("{}_product", node.name));
            let out = std::mem::replace(&mut node.outputs[0], product.clone());
            let name = fresh_name(&mut taken, &format!("{}_bias", node.name));
            let add = ops::ADD.node(name, vec![product, bias], vec![out]);
            graph.nodes.insert(i + 1, add);
        }
    }
    for (name, weight) in weights {
        graph
            .weights
            .insert(name, Arc::new(Tensor::Quantized(weight)));
    }
    drop_unused(graph, &parts);
    Ok(())
}

/// The weight `[K, N]` of a `MatMulNBits` node; `None` where it is of a kind we keep as it is.
fn unpack_matrix(graph: &Graph, node: &Node) -> Result<Option<Quantized>, GraphError> {
    let size = |name: &str| usize::try_from(node.int(name, 0)).unwrap_or(0);
    let (k, n, block) = (size("K"), size("N"), size("block_size"));
    let bits = size("bits");
    if !matches!(bits, 4 | 8) || node.input(4).is_some() {
        return Ok(None);
    }
    let (Some(Dense::U8(stored)), Some(Dense::F32(scales))) =
        (dense(graph, node.input(1)), dense(graph, node.input(2)))
    else {
        return Ok(None);
    };
    let zeros = match node.input(3) {
        None => None,
        Some(name) => match dense(graph, Some(name)) {
            Some(Dense::U8(zeros)) => Some(zeros),
            _ => return Ok(None),
        },
    };
    let misfit = |what: &str| {
        GraphError::node(
            node,
            format!("{what} do not fit K={k}, N={n}, block_size={block}, bits={bits}"),
        )
    };
    if k == 0 || n == 0 || block == 0 || !block.is_power_of_two() || block < 2 {
        return Err(misfit("its attributes"));
    }
    let blocks = k.div_ceil(block);
    let (Some(row), Some(zero_row)) = (
        blocks
            .checked_mul(block)
            .and_then(|codes| codes.checked_mul(bits))
            .map(|b| b / 8),
        blocks.checked_mul(bits).map(|b| b.div_ceil(8)),
    ) else {
        return Err(misfit("its attributes"));
    };
    let count = |per_row: usize| per_row.checked_mul(n);
    if count(row) != Some(stored.len()) {
        return Err(misfit("the codes"));
    }
    if count(blocks) != Some(scales.len()) {
        return Err(misfit("the scales"));
    }
    if zeros.is_some_and(|z| count(zero_row) != Some(z.len())) {
        return Err(misfit("the zero points"));
    }
    let unpack = |row: &[u8], count: usize| match bits {
        4 => unpack_nibbles(row, count, false),
        _ => row[..count].iter().map(|&b| i16::from(b)).collect(),
    };
    let rows = |bytes: Vec<u8>, row: usize, count: usize| {
        let data: Vec<i16> = bytes
            .chunks_exact(row)
            .flat_map(|r| unpack(r, count))
            .collect();
        let matrix = Array2::from_shape_vec((n, count), data).expect("sizes were checked");
        matrix
            .reversed_axes()
            .as_standard_layout()
            .into_owned()
            .into_dyn()
    };
    let codes = rows(stored.iter().copied().collect(), row, k);
    let scales = Array2::from_shape_vec((n, blocks), scales.iter().copied().collect())
        .expect("sizes were checked");
    let scales = scales
        .reversed_axes()
        .as_standard_layout()
        .into_owned()
        .into_dyn();
    let zero_points = match zeros {
        Some(z) => rows(z.iter().copied().collect(), zero_row, blocks),
        None => ArrayD::from_elem(scales.raw_dim(), 1 << (bits - 1)),
    };
    Ok(Some(Quantized {
        codes: codes.into_shared(),
        bits: bits as u8,
        signed: false,
        granularity: Granularity::Block {
            axis: 0,
            size: block,
        },
        scales,
        zero_points,
    }))
}

/// The graph as it is stored: its quantized weights as codes with the nodes that make values of them, weights that files keep
/// in a narrower type as they are kept.
pub fn unfolded(graph: &Graph) -> Graph {
    let plan = Plan::new(graph);
    let mut taken = graph.names();
    let mut out = Graph {
        nodes: Vec::with_capacity(graph.nodes.len()),
        weights: BTreeMap::new(),
        stands_for: BTreeMap::new(),
        kept_as: BTreeMap::new(),
        ..graph.clone()
    };
    let mut tensors = Vec::new();
    for (name, weight) in &graph.weights {
        match weight.as_ref() {
            Tensor::Quantized(q) => {
                plan.write_weight(name, q, &mut taken, &mut out.nodes, &mut tensors);
            }
            Tensor::Dense(dense) => match narrow(graph, name, dense) {
                Some(narrow) => {
                    let kept = fresh_name(&mut taken, &format!("{name}_{}", narrow.dtype()));
                    out.nodes.push(cast(&mut taken, &kept, name, dense.dtype()));
                    tensors.push((kept, narrow));
                }
                None => {
                    out.weights.insert(name.clone(), weight.clone());
                }
            },
        }
    }
    for (name, dense) in tensors {
        out.weights.insert(name, Arc::new(dense.into()));
    }
    for node in &graph.nodes {
        match plan.rewrite(node, &mut out.opsets) {
            Some(nodes) => out.nodes.extend(nodes),
            None => out.nodes.push(node.clone()),
        }
    }
    out
}

/// The weight in the type in which files keep it, where no value of it is lost by that.
fn narrow(graph: &Graph, name: &str, dense: &Dense) -> Option<Dense> {
    let kept = *graph.kept_as.get(name)?;
    let values = dense.to_f32()?;
    let wide = values.iter().map(|&v| f64::from(v));
    let narrow = Dense::floats(kept, values.shape(), wide).ok()?;
    let same = narrow.to_f32()? == values && !matches!(dense, Dense::F64(_));
    same.then_some(narrow)
}

/// A node that makes `to`, of another element type, of `from`.
fn cast(taken: &mut HashSet<String>, from: &str, to: &str, dtype: DType) -> Node {
    let name = fresh_name(taken, &format!("{to}_cast"));
    let mut node = ops::CAST.node(name, vec![from.to_owned()], vec![to.to_owned()]);
    let number = Attribute::Int(number_of(dtype));
    node.attributes.insert("to".into(), number);
    node
}

/// How the quantized weights of a graph are written.
struct Plan<'a> {
    graph: &'a Graph,
    /// Weights written for `MatMulNBits`.
    matrices: HashMap<&'a str, Matrix>,
}

/// The names of a `MatMulNBits` weight's parts (its codes keep the weight's name), and its attributes.
struct Matrix {
    k: usize,
    n: usize,
    block: usize,
    bits: u8,
    scales: String,
    zero_points: String,
}

impl<'a> Plan<'a> {
    /// A plan for all quantized weights of `graph`.
    fn new(graph: &'a Graph) -> Self {
        let mut matrices = HashMap::new();
        let blocked = |t: &Tensor| {
            matches!(
                t,
                Tensor::Quantized(Quantized {
                    granularity: Granularity::Block { .. },
                    ..
                })
            )
        };
        if graph.weights.values().any(|w| blocked(w)) {
            let mut taken = graph.names();
            let consumers = graph.consumers();
            for (name, weight) in &graph.weights {
                let Tensor::Quantized(q) = weight.as_ref() else {
                    continue;
                };
                if let Some((axis, block)) = matrix_block(graph, name, q, &consumers) {
                    let matrix = Matrix {
                        k: q.shape()[axis],
                        n: q.shape()[1 - axis],
                        block,
                        bits: q.bits,
                        scales: fresh_name(&mut taken, &format!("{name}_scales")),
                        zero_points: fresh_name(&mut taken, &format!("{name}_zero_points")),
                    };
                    matrices.insert(name.as_str(), matrix);
                }
            }
        }
        Self { graph, matrices }
    }

    /// Adds the stored parts of the weight `name`, and the node that makes its values of them, where one is needed.
    fn write_weight(
        &self,
        name: &str,
        q: &Quantized,
        taken: &mut HashSet<String>,
        nodes: &mut Vec<Node>,
        tensors: &mut Vec<(String, Dense)>,
    ) {
        if let Some(matrix) = self.matrices.get(name) {
            self.write_matrix(name, q, matrix, tensors);
            return;
        }
        let mut part = |suffix: &str| fresh_name(taken, &format!("{name}_{suffix}"));
        let inputs = vec![part("quantized"), part("scale"), part("zero_point")];
        let store = |values: &ArrayD<i16>| -> Dense {
            let values = values.as_standard_layout();
            match (q.bits, q.signed) {
                (4, signed) => nibbles(values.shape(), values.iter().copied(), signed),
                (_, true) => Dense::I8(values.mapv(|v| v as i8).into_shared()),
                (_, false) => Dense::U8(values.mapv(|v| v as u8).into_shared()),
            }
        };
        let scales = match q.granularity {
            Granularity::Tensor => q.scales.clone().into_shape_with_order(IxDyn(&[])),
            _ => Ok(q.scales.clone()),
        };
        let scales = scales.unwrap_or_else(|_| q.scales.clone());
        let zeros = q.zero_points.clone();
        let zeros = zeros
            .into_shape_with_order(scales.raw_dim())
            .unwrap_or_else(|e| {
                unreachable!("a quantized tensor has as many zero points as scales: {e}")
            });
        tensors.push((inputs[0].clone(), store(&q.codes.to_owned())));
        let stands_for = self
            .graph
            .stands_for
            .get(name)
            .copied()
            .unwrap_or(DType::F32);
        // From version 19 on scales may be of a narrower type, and so the values; else these are cast.
        let scales = Dense::from(scales);
        let narrow = || {
            let values = scales.to_f32()?;
            let wide = values.iter().map(|&v| f64::from(v));
            let narrow = Dense::floats(stands_for, values.shape(), wide).ok()?;
            (narrow.to_f32()? == values).then_some(narrow)
        };
        let halves = matches!(stands_for, DType::F16 | DType::BF16);
        let direct = (halves && self.graph.opset() >= 19).then(narrow).flatten();
        let seen = match &direct {
            None if stands_for != DType::F32 => Some(part("values")),
            _ => None,
        };
        tensors.push((inputs[1].clone(), direct.unwrap_or(scales)));
        tensors.push((inputs[2].clone(), store(&zeros)));
        let mut attributes = BTreeMap::new();
        match q.granularity {
            Granularity::Tensor => {}
            Granularity::Axis(axis) => {
                attributes.insert("axis".into(), Attribute::Int(axis as i64));
            }
            Granularity::Block { axis, size } => {
                attributes.insert("axis".into(), Attribute::Int(axis as i64));
                attributes.insert("block_size".into(), Attribute::Int(size as i64));
            }
        }
        let outputs = vec![seen.clone().unwrap_or_else(|| name.to_owned())];
        let mut node = ops::DEQUANTIZE_LINEAR.node(part("dequantize"), inputs, outputs);
        node.attributes = attributes;
        nodes.push(node);
        if let Some(values) = seen {
            nodes.push(cast(taken, &values, name, stands_for));
        }
    }

    fn write_matrix(
        &self,
        name: &str,
        q: &Quantized,
        matrix: &Matrix,
        tensors: &mut Vec<(String, Dense)>,
    ) {
        let Granularity::Block { axis, size } = q.granularity else {
            unreachable!("a matrix in blocks");
        };
        // Stored codes are unsigned: signed ones move up together with their zero points.
        let shift = if q.signed { 1 << (q.bits - 1) } else { 0 };
        let columns = |values: ArrayView2<'_, i16>, padded: usize| -> Vec<u8> {
            let mut bytes = Vec::new();
            for column in values.axis_iter(Axis(1 - axis)) {
                let padding = std::iter::repeat_n(0, padded - column.len());
                let codes = column.iter().map(|&c| c + shift).chain(padding);
                match q.bits {
                    4 => bytes.extend(pack_nibbles(codes)),
                    _ => bytes.extend(codes.map(|c| c as u8)),
                }
            }
            bytes
        };
        let two = "a matrix has two axes";
        let blocks = matrix.k.div_ceil(size);
        let codes = q.codes.view().into_dimensionality().expect(two);
        let zeros = q.zero_points.view().into_dimensionality().expect(two);
        let scales: ArrayView2<'_, f32> = q.scales.view().into_dimensionality().expect(two);
        let scales: Vec<f32> = (scales.axis_iter(Axis(1 - axis)))
            .flat_map(|column| column.to_vec())
            .collect();
        let bytes = |shape: &[usize], data| {
            Dense::U8(array(shape, data).expect("as many bytes as the shape takes"))
        };
        let blob = size * usize::from(q.bits) / 8;
        let zeros = columns(zeros, blocks);
        let codes = bytes(&[matrix.n, blocks, blob], columns(codes, blocks * size));
        let scales = Dense::F32(array(&[scales.len()], scales).expect("one axis"));
        tensors.push((name.to_owned(), codes));
        tensors.push((matrix.scales.clone(), scales));
        tensors.push((matrix.zero_points.clone(), bytes(&[zeros.len()], zeros)));
    }

    /// The nodes that stand for `node` where it multiplies by a matrix in blocks.
    fn rewrite(&self, node: &Node, opsets: &mut BTreeMap<String, i64>) -> Option<Vec<Node>> {
        if self.matrices.is_empty() || !(node.is(&ops::MAT_MUL) || node.is(&ops::GEMM)) {
            return None;
        }
        let name = node.input(1)?;
        let matrix = self.matrices.get(name)?;
        let domain = ops::MAT_MUL_N_BITS.domain;
        opsets.entry(domain.into()).or_insert(1);
        let int = |v: usize| Attribute::Int(v as i64);
        let inputs = vec![
            node.inputs[0].clone(),
            name.to_owned(),
            matrix.scales.clone(),
            matrix.zero_points.clone(),
        ];
        let mut product = ops::MAT_MUL_N_BITS.node(node.name.clone(), inputs, node.outputs.clone());
        product.attributes = BTreeMap::from([
            ("K".into(), int(matrix.k)),
            ("N".into(), int(matrix.n)),
            ("bits".into(), int(usize::from(matrix.bits))),
            ("block_size".into(), int(matrix.block)),
        ]);
        let Some(bias) = node.input(2) else {
            return Some(vec![product]);
        };
        let mut taken = self.graph.names();
        let sum = fresh_name(&mut taken, &format!("{}_product", node.name));
        product.outputs = vec![sum.clone()];
        let name = fresh_name(&mut taken, &format!("{}_bias", node.name));
        let add = ops::ADD.node(name, vec![sum, bias.to_owned()], node.outputs.clone());
        Some(vec![product, add])
    }
}

/// The axis along K and the block size of a weight that `MatMulNBits` can hold for all nodes that read it.
fn matrix_block(
    graph: &Graph,
    name: &str,
    q: &Quantized,
    consumers: &HashMap<&str, Vec<usize>>,
) -> Option<(usize, usize)> {
    let Granularity::Block { axis, size } = q.granularity else {
        return None;
    };
    let fits = q.shape().len() == 2 && size >= 16 && size.is_power_of_two();
    if !fits || graph.is_output(name) || graph.stands_for.contains_key(name) {
        return None;
    }
    let reads_it = |&i: &usize| {
        let node = &graph.nodes[i];
        let once = node.inputs.iter().filter(|n| *n == name).count() == 1;
        let along_k = if node.is(&ops::GEMM) {
            usize::from(node.int("transB", 0) != 0)
        } else {
            0
        };
        let plain = node.is(&ops::MAT_MUL)
            || (node.is(&ops::GEMM)
                && node.int("transA", 0) == 0
                && node.float("alpha", 1.0) == 1.0
                && node.float("beta", 1.0) == 1.0);
        plain && once && node.input(1) == Some(name) && along_k == axis
    };
    let users = consumers.get(name)?;
    users.iter().all(reads_it).then_some((axis, size))
}

/// The oldest standard operator set in which the graph's quantized weights can be written.
pub fn required_opset(graph: &Graph) -> i64 {
    let consumers = graph.consumers();
    (graph.weights.iter())
        .map(|(name, weight)| match weight.as_ref() {
            Tensor::Dense(_) => 0,
            Tensor::Quantized(q) if matrix_block(graph, name, q, &consumers).is_some() => 0,
            Tensor::Quantized(Quantized { bits: 4, .. }) => 21,
            Tensor::Quantized(q) => match q.granularity {
                Granularity::Tensor => 10,
                Granularity::Axis(_) => 13,
                Granularity::Block { .. } => 21,
            },
        })
        .max()
        .unwrap_or(0)
}
