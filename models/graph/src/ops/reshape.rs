//! `Reshape` and `Flatten`.

use std::rc::Rc;

use lapidary_core::tensor::Tensor;

use super::Operator;
use crate::fold::{Constants, viewed as viewed_constant};
use crate::graph::Node;
use crate::opset::Change;
use crate::shape::{Extents, Ints, Known, axis_of, extent, same_ints, volume};
use crate::structure::{Count, Extent, Flow, Layout, Layouts, MOST_INDICES, Unit, fixed};
use crate::tape::{Call, Outputs, axis, viewed};

pub static FLATTEN: Operator = Operator {
    hands_on: true,
    fold: Some(|c| {
        viewed_constant(c, |from| {
            let axis = c.node.int("axis", 1);
            let at = match axis == from.len() as i64 {
                true => from.len(),
                false => axis_of(axis, from.len())?,
            };
            Some(vec![
                from[..at].iter().product(),
                from[at..].iter().product(),
            ])
        })
    }),
    keeps_numbers: true,
    shape: flat_shape,
    ints: same_ints,
    channels: |flow, node| reshaped(flow, node, false),
    forward: Some(flatten),
    ..Operator::standard("Flatten")
};

pub static RESHAPE: Operator = Operator {
    hands_on: true,
    fold: Some(fold_reshape),
    changes: &[Change {
        version: 5,
        rewrite: |rewriting, node| {
            rewriting.list_to_input(node, "shape", 1);
            Ok(())
        },
    }],
    keeps_numbers: true,
    shape,
    ints: same_ints,
    channels: |flow, node| reshaped(flow, node, true),
    forward: Some(reshape),
    ..Operator::standard("Reshape")
};

fn fold_reshape(c: &Constants<'_>) -> Option<Tensor> {
    let target = c.list("shape", 1)?;
    let keep_zero = c.node.int("allowzero", 0) != 0;
    viewed_constant(c, |from| {
        let mut shape = Vec::with_capacity(target.len());
        for (i, &d) in target.iter().enumerate() {
            shape.push(match d {
                -1 => 1,
                0 if !keep_zero => *from.get(i)?,
                d => extent(d)?,
            });
        }
        if let Some(open) = target.iter().position(|&d| d == -1) {
            let rest: usize = shape.iter().product();
            shape[open] = from.iter().product::<usize>().checked_div(rest)?;
        }
        Some(shape)
    })
}

fn flat_shape(known: &Known<'_>) -> Option<Extents> {
    let x = known.shape(0)?;
    let axis = known.node.int("axis", 1);
    let axis = if axis == x.len() as i64 {
        x.len()
    } else {
        axis_of(axis, x.len())?
    };
    Some(vec![volume(&x[..axis]), volume(&x[axis..])])
}

fn shape(known: &Known<'_>) -> Option<Extents> {
    let x = known.shape(0);
    let target: Ints = match known.node.ints("shape") {
        Some(list) => list.iter().map(|&v| Some(v)).collect(),
        None => match known.partial(1) {
            Some(target) => target.clone(),
            None => return Some(vec![None; (*known.shape(1)?.first()?)?.min(64)]),
        },
    };
    let keep_zero = known.node.int("allowzero", 0) != 0;
    let mut shape: Extents = (target.iter().enumerate())
        .map(|(i, d)| match (*d)? {
            -1 => None,
            0 if !keep_zero => *x?.get(i)?,
            d => extent(d),
        })
        .collect();
    // One open extent follows from the others, whether it was written as −1 or could not be inferred.
    let open: Vec<usize> = (0..shape.len()).filter(|&i| shape[i].is_none()).collect();
    if let ([open], Some(total)) = (open.as_slice(), x.and_then(|x| volume(x))) {
        let rest: usize = shape
            .iter()
            .flatten()
            .try_fold(1usize, |n, &d| n.checked_mul(d))?;
        if rest > 0 && total % rest == 0 {
            shape[*open] = Some(total / rest);
        }
    }
    Some(shape)
}

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
fn place(from: &[Option<Extent>], axis: usize, to: &[Option<Extent>]) -> Option<Place> {
    let n = fixed(from[axis]?)?;
    // Channels before the same trailing axes stay apart, whatever happens to the axes in front.
    let trailing = &from[axis + 1..];
    if let Some(at) = to.len().checked_sub(from.len() - axis)
        && to[at] == from[axis]
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
    // What lies behind may be joined or parted, open extents too, as long as it is as much.
    let both = |extents: &[Option<Extent>]| -> Option<Extent> {
        (extents.iter()).try_fold([1usize; 2], |[p, q], d| {
            let [a, b] = (*d)?;
            Some([p.checked_mul(a)?, q.checked_mul(b)?])
        })
    };
    if kept == axis && to.get(axis)? == &from[axis] {
        let (was, is) = (both(&from[axis + 1..]), both(&to[axis + 1..]));
        if was.is_some() && was == is {
            return Some(Place {
                axis,
                outer: 1,
                inner: 1,
            });
        }
    }
    // Samples are never joined with channels.
    let product = |extents: &[Option<Extent>]| {
        (extents.iter()).try_fold(1usize, |p, d| p.checked_mul(fixed((*d)?)?))
    };
    let outer = product(&from[kept..axis])?;
    let behind = product(&from[axis + 1..])?;
    // Single indices may have been put in front.
    while n > 1 && to.get(kept)? == &Some([1, 1]) {
        kept += 1;
    }
    let extent = fixed((*to.get(kept)?)?)?;
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

/// The layout behind the node, whose shape is stated where `has_target`.
fn reshaped<'g>(flow: &mut Flow<'g>, node: &'g Node, has_target: bool) -> Option<Layouts> {
    let layouts = followed(flow, node, has_target);
    if layouts.is_none() && has_target {
        pin_told(flow, node, None);
    }
    layouts
}

