//! From a [`Graph`] to the messages of a file.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use lapidary_core::model::Dim;
use lapidary_core::tensor::{DType, Dense, Tensor};
use lapidary_graph::{Attribute, Function, Graph, Node, ValueInfo, quantized};
use prost::Message;

use crate::carried::Beside;
use crate::error::OnnxError;
use crate::proto::{
    AttributeProto, DimValue, Dimension, FunctionProto, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TensorType, TypeProto, TypeValue,
    ValueInfoProto, attribute_type,
};
use crate::{external, tensor};

/// What one protobuf message can hold: readers count its bytes in a signed 32-bit number.
const LARGEST_MESSAGE: usize = i32::MAX as usize;

/// Elements below this size stay in the model's file.
const SMALLEST_EXTERNAL: usize = 1024;

/// What a model is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// To be kept: quantized weights as their codes, and all that the file said beside the graph.
    Stored,
    /// For an engine: quantized weights as the values their codes stand for, and nothing that is not computed.
    Dense,
}

/// The graph in the terms of a file.
pub(crate) fn written(graph: &Graph, form: Form) -> Cow<'_, Graph> {
    let folded = |w: &Arc<Tensor>| matches!(w.as_ref(), Tensor::Quantized(_));
    match form {
        Form::Stored => Cow::Owned(quantized::unfolded(graph)),
        Form::Dense if graph.weights.values().any(folded) => {
            let mut dense = graph.clone();
            for weight in dense.weights.values_mut() {
                if let Tensor::Quantized(q) = weight.as_ref() {
                    *weight = Arc::new(Tensor::Dense(Dense::F32(q.dequantize())));
                }
            }
            Cow::Owned(dense)
        }
        Form::Dense => Cow::Borrowed(graph),
    }
}

/// The whole model as one message; the graph is as it was [`written`].
pub(crate) fn model(graph: &Graph, form: Form) -> ModelProto {
    let beside = Beside::of(graph);
    let header = &beside.header;
    let mut model = header.clone();
    match form {
        Form::Dense => model.training_info.clear(),
        Form::Stored => model.functions = graph.functions.iter().map(function).collect(),
    }
    let opsets = graph.opsets.clone();
    model.graph = Some(self::graph(graph, &beside, form));
    let listed: Vec<_> = (header.opset_import.iter())
        .map(|e| e.domain.clone().unwrap_or_default())
        .map(|d| if d == "ai.onnx" { String::new() } else { d })
        .collect();
    let order = |domain: &String| {
        listed
            .iter()
            .position(|d| d == domain)
            .unwrap_or(listed.len())
    };
    let mut opsets: Vec<_> = opsets.into_iter().collect();
    opsets.sort_by_key(|(domain, _)| order(domain));
    model.opset_import = (opsets.into_iter())
        .map(|(domain, version)| OperatorSetIdProto {
            domain: Some(domain),
            version: Some(version),
        })
        .collect();
    // Version 4 lets initialisers stand without being inputs; later operator sets need later versions.
    let needed = ir_version(graph.opset());
    model.ir_version = Some(header.ir_version.unwrap_or(needed).max(needed));
    model
}

/// The file format version that came with a version of the standard operator set.
fn ir_version(opset: i64) -> i64 {
    match opset {
        ..=9 => 4,
        10 => 5,
        11 => 6,
        12..=14 => 7,
        15..=18 => 8,
        19 | 20 => 9,
        21 | 22 => 10,
        23 => 11,
        24 => 12,
        _ => 13,
    }
}

/// The bytes of a model as one file.
///
/// # Errors
/// When it is too large for one.
pub(crate) fn to_bytes(model: &ModelProto) -> Result<Vec<u8>, OnnxError> {
    let bytes = model.encoded_len();
    if bytes > LARGEST_MESSAGE {
        return Err(OnnxError::TooLarge { bytes });
    }
    Ok(model.encode_to_vec())
}

/// The bytes that a model takes as a file, its data file included.
///
/// # Errors
/// When even what has to stay in the model's file is too large.
pub(crate) fn file_bytes(model: ModelProto, external: bool) -> Result<u64, OnnxError> {
    let bytes = model.encoded_len();
    if !external && bytes <= LARGEST_MESSAGE {
        return Ok(bytes as u64);
    }
    let (model, data) = to_files(model, external, "model.onnx.data")?;
    Ok((model.len() + data.map_or(0, |d| d.len())) as u64)
}

