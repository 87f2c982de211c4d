//! What an ONNX file says beside its graph.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lapidary_graph::{Carried, Graph};

use crate::proto::{
    FunctionProto, ModelProto, NodeProto, StringStringEntryProto, TensorAnnotation, TensorProto,
    ValueInfoProto,
};

/// Written again as it was read, for as long as the thing it is about is there.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Beside {
    /// The file's message without its graph; empty for subgraphs.
    pub header: ModelProto,
    pub doc_string: Option<String>,
    pub metadata_props: Vec<StringStringEntryProto>,
    pub quantization_annotation: Vec<TensorAnnotation>,
    /// Names of the initialisers that are stored by their elements that are not zero.
    pub sparse: BTreeSet<String>,
    /// The message of the function that the graph is the body of, without it.
    pub function: FunctionProto,
    /// Initialisers that are inputs as well: a caller may override them.
    pub overridable: Vec<String>,
    /// Nodes without their inputs, outputs and attributes' values, by name.
    pub nodes: BTreeMap<String, NodeProto>,
    /// Inputs, outputs and values in between, by name.
    pub values: BTreeMap<String, ValueInfoProto>,
    /// Initialisers without their elements, by name.
    pub tensors: BTreeMap<String, TensorProto>,
    /// Whether some elements stood in files of their own.
    pub external: bool,
}

impl Beside {
    /// What the file of `graph` said, or what we say of a graph that came from no ONNX file.
    pub fn of(graph: &Graph) -> Self {
        let carried = graph.carried.as_ref();
        (carried.and_then(|c| c.as_any().downcast_ref().cloned())).unwrap_or_else(|| Self {
            header: ModelProto {
                producer_name: Some("lapidary".into()),
                producer_version: Some(env!("CARGO_PKG_VERSION").into()),
                ..ModelProto::default()
            },
            ..Self::default()
        })
    }
}

impl Carried for Beside {
    fn renamed(&self, from: &str, to: &str) -> Arc<dyn Carried> {
        let mut renamed = self.clone();
        if let Some(said) = renamed.values.remove(from) {
            renamed.values.insert(to.to_owned(), said);
        }
        Arc::new(renamed)
    }

    fn same(&self, other: &dyn Carried) -> bool {
        other.as_any().downcast_ref() == Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
