//! Graphs and the files that hold them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lapidary_files::write_whole;
use lapidary_graph::Graph;
use lapidary_graph::check::check;
use prost::Message;

use crate::carried::Beside;
use crate::error::OnnxError;
use crate::proto::{EXTERNAL, ModelProto};
use crate::read;
use crate::write::{self, Form};

/// The graph in a file, and the bytes that the file takes, data kept in further files of the same folder included.
///
/// # Errors
/// [`OnnxError::File`] naming the file and what is wrong with it.
pub fn open(path: &Path) -> Result<(Graph, u64), OnnxError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::read(path)
        .map_err(OnnxError::from)
        .and_then(|bytes| from_bytes(&bytes, Some(folder)))
        .map_err(|e| e.at(path))
}

/// The graph in the bytes of a file, and how many bytes there are; `folder` is where data kept in further files is looked for.
///
/// # Errors
/// When the bytes are no ONNX model, or the model is wrong in itself.
pub fn from_bytes(bytes: &[u8], folder: Option<&Path>) -> Result<(Graph, u64), OnnxError> {
    read::model(bytes, folder)
}

/// The graph as the bytes of one file.
///
/// # Errors
/// When it takes more than the 2 GiB that one file can hold.
pub fn to_bytes(graph: &Graph, form: Form) -> Result<Vec<u8>, OnnxError> {
    write::to_bytes(&checked(graph, form)?)
}

/// The bytes that the graph takes as a file, external data included.
///
/// # Errors
/// When it cannot be written.
pub fn file_bytes(graph: &Graph) -> Result<u64, OnnxError> {
    let external = Beside::of(graph).external;
    let written = write::written(graph, Form::Stored);
    write::file_bytes(write::model(&written, Form::Stored), external)
}

/// Writes a graph to a file, which appears whole or not at all. One that was read with external data, or that takes more than
/// 2 GiB, gets a data file beside it, under a name that no file has; the data file of a model that stood at the path goes with it.
///
/// # Errors
/// [`OnnxError::File`] when the file cannot be written.
pub fn save(graph: &Graph, path: &Path) -> Result<(), OnnxError> {
    let write = || {
        let old = data_files(path);
        let data_path = free_data_path(path);
        let location = data_path.file_name().unwrap_or_default().to_string_lossy();
        let (model, data) = to_files(graph, &location)?;
        // The data first: a model never names a file that is not there.
        if let Some(data) = data {
            write_whole(&data_path, &data)?;
        }
        write_whole(path, &model)?;
        remove(&old);
        Ok(())
    };
    write().map_err(|e: OnnxError| e.at(path))
}

/// Writes the bytes of a file that holds all of a model, as [`save`] does.
///
/// # Errors
/// [`OnnxError::File`] when the file cannot be written.
pub fn save_bytes(bytes: &[u8], path: &Path) -> Result<(), OnnxError> {
    let old = data_files(path);
    write_whole(path, bytes).map_err(|e| OnnxError::from(e).at(path))?;
    remove(&old);
    Ok(())
}

/// Whether weights of a graph stood in files of their own.
pub fn is_external(graph: &Graph) -> bool {
    Beside::of(graph).external
}

/// Has the larger weights of a graph written to a file of their own.
pub fn keep_external(graph: &mut Graph) {
    let mut beside = Beside::of(graph);
    beside.external = true;
    graph.carried = Some(Arc::new(beside));
}

fn to_files(graph: &Graph, location: &str) -> Result<(Vec<u8>, Option<Vec<u8>>), OnnxError> {
    let external = Beside::of(graph).external;
    write::to_files(checked(graph, Form::Stored)?, external, location)
}

/// Removes data files that nothing names any more; what cannot be removed is left.
fn remove(files: &[PathBuf]) {
    for file in files {
        let _ = std::fs::remove_file(file);
    }
}

/// The message of a graph, which is looked at before it goes anywhere.
fn checked(graph: &Graph, form: Form) -> Result<ModelProto, OnnxError> {
    let written = write::written(graph, form);
    if form == Form::Stored {
        check(&written)?;
    }
    Ok(write::model(&written, form))
}

/// The data files beside `path` that the model there keeps its weights in, of those that we would name so: no model at another
/// path is meant by them.
fn data_files(path: &Path) -> Vec<PathBuf> {
    let Some(name) = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
    else {
        return Vec::new();
    };
    let ours = |location: &str| {
        let rest = location.strip_prefix(&name)?.strip_prefix('.')?;
        let middle = rest.strip_suffix("data")?;
        let number = middle.strip_suffix('.').unwrap_or(middle);
        (number.bytes().all(|b| b.is_ascii_digit())).then(|| path.with_file_name(location))
    };
    let model = std::fs::read(path)
        .ok()
        .and_then(|bytes| ModelProto::decode(&*bytes).ok());
    let graph = model.and_then(|model| model.graph).unwrap_or_default();
    let mut files: Vec<PathBuf> = (graph.initializer.iter())
        .filter(|t| t.data_location == Some(EXTERNAL))
        .flat_map(|t| &t.external_data)
        .filter(|entry| entry.key.as_deref() == Some("location"))
        .filter_map(|entry| ours(entry.value.as_deref()?))
        .collect();
    files.sort();
    files.dedup();
    files
}

