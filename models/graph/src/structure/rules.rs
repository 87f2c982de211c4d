//! What several operators do to the channels that reach them.

use super::flow::{Flow, Layout, Layouts};
use crate::graph::Node;

/// Passes the channels of input 0 on.
pub(crate) fn passed<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    Some(vec![flow.at(node, 0)])
}

/// Passes the channels of input 0 on where no other input carries any.
pub(crate) fn passed_alone<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    flow.rest_untouched(node, 1).then(|| vec![flow.at(node, 0)])
}

/// Passes the channels of maps on: those that lie along axis 1.
pub(crate) fn passed_maps<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    let layout = flow.at(node, 0);
    (layout.as_ref().is_none_or(|x| x.axis == 1)).then(|| vec![layout])
}

/// The channels of a value that loses `axes`, or keeps them as single indices.
pub(crate) fn without(x: Layout, axes: &[usize], kept: bool) -> Option<Layouts> {
    if axes.contains(&x.axis) {
        return None;
    }
    let before = axes.iter().filter(|&&a| a < x.axis).count();
    let axis = match kept {
        true => x.axis,
        false => x.axis.checked_sub(before)?,
    };
    Some(vec![Some(Layout { axis, ..x })])
}

/// Ties what is combined element by element. Of constants, those with one element for each channel are cut too; they
/// write the channels where zeros in all of them make the channels zero.
pub(crate) fn joined<'g>(flow: &mut Flow<'g>, node: &'g Node, writes: bool) -> Option<Layouts> {
    if flow.untouched(node) {
        return Some(vec![None]);
    }
    let rank = flow.rank(node.outputs.first()?)?;
    // Axes count from the back: shorter shapes are extended in front.
    let mut layout: Option<Layout> = None;
    for name in &node.inputs {
        let Some(mut x) = flow.layout(name) else {
            continue;
        };
        x.axis += rank.checked_sub(flow.rank(name)?)?;
        match &layout {
            Some(first) if first.axis != x.axis => return None,
            Some(first) if first.units.len() == x.units.len() => {
                let first = first.units.clone();
                flow.tie(&first, &x.units)?;
            }
            // One channel beside many goes to all of them.
            Some(_) if x.units.len() == 1 => flow.pin_all(&x.units),
            Some(first) if first.units.len() == 1 => {
                let first = first.units.clone();
                flow.pin_all(&first);
                layout = Some(x);
            }
            Some(_) => return None,
            None => layout = Some(x),
        }
    }
    let layout = layout?;
    for (i, name) in node.inputs.iter().enumerate() {
        if !flow.layouts.contains_key(name.as_str()) {
            flow.broadcast(node, i, &layout, rank, writes)?;
        }
    }
    Some(vec![Some(layout)])
}
