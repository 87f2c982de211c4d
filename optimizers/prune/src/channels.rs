//! Whole channels: which matter least, and removing them.

use std::collections::{BTreeMap, BTreeSet};

use lapidary_core::model::{ChannelGroup, Edit, Model};
use lapidary_core::optimizer::OptimizeError;
use lapidary_core::select;
use lapidary_core::settings::Checked;
use lapidary_core::tensor::Tensor;
use ndarray::{Axis, Slice};

use crate::algorithm::{Cut, Pruned};
use crate::config::{Config, Scope};
use crate::error::PruneError;

/// The least share of a group's channels that is kept, as one thin layer chokes the whole network.
const LEAST: f64 = 0.1;

/// Removes whole channels.
pub(crate) struct Channels {
    /// Channels of each group that may be cut, as the model had them at first. A group is known by the layers that
    /// write it: its id changes with the model.
    groups: BTreeMap<Vec<String>, usize>,
    scope: Scope,
}

impl Channels {
    /// The groups whose writing layers are all among the chosen ones.
    pub(crate) fn new(
        model: &dyn Model,
        config: &Checked<Config>,
        notes: &mut Vec<String>,
    ) -> Result<Self, OptimizeError> {
        let chosen: BTreeSet<&str> =
            (select::layers(model.topology(), &config.layers, &config.exclude)?.into_iter())
                .map(|layer| layer.name.as_str())
                .collect();
        let all = groups(model)?;
        if all.is_empty() {
            let quantized = |w: &std::sync::Arc<Tensor>| matches!(w.as_ref(), Tensor::Quantized(_));
            notes.push(match model.weights().values().any(quantized) {
                true => "no channels of the quantized model can be followed from the layers that write them to all that read them: \
                         prune before quantizing"
                    .to_owned(),
                false => "no channels can be followed from the layers that write them to all that read them: they reach an output, or \
                          an operator that mixes them"
                    .to_owned(),
            });
        }
        let (free, tied): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|g| g.producers.iter().all(|p| chosen.contains(p.as_str())));
        // Worth a word only where some of its layers were chosen and others not.
        for group in tied
            .iter()
            .filter(|g| g.producers.iter().any(|p| chosen.contains(p.as_str())))
        {
            notes.push(format!(
                "{} left alone: their channels go together, and not all of them were chosen",
                group.producers.join(", ")
            ));
        }
        Ok(Self {
            groups: free
                .into_iter()
                .map(|g| (g.producers, g.channels))
                .collect(),
            scope: config.scope,
        })
    }
}

fn groups(model: &dyn Model) -> Result<Vec<ChannelGroup>, PruneError> {
    Ok(model.structure().ok_or(PruneError::Rigid)?.groups())
}

/// The L2 norm of all weights that write each channel, relative to the mean over the group.
fn importance(model: &dyn Model, group: &ChannelGroup) -> Result<Vec<f64>, PruneError> {
    let mut squares = vec![0.0; group.channels];
    for slice in group.slices.iter().filter(|s| s.produces) {
        let last = slice.offset + group.channels * slice.repeat;
        let values = (model.weights().get(&slice.weight).and_then(|w| w.to_f32()))
            .filter(|v| slice.axis < v.ndim() && last <= v.shape()[slice.axis])
            .ok_or_else(|| PruneError::Slice {
                group: group.id,
                weight: slice.weight.clone(),
                axis: slice.axis,
                first: slice.offset,
                last,
            })?;
        for (channel, sum) in squares.iter_mut().enumerate() {
            let first = slice.offset + channel * slice.repeat;
            let part =
                values.slice_axis(Axis(slice.axis), Slice::from(first..first + slice.repeat));
            *sum += part
                .iter()
                .map(|&w| f64::from(w) * f64::from(w))
                .sum::<f64>();
        }
    }
    let norms: Vec<f64> = squares.into_iter().map(f64::sqrt).collect();
    let mean = norms.iter().sum::<f64>() / norms.len().max(1) as f64;
    Ok(norms
        .into_iter()
        .map(|n| if mean > 0.0 { n / mean } else { 0.0 })
        .collect())
}

/// Removes up to `count` of the channels (importance, group, channel), least important first, leaving each group at
/// least `least` of its channels; `left` is kept up to date.
fn choose(
    mut channels: Vec<(f64, usize, usize)>,
    count: usize,
    left: &mut [usize],
    least: &[usize],
) -> Vec<(usize, usize)> {
    channels.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut removed = Vec::new();
    for (_, group, channel) in channels {
        if removed.len() == count {
            break;
        }
        if left[group] > least[group] {
            left[group] -= 1;
            removed.push((group, channel));
        }
    }
    removed
}

impl Cut for Channels {
    fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    fn cut(&self, model: &dyn Model, share: f64) -> Result<Pruned, OptimizeError> {
        let now: Vec<(ChannelGroup, usize)> = (groups(model)?.into_iter())
            .filter_map(|g| self.groups.get(&g.producers).map(|&at_first| (g, at_first)))
            .collect();
        let mut left: Vec<usize> = now.iter().map(|(g, _)| g.channels).collect();
        let least: Vec<usize> = (now.iter())
            .map(|(_, at_first)| ((LEAST * *at_first as f64).ceil() as usize).max(1))
            .collect();
        let mut scored = Vec::new();
        for (index, (group, _)) in now.iter().enumerate() {
            let scores = importance(model, group)?;
            scored.push(
                scores
                    .into_iter()
                    .enumerate()
                    .map(|(c, s)| (s, index, c))
                    .collect::<Vec<_>>(),
            );
        }
        // How many of `at_first` channels still have to go when `present` are there.
        let excess = |at_first: usize, present: usize| {
            let wanted = at_first - (share * at_first as f64).round() as usize;
            present.saturating_sub(wanted)
        };
        let removed: Vec<(usize, usize)> = match self.scope {
            Scope::Global => {
                let at_first = now.iter().map(|(_, n)| n).sum();
                let count = excess(at_first, left.iter().sum());
                choose(scored.concat(), count, &mut left, &least)
            }
            Scope::Layer => {
                let mut removed = Vec::new();
                for (scores, (group, at_first)) in scored.into_iter().zip(&now) {
                    let count = excess(*at_first, group.channels);
                    removed.extend(choose(scores, count, &mut left, &least));
                }
                removed
            }
        };
        let mut keep: Vec<Vec<bool>> = now.iter().map(|(g, _)| vec![true; g.channels]).collect();
        for (group, channel) in removed {
            keep[group][channel] = false;
        }
        let edits: Vec<Edit> = (now.iter().zip(&keep))
            .filter(|(_, keep)| keep.contains(&false))
            .map(|((group, _), keep)| Edit::CutChannels {
                group: group.id,
                keep: (0..group.channels).filter(|&c| keep[c]).collect(),
            })
            .collect();
        Ok(Pruned {
            model: model.apply(&edits)?,
            masks: BTreeMap::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_important_go_but_no_group_is_emptied() {
        let channels = vec![
            (0.5, 0, 0),
            (0.1, 1, 0),
            (0.2, 1, 1),
            (0.3, 1, 2),
            (2.0, 0, 1),
        ];
        let mut left = [2, 3];
        let removed = choose(channels, 4, &mut left, &[1, 1]);
        assert_eq!(removed, [(1, 0), (1, 1), (0, 0)]);
        assert_eq!(left, [1, 1]);
    }
}
