//! Follows channels through a graph.
//!
//! Every output channel of a layer is a unit. A value that carries channels has a layout: along which axis they lie and
//! which unit each index of that axis is. Operators pass layouts on, tie units together (a sum needs the same channels on
//! both sides) or pin them (an operator that mixes channels in a way that cannot be cut). Whatever has no rule pins
//! all channels that reach it, so that a graph is never cut wrongly.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use lapidary_core::tensor::Tensor;

use super::units::{Unit, Units};
use crate::graph::{Graph, Node};
use crate::ops;
use crate::shape::{Ints, Shapes, axes_of};

/// Two numbers of samples that shapes are inferred for, with those that other open extents begin with: an extent that differs
/// between them depends on the samples or on those.
const SAMPLES: [(usize, usize); 2] = [(61, 512), (64, 832)];

/// The most indices an axis of channels may have.
pub(crate) const MOST_INDICES: usize = 1 << 24;

/// An extent for each of two numbers of samples.
pub(crate) type Extent = [usize; 2];

/// The extent, where it does not depend on the samples.
pub(crate) fn fixed([one, other]: Extent) -> Option<usize> {
    (one == other).then_some(one)
}

/// The layouts of a node's outputs; one stands for the first output where no other is read.
pub(crate) type Layouts = Vec<Option<Layout>>;

/// Where the channels of a value are.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// The axis along which they lie.
    pub axis: usize,
    /// The unit at each index of that axis.
    pub units: Rc<[Unit]>,
}

/// Channels along an axis of a weight.
#[derive(Debug, Clone)]
pub(crate) struct Stand {
    /// Position of the node that reads the weight, and at which input.
    pub reader: (usize, usize),
    pub weight: String,
    pub axis: usize,
    /// The unit at each index of the axis.
    pub units: Rc<[Unit]>,
    /// Whether the weight writes the channels.
    pub produces: bool,
}

/// A number in the graph that counts channels and has to follow when they are cut.
#[derive(Debug, Clone)]
pub(crate) enum Count {
    /// The attribute `group` of a convolution: one for each `each` input channels.
    Groups {
        node: usize,
        units: Rc<[Unit]>,
        each: usize,
    },
    /// An entry of the target shape of a `Reshape`.
    Target {
        node: usize,
        target: Vec<i64>,
        entry: usize,
        units: Rc<[Unit]>,
    },
    /// Channels that a `Pad` adds before and behind the others.
    Pads {
        node: usize,
        pads: Vec<i64>,
        axis: usize,
        before: Rc<[Unit]>,
        behind: Rc<[Unit]>,
    },
    /// The parts of a `Split`.
    Parts { node: usize, parts: Vec<Rc<[Unit]>> },
}

/// Everything that is known about the channels of a graph.
#[derive(Debug)]
pub(crate) struct Flow<'g> {
    pub graph: &'g Graph,
    shapes: [Shapes; 2],
    pub units: Units,
    pub layouts: HashMap<&'g str, Layout>,
    pub stands: Vec<Stand>,
    pub counts: Vec<Count>,
    /// Positions of the nodes that write each value's channels anew, with the units they write.
    pub writers: Vec<(usize, Rc<[Unit]>)>,
    /// The node being looked at.
    pub at: usize,
    /// Values that something reads.
    read: HashSet<&'g str>,
}

impl<'g> Flow<'g> {
    /// Follows the channels of `graph` from the layers that write them to the last use.
    pub(crate) fn of(graph: &'g Graph) -> Self {
        let read = (graph.nodes.iter().flat_map(Node::reads))
            .chain(graph.outputs.iter().map(|o| o.name.as_str()))
            .collect();
        let mut flow = Self {
            graph,
            shapes: SAMPLES.map(|(samples, others)| Shapes::supposing(graph, samples, others)),
            units: Units::default(),
            layouts: HashMap::new(),
            stands: Vec::new(),
            counts: Vec::new(),
            writers: Vec::new(),
            at: 0,
            read,
        };
        for (at, node) in graph.nodes.iter().enumerate() {
            flow.at = at;
            flow.step(node);
        }
        for output in &graph.outputs {
            flow.pin_value(&output.name);
        }
        flow.pin_weights_of_several_uses();
        flow
    }