fn followed<'g>(flow: &mut Flow<'g>, node: &'g Node, has_target: bool) -> Option<Layouts> {
    if !flow.rest_untouched(node, 1) {
        return None;
    }
    let Some(x) = flow.layout(node.input(0)?) else {
        // A target that counts channels of another value would no longer fit this one.
        if has_target {
            pin_told(flow, node, None);
        }
        return Some(vec![None]);
    };
    let from = flow.shape(node.input(0)?)?;
    let to = flow.shape(node.outputs.first()?)?;
    if from.get(x.axis) != Some(&Some([x.units.len(); 2])) {
        return None;
    }
    let place = place(&from, x.axis, &to)?;
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
    if has_target {
        let live = is_told(flow, node, &x, &place);
        pin_told(flow, node, live.then_some(place.axis));
        if !live {
            note_target(flow, node, &x, &to, &place, &units)?;
        }
    }
    Some(vec![Some(Layout {
        axis: place.axis,
        units,
    })])
}

/// Whether the entry of the target that counts channels is told by the shape of a value that carries the very same channels, so that
/// it follows by itself when they are cut.
fn is_told(flow: &mut Flow<'_>, node: &Node, x: &Layout, place: &Place) -> bool {
    let told = node
        .input(1)
        .and_then(|target| flow.told_by(target, place.axis));
    let Some(source) = told.and_then(|(value, axis)| flow.layout(value).filter(|l| l.axis == axis))
    else {
        return false;
    };
    place.outer == 1
        && place.inner == 1
        && source.units.len() == x.units.len()
        && (source.units.iter().zip(x.units.iter()))
            .all(|(&a, &b)| flow.units.find(a) == flow.units.find(b))
}

/// Keeps the channels whose number the target of a node tells from another value's shape, but for the entry `right`.
fn pin_told(flow: &mut Flow<'_>, node: &Node, right: Option<usize>) {
    let Some(target) = node.input(1) else { return };
    let entries = flow.partial_ints(target).map_or(0, |list| list.len());
    for entry in (0..entries).filter(|&e| Some(e) != right) {
        if let Some((value, axis)) = flow.told_by(target, entry)
            && let Some(layout) = flow.layout(value).filter(|l| l.axis == axis)
        {
            flow.pin_all(&layout.units);
        }
    }
}

/// Notes the entry of the target shape that counts channels.
fn note_target<'g>(
    flow: &mut Flow<'g>,
    node: &'g Node,
    x: &Layout,
    to: &[Option<Extent>],
    place: &Place,
    units: &Rc<[Unit]>,
) -> Option<()> {
    let target: Ints = match node.ints("shape") {
        Some(list) => list.iter().map(|&v| Some(v)).collect(),
        None => flow.partial_ints(node.input(1)?)?,
    };
    match (*target.get(place.axis)?)? {
        // Computed from the other entries.
        -1 => Some(()),
        // Copied from the input: right where that is the channels' axis.
        0 if node.int("allowzero", 0) == 0 => (place.axis == x.axis).then_some(()),
        _ => {
            // The whole list is written anew; what depends on the samples then has to follow from the others.
            let open = target.contains(&None);
            let stated = |(entry, extent): (Option<i64>, &Option<Extent>)| match entry {
                Some(entry) if entry != -1 || !open => entry,
                _ => extent.and_then(fixed).map_or(-1, |n| n as i64),
            };
            let target: Vec<i64> = target.into_iter().zip(to).map(stated).collect();
            if target.iter().filter(|&&d| d == -1).count() > 1 {
                return None;
            }
            flow.counts.push(Count::Target {
                node: flow.at,
                target,
                entry: place.axis,
                units: units.clone(),
            });
            Some(())
        }
    }
}

