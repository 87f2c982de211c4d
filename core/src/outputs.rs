//! Which of a model's outputs is its prediction.

use crate::model::{Dim, ModelError, Signature};
use crate::samples::Task;
use crate::text::listed;

/// Names of the outputs that may be the prediction for `task`: the one `wanted` by name, the one whose declared shape is the task's,
/// or all that hold floats. Labels, maps and the like are none, so that what only they need is not run.
///
/// # Errors
/// When no output has the name, or none holds floats.
pub fn candidates(
    signature: &Signature,
    task: Option<&Task>,
    wanted: Option<&str>,
) -> Result<Vec<String>, ModelError> {
    let floats: Vec<_> = (signature.outputs.iter())
        .filter(|port| port.dtype.is_float())
        .collect();
    let names = || -> Vec<&str> { floats.iter().map(|port| port.name.as_str()).collect() };
    if let Some(wanted) = wanted {
        return match names().contains(&wanted) {
            true => Ok(vec![wanted.to_owned()]),
            false => Err(ModelError::Measure(format!(
                "no float output `{wanted}`; there are {}",
                listed(&names())
            ))),
        };
    }
    if floats.is_empty() {
        let all: Vec<String> = (signature.outputs.iter())
            .map(|port| format!("{} ({})", port.name, port.dtype))
            .collect();
        return Err(ModelError::Measure(format!(
            "the model has no float output to predict with; there are {}",
            listed(&all)
        )));
    }
    let declared = |shape: &[Dim]| -> Option<Vec<usize>> {
        (shape.iter().skip(1))
            .map(|dim| match dim {
                Dim::Fixed(extent) => Some(*extent),
                Dim::Symbol(_) => None,
            })
            .collect()
    };
    let fits = |shape: &[Dim]| match (declared(shape), task) {
        (Some(sample), Some(task)) if !shape.is_empty() => is_exact(&sample, task),
        _ => false,
    };
    let exact: Vec<_> = floats.iter().filter(|port| fits(&port.shape)).collect();
    Ok(match exact.as_slice() {
        [first, ..] => vec![first.name.clone()],
        [] => floats.iter().map(|port| port.name.clone()).collect(),
    })
}

/// Which of several outputs, each a name and the shape that a run gave, is the prediction for `task`: the first whose shape is
/// the task's, or the only one whose shape would do.
///
/// # Errors
/// When several would do, or none of several.
pub fn fitting(outputs: &[(&str, &[usize])], task: Option<&Task>) -> Result<usize, ModelError> {
    let Some(task) = task.filter(|_| outputs.len() > 1) else {
        return Ok(0);
    };
    let sample = |shape: &'_ [usize]| -> Vec<usize> { shape.iter().skip(1).copied().collect() };
    let whole = |shape: &[usize]| !shape.is_empty();
    let exact = |(_, shape): &(&str, &[usize])| whole(shape) && is_exact(&sample(shape), task);
    if let Some(index) = outputs.iter().position(exact) {
        return Ok(index);
    }
    let mut others = (0..outputs.len()).filter(|&i| {
        let shape = outputs[i].1;
        whole(shape) && would_do(&sample(shape), task)
    });
    match (others.next(), others.next()) {
        (Some(only), None) => Ok(only),
        _ => {
            let shown: Vec<String> = (outputs.iter())
                .map(|(name, shape)| format!("{name} {shape:?}"))
                .collect();
            let wanted = match task {
                Task::Classification { classes } => format!("{classes} classes"),
                Task::Regression { values } => format!("{values} values"),
            };
            Err(ModelError::Measure(format!(
                "which output predicts the targets of {wanted} cannot be told; there are {}; name it with --output (for optimize, --measured-output)",
                listed(&shown)
            )))
        }
    }
}

/// The extents of a sample that are not 1.
fn wide(sample: &[usize]) -> Vec<usize> {
    sample.iter().copied().filter(|&d| d != 1).collect()
}

/// Whether a sample of this shape has one number for each class or value; one number tells two classes apart.
fn is_exact(sample: &[usize], task: &Task) -> bool {
    match task {
        Task::Classification { classes } => match wide(sample)[..] {
            [] => *classes == 2,
            [columns] => columns == *classes,
            _ => false,
        },
        Task::Regression { values } => sample.iter().product::<usize>() == *values,
    }
}

/// Whether a sample of this shape could be a prediction: a model may know more classes than the data shows.
fn would_do(sample: &[usize], task: &Task) -> bool {
    match task {
        Task::Classification { classes } => {
            matches!(wide(sample)[..], [columns] if columns >= *classes)
        }
        Task::Regression { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Port;
    use crate::tensor::DType;

    fn signature(outputs: &[(&str, DType, &[usize])]) -> Signature {
        let port = |&(name, dtype, sample): &(&str, DType, &[usize])| Port {
            name: name.into(),
            dtype,
            shape: std::iter::once(Dim::Symbol("n".into()))
                .chain(sample.iter().map(|&d| Dim::Fixed(d)))
                .collect(),
            activation: None,
        };
        Signature {
            inputs: Vec::new(),
            outputs: outputs.iter().map(port).collect(),
        }
    }

    #[test]
    fn the_output_that_fits_the_classes_is_the_prediction() {
        let three = Task::Classification { classes: 3 };
        let both = signature(&[
            ("embedding", DType::F32, &[8]),
            ("logits", DType::F32, &[3]),
        ]);
        assert_eq!(candidates(&both, Some(&three), None).unwrap(), ["logits"]);
        assert_eq!(
            candidates(&both, Some(&three), Some("embedding")).unwrap(),
            ["embedding"]
        );
        let error = candidates(&both, Some(&three), Some("logit"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("there are embedding, logits"), "{error}");
        let label = signature(&[("label", DType::I64, &[]), ("p", DType::F32, &[5])]);
        assert_eq!(candidates(&label, Some(&three), None).unwrap(), ["p"]);
        assert!(candidates(&signature(&[("label", DType::I64, &[])]), None, None).is_err());
    }

    #[test]
    fn where_several_would_do_none_is_taken_in_silence() {
        let two = Task::Classification { classes: 2 };
        let shapes: [(&str, &[usize]); 2] = [("embedding", &[9, 8]), ("logits", &[9, 3])];
        let error = fitting(&shapes, Some(&two)).unwrap_err().to_string();
        assert!(
            error.contains("embedding [9, 8], logits [9, 3]") && error.contains("--output"),
            "{error}"
        );
        let three = Task::Classification { classes: 3 };
        assert_eq!(fitting(&shapes, Some(&three)).unwrap(), 1);
        assert_eq!(
            fitting(&[("maps", &[9, 4, 4]), ("logits", &[9, 3])], Some(&two)).unwrap(),
            1
        );
        assert_eq!(fitting(&shapes[..1], Some(&two)).unwrap(), 0);
    }
}