    fn step(&mut self, node: &'g Node) {
        let first_new = self.units.len();
        // Outputs beside the first may depend on channels in their own way; a rule says so for all of them or none.
        let layouts = self.layouts_behind(node).filter(|layouts| {
            let mut others = node.outputs.iter().skip(1);
            layouts.len() == node.outputs.len() || others.all(|o| !self.read.contains(o.as_str()))
        });
        let Some(layouts) = layouts else {
            for name in node.reads() {
                self.pin_value(name);
            }
            // Nor may channels be cut that the node itself writes: nothing is known about who reads them.
            for unit in first_new..self.units.len() {
                self.units.pin(unit as Unit);
            }
            return;
        };
        for (name, layout) in node.outputs.iter().zip(layouts) {
            let Some(layout) = layout else { continue };
            self.layouts.insert(name, layout);
        }
    }

    /// The layouts of the outputs of `node`; `None` where the channels that reach it cannot be cut.
    fn layouts_behind(&mut self, node: &'g Node) -> Option<Layouts> {
        if node.subgraphs().next().is_some() {
            return None;
        }
        (ops::find(node)?.channels)(self, node)
    }

    /// The channels of the value `name`, where it carries some.
    pub(crate) fn layout(&self, name: &str) -> Option<Layout> {
        self.layouts.get(name).cloned()
    }

    /// The channels of input `i`, where it carries some.
    pub(crate) fn at(&self, node: &Node, i: usize) -> Option<Layout> {
        self.layout(node.input(i)?)
    }

    /// Whether no channels reach the node.
    pub(crate) fn untouched(&self, node: &Node) -> bool {
        !node
            .reads()
            .iter()
            .any(|name| self.layouts.contains_key(name))
    }

    /// Whether none of the inputs from `first` on carries channels.
    pub(crate) fn rest_untouched(&self, node: &Node, first: usize) -> bool {
        (first..node.inputs.len()).all(|i| self.at(node, i).is_none())
    }

    /// The extents of the value `name`, each where known; `None` where its rank is not.
    pub(crate) fn shape(&self, name: &str) -> Option<Vec<Option<Extent>>> {
        let [one, other] = &self.shapes;
        let (one, other) = (one.shape(name)?, other.shape(name)?);
        (one.len() == other.len())
            .then(|| (one.iter().zip(other).map(|(a, b)| Some([(*a)?, (*b)?]))).collect())
    }

    /// Number of axes of the value `name`, where known.
    pub(crate) fn rank(&self, name: &str) -> Option<usize> {
        self.shape(name).map(|shape| shape.len())
    }

    /// The extent of an axis of the value `name`, where it is known and does not depend on the samples.
    pub(crate) fn extent(&self, name: &str, axis: usize) -> Option<usize> {
        fixed((*self.shape(name)?.get(axis)?)?)
    }

    /// The weight that `node` reads at `input`.
    pub(crate) fn weight(&self, node: &'g Node, input: usize) -> Option<&'g Tensor> {
        self.graph.weight(node.input(input)?)
    }

    /// Whether input `input` is a single element, or omitted.
    pub(crate) fn is_scalar(&self, node: &Node, input: usize) -> bool {
        node.input(input).is_none_or(|name| {
            self.shape(name)
                .is_some_and(|shape| shape.iter().all(|&extent| extent == Some([1, 1])))
        })
    }

    /// The integers of the value `name`, each where it is known and does not depend on the samples.
    pub(crate) fn partial_ints(&self, name: &str) -> Option<Ints> {
        let [one, other] = self.shapes.each_ref().map(|shapes| shapes.fact(name).ints);
        let agreed = |(a, b): (Option<i64>, Option<i64>)| a.filter(|_| a == b);
        Some(one?.into_iter().zip(other?).map(agreed).collect())
    }

    /// All integers of the value `name`, where they are known and do not depend on the samples.
    pub(crate) fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.partial_ints(name)?.into_iter().collect()
    }

