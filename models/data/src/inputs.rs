//! Fitting samples to what a model takes.

use lapidary_core::model::{Dim, Port, Signature};
use lapidary_core::samples::{Inputs, Samples};
use lapidary_core::tensor::{DType, Dense, Shared, TensorError};
use ndarray::IxDyn;

use crate::error::DataError;

/// The samples under the names, shapes and element types of the model's inputs.
///
/// Where model and data have one input each, its name does not matter. Each sample is reshaped where its number of elements
/// fits (1 × 28 × 28 becomes 784); images `[channels, height, width]` are turned round for a model that takes
/// `[height, width, channels]`. Whole numbers become floats, floats become whole numbers where they are whole. Arrays that
/// the model does not take are left out; so are inputs that the data does not have, which matters only where they are used.
///
/// # Errors
/// When no input is there, or the shape, type or a value of one does not fit.
pub fn fit_inputs(samples: &Samples, signature: &Signature) -> Result<Samples, DataError> {
    let mut inputs = Inputs::new();
    for port in &signature.inputs {
        let array = match samples.inputs.get(&port.name) {
            Some(array) => array,
            None => match samples.inputs.values().next() {
                Some(only) if samples.inputs.len() == 1 && signature.inputs.len() == 1 => only,
                _ if signature
                    .inputs
                    .iter()
                    .any(|i| samples.inputs.contains_key(&i.name)) =>
                {
                    continue;
                }
                _ => {
                    return Err(DataError::MissingInput {
                        name: port.name.clone(),
                        known: samples.inputs.keys().cloned().collect(),
                    });
                }
            },
        };
        let array = fit_shape(array, port)?;
        inputs.insert(port.name.clone(), fit_type(array, port)?);
    }
    Ok(Samples {
        inputs,
        targets: samples.targets.clone(),
    })
}

fn fit_shape(array: &Dense, port: &Port) -> Result<Dense, DataError> {
    // A port without axes has an unknown rank: whatever comes is tried.
    let Some((_, wanted)) = port.shape.split_first() else {
        return Ok(array.clone());
    };
    let given = &array.shape()[1..];
    let fits = |(dim, &extent): (&Dim, &usize)| match dim {
        Dim::Fixed(fixed) => *fixed == extent,
        Dim::Symbol(_) => true,
    };
    if wanted.len() == given.len() && wanted.iter().zip(given).all(fits) {
        return Ok(array.clone());
    }
    let misfit = || DataError::InputShape {
        name: port.name.clone(),
        given: given.to_vec(),
        wanted: shown(wanted),
    };
    let fixed: Vec<Option<usize>> = wanted
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(extent) => Some(*extent),
            Dim::Symbol(_) => None,
        })
        .collect();
    if let ([c, h, w], [height, width, Some(channels)]) = (given, fixed.as_slice()) {
        let same = |wanted: &Option<usize>, given: &usize| wanted.is_none_or(|w| w == *given);
        if *c > 1 && channels == c && same(height, h) && same(width, w) {
            return channels_last(array).ok_or_else(misfit);
        }
    }
    let known = fixed
        .iter()
        .flatten()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .ok_or_else(misfit)?;
    let elements: usize = given.iter().product();
    let shape: Vec<usize> = match fixed.iter().filter(|d| d.is_none()).count() {
        0 if known == elements => fixed.iter().flatten().copied().collect(),
        1 if known > 0 && elements.is_multiple_of(known) => fixed
            .iter()
            .map(|d| d.unwrap_or(elements / known))
            .collect(),
        _ => return Err(misfit()),
    };
    Ok(array.reshape(&[&array.shape()[..1], &shape].concat())?)
}

/// `[n, c, h, w]` as `[n, h, w, c]`, for floats and bytes.
fn channels_last(array: &Dense) -> Option<Dense> {
    fn turned<T: Clone>(array: &Shared<T>) -> Shared<T> {
        let view = array.view().permuted_axes(IxDyn(&[0, 2, 3, 1]));
        view.as_standard_layout().into_owned().into_shared()
    }
    match array {
        Dense::F32(a) => Some(Dense::F32(turned(a))),
        Dense::F64(a) => Some(Dense::F64(turned(a))),
        Dense::U8(a) => Some(Dense::U8(turned(a))),
        _ => None,
    }
}