/// A view of another shape: 0 keeps an extent, −1 stands for the rest. A batch that the graph fixes is taken as free where the first extent has to follow it.
fn reshape(call: &mut Call<'_>) -> Outputs {
    let target = call.list("shape", 1)?.ok_or("the shape is missing")?;
    let x = call.value(0)?;
    let from = x.shape().to_vec();
    let keep = call.node.int("allowzero", 0) == 0;
    let mut shape = Vec::with_capacity(target.len());
    let mut rest = None;
    for (i, &extent) in target.iter().enumerate() {
        shape.push(match extent {
            -1 if rest.replace(i).is_none() => 1,
            0 if keep => *from
                .get(i)
                .ok_or_else(|| format!("shape {target:?} keeps axis {i} of {from:?}"))?,
            n => usize::try_from(n).map_err(|_| format!("a shape cannot be {target:?}"))?,
        });
    }
    let elements: usize = from.iter().product();
    let count = |shape: &[usize]| shape.iter().try_fold(1usize, |n, &e| n.checked_mul(e));
    let fits = |shape: &[usize]| match (count(shape), rest) {
        (Some(0) | None, Some(_)) => false,
        (Some(n), Some(_)) => elements.is_multiple_of(n),
        (n, None) => n == Some(elements),
    };
    let (batch, fixed) = call.batch;
    if let (Some(fixed), Some(&first)) = (fixed, shape.first())
        && fixed != batch
        && rest != Some(0)
        && target[0] > 0
        && fixed > 0
        && first % fixed == 0
    {
        let free = first / fixed * batch;
        let wide: Vec<usize> = std::iter::once(free)
            .chain(shape[1..].iter().copied())
            .collect();
        // With the rest open, both may fit; what follows the batch is meant.
        if fits(&wide) {
            shape = wide;
        }
    }
    if !fits(&shape) {
        return Err(format!(
            "a tensor of shape {from:?} does not fit shape {target:?}"
        ));
    }
    if let (Some(i), Some(n)) = (rest, count(&shape)) {
        shape[i] = elements / n;
    }
    viewed(call.tape, x, &shape)
}

/// A matrix: the axes before `axis`, and those from it on.
fn flatten(call: &mut Call<'_>) -> Outputs {
    let x = call.value(0)?;
    let shape = x.shape().to_vec();
    let at = match call.node.int("axis", 1) {
        end if end == shape.len() as i64 => shape.len(),
        index => axis(index, shape.len())?,
    };
    viewed(
        call.tape,
        x,
        &[shape[..at].iter().product(), shape[at..].iter().product()],
    )
}

#[cfg(test)]
mod tests {
    use lapidary_core::tensor::{DType, Dense};

    use super::*;
    use crate::build::GraphBuilder;
    use crate::structure::{Cut, cut};

    /// Shapes are functions of the number of samples.
    fn placed<const A: usize, const B: usize>(
        from: fn(usize) -> [usize; A],
        axis: usize,
        to: fn(usize) -> [usize; B],
    ) -> Option<(usize, usize, usize)> {
        let both = |one: &[usize], other: &[usize]| -> Vec<Option<Extent>> {
            (one.iter().zip(other))
                .map(|(&a, &b)| Some([a, b]))
                .collect()
        };
        let (from, to) = (both(&from(5), &from(7)), both(&to(5), &to(7)));
        place(&from, axis, &to).map(|p| (p.axis, p.outer, p.inner))
    }

