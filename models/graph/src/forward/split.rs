//! Parts along an axis.

use crate::tape::{Call, Cut, Outputs, Value, axis};

pub fn split(call: &mut Call<'_>) -> Outputs {
    let sizes = call.list("split", 1)?;
    let x = call.float(0)?;
    let shape = x.shape().to_vec();
    let axis = axis(call.node.int("axis", 0), shape.len())?;
    let parts = call.node.outputs.len();
    let sizes: Vec<usize> = match sizes {
        Some(sizes) => sizes
            .iter()
            .map(|&s| usize::try_from(s).unwrap_or(usize::MAX))
            .collect(),
        // Equal parts, the last one smaller where they do not come out even.
        None => {
            let part = shape[axis].div_ceil(parts.max(1));
            (0..parts)
                .map(|i| part.min(shape[axis].saturating_sub(i * part)))
                .collect()
        }
    };
    if sizes.iter().try_fold(0usize, |n, &s| n.checked_add(s)) != Some(shape[axis]) {
        return Err(format!(
            "parts of {sizes:?} do not make up axis {axis} of {shape:?}"
        ));
    }
    let mut start = 0;
    Ok(sizes
        .into_iter()
        .map(|size| {
            let whole = |&end: &usize| Cut {
                start: 0,
                end,
                step: 1,
            };
            let mut cuts: Vec<Cut> = shape.iter().map(whole).collect();
            (cuts[axis].start, cuts[axis].end) = (start, start + size);
            start += size;
            Value::Float(call.tape.slice(x.clone(), &cuts))
        })
        .collect())
}