/// A sample's shape as text, unknown extents as their names.
fn shown(dims: &[Dim]) -> String {
    let dims: Vec<String> = dims
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(extent) => extent.to_string(),
            Dim::Symbol(name) if name.is_empty() => "?".into(),
            Dim::Symbol(name) => name.clone(),
        })
        .collect();
    format!("[{}]", dims.join(", "))
}

fn fit_type(array: Dense, port: &Port) -> Result<Dense, DataError> {
    let given = array.dtype();
    if given == port.dtype {
        return Ok(array);
    }
    let values: Option<Vec<f64>> = match &array {
        Dense::F32(a) => Some(a.iter().map(|&v| f64::from(v)).collect()),
        Dense::F64(a) => Some(a.iter().copied().collect()),
        Dense::I8(a) => Some(a.iter().map(|&v| f64::from(v)).collect()),
        Dense::U8(a) => Some(a.iter().map(|&v| f64::from(v)).collect()),
        Dense::I32(a) => Some(a.iter().map(|&v| f64::from(v)).collect()),
        // Beyond 2^53 a whole number is rounded; of the types below only floats hold such a one, and they round too.
        Dense::I64(a) => Some(a.iter().map(|&v| v as f64).collect()),
        Dense::Bool(a) => Some(a.iter().map(|&v| f64::from(u8::from(v))).collect()),
        Dense::Raw { .. } => None,
    };
    let shape = array.shape();
    let fitted = values.and_then(|values| {
        let number = |convert: &dyn Fn(f64) -> bool| {
            values
                .iter()
                .position(|&v| !convert(v))
                .map(|index| DataError::InputValue {
                    name: port.name.clone(),
                    index,
                    value: values[index],
                    wanted: port.dtype,
                })
        };
        macro_rules! whole {
            ($kind:ident, $t:ty) => {
                match number(&|v| {
                    v.fract() == 0.0 && v >= <$t>::MIN as f64 && v <= <$t>::MAX as f64
                }) {
                    Some(error) => Err(error),
                    None => shaped(shape, values.iter().map(|&v| v as $t)).map(Dense::$kind),
                }
            };
        }
        Some(match port.dtype {
            DType::F32 => match number(&|v| (v as f32).is_finite()) {
                Some(error) => Err(error),
                None => shaped(shape, values.iter().map(|&v| v as f32)).map(Dense::F32),
            },
            DType::F64 => shaped(shape, values.iter().copied()).map(Dense::F64),
            DType::F16 | DType::BF16 => {
                Dense::floats(port.dtype, shape, values.iter().copied()).map_err(DataError::Tensor)
            }
            DType::I8 => whole!(I8, i8),
            DType::U8 => whole!(U8, u8),
            DType::I32 => whole!(I32, i32),
            DType::I64 => whole!(I64, i64),
            DType::Bool => match number(&|v| v == 0.0 || v == 1.0) {
                Some(error) => Err(error),
                None => shaped(shape, values.iter().map(|&v| v == 1.0)).map(Dense::Bool),
            },
            _ => return None,
        })
    });
    fitted.unwrap_or_else(|| {
        Err(DataError::InputType {
            name: port.name.clone(),
            given,
            wanted: port.dtype,
        })
    })
}

