//! Axes of extent 1.

use crate::tape::{Call, Outputs, axes, viewed};

pub fn squeeze(call: &mut Call<'_>) -> Outputs {
    let x = call.value(0)?;
    let shape = x.shape().to_vec();
    let removed = match call.list("axes", 1)? {
        Some(indices) => axes(&indices, shape.len())?,
        None => (0..shape.len()).filter(|&i| shape[i] == 1).collect(),
    };
    if let Some(&long) = removed.iter().find(|&&i| shape[i] != 1) {
        return Err(format!("axis {long} of {shape:?} is not 1 long"));
    }
    let kept: Vec<usize> = (0..shape.len())
        .filter(|i| !removed.contains(i))
        .map(|i| shape[i])
        .collect();
    viewed(call.tape, x, &kept)
}

pub fn unsqueeze(call: &mut Call<'_>) -> Outputs {
    let indices = call.list("axes", 1)?.ok_or("the axes are missing")?;
    let x = call.value(0)?;
    let mut shape = x.shape().to_vec();
    for at in axes(&indices, shape.len() + indices.len())? {
        if at > shape.len() {
            return Err(format!("axes {indices:?} are not distinct"));
        }
        shape.insert(at, 1);
    }
    viewed(call.tape, x, &shape)
}
