//! `lapidary inspect`: what a model is made of.

use lapidary_core::model::{Dim, Layer, Port, Size};
use lapidary_core::text::listed;
use lapidary_model::GraphModel;
use lapidary_study::models;
use serde::Serialize;

use crate::end::{End, Failure};
use crate::output::{self, grouped};
use crate::{args, installed};

#[derive(Serialize)]
struct Document<'a> {
    params: usize,
    bytes: u64,
    macs: u64,
    macs_partial: bool,
    sparsity: f64,
    inputs: &'a [Port],
    outputs: &'a [Port],
    layers: &'a [Layer],
    /// Nodes and weights that no output needs.
    unused: Vec<String>,
}

/// Runs the command.
pub fn run(args: &args::Inspect, json: bool) -> Result<End, Failure> {
    let registry = installed::builtin()?;
    let model = models::read(&registry, &args.model).map_err(Failure::input)?;
    let size = Size::of(model.as_ref());
    let document = Document {
        params: size.params,
        bytes: match GraphModel::of(model.as_ref()).and_then(GraphModel::read_bytes) {
            Some(bytes) => bytes,
            None => model.file_bytes().map_err(Failure::work)?,
        },
        macs: size.macs,
        macs_partial: size.macs_partial,
        sparsity: size.sparsity,
        inputs: &model.signature().inputs,
        outputs: &model.signature().outputs,
        layers: &model.topology().layers,
        unused: (GraphModel::of(model.as_ref())).map_or_else(Vec::new, |m| m.graph().unused()),
    };
    output::print(json, &document, || text(&document))?;
    Ok(End::Done)
}

fn text(document: &Document<'_>) -> String {
    let mut text = String::new();
    for (what, ports) in [("input", document.inputs), ("output", document.outputs)] {
        for port in ports {
            text.push_str(&format!(
                "{what} {}: {} [{}]\n",
                port.name,
                port.dtype,
                shape(&port.shape)
            ));
        }
    }
    let rows = document.layers.iter().map(row).collect();
    text.push_str(&output::table(
        &[
            "layer", "kind", "shape", "params", "bytes", "MACs", "bits", "zeros",
        ],
        &["params", "bytes", "MACs", "bits", "zeros"],
        rows,
    ));
    let unknown = document.layers.iter().filter(|l| l.macs.is_none()).count();
    text.push_str(&format!(
        "\n{} params, {} bytes on disk, {} MACs a sample",
        grouped(document.params as u64),
        grouped(document.bytes),
        grouped(document.macs)
    ));
    if unknown > 0 {
        text.push_str(&format!(
            " without those of {unknown} layers, which are known at run time only"
        ));
    }
    if !document.unused.is_empty() {
        let names = listed(&document.unused);
        text.push_str(&format!(
            "; no output needs {names}, which are counted where they are layers"
        ));
    }
    text
}

fn row(layer: &Layer) -> Vec<String> {
    let known = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    vec![
        layer.name.clone(),
        layer.kind.clone(),
        known(layer.shape.as_ref().map(|shape| {
            let extents: Vec<String> = shape.iter().map(usize::to_string).collect();
            extents.join(" × ")
        })),
        grouped(layer.params as u64),
        grouped(layer.bytes as u64),
        known(layer.macs.map(grouped)),
        layer.bits.to_string(),
        format!("{:.1} %", layer.sparsity * 100.0),
    ]
}

fn shape(dims: &[Dim]) -> String {
    dims.iter()
        .map(|dim| match dim {
            Dim::Fixed(extent) => extent.to_string(),
            Dim::Symbol(name) if name.is_empty() => "?".to_owned(),
            Dim::Symbol(name) => name.clone(),
        })
        .collect::<Vec<_>>()
        .join(", ")
}