fn shaped<T: Clone>(
    shape: &[usize],
    values: impl Iterator<Item = T>,
) -> Result<Shared<T>, DataError> {
    let values: Vec<T> = values.collect();
    let elements = values.len();
    Shared::from_shape_vec(IxDyn(shape), values).map_err(|_| {
        DataError::Tensor(TensorError::Elements {
            shape: shape.to_vec(),
            elements,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(name: &str, dtype: DType, shape: &[i64]) -> Signature {
        let dims = shape.iter().map(|&d| match usize::try_from(d) {
            Ok(extent) => Dim::Fixed(extent),
            Err(_) => Dim::Symbol("s".into()),
        });
        Signature {
            inputs: vec![Port {
                name: name.into(),
                dtype,
                shape: dims.collect(),
                activation: None,
            }],
            outputs: vec![],
        }
    }

    fn samples(name: &str, array: Dense) -> Samples {
        Samples {
            inputs: Inputs::from([(name.to_string(), array)]),
            targets: None,
        }
    }

    fn counting(shape: &[usize]) -> Dense {
        let n: usize = shape.iter().product();
        Dense::f32(shape, (0..n).map(|v| v as f32).collect()).unwrap()
    }

    fn fit(array: Dense, dtype: DType, shape: &[i64]) -> Result<Dense, String> {
        fit_inputs(&samples("input", array), &signature("x", dtype, shape))
            .map(|s| s.inputs["x"].clone())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn samples_are_reshaped_where_the_count_fits() {
        let shape = |given: &[usize], wanted: &[i64]| {
            fit(counting(given), DType::F32, wanted).map(|a| a.shape().to_vec())
        };
        assert_eq!(shape(&[5, 1, 28, 28], &[-1, 784]).unwrap(), [5, 784]);
        assert_eq!(shape(&[5, 784], &[1, 1, 28, 28]).unwrap(), [5, 1, 28, 28]);
        assert_eq!(shape(&[5, 1, 28, 28], &[-1, -1]).unwrap(), [5, 784]);
        assert_eq!(shape(&[5, 3, 4], &[-1, 3, -1]).unwrap(), [5, 3, 4]);
        assert_eq!(shape(&[5, 3, 4], &[]).unwrap(), [5, 3, 4]);
        assert_eq!(shape(&[5, 1], &[-1]).unwrap(), [5]);
        assert_eq!(
            shape(&[5, 1, 28, 28], &[-1, 3, -1, -1]).unwrap_err(),
            "input `x`: samples of shape [1, 28, 28] do not fit [3, s, s]"
        );
        assert!(shape(&[5, 7], &[-1, 0, -1]).is_err());
        assert!(shape(&[5, 7], &[-1, i64::MAX, i64::MAX]).is_err());
    }

    #[test]
    fn images_are_turned_round_for_channels_last() {
        let turned = fit(counting(&[1, 3, 2, 1]), DType::F32, &[-1, 2, 1, 3]).unwrap();
        assert_eq!(
            turned,
            Dense::f32(&[1, 2, 1, 3], vec![0., 2., 4., 1., 3., 5.]).unwrap()
        );
        let same = fit(counting(&[1, 3, 3, 3]), DType::F32, &[-1, 3, 3, 3]).unwrap();
        assert_eq!(same, counting(&[1, 3, 3, 3]));
    }

    #[test]
    fn types_are_converted_where_values_allow() {
        let ids = Dense::i64(&[2], vec![1, 255]).unwrap();
        assert_eq!(
            fit(ids.clone(), DType::I32, &[-1]).unwrap().dtype(),
            DType::I32
        );
        assert_eq!(
            fit(ids.clone(), DType::F32, &[-1]).unwrap(),
            Dense::f32(&[2], vec![1., 255.]).unwrap()
        );
        assert_eq!(
            fit(ids.clone(), DType::I8, &[-1]).unwrap_err(),
            "input `x`: 255 at index 1 is no i8"
        );
        assert!(fit(ids.clone(), DType::Bool, &[-1]).is_err());
        assert!(fit(Dense::f32(&[1], vec![0.5]).unwrap(), DType::I64, &[-1]).is_err());
        assert_eq!(
            fit(ids.clone(), DType::F16, &[-1]).unwrap().dtype(),
            DType::F16
        );
        assert_eq!(
            fit(ids, DType::String, &[-1]).unwrap_err(),
            "input `x`: i64 cannot be turned into string"
        );
    }

    #[test]
    fn names_matter_only_where_there_are_several() {
        let mut two = samples("a", counting(&[2, 1]));
        two.inputs.insert("x".into(), counting(&[2, 1]));
        let fitted = fit_inputs(&two, &signature("x", DType::F32, &[-1, 1])).unwrap();
        assert_eq!(fitted.inputs.keys().collect::<Vec<_>>(), ["x"]);
        // What is missing may be unused: whoever runs the model knows.
        let mut wider = signature("x", DType::F32, &[-1, 1]);
        wider
            .inputs
            .extend(signature("mask", DType::Bool, &[-1]).inputs);
        let fitted = fit_inputs(&two, &wider).unwrap();
        assert_eq!(fitted.inputs.keys().collect::<Vec<_>>(), ["x"]);
        let message = fit_inputs(&two, &signature("b", DType::F32, &[-1, 1]))
            .unwrap_err()
            .to_string();
        assert_eq!(message, "the model wants the input `b`; the data has a, x");
    }
}