    #[test]
    fn channels_are_followed_or_refused() {
        assert_eq!(placed(|n| [n, 3, 2, 5], 1, |n| [n, 30]), Some((1, 1, 10)));
        assert_eq!(placed(|n| [n, 3, 2, 5], 1, |n| [n, 3, 10]), Some((1, 1, 1)));
        assert_eq!(placed(|n| [n, 3, 2, 5], 1, |n| [n, 6, 5]), Some((1, 1, 2)));
        assert_eq!(placed(|n| [n, 2, 5, 3], 3, |n| [n, 30]), Some((1, 10, 1)));
        assert_eq!(placed(|n| [n, 3], 1, |n| [n, 1, 3]), Some((2, 1, 1)));
        assert_eq!(placed(|n| [n, 1, 3], 2, |n| [n, 3]), Some((1, 1, 1)));
        assert_eq!(placed(|n| [n, 5, 4], 2, |n| [5 * n, 4]), Some((1, 1, 1)));
        // Channels torn apart, or joined with the samples.
        assert_eq!(placed(|n| [n, 6, 5], 1, |n| [n, 2, 3, 5]), None);
        assert_eq!(placed(|n| [n, 3], 1, |n| [3 * n]), None);
        assert_eq!(placed(|n| [n, 2, 5, 4], 3, |n| [n, 2, 20]), Some((2, 5, 1)));
        assert_eq!(placed(|n| [n, 2, 5, 4], 3, |n| [n, 10, 4]), Some((2, 1, 1)));
    }
    /// Height and width may be open, and the target made of the shape itself.
    #[test]
    fn maps_of_open_extents_are_joined_behind_their_channels() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, &[1, 1, 1]);
        let w = b.weight("w", Dense::f32(&[6, 1, 3, 3], vec![1.0; 54]).unwrap());
        let pads = [("pads", [1, 1, 1, 1].into())];
        let y = b.node("Conv", "conv", &[&x, &w], pads);
        let dims = b.node("Shape", "dims", &[&y], []);
        let list = |b: &mut GraphBuilder, name: &str, v: i64| {
            b.weight(name, Dense::i64(&[1], vec![v]).unwrap())
        };
        let (zero, two, rest) = (
            list(&mut b, "zero", 0),
            list(&mut b, "two", 2),
            list(&mut b, "rest", -1),
        );
        let front = b.node("Slice", "front", &[&dims, &zero, &two], []);
        let target = b.node("Concat", "target", &[&front, &rest], [("axis", 0.into())]);
        let y = b.node("Reshape", "joined", &[&y, &target], []);
        let most = [("axes", [2].into()), ("keepdims", 0.into())];
        let y = b.node("ReduceMax", "most", &[&y], most);
        let v = b.weight("v", Dense::f32(&[6, 2], vec![1.0; 12]).unwrap());
        let y = b.node("MatMul", "z", &[&y, &v], []);
        b.output(&y, DType::F32, &[2]);
        let mut graph = b.finish(13).unwrap();
        for (axis, name) in [(2, "h"), (3, "w")] {
            let shape = graph.inputs[0].shape.as_mut().unwrap();
            shape[axis] = lapidary_core::model::Dim::Symbol(name.into());
        }
        let keep = [1, 2, 5];
        let cut = cut(
            &graph,
            &[Cut {
                group: 0,
                keep: &keep,
            }],
        )
        .unwrap();
        assert_eq!(cut.weight("w").unwrap().shape(), [3, 1, 3, 3]);
        assert_eq!(cut.weight("v").unwrap().shape(), [3, 2]);
        assert_eq!(
            cut.nodes[cut.position("joined").unwrap()].inputs[1],
            "target"
        );
    }

    /// A target that says how many samples there are is written anew without saying so.
    #[test]
    fn a_target_with_the_samples_follows_a_cut() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, &[4]);
        let w = b.weight("w", Dense::f32(&[4, 6], vec![1.0; 24]).unwrap());
        let y = b.node("MatMul", "y", &[&x, &w], []);
        let dims = b.node("Shape", "dims", &[&x], []);
        let first = b.weight("first", Dense::i64(&[1], vec![0]).unwrap());
        let samples = b.node("Gather", "samples", &[&dims, &first], []);
        let rest = b.weight("rest", Dense::i64(&[2], vec![6, -1]).unwrap());
        let target = b.node("Concat", "target", &[&samples, &rest], [("axis", 0.into())]);
        let y = b.node("Reshape", "reshaped", &[&y, &target], []);
        let y = b.node("Flatten", "flat", &[&y], []);
        let v = b.weight("v", Dense::f32(&[6, 1], vec![1.0; 6]).unwrap());
        let y = b.node("MatMul", "z", &[&y, &v], []);
        b.output(&y, DType::F32, &[1]);
        let graph = b.finish(13).unwrap();
        let keep = [0, 2, 5];
        let cuts = [Cut {
            group: 0,
            keep: &keep,
        }];
        let cut = cut(&graph, &cuts).unwrap();
        let node = &cut.nodes[cut.position("reshaped").unwrap()];
        let target = cut.weight(&node.inputs[1]).unwrap();
        assert_eq!(*target, Dense::i64(&[3], vec![-1, 3, 1]).unwrap().into());
    }
}
