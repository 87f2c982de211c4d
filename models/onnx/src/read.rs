//! From the messages of a file to a [`Graph`].

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use lapidary_core::model::Dim;
use lapidary_core::tensor::{DType, Tensor};
use lapidary_graph::{Attribute, Function, Graph, Node, ValueInfo, fresh_name, opset, quantized};
use prost::Message;

use crate::carried::Beside;
use crate::error::OnnxError;
use crate::external::ExternalData;
use crate::proto::{
    AttributeProto, DimValue, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TypeProto, TypeValue, ValueInfoProto, attribute_type,
};
use crate::tensor;

/// The newest version of the file format that is known.
const NEWEST_IR: i64 = 14;

/// The graph in the bytes of a file, and the bytes that it and its data files take.
///
/// # Errors
/// When the bytes are no ONNX model, or the model is wrong in itself.
pub(crate) fn model(bytes: &[u8], folder: Option<&Path>) -> Result<(Graph, u64), OnnxError> {
    let mut header = ModelProto::decode(bytes)?;
    let proto = header.graph.take().ok_or(OnnxError::NoGraph)?;
    let found = header.ir_version.unwrap_or(0);
    if found > NEWEST_IR {
        return Err(OnnxError::Version {
            found,
            newest: NEWEST_IR,
        });
    }
    let mut data = ExternalData::new(folder);
    let (mut graph, mut beside) = graph(proto, &mut data)?;
    graph.functions = (std::mem::take(&mut header.functions).into_iter())
        .map(|f| function(f, &mut data))
        .collect::<Result<_, _>>()?;
    graph.opsets = opsets(&header.opset_import);
    beside.header = header;
    graph.carried = Some(Arc::new(beside));
    graph.validate()?;
    let mut graph = opset::known(graph)?;
    quantized::fold(&mut graph)?;
    Ok((graph, bytes.len() as u64 + data.bytes()))
}

/// Versions of operator sets by domain.
fn opsets(list: &[OperatorSetIdProto]) -> BTreeMap<String, i64> {
    (list.iter())
        .map(|entry| {
            let domain = match entry.domain.as_deref() {
                None | Some("ai.onnx") => "",
                Some(other) => other,
            };
            (domain.to_owned(), entry.version.unwrap_or(1))
        })
        .collect()
}

/// A function of the model's own.
fn function(mut proto: FunctionProto, data: &mut ExternalData<'_>) -> Result<Function, OnnxError> {
    let port = |name: String| ValueInfoProto {
        name: Some(name),
        ..ValueInfoProto::default()
    };
    let body = GraphProto {
        name: proto.name.clone(),
        node: std::mem::take(&mut proto.node),
        input: std::mem::take(&mut proto.input)
            .into_iter()
            .map(port)
            .collect(),
        output: std::mem::take(&mut proto.output)
            .into_iter()
            .map(port)
            .collect(),
        ..GraphProto::default()
    };
    let (mut body, mut beside) = graph(body, data)?;
    body.opsets = opsets(&proto.opset_import);
    let mut defaults = BTreeMap::new();
    for stored in std::mem::take(&mut proto.attribute_proto) {
        let name = stored.name.clone().unwrap_or_default();
        defaults.insert(name, attribute(stored, data)?);
    }
    let (domain, name) = (proto.domain.clone(), proto.name.clone());
    beside.function = proto;
    body.carried = Some(Arc::new(beside));
    Ok(Function {
        domain: domain.unwrap_or_default(),
        name: name.unwrap_or_default(),
        body,
        defaults,
    })
}

