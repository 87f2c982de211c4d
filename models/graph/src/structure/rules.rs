//! What each operator does to the channels that reach it.

use std::rc::Rc;

use super::flow::{Count, Flow, Layout, MOST_INDICES};
use super::units::Unit;
use crate::graph::Node;

/// The layouts of a node's outputs; one stands for the first output where no other is read.
type Layouts = Vec<Option<Layout>>;

impl<'g> Flow<'g> {
    /// The layouts of the outputs of `node`; `None` where the channels that reach it cannot be cut.
    pub(super) fn rule(&mut self, node: &'g Node) -> Option<Layouts> {
        if !node.is_standard() || node.subgraphs().next().is_some() {
            return None;
        }
        if node.op == "Split" {
            return self.split(node);
        }
        let first = match node.op.as_str() {
            "Conv" => self.conv(node)?,
            "ConvTranspose" => self.conv_transpose(node)?,
            "Gemm" => self.gemm(node)?,
            "MatMul" => self.matmul(node)?,
            "Gather" => self.gather(node)?,
            "BatchNormalization" if node.int("training_mode", 0) == 0 => {
                self.channel_norm(node, &[(1, true), (2, true), (3, false), (4, false)])?
            }
            "InstanceNormalization" => self.channel_norm(node, &[(1, true), (2, true)])?,
            "LayerNormalization" => self.layer_norm(node)?,
            "Relu" | "LeakyRelu" | "Elu" | "Selu" | "Celu" | "ThresholdedRelu" | "HardSigmoid"
            | "HardSwish" | "Sigmoid" | "Tanh" | "Softplus" | "Softsign" | "Gelu" | "Mish"
            | "Erf" | "Exp" | "Log" | "Sqrt" | "Abs" | "Neg" | "Reciprocal" | "Sign" | "Floor"
            | "Ceil" | "Round" | "Sin" | "Cos" | "Shrink" | "Cast" | "Identity" => {
                self.passed(node)
            }
            "Dropout" | "Clip" => self.passed_with_scalars(node)?,
            "QuantizeLinear" | "DequantizeLinear" => self.quantizer(node)?,
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Min" | "Max" | "Sum" | "Mean" | "PRelu" => {
                self.elementwise(node)?
            }
            "MaxPool" | "AveragePool" | "LpPool" | "GlobalAveragePool" | "GlobalMaxPool"
            | "GlobalLpPool" => self.at_axis(node, 1)?,
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceL1" | "ReduceL2"
            | "ReduceProd" | "ReduceSumSquare" | "ReduceLogSumExp" => self.reduce(node)?,
            "Softmax" | "LogSoftmax" => self.softmax(node)?,
            "Resize" | "Upsample" => self.resize(node)?,
            "Concat" => self.concat(node)?,
            "Slice" => self.slice(node)?,
            "Pad" => self.pad(node)?,
            "Transpose" => self.transpose(node)?,
            "Squeeze" | "Unsqueeze" => self.squeeze(node)?,
            "Flatten" | "Reshape" => self.reshape(node)?,
            "Shape" => self.shape(node)?,
            _ => return None,
        };
        Some(vec![first])
    }

    /// Whether no channels reach the node.
    fn untouched(&self, node: &Node) -> bool {
        !node
            .reads()
            .iter()
            .any(|name| self.layouts.contains_key(name))
    }

    /// The channels of input `i`.
    fn at(&self, node: &Node, i: usize) -> Option<Layout> {
        self.layout(node.input(i)?)
    }

    /// Whether none of the inputs from `first` on carries channels.
    fn rest_untouched(&self, node: &Node, first: usize) -> bool {
        (first..node.inputs.len()).all(|i| self.at(node, i).is_none())
    }

    fn passed(&self, node: &Node) -> Option<Layout> {
        self.at(node, 0)
    }

    fn passed_with_scalars(&self, node: &Node) -> Option<Option<Layout>> {
        self.rest_untouched(node, 1).then(|| self.at(node, 0))
    }

    /// Passes channels that lie along `axis`.
    fn at_axis(&self, node: &Node, axis: usize) -> Option<Option<Layout>> {
        match self.at(node, 0) {
            Some(layout) if layout.axis == axis => Some(Some(layout)),
            None => Some(None),
            _ => None,
        }
    }

    fn conv(&mut self, node: &'g Node) -> Option<Option<Layout>> {
        let x = self.at(node, 0);
        if !self.rest_untouched(node, 1) || x.as_ref().is_some_and(|x| x.axis != 1) {
            return None;
        }
        let Some(weight) = self.weight(node, 1).filter(|w| w.shape().len() >= 3) else {
            return x.is_none().then_some(None);
        };
        let (outputs, each) = (weight.shape()[0], weight.shape()[1]);
        let groups = usize::try_from(node.int("group", 1))
            .ok()
            .filter(|&g| g > 0)?;
        if groups == 1 {
            if let Some(x) = x {
                self.stand(node, 1, 1, &x.units, false)?;
            }
            let units = self.write(outputs)?;
            self.stand(node, 1, 0, &units, true)?;
            self.stand_vector(node, 2, &units, true)?;
            return Some(Some(Layout { axis: 1, units }));
        }
        let Some(x) = x else { return Some(None) };
        if outputs % groups != 0 || each == 0 || groups.checked_mul(each)? != x.units.len() {
            return None;
        }
        // All channels of a group of the convolution go together: its inputs with its outputs.
        let written = outputs / groups;
        for block in x.units.chunks(each) {
            for &unit in &block[1..] {
                self.units.union(block[0], unit);
            }
        }
        let units: Rc<[Unit]> = (0..outputs).map(|o| x.units[o / written * each]).collect();
        self.stand(node, 1, 0, &units, true)?;
        self.stand_vector(node, 2, &units, true)?;
        self.writers.push((self.at, units.clone()));
        self.counts.push(Count::Groups {
            node: self.at,
            units: x.units,
            each,
        });
        Some(Some(Layout { axis: 1, units }))
    }

    fn conv_transpose(&mut self, node: &'g Node) -> Option<Option<Layout>> {
        let x = self.at(node, 0);
        let weight = self.weight(node, 1).filter(|w| w.shape().len() >= 3);
        let (Some(weight), 1) = (weight, node.int("group", 1)) else {
            return self.untouched(node).then_some(None);
        };
        if !self.rest_untouched(node, 1) {
            return None;
        }
        if let Some(x) = x {
            (x.axis == 1).then_some(())?;
            self.stand(node, 1, 0, &x.units, false)?;
        }
        let units = self.write(weight.shape()[1])?;
        self.stand(node, 1, 1, &units, true)?;
        self.stand_vector(node, 2, &units, true)?;
        Some(Some(Layout { axis: 1, units }))
    }

    fn gemm(&mut self, node: &'g Node) -> Option<Option<Layout>> {
        let x = self.at(node, 0);
        let Some(weight) = self.weight(node, 1).filter(|w| w.shape().len() == 2) else {
            return self.untouched(node).then_some(None);
        };
        if !self.rest_untouched(node, 1) {
            return None;
        }
        let read = usize::from(node.int("transB", 0) != 0);
        if let Some(x) = x {
            (x.axis == 1 && node.int("transA", 0) == 0).then_some(())?;
            self.stand(node, 1, read, &x.units, false)?;
        }
        let units = self.write(weight.shape()[1 - read])?;
        self.stand(node, 1, 1 - read, &units, true)?;
        let layout = Layout { axis: 1, units };
        if node.input(2).is_some() {
            self.broadcast(node, 2, &layout, 2, true)?;
        }
        Some(Some(layout))
    }

    fn matmul(&mut self, node: &'g Node) -> Option<Option<Layout>> {
        let x = self.at(node, 0);
        let Some(weight) = self.weight(node, 1).filter(|w| w.shape().len() == 2) else {
            return self.untouched(node).then_some(None);
        };
        let last = self.rank(node.input(0)?)?.checked_sub(1)?;
        match x {
            // A product along another axis leaves the channels where they are.
            Some(x) if x.axis != last => return Some(Some(x)),
            Some(x) => self.stand(node, 1, 0, &x.units, false)?,
            None => {}
        }
        let units = self.write(weight.shape()[1])?;
        self.stand(node, 1, 1, &units, true)?;
        Some(Some(Layout { axis: last, units }))
    }

    /// An embedding writes channels; indices along another axis than theirs leave them.
    fn gather(&mut self, node: &'g Node) -> Option<Option<Layout>> {
        if !self.rest_untouched(node, 1) {
            return None;
        }
        let axis = node.int("axis", 0);
        let indices = self.rank(node.input(1)?);
        if let Some(x) = self.at(node, 0) {
            let axis = axis_of(axis, self.rank(node.input(0)?)?)?;
            return match axis.cmp(&x.axis) {
                std::cmp::Ordering::Less => Some(Some(Layout {
                    axis: (x.axis + indices?).checked_sub(1)?,
                    ..x
                })),
                std::cmp::Ordering::Equal => None,
                std::cmp::Ordering::Greater => Some(Some(x)),
            };
        }
        let weight = self.weight(node, 0).filter(|w| w.shape().len() == 2);
        let (Some(weight), 0, Some(rank)) = (weight, axis, indices) else {
            return Some(None);
        };
        if !weight.as_dense().is_none_or(|d| d.dtype().is_float()) {
            return Some(None);
        }
        let units = self.write(weight.shape()[1])?;
        self.stand(node, 0, 1, &units, true)?;
        Some(Some(Layout { axis: rank, units }))
    }

    /// One parameter for each channel of axis 1 at each of `inputs`, with whether it writes the channels.
    fn channel_norm(&mut self, node: &'g Node, inputs: &[(usize, bool)]) -> Option<Option<Layout>> {
        let layout = self.at_axis(node, 1)?;
        if !self.rest_untouched(node, 1) {
            return None;
        }
        if let Some(x) = &layout {
            for &(input, produces) in inputs {
                self.weight(node, input)?;
                self.stand_vector(node, input, &x.units, produces)?;
            }
        }
        Some(layout)
    }

    /// Normalisation over the channels changes its statistics when some are cut; it is cut all the same.
    fn layer_norm(&mut self, node: &'g Node) -> Option<Option<Layout>> {
        if !self.rest_untouched(node, 1) {
            return None;
        }
        let Some(x) = self.at(node, 0) else {
            return Some(None);
        };
        let rank = self.rank(node.input(0)?)?;
        if x.axis >= axis_of(node.int("axis", -1), rank)? {
            for input in [1, 2] {
                if node.input(input).is_some() {
                    self.broadcast(node, input, &x, rank, true)?;
                }
            }
        }
        Some(Some(x))
    }

    fn quantizer(&mut self, node: &'g Node) -> Option<Option<Layout>> {
        let Some(x) = self.at(node, 0) else {
            return self.untouched(node).then_some(None);
        };
        let rank = self.rank(node.input(0)?)?;
        for input in [1, 2] {
            if self.is_scalar(node, input) {
                continue;
            }
            if node.int("block_size", 0) != 0 {
                return None;
            }
            if axis_of(node.int("axis", 1), rank)? == x.axis {
                self.weight(node, input)?;
                self.stand_vector(node, input, &x.units, false)?;
            }
        }
        Some(Some(x))
    }

    /// Ties what is combined element by element. Of constants, those with one element for each channel are cut too.
    fn elementwise(&mut self, node: &'g Node) -> Option<Option<Layout>> {
        if self.untouched(node) {
            return Some(None);
        }
        let rank = self.rank(node.outputs.first()?)?;
        // Axes count from the back: shorter shapes are extended in front.
        let mut layout: Option<Layout> = None;
        for name in &node.inputs {
            let Some(mut x) = self.layout(name) else {
                continue;
            };
            x.axis += rank.checked_sub(self.rank(name)?)?;
            match &layout {
                Some(first) if first.axis != x.axis => return None,
                Some(first) if first.units.len() == x.units.len() => {
                    let first = first.units.clone();
                    self.tie(&first, &x.units)?;
                }
                // One channel beside many goes to all of them.
                Some(_) if x.units.len() == 1 => self.pin_all(&x.units),
                Some(first) if first.units.len() == 1 => {
                    let first = first.units.clone();
                    self.pin_all(&first);
                    layout = Some(x);
                }
                Some(_) => return None,
                None => layout = Some(x),
            }
        }
        let layout = layout?;
        let writes = matches!(node.op.as_str(), "Add" | "Sub" | "Mul" | "Sum" | "Mean");
        for (i, name) in node.inputs.iter().enumerate() {
            if !self.layouts.contains_key(name.as_str()) {
                self.broadcast(node, i, &layout, rank, writes)?;
            }
        }
        Some(Some(layout))
    }

    /// Notes how input `i`, which carries no channels itself, meets the channels of an output of `rank` axes.
    fn broadcast(
        &mut self,
        node: &'g Node,
        i: usize,
        layout: &Layout,
        rank: usize,
        produces: bool,
    ) -> Option<()> {
        let name = node.input(i)?;
        let shape = self.shapes.shape(name)?;
        let Some(axis) = (layout.axis + shape.len()).checked_sub(rank) else {
            return Some(());
        };
        match (*shape.get(axis)?)? {
            1 => Some(()),
            _ => self.stand(node, i, axis, &layout.units, produces),
        }
    }

    /// A list that older operator sets have as an attribute and newer ones as input `i`; an empty list where neither is given.
    fn list(&self, node: &Node, name: &str, i: usize) -> Option<Vec<i64>> {
        match (node.ints(name), node.input(i)) {
            (Some(list), _) => Some(list.to_vec()),
            (None, Some(input)) => self.ints(input),
            (None, None) => Some(Vec::new()),
        }
    }

    /// The axes that the attribute or input `axes` names, of a value with `rank` axes.
    fn axes(&self, node: &Node, i: usize, rank: usize) -> Option<Vec<usize>> {
        self.list(node, "axes", i)?
            .into_iter()
            .map(|a| axis_of(a, rank))
            .collect()
    }

    fn reduce(&mut self, node: &'g Node) -> Option<Option<Layout>> {
        if !self.rest_untouched(node, 1) {
            return None;
        }
        let Some(x) = self.at(node, 0) else {
            return Some(None);
        };
        let axes = self.axes(node, 1, self.rank(node.input(0)?)?)?;
        if axes.is_empty() {
            // Over everything, or over nothing.
            return (node.int("noop_with_empty_axes", 0) != 0).then_some(Some(x));
        }
        self.without(node, x, &axes)
    }

    /// The channels of a value that loses `axes`, or keeps them as single indices.
    fn without(&self, node: &Node, x: Layout, axes: &[usize]) -> Option<Option<Layout>> {
        if axes.contains(&x.axis) {
            return None;
        }
        let kept = node.is("Squeeze") || node.int("keepdims", 1) == 0;
        let before = axes.iter().filter(|&&a| a < x.axis).count();
        Some(Some(Layout {
            axis: if kept {
                x.axis.checked_sub(before)?
            } else {
                x.axis
            },
            ..x
        }))
    }

    fn squeeze(&mut self, node: &'g Node) -> Option<Option<Layout>> {
        if !self.rest_untouched(node, 1) {
            return None;
        }
        let Some(x) = self.at(node, 0) else {
            return Some(None);
        };
        let rank = self.rank(node.input(0)?)?;
        let given = self.list(node, "axes", 1)?.len();
        if node.op == "Squeeze" {
            (given > 0).then_some(())?;
            let axes = self.axes(node, 1, rank)?;
            return self.without(node, x, &axes);
        }
        let axes = self.axes(node, 1, rank + given)?;
        let axis = (0..rank + given)
            .filter(|a| !axes.contains(a))
            .nth(x.axis)?;
        Some(Some(Layout { axis, ..x }))
    }

    fn softmax(&mut self, node: &'g Node) -> Option<Option<Layout>> {
        let Some(x) = self.at(node, 0) else {
            return Some(None);
        };
        // Before operator set 13 all axes from `axis` on were normalised together.
        let axis = axis_of(node.int("axis", -1), self.rank(node.input(0)?)?)?;
        (self.graph.opset() >= 13 && axis != x.axis).then_some(Some(x))
    }

    /// Resizing keeps channels where their scale is 1; stated sizes (input 3) would have to be cut as well.
    fn resize(&mut self, node: &'g Node) -> Option<Option<Layout>> {
        if self.untouched(node) {
            return Some(None);
        }
        let x = self.at(node, 0)?;
        if !self.rest_untouched(node, 1) || node.ints("axes").is_some() || node.input(3).is_some() {
            return None;
        }
        // A scale by which these channels stay as many leaves fewer as they are, too.
        let extent = self
            .shapes
            .shape(node.outputs.first()?)?
            .get(x.axis)
            .copied()?;
        (extent == Some(x.units.len())).then_some(Some(x))
    }

    fn concat(&mut self, node: &'g Node) -> Option<Option<Layout>> {
        if self.untouched(node) {
            return Some(None);
        }
        let mut place = None;
        for name in &node.inputs {
            let Some(x) = self.layout(name) else { continue };
            if *place.get_or_insert(x.axis) != x.axis {
                return None;
            }
        }
        let place = place?;
        let axis = axis_of(node.int("axis", 1), self.rank(node.outputs.first()?)?)?;
        let mut joined: Vec<Unit> = Vec::new();
        for name in &node.inputs {
            let units = match self.layout(name) {
                Some(x) => x.units,
                None if axis != place => return None,
                None => {
                    // Channels of the model's input or of an operator without a rule stay.
                    let extent = self.shapes.shape(name)?.get(axis).copied()??;
                    let units: Rc<[Unit]> = self.units.fresh(extent)?.into();
                    self.pin_all(&units);
                    units
                }
            };
            // Graphs that double their channels over and over end somewhere.
            if joined.len() + units.len() > MOST_INDICES {
                return None;
            }
            if axis == place || joined.is_empty() {
                joined.extend(units.iter());
            } else {
                self.tie(&joined, &units)?;
            }
        }
        Some(Some(Layout {
            axis: place,
            units: joined.into(),
        }))
    }

    fn split(&mut self, node: &'g Node) -> Option<Layouts> {
        if self.untouched(node) {
            return Some(vec![None; node.outputs.len()]);
        }
        let x = self.at(node, 0)?;
        let axis = axis_of(node.int("axis", 0), self.rank(node.input(0)?)?)?;
        if axis != x.axis {
            return Some(vec![Some(x); node.outputs.len()]);
        }
        let sizes = node
            .outputs
            .iter()
            .map(|name| self.shapes.shape(name)?.get(axis).copied()?);
        let sizes: Vec<usize> = sizes.collect::<Option<_>>()?;
        let sum = sizes.iter().try_fold(0usize, |sum, &n| sum.checked_add(n));
        if sum != Some(x.units.len()) {
            return None;
        }
        let mut from = 0;
        let parts: Vec<Rc<[Unit]>> = (sizes.iter())
            .map(|size| {
                from += size;
                x.units[from - size..from].into()
            })
            .collect();
        self.counts.push(Count::Parts {
            node: self.at,
            parts: parts.clone(),
        });
        Some(
            parts
                .into_iter()
                .map(|units| Some(Layout { axis, units }))
                .collect(),
        )
    }

    /// Slices along other axes than the channels'.
    fn slice(&mut self, node: &'g Node) -> Option<Option<Layout>> {
        if !self.rest_untouched(node, 1) {
            return None;
        }
        let Some(x) = self.at(node, 0) else {
            return Some(None);
        };
        let mut axes = self.axes(node, 3, self.rank(node.input(0)?)?)?;
        if axes.is_empty() {
            axes = (0..self.list(node, "starts", 1)?.len()).collect();
        }
        (!axes.contains(&x.axis)).then_some(Some(x))
    }

    fn pad(&mut self, node: &'g Node) -> Option<Option<Layout>> {
        if !self.rest_untouched(node, 1) {
            return None;
        }
        let Some(x) = self.at(node, 0) else {
            return Some(None);
        };
        let rank = self.rank(node.input(0)?)?;
        if node.input(3).is_some() {
            // Pads for some axes only: passed where the channels' are not among them.
            let axes = self.axes(node, 3, rank)?;
            return (!axes.contains(&x.axis)).then_some(Some(x));
        }
        let pads = self.list(node, "pads", 1)?;
        let (before, behind) = (*pads.get(x.axis)?, *pads.get(rank + x.axis)?);
        if (before, behind) == (0, 0) {
            return Some(Some(x));
        }
        if node.text("mode").is_some_and(|mode| mode != "constant") {
            return None;
        }
        let before: Rc<[Unit]> = self.padding(before)?;
        let behind: Rc<[Unit]> = self.padding(behind)?;
        let units = before
            .iter()
            .chain(x.units.iter())
            .chain(behind.iter())
            .copied()
            .collect();
        self.counts.push(Count::Pads {
            node: self.at,
            axis: x.axis,
            rank,
            before,
            behind,
        });
        Some(Some(Layout { units, ..x }))
    }

    fn padding(&mut self, n: i64) -> Option<Rc<[Unit]>> {
        Some(self.units.fresh(usize::try_from(n).ok()?)?.into())
    }

    fn transpose(&mut self, node: &'g Node) -> Option<Option<Layout>> {
        let Some(x) = self.at(node, 0) else {
            return Some(None);
        };
        let rank = self.rank(node.input(0)?)?;
        let axis = match node.ints("perm") {
            Some(perm) => perm.iter().position(|&p| p == x.axis as i64)?,
            None => rank.checked_sub(1 + x.axis)?,
        };
        Some(Some(Layout { axis, ..x }))
    }

    /// A shape is read for an extent; where that cannot be the channels', they stay free.
    fn shape(&mut self, node: &'g Node) -> Option<Option<Layout>> {
        let Some(x) = self.at(node, 0) else {
            return Some(None);
        };
        let rank = self.rank(node.input(0)?)?;
        let start = clamped(node.int("start", 0), rank);
        let end = clamped(node.int("end", rank as i64), rank);
        if !(start..end).contains(&x.axis) {
            return Some(None);
        }
        let name = node.outputs.first()?;
        if self.graph.is_output(name) {
            return None;
        }
        for reader in self
            .graph
            .nodes
            .iter()
            .filter(|n| n.reads().contains(&name.as_str()))
        {
            let indices = match reader.op.as_str() {
                "Gather" if reader.is_standard() && reader.input(0) == Some(name) => {
                    self.ints(reader.input(1)?)?
                }
                _ => return None,
            };
            for index in indices {
                if axis_of(index, end - start)? + start == x.axis {
                    return None;
                }
            }
        }
        Some(None)
    }
}

/// An axis counted from the front, where it is one of `rank` axes.
pub(super) fn axis_of(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 {
        axis.checked_add(rank as i64)?
    } else {
        axis
    };
    usize::try_from(axis).ok().filter(|&a| a < rank)
}

/// A bound of a range of axes, counted from the front and cut to them.
fn clamped(bound: i64, rank: usize) -> usize {
    let rank = rank as i64;
    let bound = if bound < 0 {
        bound.saturating_add(rank)
    } else {
        bound
    };
    bound.clamp(0, rank) as usize
}
