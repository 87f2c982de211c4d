//! Selection of layers by the globs of a recipe.

use globset::Glob;

use crate::model::{Layer, Topology};
use crate::optimizer::OptimizeError;

/// The layers whose names match one of `layers` (all where it is empty) and none of `exclude`, in the model's order.
/// `*` matches any text, `/` included; `?` one character; `[ab]` and `{conv,fc}*` are understood too.
///
/// # Errors
/// [`OptimizeError::BadGlob`] where a glob cannot be read, [`OptimizeError::NoLayer`] where one matches no layer.
///
/// ```
/// use lapidary_core::{model::Topology, select};
/// let error = select::layers(&Topology::default(), &["conv*".into()], &[]).unwrap_err();
/// assert_eq!(error.to_string(), "no layer matches `conv*`; there are none");
/// ```
pub fn layers<'a>(
    topology: &'a Topology,
    layers: &[String],
    exclude: &[String],
) -> Result<Vec<&'a Layer>, OptimizeError> {
    let mut wanted = vec![layers.is_empty(); topology.layers.len()];
    for (globs, verdict) in [(layers, true), (exclude, false)] {
        for text in globs {
            let glob = Glob::new(text)
                .map_err(|e| OptimizeError::BadGlob {
                    glob: text.clone(),
                    reason: e.kind().to_string(),
                })?
                .compile_matcher();
            let mut matched = false;
            for (layer, wanted) in topology.layers.iter().zip(&mut wanted) {
                if glob.is_match(&layer.name) {
                    *wanted = verdict;
                    matched = true;
                }
            }
            if !matched {
                return Err(OptimizeError::NoLayer {
                    glob: text.clone(),
                    known: topology.layers.iter().map(|l| l.name.clone()).collect(),
                });
            }
        }
    }
    Ok((topology.layers.iter().zip(wanted))
        .filter_map(|(layer, wanted)| wanted.then_some(layer))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(names: &[&str]) -> Topology {
        let layer = |name: &&str| Layer {
            name: (*name).into(),
            kind: "any".into(),
            shape: None,
            weight: None,
            channel_axis: 0,
            product: None,
            bias: None,
            input: String::new(),
            output: String::new(),
            params: 0,
            bytes: 0,
            macs: None,
            bits: 0,
            sparsity: 0.0,
        };
        Topology {
            nodes: Vec::new(),
            layers: names.iter().map(layer).collect(),
        }
    }

    fn picked(layers: &[&str], exclude: &[&str]) -> Result<Vec<String>, OptimizeError> {
        let owned = |globs: &[&str]| globs.iter().map(|g| (*g).to_owned()).collect::<Vec<_>>();
        let topology = topology(&["block/conv1", "block/conv2", "fc"]);
        let picked = super::layers(&topology, &owned(layers), &owned(exclude))?;
        Ok(picked.iter().map(|l| l.name.clone()).collect())
    }

    #[test]
    fn globs_pick_and_exclude() {
        assert_eq!(picked(&[], &["*conv?"]).unwrap(), ["fc"]);
        assert_eq!(picked(&["block*"], &["*2"]).unwrap(), ["block/conv1"]);
        assert_eq!(picked(&[], &[]).unwrap().len(), 3);
    }

    #[test]
    fn a_glob_without_a_layer_names_the_layers_there_are() {
        let error = picked(&[], &["head"]).unwrap_err().to_string();
        assert_eq!(
            error,
            "no layer matches `head`; there are block/conv1, block/conv2, fc"
        );
        assert!(
            picked(&["[a"], &[])
                .unwrap_err()
                .to_string()
                .starts_with("`[a` is not a glob")
        );
    }
}
