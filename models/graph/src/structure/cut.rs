//! Removes channels from a graph.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use lapidary_core::model::{Dim, ModelError};
use lapidary_core::tensor::{Dense, Granularity, Quantized, Tensor};
use ndarray::Axis;

use super::flow::{Count, Flow};
use super::groups::{Found, found};
use super::units::Unit;
use crate::graph::{Attribute, Graph, fresh_name};

/// The channels of one group that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut<'a> {
    /// Id of the group.
    pub group: usize,
    /// Channels to keep, rising, not empty.
    pub keep: &'a [usize],
}

/// A copy of `graph` with only the kept channels of each group that is cut; other groups stay whole, and all ids refer
/// to `graph`.
///
/// # Errors
/// When a group is unknown or named twice, the channels to keep are none, out of range or not rising, or a quantized weight
/// shares scales across channels in a way that cannot be cut.
pub fn cut(graph: &Graph, cuts: &[Cut<'_>]) -> Result<Graph, ModelError> {
    let mut flow = Flow::of(graph);
    let groups = found(&mut flow);
    let mut cutter = Cutter {
        graph: graph.clone(),
        removed: removed(&groups, cuts)?,
        flow,
        rewired: false,
    };
    cutter.weights()?;
    cutter.counts();
    cutter.values();
    if cutter.rewired {
        cutter.graph.prune_unused();
    }
    Ok(cutter.graph)
}

/// The units that go.
fn removed(groups: &[Found], cuts: &[Cut<'_>]) -> Result<HashSet<Unit>, ModelError> {
    let mut removed = HashSet::new();
    let mut named = BTreeSet::new();
    for &Cut { group, keep } in cuts {
        let refuse = |reason: String| ModelError::Group { group, reason };
        let found = groups.get(group).ok_or_else(|| {
            refuse(format!(
                "there is no such group; the model has {}",
                groups.len()
            ))
        })?;
        if !named.insert(group) {
            return Err(refuse(
                "it is cut twice at once; name all channels to keep together".into(),
            ));
        }
        let channels = found.group.channels;
        if keep.is_empty() {
            return Err(refuse(
                "no channel would be kept; at least one has to be".into(),
            ));
        }
        if let Some(&index) = keep.iter().find(|&&k| k >= channels) {
            return Err(refuse(format!(
                "channel {index} is to be kept, it has {channels}"
            )));
        }
        if let Some(pair) = keep.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(refuse(format!(
                "channels to keep must rise, found {} before {}",
                pair[0], pair[1]
            )));
        }
        let mut kept = keep.iter().copied().peekable();
        for (channel, &root) in found.channels.iter().enumerate() {
            if kept.next_if_eq(&channel).is_none() {
                removed.insert(root);
            }
        }
    }
    Ok(removed)
}

struct Cutter<'g> {
    /// The graph as it becomes.
    graph: Graph,
    /// The graph as it was.
    flow: Flow<'g>,
    removed: HashSet<Unit>,
    /// Whether a node reads something else than before.
    rewired: bool,
}