/// The first of `NAME.data`, `NAME.2.data`, … that no file has: a model that stands at `path` keeps its own data
/// until it is replaced.
fn free_data_path(path: &Path) -> PathBuf {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut data = path.with_file_name(format!("{name}.data"));
    let mut n = 1;
    while data.exists() {
        n += 1;
        data = path.with_file_name(format!("{name}.{n}.data"));
    }
    data
}

#[cfg(test)]
mod tests {
    use lapidary_core::model::Edit;
    use lapidary_graph::opset::convert;
    use lapidary_graph::{edit, lower};

    use super::*;
    use crate::proto::{
        AttributeProto, FunctionProto, GraphProto, NodeProto, OperatorSetIdProto, TensorProto,
        TensorType, TypeProto, TypeValue, ValueInfoProto, attribute_type,
    };

    fn node(op: &str, domain: &str, inputs: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: Some(op.into()),
            domain: Some(domain.into()),
            input: inputs.iter().map(|&s| s.into()).collect(),
            output: vec![output.into()],
            ..NodeProto::default()
        }
    }

    fn port(name: &str) -> ValueInfoProto {
        let value = TypeValue::Tensor(TensorType {
            elem_type: Some(1),
            shape: None,
        });
        ValueInfoProto {
            name: Some(name.into()),
            r#type: Some(TypeProto {
                value: Some(value),
                denotation: None,
            }),
            ..ValueInfoProto::default()
        }
    }

    fn weight(name: &str, dims: &[i64]) -> TensorProto {
        let count: i64 = dims.iter().product();
        TensorProto {
            name: Some(name.into()),
            dims: dims.to_vec(),
            data_type: Some(1),
            float_data: (0..count).map(|i| i as f32 * 0.25).collect(),
            ..TensorProto::default()
        }
    }

    /// `y = Block(Block(x, w), v)`, a block being a product less its mean along an axis that the call gives.
    fn with_function() -> Vec<u8> {
        let set = |domain: &str, version| OperatorSetIdProto {
            domain: Some(domain.into()),
            version: Some(version),
        };
        let mut mean = node("ReduceMean", "", &["m"], "mu");
        mean.attribute = vec![AttributeProto {
            name: Some("axes".into()),
            ref_attr_name: Some("along".into()),
            r#type: Some(attribute_type::INTS),
            ..AttributeProto::default()
        }];
        let function = FunctionProto {
            name: Some("Block".into()),
            domain: Some("own".into()),
            input: vec!["x".into(), "w".into()],
            output: vec!["y".into()],
            attribute: vec!["along".into()],
            node: vec![
                node("MatMul", "", &["x", "w"], "m"),
                mean,
                node("Sub", "", &["m", "mu"], "y"),
            ],
            opset_import: vec![set("", 17)],
            ..FunctionProto::default()
        };
        let call = |inputs: &[&str], output: &str| NodeProto {
            attribute: vec![AttributeProto {
                name: Some("along".into()),
                ints: vec![-1],
                r#type: Some(attribute_type::INTS),
                ..AttributeProto::default()
            }],
            ..node("Block", "own", inputs, output)
        };
        let model = ModelProto {
            ir_version: Some(8),
            opset_import: vec![set("", 17), set("own", 1)],
            functions: vec![function],
            graph: Some(GraphProto {
                name: Some("g".into()),
                node: vec![call(&["x", "w"], "h"), call(&["h", "v"], "y")],
                initializer: vec![weight("w", &[2, 3]), weight("v", &[3, 2])],
                input: vec![port("x")],
                output: vec![port("y")],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }

    #[test]
    fn functions_are_kept_and_written_out_where_they_run() {
        let (graph, _) = from_bytes(&with_function(), None).unwrap();
        let again = to_bytes(&graph, Form::Stored).unwrap();
        assert_eq!(
            from_bytes(&again, None).unwrap().0.functions,
            graph.functions
        );
        let flat = lower::lower(&graph).unwrap();
        let ops: Vec<&str> = flat.nodes.iter().map(|n| n.op.as_str()).collect();
        assert_eq!(
            ops,
            ["MatMul", "ReduceMean", "Sub", "MatMul", "ReduceMean", "Sub"]
        );
        assert_eq!(flat.nodes[1].ints("axes"), Some(&[-1][..]));
        // The axes are the call's also where they are an input.
        let new = convert(&graph, 21).unwrap();
        let body = &new.functions[0].body;
        let ops: Vec<&str> = body.nodes.iter().map(|n| n.op.as_str()).collect();
        assert_eq!(ops, ["MatMul", "Constant", "ReduceMean", "Sub"]);
        assert!(body.nodes[2].attributes.is_empty() && body.nodes[2].inputs.len() == 2);
        let bytes = to_bytes(&new, Form::Stored).unwrap();
        assert_eq!(from_bytes(&bytes, None).unwrap().0.functions.len(), 1);
        let rename = Edit::RenameValue {
            from: "y".into(),
            to: "z".into(),
        };
        let renamed = edit::apply(&graph, &[rename]).unwrap();
        assert_eq!(renamed.functions.len(), 1);
    }

    #[test]
    fn files_that_are_too_new_say_so() {
        let mut model = ModelProto::decode(&*with_function()).unwrap();
        model.ir_version = Some(99);
        let error = from_bytes(&model.encode_to_vec(), None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("99") && error.contains("14"), "{error}");
        model.ir_version = Some(8);
        model.opset_import[0].version = Some(99);
        let error = from_bytes(&model.encode_to_vec(), None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("99") && error.contains("28"), "{error}");
    }
}