/// The bytes of a model as a file, and those of its data file `location` where it needs one.
///
/// # Errors
/// When even what has to stay in the model's file is too large.
pub(crate) fn to_files(
    mut model: ModelProto,
    external: bool,
    location: &str,
) -> Result<(Vec<u8>, Option<Vec<u8>>), OnnxError> {
    let mut data = Vec::new();
    if (external || model.encoded_len() > LARGEST_MESSAGE)
        && let Some(graph) = &mut model.graph
    {
        for t in &mut graph.initializer {
            if t.raw_data
                .as_ref()
                .is_some_and(|raw| raw.len() >= SMALLEST_EXTERNAL)
            {
                external::move_out(t, &mut data, location);
            }
        }
    }
    Ok((to_bytes(&model)?, (!data.is_empty()).then_some(data)))
}

/// A function of the model's own; its constants are nodes.
fn function(function: &Function) -> FunctionProto {
    let beside = Beside::of(&function.body);
    let body = graph(&function.body, &beside, Form::Stored);
    let constant = |stored: TensorProto| {
        let value = AttributeProto {
            name: Some("value".into()),
            t: Some(stored.clone()),
            r#type: Some(attribute_type::TENSOR),
            ..AttributeProto::default()
        };
        NodeProto {
            op_type: Some("Constant".into()),
            output: stored.name.into_iter().collect(),
            attribute: vec![value],
            ..NodeProto::default()
        }
    };
    let names = |list: Vec<ValueInfoProto>| list.into_iter().filter_map(|v| v.name).collect();
    FunctionProto {
        name: Some(function.name.clone()),
        domain: Some(function.domain.clone()),
        node: (body.initializer.into_iter().map(constant))
            .chain(body.node)
            .collect(),
        input: names(body.input),
        output: names(body.output),
        opset_import: (function.body.opsets.iter())
            .map(|(domain, version)| OperatorSetIdProto {
                domain: Some(domain.clone()),
                version: Some(*version),
            })
            .collect(),
        attribute_proto: (function.defaults.iter())
            .map(|(name, value)| attribute(name, value, Form::Stored))
            .collect(),
        ..beside.function
    }
}

fn graph(graph: &Graph, beside: &Beside, form: Form) -> GraphProto {
    let mut node = Vec::with_capacity(graph.nodes.len());
    let mut initializer = Vec::with_capacity(graph.weights.len());
    let mut sparse_initializer = Vec::new();
    for (name, weight) in &graph.weights {
        let Some(dense) = weight.as_dense() else {
            unreachable!("a graph as it was written has dense weights");
        };
        let sparse = (beside.sparse.contains(name) && form == Form::Stored)
            .then(|| tensor::encode_sparse(name, dense))
            .flatten();
        match sparse {
            Some(sparse) => sparse_initializer.push(sparse),
            None => initializer.push(tensor::encode(name, dense)),
        }
    }
    for t in &mut initializer {
        if let Some(shell) = t.name.as_ref().and_then(|name| beside.tensors.get(name)) {
            t.doc_string.clone_from(&shell.doc_string);
            t.metadata_props.clone_from(&shell.metadata_props);
        }
    }
    for n in &graph.nodes {
        node.push(self::node(n, beside.nodes.get(&n.name), form));
    }
    let info = |v: &ValueInfo| value_info(v, beside.values.get(&v.name));
    let stored: BTreeSet<&str> = initializer
        .iter()
        .filter_map(|t| t.name.as_deref())
        .collect();
    let overridable = (beside.overridable.iter())
        .filter(|name| stored.contains(name.as_str()))
        .filter(|_| form == Form::Stored)
        .filter_map(|name| {
            let weight = graph.weight(name)?.as_dense()?;
            let v = ValueInfo {
                name: name.clone(),
                dtype: weight.dtype(),
                shape: Some(weight.shape().iter().map(|&d| Dim::Fixed(d)).collect()),
            };
            Some(info(&v))
        });
    GraphProto {
        name: Some(if graph.name.is_empty() {
            "graph".into()
        } else {
            graph.name.clone()
        }),
        input: graph.inputs.iter().map(info).chain(overridable).collect(),
        output: graph.outputs.iter().map(info).collect(),
        value_info: graph.values.iter().map(info).collect(),
        doc_string: beside.doc_string.clone(),
        metadata_props: beside.metadata_props.clone(),
        quantization_annotation: beside.quantization_annotation.clone(),
        sparse_initializer,
        node,
        initializer,
    }
}