    /// A list that older operator sets have as an attribute and newer ones as input `i`; an empty list where neither is given.
    pub(crate) fn list(&self, node: &Node, name: &str, i: usize) -> Option<Vec<i64>> {
        match (node.ints(name), node.input(i)) {
            (Some(list), _) => Some(list.to_vec()),
            (None, Some(input)) => self.ints(input),
            (None, None) => Some(Vec::new()),
        }
    }

    /// The node that writes the value `name`.
    fn producer(&self, name: &str) -> Option<&'g Node> {
        (self.graph.nodes.iter()).find(|n| n.outputs.first().is_some_and(|o| o == name))
    }

    /// The value, and the axis of it, whose extent is element `entry` of the list `name` as it is.
    pub(crate) fn told_by(&self, name: &str, entry: usize) -> Option<(&'g str, usize)> {
        let node = self.producer(name)?;
        let first = node.input(0)?;
        if node.is(&ops::SHAPE) {
            let rank = self.rank(first)? as i64;
            let start = node.int("start", 0);
            let start = if start < 0 { start + rank } else { start };
            let axis = usize::try_from(start.clamp(0, rank)).ok()? + entry;
            return Some((first, axis));
        }
        if node.is(&ops::CONCAT) {
            let mut before = 0;
            for part in &node.inputs {
                let count = self.partial_ints(part)?.len();
                if entry < before + count {
                    return self.told_by(part, entry - before);
                }
                before += count;
            }
            return None;
        }
        if node.is(&ops::SLICE) {
            let length = self.partial_ints(first)?.len() as i64;
            let start = *self.list(node, "starts", 1)?.first()?;
            let steps = self.list(node, "steps", 4)?;
            let start = if start < 0 { start + length } else { start };
            let step = steps.first().copied().unwrap_or(1);
            let at = start.clamp(0, length) + step * entry as i64;
            return self.told_by(first, usize::try_from(at).ok()?);
        }
        if node.is(&ops::GATHER) {
            let length = self.partial_ints(first)?.len();
            let at = *self.ints(node.input(1)?)?.get(entry)?;
            return self.told_by(first, crate::shape::axis_of(at, length)?);
        }
        Self::keeps_list(node)
            .then(|| self.told_by(first, entry))
            .flatten()
    }

    /// Whether a node hands a list of integers on, element by element.
    fn keeps_list(node: &Node) -> bool {
        [&ops::CAST, &ops::IDENTITY, &ops::SQUEEZE, &ops::UNSQUEEZE]
            .iter()
            .any(|operator| node.is(operator))
    }

    /// Whether what `reader` makes of the list `name` ends in targets of `Reshape` only, its elements as they are.
    pub(crate) fn tells_targets_only(&self, reader: &Node, name: &str) -> bool {
        if reader.is(&ops::RESHAPE) {
            return reader.input(0) != Some(name) && reader.input(1) == Some(name);
        }
        let picks = reader.is(&ops::SLICE) || reader.is(&ops::GATHER) || Self::keeps_list(reader);
        let hands_on = reader.is(&ops::CONCAT) || picks && reader.input(0) == Some(name);
        let Some(out) = reader.outputs.first().filter(|_| hands_on) else {
            return false;
        };
        !self.graph.is_output(out)
            && (self.graph.nodes.iter())
                .filter(|n| n.reads().contains(&out.as_str()))
                .all(|n| self.tells_targets_only(n, out))
    }

    /// The axes that the attribute or input `axes` names, of a value with `rank` axes.
    pub(crate) fn axes(&self, node: &Node, i: usize, rank: usize) -> Option<Vec<usize>> {
        axes_of(&self.list(node, "axes", i)?, rank)
    }

    /// Keeps all channels of the value `name`.
    pub(crate) fn pin_value(&mut self, name: &str) {
        if let Some(layout) = self.layout(name) {
            self.pin_all(&layout.units);
        }
    }

    pub(crate) fn pin_all(&mut self, units: &[Unit]) {
        for &unit in units {
            self.units.pin(unit);
        }
    }

    /// Ties the channels of `a` and `b` together, one by one. `None` where there are not as many.
    pub(crate) fn tie(&mut self, a: &[Unit], b: &[Unit]) -> Option<()> {
        if a.len() != b.len() {
            return None;
        }
        for (&a, &b) in a.iter().zip(b) {
            self.units.union(a, b);
        }
        Some(())
    }

    /// Notes that `units` lie along `axis` of the weight that `node` reads at `input`. `None` where they do not fit.
    pub(crate) fn stand(
        &mut self,
        node: &'g Node,
        input: usize,
        axis: usize,
        units: &Rc<[Unit]>,
        produces: bool,
    ) -> Option<()> {
        let weight = self.weight(node, input)?;
        if weight.shape().get(axis) != Some(&units.len()) {
            return None;
        }
        self.stands.push(Stand {
            reader: (self.at, input),
            weight: node.inputs[input].clone(),
            axis,
            units: units.clone(),
            produces,
        });
        Some(())
    }

    /// As [`Flow::stand`] for an optional one-axis weight.
    pub(crate) fn stand_vector(
        &mut self,
        node: &'g Node,
        input: usize,
        units: &Rc<[Unit]>,
        produces: bool,
    ) -> Option<()> {
        match node.input(input) {
            None => Some(()),
            Some(_) if self.weight(node, input)?.shape().len() == 1 => {
                self.stand(node, input, 0, units, produces)
            }
            Some(_) => None,
        }
    }

    /// Notes how input `i`, which carries no channels itself, meets the channels of an output of `rank` axes.
    pub(crate) fn broadcast(
        &mut self,
        node: &'g Node,
        i: usize,
        layout: &Layout,
        rank: usize,
        produces: bool,
    ) -> Option<()> {
        let shape = self.shape(node.input(i)?)?;
        let Some(axis) = (layout.axis + shape.len()).checked_sub(rank) else {
            return Some(());
        };
        match (*shape.get(axis)?)? {
            [1, 1] => Some(()),
            _ => self.stand(node, i, axis, &layout.units, produces),
        }
    }

    /// New channels that the node at hand writes.
    pub(crate) fn write(&mut self, n: usize) -> Option<Rc<[Unit]>> {
        let units: Rc<[Unit]> = self.units.fresh(n)?.into();
        self.writers.push((self.at, units.clone()));
        Some(units)
    }

    /// Keeps whatever lies in weights that are read more than once, unless every reader sees the same channels at the
    /// same places.
    fn pin_weights_of_several_uses(&mut self) {
        let mut reads: BTreeMap<&str, usize> = BTreeMap::new();
        for node in &self.graph.nodes {
            // Inputs one by one: a node that reads a weight twice counts twice. Subgraphs count once more.
            let inner = node.subgraphs().count();
            let names = node.inputs.iter().map(String::as_str);
            for name in names.chain(node.reads().into_iter().filter(|_| inner > 0)) {
                *reads.entry(name).or_default() += 1;
            }
        }
        for output in &self.graph.outputs {
            *reads.entry(&output.name).or_default() += 1;
        }
        let mut by_weight: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (i, stand) in self.stands.iter().enumerate() {
            by_weight.entry(&stand.weight).or_default().push(i);
        }
        let mut pinned = Vec::new();
        for (weight, stands) in by_weight {
            // What each reader sees: for each axis the sets that the channels belong to.
            let mut seen: BTreeMap<(usize, usize), BTreeMap<usize, Vec<Unit>>> = BTreeMap::new();
            for &i in &stands {
                let stand = &self.stands[i];
                let roots = stand.units.iter().map(|&u| self.units.find(u)).collect();
                seen.entry(stand.reader)
                    .or_default()
                    .insert(stand.axis, roots);
            }
            let readers = seen.len();
            let mut views = seen.into_values();
            let first = views.next();
            let same = views.all(|view| Some(&view) == first.as_ref());
            if !same || reads.get(weight) != Some(&readers) {
                pinned.extend(stands);
            }
        }
        for i in pinned {
            let units = self.stands[i].units.clone();
            self.pin_all(&units);
        }
    }
}
