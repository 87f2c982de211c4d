//! Which layers are quantized how, and what is tried when the goal is not met.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use lapidary_core::model::{Edit, Layer, Model, ModelError, Product, Seen, ValueId, check_finite};
use lapidary_core::optimizer::{OptimizeContext, OptimizeError, Optimized, Optimizer};
use lapidary_core::outputs;
use lapidary_core::rng::Rng;
use lapidary_core::samples::{Inputs, Samples};
use lapidary_core::select;
use lapidary_core::settings::Checked;
use lapidary_core::tensor::{Dense, Shared, Tensor};
use lapidary_core::text::listed;
use rayon::prelude::*;

use crate::activations::Activations;
use crate::config::{Calibration, Config, Scheme};
use crate::weights::{quantize_blocks, quantize_symmetric};

/// Samples on which the outputs of a quantized model are compared with those of the original.
const PROBES: usize = 64;

/// The optimizer.
pub struct Quantize {
    config: Checked<Config>,
}

/// A weight to quantize, and the layers that read it.
struct Target {
    weight: String,
    values: Shared<f32>,
    /// Axis of the weight that counts output channels.
    channel_axis: usize,
    /// Whether each output channel may have a scale: of products of stacks and vectors runtimes take one for all.
    by_channel: bool,
    /// Axis along which blocks run, where the weight can be stored in blocks.
    input_axis: Option<usize>,
    /// Names of the layers and the activations they read.
    layers: Vec<(String, ValueId)>,
    /// The weight in blocks of 4 bits and in 8 bits, each made when it is first needed: drafts share them.
    quantized: [OnceLock<Arc<Tensor>>; 2],
}

/// How a weight is stored. In this order, each is gentler than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Int4,
    Int8,
    Float,
}

/// A number of targets moved to a gentler form, and the model that gave.
type Counted = (usize, Box<dyn Model>);

/// One way to quantize the model: a form for each target, and a calibration.
#[derive(Clone)]
struct Draft {
    forms: Vec<Form>,
    calibration: Calibration,
}

impl Quantize {
    /// The optimizer with these settings.
    pub fn new(config: Checked<Config>) -> Self {
        Self { config }
    }