/// A node's message, with what its file said beside it.
fn node(node: &Node, shell: Option<&NodeProto>, form: Form) -> NodeProto {
    let mut proto = shell.cloned().unwrap_or_default();
    let docs = std::mem::take(&mut proto.attribute);
    proto.name = Some(node.name.clone());
    proto.op_type = Some(node.op.clone());
    proto.domain = (!node.domain.is_empty()).then(|| node.domain.clone());
    proto.input.clone_from(&node.inputs);
    proto.output.clone_from(&node.outputs);
    proto.attribute = (node.attributes.iter())
        .map(|(name, value)| {
            let mut stored = attribute(name, value, form);
            if let Some(doc) = docs.iter().find(|d| d.name.as_deref() == Some(name)) {
                stored.doc_string.clone_from(&doc.doc_string);
            }
            stored
        })
        .collect();
    proto
}

fn attribute(name: &str, value: &Attribute, form: Form) -> AttributeProto {
    let mut proto = AttributeProto {
        name: Some(name.to_owned()),
        ..AttributeProto::default()
    };
    let subgraph = |g: &Graph| graph(g, &Beside::of(g), form);
    proto.r#type = Some(match value {
        Attribute::Float(v) => {
            proto.f = Some(*v);
            attribute_type::FLOAT
        }
        Attribute::Int(v) => {
            proto.i = Some(*v);
            attribute_type::INT
        }
        Attribute::String(v) => {
            proto.s = Some(v.clone());
            attribute_type::STRING
        }
        Attribute::Tensor(v) => {
            proto.t = Some(unnamed(v));
            attribute_type::TENSOR
        }
        Attribute::Graph(v) => {
            proto.g = Some(subgraph(v));
            attribute_type::GRAPH
        }
        Attribute::Floats(v) => {
            proto.floats.clone_from(v);
            attribute_type::FLOATS
        }
        Attribute::Ints(v) => {
            proto.ints.clone_from(v);
            attribute_type::INTS
        }
        Attribute::Strings(v) => {
            proto.strings.clone_from(v);
            attribute_type::STRINGS
        }
        Attribute::Tensors(v) => {
            proto.tensors = v.iter().map(unnamed).collect();
            attribute_type::TENSORS
        }
        Attribute::Graphs(v) => {
            proto.graphs = v.iter().map(subgraph).collect();
            attribute_type::GRAPHS
        }
        Attribute::Reference { name, kind } => {
            proto.ref_attr_name = Some(name.clone());
            *kind
        }
        // The bytes are those we encoded ourselves on reading.
        Attribute::Raw(bytes) => return AttributeProto::decode(bytes.as_slice()).unwrap_or(proto),
    });
    proto
}

fn unnamed(dense: &Dense) -> TensorProto {
    tensor::encode("", dense)
}

/// A value's message: its type as it is now, the rest as its file said.
fn value_info(value: &ValueInfo, shell: Option<&ValueInfoProto>) -> ValueInfoProto {
    let mut proto = shell.cloned().unwrap_or_default();
    proto.name = Some(value.name.clone());
    if value.dtype == DType::Other(0) {
        return proto;
    }
    let old = match proto.r#type.take() {
        Some(TypeProto {
            value: Some(TypeValue::Tensor(t)),
            denotation,
        }) => (t.shape, denotation),
        _ => (None, None),
    };
    let dims = |shape: &Vec<Dim>| {
        let mut dims: Vec<Dimension> = shape.iter().map(dimension).collect();
        if let Some(old) = &old.0
            && old.dim.len() == dims.len()
        {
            for (dim, old) in dims.iter_mut().zip(&old.dim) {
                dim.denotation.clone_from(&old.denotation);
            }
        }
        TensorShapeProto { dim: dims }
    };
    let value = TypeValue::Tensor(TensorType {
        elem_type: Some(tensor::number(value.dtype)),
        shape: value.shape.as_ref().map(dims),
    });
    proto.r#type = Some(TypeProto {
        value: Some(value),
        denotation: old.1,
    });
    proto
}

fn dimension(dim: &Dim) -> Dimension {
    Dimension {
        value: match dim {
            Dim::Fixed(n) => Some(DimValue::Value(*n as i64)),
            Dim::Symbol(name) if name.is_empty() => None,
            Dim::Symbol(name) => Some(DimValue::Param(name.clone())),
        },
        denotation: None,
    }
}
