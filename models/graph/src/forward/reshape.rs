//! Other shapes of as many elements.

use crate::tape::{Call, Outputs, axis, viewed};

pub fn identity(call: &mut Call<'_>) -> Outputs {
    Ok(vec![call.value(0)?])
}

/// A view of another shape: 0 keeps an extent, −1 stands for the rest. A batch that the graph fixes is taken as free where the first extent has to follow it.
pub fn reshape(call: &mut Call<'_>) -> Outputs {
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
pub fn flatten(call: &mut Call<'_>) -> Outputs {
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