    /// The weights that can be quantized; what cannot is noted.
    fn targets(
        &self,
        model: &dyn Model,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Target>, OptimizeError> {
        let topology = model.topology();
        let chosen = select::layers(topology, &self.config.layers, &self.config.exclude)?;
        let mut readers: BTreeMap<&str, Vec<&Layer>> = BTreeMap::new();
        let (mut other, mut variable) = (BTreeSet::new(), Vec::new());
        for &layer in &chosen {
            match &layer.weight {
                _ if layer.product.is_none() => {
                    other.insert(layer.kind.as_str());
                }
                Some(weight) => readers.entry(weight).or_default().push(layer),
                None => variable.push(layer.name.as_str()),
            }
        }
        if !other.is_empty() {
            let kinds = other.into_iter().collect::<Vec<_>>().join(", ");
            notes.push(format!(
                "layers of kind {kinds} left alone: only matrix products and plain convolutions are quantized"
            ));
        }
        if !variable.is_empty() {
            notes.push(format!(
                "left alone: {} (no constant weight)",
                listed(&variable)
            ));
        }
        let mut targets = Vec::new();
        // In the order of the model's layers: what is noted first comes first in the model.
        for layer in &chosen {
            let Some((name, layers)) = layer
                .weight
                .as_deref()
                .and_then(|w| readers.remove_entry(w))
            else {
                continue;
            };
            let (Some(tensor), Some(first)) = (model.weights().get(name), layers.first()) else {
                continue;
            };
            let mut leave = |why: &str| notes.push(format!("{} left alone: {why}", names(&layers)));
            let values = match tensor.as_ref() {
                Tensor::Quantized(_) => continue,
                Tensor::Dense(dense) => match dense.to_f32() {
                    Some(values) => values,
                    None => {
                        leave(&format!(
                            "its weight `{name}` holds {}, no floats",
                            dense.dtype()
                        ));
                        continue;
                    }
                },
            };
            if values.is_empty() {
                continue;
            }
            let reads = |node: &&lapidary_core::model::NodeInfo| {
                node.inputs.iter().any(|i| i == name) && !layers.iter().any(|l| l.name == node.name)
            };
            if let Some(node) = topology.nodes.iter().find(reads) {
                leave(&format!(
                    "its weight `{name}` is read by `{}` too",
                    node.name
                ));
                continue;
            }
            if layers
                .iter()
                .any(|l| l.channel_axis != first.channel_axis || l.kind != first.kind)
            {
                leave(&format!("they read the weight `{name}` in different ways"));
                continue;
            }
            let matrix = values.ndim() == 2 && first.product == Some(Product::Matrix);
            targets.push(Target {
                weight: name.to_owned(),
                channel_axis: first.channel_axis,
                by_channel: matrix || first.product == Some(Product::Convolution),
                input_axis: matrix.then(|| 1 - first.channel_axis.min(1)),
                values,
                layers: layers
                    .iter()
                    .map(|l| (l.name.clone(), l.input.clone()))
                    .collect(),
                quantized: Default::default(),
            });
        }
        Ok(targets)
    }

    /// The form that the settings ask for.
    fn wanted(&self, target: &Target) -> Form {
        match (self.config.bits, target.input_axis) {
            (4, Some(_)) => Form::Int4,
            _ => Form::Int8,
        }
    }

    /// The samples to calibrate with: those given, or as many drawn from the training samples.
    fn samples(&self, cx: &OptimizeContext<'_>) -> Result<Option<Samples>, OptimizeError> {
        let Some(all) = cx.calibration.or(cx.train).filter(|s| !s.is_empty()) else {
            return Ok(None);
        };
        if all.len() <= self.config.samples {
            return Ok(Some(all.clone()));
        }
        // Files are often sorted by class, so the first samples would not do.
        let mut order: Vec<usize> = (0..all.len()).collect();
        Rng::keyed(cx.seed, 0, "quantize: calibration").shuffle(&mut order);
        order.truncate(self.config.samples);
        order.sort_unstable();
        Ok(Some(all.select(&order).map_err(ModelError::from)?))
    }

    /// The weight of a target in one of the forms that hold codes.
    fn quantized(&self, target: &Target, form: Form) -> Arc<Tensor> {
        let [int4, int8] = &target.quantized;
        let tensor = match (form, target.input_axis) {
            (Form::Int4, Some(axis)) => int4.get_or_init(|| {
                let quantized = quantize_blocks(&target.values, axis, self.config.block, 4);
                Tensor::Quantized(quantized).into()
            }),
            _ => int8.get_or_init(|| {
                let by_channel = self.config.per_channel && target.by_channel;
                let axis = by_channel.then_some(target.channel_axis);
                Tensor::Quantized(quantize_symmetric(&target.values, axis)).into()
            }),
        };
        tensor.clone()
    }

    /// The edits that make `draft` of the model.
    fn edits(
        &self,
        targets: &[Target],
        draft: &Draft,
        activations: Option<&Activations>,
    ) -> Vec<Edit> {
        let per_target: Vec<Vec<Edit>> = targets
            .par_iter()
            .zip(&draft.forms)
            .map(|(target, &form)| {
                if form == Form::Float {
                    return Vec::new();
                }
                let mut edits = vec![Edit::SetWeight {
                    name: target.weight.clone(),
                    tensor: self.quantized(target, form),
                }];
                let method = draft.calibration;
                edits.extend(target.layers.iter().filter_map(|(node, value)| {
                    let affine = activations?.quantizer(value, method, self.config.percentile)?;
                    Some(Edit::QuantizeValue {
                        node: node.clone(),
                        value: value.clone(),
                        affine,
                    })
                }));
                edits
            })
            .collect();
        per_target.into_iter().flatten().collect()
    }
}

/// The float outputs of a model; what only others need is not run.
fn floats(model: &dyn Model, inputs: &Inputs) -> Result<Vec<Dense>, ModelError> {
    let names = outputs::candidates(model.signature(), None, None)?;
    let mut seen = Seen::default();
    model.observe(inputs, &names, &mut seen)?;
    Ok(seen.0)
}

/// The names of layers as text.
fn names(layers: &[&Layer]) -> String {
    layers
        .iter()
        .map(|l| l.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

impl Optimizer for Quantize {
    fn optimize(
        &self,
        model: &dyn Model,
        cx: &OptimizeContext<'_>,
    ) -> Result<Optimized, OptimizeError> {
        cx.check_cancel()?;
        check_finite(model)?;
        let mut notes = Vec::new();
        let mut targets = self.targets(model, &mut notes)?;
        if targets.is_empty() {
            notes.push("nothing is left to quantize".into());
            return Ok(Optimized {
                model: model.share(),
                notes,
            });
        }
        if self.config.bits == 4 {
            let odd: Vec<&str> = (targets.iter().filter(|t| t.input_axis.is_none()))
                .flat_map(|t| t.layers.iter().map(|(name, _)| name.as_str()))
                .collect();
            if !odd.is_empty() {
                notes.push(format!(
                    "8 bits where 4 are not possible (only matrices are stored in blocks): {}",
                    listed(&odd)
                ));
            }
        }
        let samples = self.samples(cx)?;
        let mut activations = None;
        if self.config.scheme() == Scheme::Static {
            let samples = samples.as_ref().ok_or_else(|| OptimizeError::Needs {
                optimizer: "quantize".into(),
                what: "samples to see activations on for `scheme = \"static\"`: --data, or --calibration, which needs no targets (or use `scheme = \"weight_only\"`)".into(),
            })?;
            let values: BTreeSet<ValueId> = targets
                .iter()
                .flat_map(|t| t.layers.iter().map(|(_, v)| v.clone()))
                .collect();
            let values: Vec<ValueId> = values.into_iter().collect();
            let mut seen = Activations::observe(model, samples, &values, cx)?;
            if self.config.calibration != Calibration::MinMax {
                seen.count(model, samples, cx)?;
            }
            targets.retain(|target| {
                let all = target
                    .layers
                    .iter()
                    .all(|(_, value)| seen.quantizer(value, Calibration::MinMax, 100.0).is_some());
                if !all {
                    let layers: Vec<&str> = target.layers.iter().map(|(n, _)| n.as_str()).collect();
                    notes.push(format!(
                        "{} left alone: its input holds no floats",
                        listed(&layers)
                    ));
                }
                all
            });
            activations = Some(seen);
        }
        Attempt {
            quantize: self,
            model,
            cx,
            probes: samples.as_ref().map(|s| s.head(PROBES)),
            samples,
            targets,
            activations,
            left: self.config.attempts,
        }
        .run(notes)
    }
}

/// The search for a form that meets the goal.
struct Attempt<'a> {
    quantize: &'a Quantize,
    model: &'a dyn Model,
    cx: &'a OptimizeContext<'a>,
    samples: Option<Samples>,
    probes: Option<Samples>,
    targets: Vec<Target>,
    activations: Option<Activations>,
    /// Measurements that may still be made.
    left: usize,
}

impl Attempt<'_> {
    fn run(mut self, mut notes: Vec<String>) -> Result<Optimized, OptimizeError> {
        let wanted = Draft {
            forms: self
                .targets
                .iter()
                .map(|t| self.quantize.wanted(t))
                .collect(),
            calibration: self.quantize.config.calibration,
        };
        let first = self.build(&wanted)?;
        if self.accepts(first.as_ref())? {
            return Ok(Optimized {
                model: first,
                notes,
            });
        }
        if let Some(found) = self.gentler(&wanted)? {
            notes.extend(found.notes);
            return Ok(Optimized {
                model: found.model,
                notes,
            });
        }
        // A model that meets the goal is not made one that does not; one that does not yet may be on its way.
        if self.accepts(self.model)? {
            notes.push("the model is left as it is: no quantized form of it met the goal".into());
            return Ok(Optimized {
                model: self.model.share(),
                notes,
            });
        }
        notes.push("neither the model nor any quantized form of it met the goal; this is the form that was asked for".into());
        Ok(Optimized {
            model: first,
            notes,
        })
    }

    fn build(&self, draft: &Draft) -> Result<Box<dyn Model>, OptimizeError> {
        self.cx.check_cancel()?;
        let edits = self
            .quantize
            .edits(&self.targets, draft, self.activations.as_ref());
        Ok(self.model.apply(&edits)?)
    }

    fn accepts(&self, model: &dyn Model) -> Result<bool, OptimizeError> {
        self.cx.check_cancel()?;
        Ok((self.cx.accept)(&(self.cx.measure)(model)?))
    }

    /// Builds and measures a draft, as long as measurements are left.
    fn try_draft(&mut self, draft: &Draft) -> Result<Option<Box<dyn Model>>, OptimizeError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let share = 1.0 - self.left as f64 / self.quantize.config.attempts as f64;
        (self.cx.progress)(share, "trying gentler forms");
        let model = self.build(draft)?;
        Ok(self.accepts(model.as_ref())?.then_some(model))
    }

