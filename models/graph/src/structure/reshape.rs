//! Channels through `Flatten` and `Reshape`.

use std::rc::Rc;

use super::flow::{Count, Flow, Layout, MOST_INDICES, SAMPLES};
use super::units::Unit;
use crate::graph::Node;

/// Where the channels of a reshaped value are.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    axis: usize,
    /// How often the channels are repeated as a whole.
    outer: usize,
    /// How many indices in a row each of them takes.
    inner: usize,
}

/// Follows an axis of `n` channels from shape `from`, where it stands at `axis`, to shape `to` with the same elements in
/// row-major order. `None` where the channels would be torn apart.
fn place(from: &[Option<usize>], axis: usize, to: &[Option<usize>]) -> Option<Place> {
    let n = from[axis]?;
    // Channels before the same trailing axes stay apart, whatever happens to the axes in front.
    let trailing = &from[axis + 1..];
    if let Some(at) = to.len().checked_sub(from.len() - axis)
        && to[at] == Some(n)
        && to[at + 1..] == *trailing
        && !trailing.contains(&None)
    {
        return Some(Place {
            axis: at,
            outer: 1,
            inner: 1,
        });
    }
    // Axes in front that stay as they are.
    let mut kept = 0;
    while kept < axis && to.get(kept)? == &from[kept] {
        from[kept]?;
        kept += 1;
    }
    // Samples are never joined with channels.
    let product = |extents: &[Option<usize>]| {
        let mut known = extents.iter().map(|d| d.filter(|&d| d != SAMPLES));
        known.try_fold(1usize, |p, d| p.checked_mul(d?))
    };
    let outer = product(&from[kept..axis])?;
    let behind = product(&from[axis + 1..])?;
    // Single indices may have been put in front.
    while n > 1 && to.get(kept)? == &Some(1) {
        kept += 1;
    }
    let extent = (*to.get(kept)?)?;
    let rest = product(&to[kept + 1..])?;
    let all = outer.checked_mul(n)?.checked_mul(behind)?;
    if extent.checked_mul(rest) != Some(all) || n == 0 || extent == 0 {
        return None;
    }
    let whole = outer * n;
    // Outer repetitions must all end up in this axis, and a channel must not be split across indices.
    if extent % whole != 0 || (outer > 1 && n == 1) {
        return None;
    }
    Some(Place {
        axis: kept,
        outer,
        inner: extent / whole,
    })
}

impl<'g> Flow<'g> {
    /// The layout behind a `Flatten` or `Reshape`.
    pub(super) fn reshape(&mut self, node: &'g Node) -> Option<Option<Layout>> {
        if node
            .input(1)
            .is_some_and(|shape| self.layout(shape).is_some())
        {
            return None;
        }
        let Some(x) = self.layout(node.input(0)?) else {
            return Some(None);
        };
        let from = self.shapes.shape(node.input(0)?)?;
        let to = self.shapes.shape(node.outputs.first()?)?;
        if from.get(x.axis) != Some(&Some(x.units.len())) {
            return None;
        }
        let place = place(from, x.axis, to)?;
        let indices = place
            .outer
            .checked_mul(x.units.len())?
            .checked_mul(place.inner)?;
        if indices > MOST_INDICES {
            return None;
        }
        let mut units: Vec<Unit> = Vec::with_capacity(indices);
        for _ in 0..place.outer {
            for &unit in x.units.iter() {
                units.extend(std::iter::repeat_n(unit, place.inner));
            }
        }
        let units: Rc<[Unit]> = units.into();
        if node.op == "Reshape" {
            self.target(node, &x, &place, &units)?;
        }
        Some(Some(Layout {
            axis: place.axis,
            units,
        }))
    }

    /// Notes the entry of the target shape that counts channels.
    fn target(
        &mut self,
        node: &'g Node,
        x: &Layout,
        place: &Place,
        units: &Rc<[Unit]>,
    ) -> Option<()> {
        let target = match node.ints("shape") {
            Some(list) => list.iter().map(|&v| Some(v)).collect(),
            None => self.shapes.fact(node.input(1)?).ints?,
        };
        match *target.get(place.axis)? {
            // Computed from the other entries.
            Some(-1) => Some(()),
            // Copied from the input: right where that is the channels' axis.
            Some(0) if node.int("allowzero", 0) == 0 => (place.axis == x.axis).then_some(()),
            Some(_) => {
                self.counts.push(Count::Target {
                    node: self.at,
                    entry: place.axis,
                    units: units.clone(),
                });
                // The whole list is written anew, so all of it has to be known.
                target.iter().all(Option::is_some).then_some(())
            }
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(from: &[usize], axis: usize, to: &[usize]) -> Option<(usize, usize, usize)> {
        let some = |s: &[usize]| s.iter().map(|&d| Some(d)).collect::<Vec<_>>();
        place(&some(from), axis, &some(to)).map(|p| (p.axis, p.outer, p.inner))
    }

    #[test]
    fn channels_are_followed_or_refused() {
        const N: usize = SAMPLES;
        assert_eq!(placed(&[N, 3, 2, 5], 1, &[N, 30]), Some((1, 1, 10)));
        assert_eq!(placed(&[N, 3, 2, 5], 1, &[N, 3, 10]), Some((1, 1, 1)));
        assert_eq!(placed(&[N, 3, 2, 5], 1, &[N, 6, 5]), Some((1, 1, 2)));
        assert_eq!(placed(&[N, 2, 5, 3], 3, &[N, 30]), Some((1, 10, 1)));
        assert_eq!(placed(&[N, 3], 1, &[N, 1, 3]), Some((2, 1, 1)));
        assert_eq!(placed(&[N, 1, 3], 2, &[N, 3]), Some((1, 1, 1)));
        assert_eq!(placed(&[N, 5, 4], 2, &[5 * N, 4]), Some((1, 1, 1)));
        // Channels torn apart, or joined with the samples.
        assert_eq!(placed(&[N, 6, 5], 1, &[N, 2, 3, 5]), None);
        assert_eq!(placed(&[N, 3], 1, &[3 * N]), None);
        assert_eq!(placed(&[N, 2, 5, 4], 3, &[N, 2, 20]), Some((2, 5, 1)));
        assert_eq!(placed(&[N, 2, 5, 4], 3, &[N, 10, 4]), Some((2, 1, 1)));
    }
}