impl Cutter<'_> {
    /// The indices of `units` that stay.
    fn kept(&mut self, units: &[Unit]) -> Vec<usize> {
        let mut kept = Vec::with_capacity(units.len());
        for (index, &unit) in units.iter().enumerate() {
            if !self.removed.contains(&self.flow.units.find(unit)) {
                kept.push(index);
            }
        }
        kept
    }

    fn weights(&mut self) -> Result<(), ModelError> {
        let stands = std::mem::take(&mut self.flow.stands);
        let places: BTreeMap<(&str, usize), &Rc<[Unit]>> = stands
            .iter()
            .map(|s| ((s.weight.as_str(), s.axis), &s.units))
            .collect();
        for ((name, axis), units) in places {
            let kept = self.kept(units);
            if kept.len() == units.len() {
                continue;
            }
            let weight = self.graph.weights.get_mut(name);
            let weight = weight.ok_or_else(|| ModelError::Graph(format!("no weight `{name}`")))?;
            *weight = Arc::new(select(name, weight, axis, &kept)?);
        }
        Ok(())
    }

    fn counts(&mut self) {
        for count in std::mem::take(&mut self.flow.counts) {
            match count {
                Count::Groups { node, units, each } => {
                    let groups = self.kept(&units).len() / each;
                    let attributes = &mut self.graph.nodes[node].attributes;
                    attributes.insert("group".into(), Attribute::Int(groups as i64));
                }
                Count::Target {
                    node,
                    mut target,
                    entry,
                    units,
                } => {
                    let kept = self.kept(&units).len();
                    if kept != units.len() {
                        target[entry] = kept as i64;
                        self.restate(node, "shape", target);
                    }
                }
                Count::Pads {
                    node,
                    mut pads,
                    axis,
                    before,
                    behind,
                } => {
                    let kept = (self.kept(&before).len(), self.kept(&behind).len());
                    if kept != (before.len(), behind.len()) {
                        let rank = pads.len() / 2;
                        pads[axis] = kept.0 as i64;
                        pads[rank + axis] = kept.1 as i64;
                        self.restate(node, "pads", pads);
                    }
                }
                Count::Parts { node, parts } => {
                    let kept: Vec<usize> = parts.iter().map(|p| self.kept(p).len()).collect();
                    if parts.iter().map(|p| p.len()).ne(kept.iter().copied()) {
                        self.graph.nodes[node].attributes.remove("num_outputs");
                        let sizes = kept.iter().map(|&n| n as i64).collect();
                        self.write_list(node, "split", 1, 13, sizes);
                    }
                }
            }
        }
    }

    /// Gives `node` another list where it has one: as the attribute `name`, or as input 1.
    fn restate(&mut self, node: usize, name: &str, list: Vec<i64>) {
        let is_attribute = self.flow.graph.nodes[node].ints(name).is_some();
        let first_as_input = if is_attribute { i64::MAX } else { 0 };
        self.write_list(node, name, 1, first_as_input, list);
    }

    /// Gives `node` a list of its own: as input `i` from operator set `first_as_input` on, before that as the attribute `name`.
    fn write_list(
        &mut self,
        node: usize,
        name: &str,
        i: usize,
        first_as_input: i64,
        list: Vec<i64>,
    ) {
        if self.graph.opset() < first_as_input {
            let attributes = &mut self.graph.nodes[node].attributes;
            attributes.insert(name.to_owned(), Attribute::Ints(list));
            return;
        }
        let mut taken = self.graph.names();
        let stem = format!("{}.{name}", self.graph.nodes[node].name);
        let weight = fresh_name(&mut taken, &stem);
        let list = ndarray::ArrayD::from(ndarray::Array1::from(list).into_dyn());
        let tensor = Tensor::Dense(Dense::from(list));
        self.graph.weights.insert(weight.clone(), Arc::new(tensor));
        let inputs = &mut self.graph.nodes[node].inputs;
        if inputs.len() <= i {
            inputs.resize(i + 1, String::new());
        }
        inputs[i] = weight;
        self.rewired = true;
    }

    /// Brings the shapes the file states for values in line.
    fn values(&mut self) {
        let mut values = std::mem::take(&mut self.graph.values);
        for value in &mut values {
            let Some(shape) = &mut value.shape else {
                continue;
            };
            if let Some(weight) = self.graph.weights.get(&value.name) {
                *shape = weight.shape().iter().map(|&d| Dim::Fixed(d)).collect();
            } else if let Some(layout) = self.flow.layout(&value.name)
                && let Some(dim) = shape.get_mut(layout.axis)
            {
                *dim = Dim::Fixed(self.kept(&layout.units).len());
            }
        }
        self.graph.values = values;
    }
}

/// The slices at `indices` of `axis` of a weight.
fn select(
    name: &str,
    tensor: &Tensor,
    axis: usize,
    indices: &[usize],
) -> Result<Tensor, ModelError> {
    match tensor {
        Tensor::Dense(dense) => Ok(dense.select(axis, indices)?.into()),
        Tensor::Quantized(quantized) => select_codes(quantized, axis, indices)
            .map(Tensor::Quantized)
            .ok_or_else(|| {
                ModelError::Unsupported(format!(
                    "cutting channels out of the blocks that share a scale in the quantized weight `{name}` \
                     (cut first, then quantize)"
                ))
            }),
    }
}

/// As [`select`]; `None` where the kept indices do not fill whole blocks of codes that share a scale.
fn select_codes(q: &Quantized, axis: usize, indices: &[usize]) -> Option<Quantized> {
    // Which scales stay, along which axis of theirs.
    let scales = match q.granularity {
        Granularity::Tensor => None,
        Granularity::Axis(a) => (a == axis).then(|| (0, indices.to_vec())),
        Granularity::Block { axis: a, size } if a == axis => {
            let extent = q.shape()[axis];
            let mut blocks = Vec::new();
            let mut rest = indices;
            while let Some(&first) = rest.first() {
                let end = (first + size).min(extent);
                let whole = first % size == 0 && rest.len() >= end - first;
                if !whole || !rest[..end - first].iter().copied().eq(first..end) {
                    return None;
                }
                blocks.push(first / size);
                rest = &rest[end - first..];
            }
            Some((axis, blocks))
        }
        Granularity::Block { .. } => Some((axis, indices.to_vec())),
    };
    let mut cut = q.clone();
    cut.codes = q.codes.select(Axis(axis), indices).into_shared();
    if let Some((axis, indices)) = scales {
        cut.scales = q.scales.select(Axis(axis), &indices);
        cut.zero_points = q.zero_points.select(Axis(axis), &indices);
    }
    Some(cut)
}