    /// The first gentler draft that meets the goal, and what is gentler about it.
    fn gentler(&mut self, wanted: &Draft) -> Result<Option<Optimized>, OptimizeError> {
        if self.left == 0 {
            return Ok(None);
        }
        let reference = match &self.probes {
            Some(probes) => Some(floats(self.model, &probes.inputs)?),
            None => None,
        };
        let mut draft = wanted.clone();
        if let (Some(activations), Some(samples), Some(reference)) =
            (&mut self.activations, &self.samples, &reference)
        {
            activations.count(self.model, samples, self.cx)?;
            let mut methods = Vec::new();
            for calibration in Calibration::ALL {
                let other = Draft {
                    calibration,
                    ..wanted.clone()
                };
                methods.push((self.disturbance(&other, reference)?, calibration));
            }
            methods.sort_by(|a, b| a.0.total_cmp(&b.0));
            for &(_, calibration) in methods.iter().filter(|m| m.1 != wanted.calibration) {
                let other = Draft {
                    calibration,
                    ..wanted.clone()
                };
                if let Some(model) = self.try_draft(&other)? {
                    let note = format!(
                        "calibration {} met the goal where {} did not",
                        calibration.name(),
                        wanted.calibration.name()
                    );
                    return Ok(Some(Optimized {
                        model,
                        notes: vec![note],
                    }));
                }
            }
            draft.calibration = methods[0].1;
        }
        let order = self.sensitivity(&draft, reference.as_deref())?;
        for (from, to, what) in [
            (Form::Int4, Form::Int8, "in 8 bits"),
            (Form::Int8, Form::Float, "in float"),
        ] {
            let movable: Vec<usize> = (order.iter().copied())
                .filter(|&i| draft.forms[i] == from)
                .collect();
            let moved = |count: usize| {
                let mut moved = draft.clone();
                for &i in &movable[..count] {
                    moved.forms[i] = to;
                }
                moved
            };
            // All in float would be the model as it was.
            let most = movable.len() - usize::from(to == Form::Float && !movable.is_empty());
            if let Some((count, model)) = self.fewest(most, &moved)? {
                let layers: Vec<&str> = (movable[..count].iter())
                    .flat_map(|&i| self.targets[i].layers.iter().map(|(name, _)| name.as_str()))
                    .collect();
                let note = format!(
                    "kept {what} to meet the goal, as the outputs are most sensitive there: {}",
                    listed(&layers)
                );
                return Ok(Some(Optimized {
                    model,
                    notes: vec![note],
                }));
            }
            draft = moved(movable.len());
        }
        Ok(None)
    }

