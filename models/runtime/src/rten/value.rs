//! Tensors as rten takes and gives them: floats and bytes as views, wider integers and booleans as 32-bit integers.

use std::borrow::Cow;

use lapidary_core::model::ModelError;
use lapidary_core::tensor::{DType, Dense, Shared, array};
use lapidary_graph::ValueInfo;
use rten::{Value, ValueOrView, ValueView};
use rten_tensor::TensorView;
use rten_tensor::prelude::*;

use super::NAME;

/// The elements of a tensor as rten takes them.
enum Elements<'a> {
    F32(Cow<'a, [f32]>),
    I32(Cow<'a, [i32]>),
    I8(Cow<'a, [i8]>),
    U8(Cow<'a, [u8]>),
}

/// A tensor as rten takes it.
pub struct Given<'a> {
    shape: &'a [usize],
    elements: Elements<'a>,
}

impl Given<'_> {
    /// The tensor, without a copy.
    pub fn view(&self) -> ValueOrView<'_> {
        macro_rules! view {
            ($data:expr) => {
                ValueView::from(TensorView::from_data(self.shape, &**$data))
            };
        }
        match &self.elements {
            Elements::F32(data) => view!(data),
            Elements::I32(data) => view!(data),
            Elements::I8(data) => view!(data),
            Elements::U8(data) => view!(data),
        }
        .into()
    }
}

fn failure(reason: String) -> ModelError {
    ModelError::Engine {
        engine: NAME.into(),
        reason,
    }
}

/// The elements in row-major order, where they lie so without a copy.
fn slice<T: Clone>(array: &Shared<T>) -> Cow<'_, [T]> {
    match array.as_slice() {
        Some(slice) => slice.into(),
        None => array.iter().cloned().collect(),
    }
}

/// A tensor for an input.
///
/// # Errors
/// When its type is not that of the input, or an integer needs more than 32 bits.
pub fn view<'a>(input: &ValueInfo, dense: &'a Dense) -> Result<Given<'a>, ModelError> {
    let narrow = |v: &i64| {
        i32::try_from(*v).map_err(|_| {
            failure(format!(
                "input `{}` holds {v}; integers have 32 bits here",
                input.name
            ))
        })
    };
    let elements = match (input.dtype, dense) {
        (DType::F32 | DType::F64 | DType::F16 | DType::BF16, Dense::F32(a)) => {
            Elements::F32(slice(a))
        }
        (DType::F16 | DType::BF16, Dense::Raw { .. }) => match dense.to_f32() {
            Some(a) => Elements::F32(a.iter().copied().collect()),
            None => return Err(failure(format!("input `{}` holds no floats", input.name))),
        },
        (DType::F32 | DType::F64, Dense::F64(a)) => {
            Elements::F32(a.iter().map(|&v| v as f32).collect())
        }
        (DType::I64 | DType::I32, Dense::I64(a)) => {
            Elements::I32(a.iter().map(narrow).collect::<Result<_, _>>()?)
        }
        (DType::I64 | DType::I32, Dense::I32(a)) => Elements::I32(slice(a)),
        (DType::Bool, Dense::Bool(a)) => Elements::I32(a.iter().map(|&v| i32::from(v)).collect()),
        (DType::I8, Dense::I8(a)) => Elements::I8(slice(a)),
        (DType::U8, Dense::U8(a)) => Elements::U8(slice(a)),
        _ => {
            return Err(failure(format!(
                "input `{}` wants {}, given was {}",
                input.name,
                input.dtype,
                dense.dtype()
            )));
        }
    };
    Ok(Given {
        shape: dense.shape(),
        elements,
    })
}

/// The extents of a tensor, kept while its elements are taken.
fn extents<T>(tensor: &rten_tensor::Tensor<T>) -> Vec<usize> {
    tensor.shape().to_vec()
}

/// What rten gave, as a tensor of the type that a value has.
///
/// # Errors
/// When it is no tensor.
pub fn take(value: Value, dtype: DType) -> Result<Dense, ModelError> {
    match value {
        Value::FloatTensor(t) => Ok(Dense::F32(array(&extents(&t), t.into_data())?)),
        Value::Int32Tensor(t) => {
            let shape = extents(&t);
            let data = t.into_data();
            Ok(match dtype {
                DType::I32 => Dense::I32(array(&shape, data)?),
                DType::Bool => {
                    Dense::Bool(array(&shape, data.into_iter().map(|v| v != 0).collect())?)
                }
                _ => Dense::I64(array(&shape, data.into_iter().map(i64::from).collect())?),
            })
        }
        Value::Int8Tensor(t) => Ok(Dense::I8(array(&extents(&t), t.into_data())?)),
        Value::UInt8Tensor(t) => Ok(Dense::U8(array(&extents(&t), t.into_data())?)),
        _ => Err(failure("an output is a sequence, not a tensor".into())),
    }
}
