//! From units to groups of channels.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lapidary_core::model::{ChannelGroup, ChannelSlice};

use super::flow::Flow;
use super::units::Unit;

/// A group with the set of units that each of its channels is.
#[derive(Debug)]
pub(super) struct Found {
    pub group: ChannelGroup,
    /// Representatives, by channel.
    pub channels: Vec<Unit>,
}

/// Where a channel stands: for each of [`Flow::stands`] the runs of indices it takes, as start and length.
type Places = Vec<(usize, Vec<(usize, usize)>)>;

/// All channels that can be cut, in groups of neighbours that stand in the same weights; in the graph's order.
pub(super) fn found(flow: &mut Flow<'_>) -> Vec<Found> {
    let mut places: HashMap<Unit, Places> = HashMap::new();
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for i in 0..flow.stands.len() {
        // Readers of one weight see the same channels; it is cut once.
        if !seen.insert((flow.stands[i].weight.clone(), flow.stands[i].axis)) {
            continue;
        }
        let units = flow.stands[i].units.clone();
        for (index, &unit) in units.iter().enumerate() {
            let root = flow.units.find(unit);
            if flow.units.is_pinned(root) {
                continue;
            }
            let stands = places.entry(root).or_insert_with(|| {
                order.push(root);
                Vec::new()
            });
            if stands.last().is_none_or(|(last, _)| *last != i) {
                stands.push((i, Vec::new()));
            }
            let runs = &mut stands.last_mut().expect("one was just pushed").1;
            match runs.last_mut() {
                Some((start, len)) if *start + *len == index => *len += 1,
                _ => runs.push((index, 1)),
            }
        }
    }
    let writers = writers(flow);
    order.retain(|root| writers.contains_key(root));
    let mut groups: Vec<Found> = Vec::new();
    for (position, &root) in order.iter().enumerate() {
        let follows = position > 0 && follows(&places[&order[position - 1]], &places[&root]);
        match groups.last_mut() {
            Some(found) if follows => {
                found.channels.push(root);
                found.group.channels += 1;
            }
            _ => groups.push(Found {
                group: ChannelGroup {
                    id: groups.len(),
                    channels: 1,
                    producers: names(flow, &writers[&root]),
                    slices: slices(flow, &places[&root]),
                },
                channels: vec![root],
            }),
        }
    }
    groups
}

/// Whether `next` stands everywhere right behind `before`.
fn follows(before: &Places, next: &Places) -> bool {
    let runs = |places: &Places| {
        places
            .iter()
            .map(|(i, runs)| (*i, runs.len()))
            .collect::<Vec<_>>()
    };
    runs(before) == runs(next)
        && (before.iter().zip(next))
            .all(|((_, a), (_, b))| a.iter().zip(b).all(|(a, b)| a.1 == b.1 && a.0 + a.1 == b.0))
}

/// The nodes that write each set of units.
fn writers(flow: &mut Flow<'_>) -> BTreeMap<Unit, BTreeSet<usize>> {
    let mut writers: BTreeMap<Unit, BTreeSet<usize>> = BTreeMap::new();
    for i in 0..flow.writers.len() {
        let (node, units) = flow.writers[i].clone();
        for &unit in units.iter() {
            writers
                .entry(flow.units.find(unit))
                .or_default()
                .insert(node);
        }
    }
    writers
}

fn names(flow: &Flow<'_>, nodes: &BTreeSet<usize>) -> Vec<String> {
    nodes
        .iter()
        .map(|&n| flow.graph.nodes[n].name.clone())
        .collect()
}

fn slices(flow: &Flow<'_>, places: &Places) -> Vec<ChannelSlice> {
    let slice = |i: usize, &(offset, repeat): &(usize, usize)| ChannelSlice {
        weight: flow.stands[i].weight.clone(),
        axis: flow.stands[i].axis,
        offset,
        repeat,
        produces: flow.stands[i].produces,
    };
    (places.iter())
        .flat_map(|(i, runs)| runs.iter().map(move |run| slice(*i, run)))
        .collect()
}
