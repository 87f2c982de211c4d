//! Padding.

use crate::graph::Attribute;
use crate::tape::{Call, Outputs, axis, one, sized};

/// Padding with a constant; negative pads, which cut, are refused.
pub fn pad(call: &mut Call<'_>) -> Outputs {
    let mode = call.node.text("mode").unwrap_or("constant");
    if mode != "constant" {
        return Err(format!(
            "padding by `{mode}` is not supported; `constant` is"
        ));
    }
    let value = match call.node.attributes.get("value") {
        Some(Attribute::Float(v)) => *v,
        _ => call.scalar(2)?.unwrap_or(0.0),
    };
    let pads = call.list("pads", 1)?.ok_or("the pads are missing")?;
    let along = call.ints(3)?;
    let x = call.float(0)?;
    let rank = x.shape().len();
    let along = match along {
        Some(indices) => indices
            .iter()
            .map(|&i| axis(i, rank))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * along.len() {
        return Err(format!("{} pads for {} axes", pads.len(), along.len()));
    }
    let mut sizes = vec![(0, 0); rank];
    for (i, &at) in along.iter().enumerate() {
        let size = |pad: i64| usize::try_from(pad).ok().filter(|&p| p < 1 << 24);
        sizes[at] = size(pads[i])
            .zip(size(pads[along.len() + i]))
            .ok_or_else(|| format!("pads {pads:?} must be from 0 to {}", 1 << 24))?;
    }
    let wide: Vec<usize> = (x.shape().iter())
        .zip(&sizes)
        .map(|(extent, (before, after))| extent + before + after)
        .collect();
    sized(&wide)?;
    one(call.tape.pad(x, &sizes, value))
}
