//! Cuts.

use ndarray::Axis;

use crate::tape::{Call, Cut, Outputs, Value, axis, one};

/// A cut from `starts` to `ends` along `axes`, by `steps`; only integers can be cut backwards.
pub fn slice(call: &mut Call<'_>) -> Outputs {
    let starts = call.list("starts", 1)?.ok_or("the starts are missing")?;
    let ends = call.list("ends", 2)?.ok_or("the ends are missing")?;
    let count = starts.len();
    let along = call.list("axes", 3)?;
    let along = along.unwrap_or_else(|| (0..count as i64).collect());
    let steps = call.list("steps", 4)?.unwrap_or_else(|| vec![1; count]);
    let x = call.value(0)?;
    let shape = x.shape().to_vec();
    if [ends.len(), along.len(), steps.len()] != [count; 3] {
        return Err("starts, ends, axes and steps differ in number".into());
    }
    // First index, number of indices and step of each axis.
    let mut cuts: Vec<(i64, i64, i64)> = shape.iter().map(|&e| (0, e as i64, 1)).collect();
    for i in 0..count {
        let at = axis(along[i], shape.len())?;
        let (extent, step) = (shape[at] as i64, steps[i]);
        let from_end = |index: i64| {
            if index < 0 {
                index.saturating_add(extent)
            } else {
                index
            }
        };
        let (start, end) = (from_end(starts[i]), from_end(ends[i]));
        cuts[at] = match step {
            1.. => {
                let (start, end) = (start.clamp(0, extent), end.clamp(0, extent));
                (start, steps_over(end - start, step), step)
            }
            0 => return Err("a step of 0 leads nowhere".into()),
            _ => {
                let (start, end) = (start.clamp(-1, extent - 1), end.clamp(-1, extent - 1));
                (start, steps_over(start - end, step.saturating_neg()), step)
            }
        };
    }
    match x {
        Value::Float(x) => {
            let cuts = cuts.iter().map(|&(start, count, step)| {
                (count > 0 && step > 0).then(|| Cut {
                    start: start as usize,
                    end: (start + (count - 1) * step + 1) as usize,
                    step: step as usize,
                })
            });
            let cuts: Option<Vec<Cut>> = cuts.collect();
            let cuts = cuts.ok_or("a cut of floats must keep something and go forwards")?;
            one(call.tape.slice(x, &cuts))
        }
        Value::Int(mut a) => {
            for (at, &(start, count, step)) in cuts.iter().enumerate() {
                let indices: Vec<usize> = (0..count).map(|i| (start + i * step) as usize).collect();
                a = a.select(Axis(at), &indices);
            }
            Ok(vec![Value::Int(a)])
        }
    }
}

/// Steps of `step` within `length`, the last one possibly shorter.
fn steps_over(length: i64, step: i64) -> i64 {
    length.max(0) / step + i64::from(length.max(0) % step != 0)
}