/// A graph without what its file says beside it, and that.
fn graph(proto: GraphProto, data: &mut ExternalData<'_>) -> Result<(Graph, Beside), OnnxError> {
    let mut beside = Beside {
        doc_string: proto.doc_string,
        metadata_props: proto.metadata_props,
        quantization_annotation: proto.quantization_annotation,
        ..Beside::default()
    };
    let mut weights = BTreeMap::new();
    for mut stored in proto.initializer {
        let name = stored.name.clone().unwrap_or_default();
        if name.is_empty() {
            return Err(OnnxError::tensor("", "an initialiser has no name"));
        }
        let shell = TensorProto {
            doc_string: stored.doc_string.take(),
            metadata_props: std::mem::take(&mut stored.metadata_props),
            ..TensorProto::default()
        };
        if shell != TensorProto::default() {
            beside.tensors.insert(name.clone(), shell);
        }
        let bytes = data.read(&stored)?;
        beside.external |= bytes.is_some();
        let dense = tensor::decode(stored, bytes)?;
        if weights
            .insert(name.clone(), Arc::new(Tensor::Dense(dense)))
            .is_some()
        {
            return Err(OnnxError::value(&name, "it is defined more than once"));
        }
    }
    for stored in proto.sparse_initializer {
        let (name, dense) = tensor::decode_sparse(stored)?;
        if weights
            .insert(name.clone(), Arc::new(Tensor::Dense(dense)))
            .is_some()
        {
            return Err(OnnxError::value(&name, "it is defined more than once"));
        }
        beside.sparse.insert(name);
    }
    let mut ports = |list: Vec<ValueInfoProto>| -> Vec<ValueInfo> {
        list.into_iter()
            .map(|proto| {
                let info = value_info(&proto);
                beside.values.insert(info.name.clone(), proto);
                info
            })
            .collect()
    };
    let mut inputs = ports(proto.input);
    let outputs = ports(proto.output);
    let mut values = ports(proto.value_info);
    // Some exporters list inputs and outputs here as well.
    values.retain(|v| inputs.iter().chain(&outputs).all(|p| p.name != v.name));
    inputs.retain(|i| {
        let is_weight = weights.contains_key(&i.name);
        if is_weight {
            beside.overridable.push(i.name.clone());
        }
        !is_weight
    });
    if let Some(port) = inputs.iter().chain(&outputs).find(|p| p.name.is_empty()) {
        return Err(OnnxError::value(
            &port.name,
            "an input or output has no name",
        ));
    }

    let mut taken: HashSet<String> = (proto.node.iter())
        .filter_map(|n| n.name.clone().filter(|n| !n.is_empty()))
        .collect();
    let mut seen = HashSet::new();
    let mut nodes = Vec::with_capacity(proto.node.len());
    for (i, mut stored) in proto.node.into_iter().enumerate() {
        let name = match stored.name.take().filter(|n| !n.is_empty()) {
            Some(name) if seen.insert(name.clone()) => name,
            Some(repeated) => fresh_name(&mut taken, &repeated),
            None => {
                let op = stored.op_type.as_deref().unwrap_or("node");
                fresh_name(&mut taken, &format!("{op}_{i}"))
            }
        };
        let (node, shell) = node(name, stored, data)?;
        if shell != NodeProto::default() {
            beside.nodes.insert(node.name.clone(), shell);
        }
        nodes.push(node);
    }
    let graph = Graph {
        name: proto.name.unwrap_or_default(),
        nodes,
        inputs,
        outputs,
        values,
        weights,
        ..Graph::default()
    };
    Ok((graph, beside))
}

/// A graph inside a node.
fn subgraph(proto: GraphProto, data: &mut ExternalData<'_>) -> Result<Graph, OnnxError> {
    let (mut graph, beside) = graph(proto, data)?;
    graph.carried = Some(Arc::new(beside));
    Ok(graph)
}

/// The node, and what of its message does not stand in it.
fn node(
    name: String,
    stored: NodeProto,
    data: &mut ExternalData<'_>,
) -> Result<(Node, NodeProto), OnnxError> {
    let mut node = Node {
        name,
        op: stored.op_type.unwrap_or_default(),
        domain: stored.domain.unwrap_or_default(),
        inputs: stored.input,
        outputs: stored.output,
        attributes: BTreeMap::new(),
    };
    if node.op.is_empty() {
        return Err(OnnxError::node(&node, "it has no operator"));
    }
    let mut docs = Vec::new();
    for mut attribute in stored.attribute {
        let name = attribute.name.clone().unwrap_or_default();
        if attribute
            .doc_string
            .as_deref()
            .is_some_and(|d| !d.is_empty())
        {
            docs.push(AttributeProto {
                name: Some(name.clone()),
                doc_string: attribute.doc_string.take(),
                ..AttributeProto::default()
            });
        }
        let value = self::attribute(attribute, data)
            .map_err(|e| OnnxError::node(&node, format!("attribute `{name}`: {e}")))?;
        if node.attributes.insert(name.clone(), value).is_some() {
            return Err(OnnxError::node(
                &node,
                format!("it has two attributes `{name}`"),
            ));
        }
    }
    let shell = NodeProto {
        doc_string: stored.doc_string,
        overload: stored.overload,
        metadata_props: stored.metadata_props,
        device_configurations: stored.device_configurations,
        attribute: docs,
        ..NodeProto::default()
    };
    Ok((node, shell))
}

