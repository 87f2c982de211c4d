//! The registry's entries: ONNX as a format, rten and onnxruntime as runtimes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lapidary_core::format::Format;
use lapidary_core::inventory;
use lapidary_core::model::{Model, ModelError, ValueId};
use lapidary_core::registry::{BuildError, Entry, Factory, Info, Linked};
use lapidary_core::runtime::{Loaded, Runtime};
use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::{NoSettings, Schema, Settings};
use lapidary_graph::Graph;
use lapidary_runtime::loaded::LoadedGraph;
use lapidary_runtime::ort::{self, Ort};
use lapidary_runtime::rten;
use serde::{Deserialize, Serialize};

use crate::GraphModel;

/// ONNX files.
pub static ONNX: Entry = Entry {
    info: Info {
        name: "onnx",
        summary: "ONNX files, large weights in files beside them where they were so",
        docs: "The format of https://onnx.ai, operator sets 7 and later: one protobuf message, with data files beside it for models \
               that were read so or take more than 2 GiB. Quantized weights are written as codes with DequantizeLinear, or as \
               MatMulNBits where they stand in blocks.",
        settings: Schema::of::<NoSettings>(),
        promises: &[],
    },
    factory: Factory::Format(&Onnx),
};

/// rten, built in.
pub static RTEN: Entry = Entry {
    info: Info {
        name: rten::NAME,
        summary: "runs models by rten, which is built in; quantized weights run as floats",
        docs: "rten (https://github.com/robertknight/rten) needs nothing besides this program. It computes quantized weights and \
               activations as the floats they stand for: good for accuracy, useless for their speed, which is therefore not told.",
        settings: Schema::of::<RtenSettings>(),
        promises: &[],
    },
    factory: Factory::Runtime(&|settings| {
        let settings = RTEN.info.read_settings::<RtenSettings>(settings)?;
        let threads = settings.threads;
        Ok(Box::new(RtenRuntime { threads }))
    }),
};

/// onnxruntime, as a library that the user has.
pub static ORT: Entry = Entry {
    info: Info {
        name: ort::NAME,
        summary: "runs models by onnxruntime, whose library is the user's own",
        docs: "onnxruntime (https://onnxruntime.ai) 1.17 or later, loaded from the path given, from ORT_DYLIB_PATH, or from the Python \
               package onnxruntime in the active environment or in ./.venv. Models are loaded as they are stored, so times and \
               metrics are those that the file has there, quantized operators included.",
        settings: Schema::of::<OrtSettings>(),
        promises: &[],
    },
    factory: Factory::Runtime(&|settings| {
        let settings = ORT.info.read_settings::<OrtSettings>(settings)?;
        let library = ort::find(settings.library.as_deref()).map_err(|e| BuildError::Unfit {
            name: ORT.info.name,
            reason: e.to_string(),
        })?;
        let threads = settings.threads.unwrap_or_else(rten::default_threads);
        Ok(Box::new(OrtRuntime(Ort::new(library, threads))))
    }),
};

inventory::submit!(Linked(&ONNX));
inventory::submit!(Linked(&RTEN));
inventory::submit!(Linked(&ORT));

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RtenSettings {
    /// Threads of a run; one a core where it is not given.
    #[schemars(range(min = 1), example = 2)]
    threads: Option<usize>,
}

impl Settings for RtenSettings {}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct OrtSettings {
    /// The library; looked for where it is not given.
    #[schemars(example = &"libonnxruntime.so")]
    library: Option<PathBuf>,
    /// Threads of a run; one a core where it is not given.
    #[schemars(range(min = 1), example = 2)]
    threads: Option<usize>,
}

impl Settings for OrtSettings {}

fn graph_model(model: &dyn Model) -> Result<&GraphModel, ModelError> {
    GraphModel::of(model)
        .ok_or_else(|| ModelError::Unsupported("what needs the graph of a model".into()))
}

/// The format.
struct Onnx;

impl Format for Onnx {
    fn sniff(&self, head: &[u8], path: &Path) -> bool {
        // The first field of the message is the version of the format, as a small number.
        matches!(head, [0x08, 1..=0x7f, ..])
            || path
                .extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("onnx"))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Model>, ModelError> {
        Ok(Box::new(GraphModel::open(path)?))
    }

    fn save(&self, model: &dyn Model, path: &Path) -> Result<(), ModelError> {
        Ok(graph_model(model)?.save(path)?)
    }
}

/// The runtime that is built in.
struct RtenRuntime {
    threads: Option<usize>,
}

impl Runtime for RtenRuntime {
    fn name(&self) -> &'static str {
        rten::NAME
    }

    fn threads(&self) -> usize {
        self.threads.unwrap_or_else(rten::default_threads)
    }

    fn computes_with_integers(&self) -> bool {
        false
    }

    fn load(&self, model: &dyn Model, values: &[ValueId]) -> Result<Box<dyn Loaded>, ModelError> {
        let model = graph_model(model)?;
        let engine = model.engine().with_threads(self.threads);
        load(engine, model.shared_graph(), values)
    }
}

/// The runtime that is a library of the user's.
struct OrtRuntime(Ort);

impl Runtime for OrtRuntime {
    fn name(&self) -> &'static str {
        ort::NAME
    }

    fn library(&self) -> Option<&Path> {
        Some(self.0.library())
    }

    fn threads(&self) -> usize {
        self.0.threads()
    }

    fn computes_with_integers(&self) -> bool {
        true
    }

    fn load(&self, model: &dyn Model, values: &[ValueId]) -> Result<Box<dyn Loaded>, ModelError> {
        load(self.0.clone(), graph_model(model)?.shared_graph(), values)
    }
}

fn load<E: lapidary_runtime::engine::Engine + 'static>(
    engine: E,
    graph: Arc<Graph>,
    values: &[ValueId],
) -> Result<Box<dyn Loaded>, ModelError> {
    Ok(Box::new(LoadedGraph::new(engine, graph, values)?))
}