    /// The smallest count in 1..=most whose draft meets the goal, found by doubling and then halving.
    fn fewest(
        &mut self,
        most: usize,
        moved: &dyn Fn(usize) -> Draft,
    ) -> Result<Option<Counted>, OptimizeError> {
        let (mut failed, mut count) = (0, 1);
        while count <= most {
            let Some(model) = self.try_draft(&moved(count))? else {
                if self.left == 0 {
                    return Ok(None);
                }
                failed = count;
                count = if count == most {
                    most + 1
                } else {
                    (2 * count).min(most)
                };
                continue;
            };
            let mut best = (count, model);
            while best.0 - failed > 1 && self.left > 0 {
                let middle = failed + (best.0 - failed) / 2;
                match self.try_draft(&moved(middle))? {
                    Some(model) => best = (middle, model),
                    None => failed = middle,
                }
            }
            return Ok(Some(best));
        }
        Ok(None)
    }

    /// How far the outputs of a draft are from `reference` on the probes: squared error relative to squared outputs.
    fn disturbance(&self, draft: &Draft, reference: &[Dense]) -> Result<f64, OptimizeError> {
        let empty = Inputs::new();
        let inputs = self.probes.as_ref().map_or(&empty, |p| &p.inputs);
        let outputs = floats(self.build(draft)?.as_ref(), inputs)?;
        let (mut off, mut all) = (0.0, 0.0);
        for (was, is) in reference.iter().zip(&outputs) {
            if let (Some(was), Some(is)) = (was.to_f32(), is.to_f32()) {
                for (&was, &is) in was.iter().zip(&is) {
                    off += (f64::from(was) - f64::from(is)).powi(2);
                    all += f64::from(was).powi(2);
                }
            }
        }
        Ok(if all > 0.0 { off / all } else { off })
    }