fn attribute(
    mut stored: AttributeProto,
    data: &mut ExternalData<'_>,
) -> Result<Attribute, OnnxError> {
    let mut dense = |stored: TensorProto| {
        let bytes = data.read(&stored)?;
        tensor::decode(stored, bytes)
    };
    if let Some(name) = stored.ref_attr_name {
        return Ok(Attribute::Reference {
            name,
            kind: stored.r#type.unwrap_or(0),
        });
    }
    Ok(match kind(&stored) {
        attribute_type::FLOAT => Attribute::Float(stored.f.unwrap_or_default()),
        attribute_type::INT => Attribute::Int(stored.i.unwrap_or_default()),
        attribute_type::STRING => Attribute::String(stored.s.unwrap_or_default()),
        attribute_type::TENSOR => Attribute::Tensor(dense(stored.t.unwrap_or_default())?),
        attribute_type::FLOATS => Attribute::Floats(stored.floats),
        attribute_type::INTS => Attribute::Ints(stored.ints),
        attribute_type::STRINGS => Attribute::Strings(stored.strings),
        attribute_type::TENSORS => Attribute::Tensors(
            stored
                .tensors
                .into_iter()
                .map(dense)
                .collect::<Result<_, _>>()?,
        ),
        attribute_type::GRAPH => Attribute::Graph(Box::new(subgraph(
            stored.g.take().unwrap_or_default(),
            data,
        )?)),
        attribute_type::GRAPHS => Attribute::Graphs(
            (stored.graphs.into_iter())
                .map(|g| subgraph(g, data))
                .collect::<Result<_, _>>()?,
        ),
        _ => Attribute::Raw(stored.encode_to_vec()),
    })
}

/// The kind of an attribute; old files do not say it, then it is the field that is filled.
fn kind(stored: &AttributeProto) -> i32 {
    match stored.r#type {
        Some(kind) if kind != 0 => kind,
        _ if stored.f.is_some() => attribute_type::FLOAT,
        _ if stored.i.is_some() => attribute_type::INT,
        _ if stored.s.is_some() => attribute_type::STRING,
        _ if stored.t.is_some() => attribute_type::TENSOR,
        _ if stored.g.is_some() => attribute_type::GRAPH,
        _ if !stored.floats.is_empty() => attribute_type::FLOATS,
        _ if !stored.ints.is_empty() => attribute_type::INTS,
        _ if !stored.strings.is_empty() => attribute_type::STRINGS,
        _ if !stored.tensors.is_empty() => attribute_type::TENSORS,
        _ if !stored.graphs.is_empty() => attribute_type::GRAPHS,
        _ => 0,
    }
}

/// The element type and shape of a value; a value that is no tensor has neither.
fn value_info(proto: &ValueInfoProto) -> ValueInfo {
    let name = proto.name.clone().unwrap_or_default();
    let Some(TypeProto {
        value: Some(TypeValue::Tensor(t)),
        ..
    }) = &proto.r#type
    else {
        return ValueInfo {
            name,
            dtype: DType::Other(0),
            shape: None,
        };
    };
    let dim = |d: &crate::proto::Dimension| match &d.value {
        Some(DimValue::Value(n)) => {
            usize::try_from(*n).map_or_else(|_| Dim::Symbol(String::new()), Dim::Fixed)
        }
        Some(DimValue::Param(s)) => Dim::Symbol(s.clone()),
        None => Dim::Symbol(String::new()),
    };
    ValueInfo {
        name,
        dtype: tensor::dtype(t.elem_type.unwrap_or(0)),
        shape: t.shape.as_ref().map(|s| s.dim.iter().map(dim).collect()),
    }
}