    /// The targets, most sensitive first: by what quantizing each alone does to the outputs, or without samples to
    /// the weight itself.
    fn sensitivity(
        &self,
        draft: &Draft,
        reference: Option<&[Dense]>,
    ) -> Result<Vec<usize>, OptimizeError> {
        let mut ranked = Vec::new();
        for (i, &form) in draft.forms.iter().enumerate() {
            let mut alone = draft.clone();
            alone.forms.fill(Form::Float);
            alone.forms[i] = form;
            (self.cx.progress)(
                i as f64 / self.targets.len() as f64,
                "finding sensitive layers",
            );
            let harm = match reference {
                Some(reference) => self.disturbance(&alone, reference)?,
                None => self.rounding_error(i, &alone),
            };
            ranked.push((harm, i));
        }
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        Ok(ranked.into_iter().map(|(_, i)| i).collect())
    }

    /// Squared rounding error of a target's weight in a draft, relative to the squared weight.
    fn rounding_error(&self, target: usize, draft: &Draft) -> f64 {
        let values = &self.targets[target].values;
        let rounded = self
            .quantize
            .edits(&self.targets, draft, None)
            .into_iter()
            .find_map(|edit| match edit {
                Edit::SetWeight { tensor, .. } => tensor.to_f32(),
                _ => None,
            });
        let Some(rounded) = rounded else { return 0.0 };
        let off: f64 = values
            .iter()
            .zip(&rounded)
            .map(|(&w, &r)| (f64::from(w) - f64::from(r)).powi(2))
            .sum();
        let all: f64 = values.iter().map(|&w| f64::from(w).powi(2)).sum();
        if all > 0.0 { off / all } else { 0.0 }
    }
}
