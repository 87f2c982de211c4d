//! Tensors as onnxruntime takes and gives them.

use std::borrow::Cow;

use lapidary_core::model::ModelError;
use lapidary_core::tensor::{DType, Dense, Shared, array};
use lapidary_graph::ValueInfo;
use ort::session::SessionInputValue;
use ort::value::{DynValue, TensorElementType, TensorRef, ValueType};

use super::{NAME, refuse};

fn failure(reason: String) -> ModelError {
    ModelError::Engine {
        engine: NAME.into(),
        reason,
    }
}

/// A tensor of the type of an input, its elements in row-major order; the one given where it is so.
///
/// # Errors
/// When its type does not turn into that of the input.
pub fn fit<'a>(input: &ValueInfo, dense: &'a Dense) -> Result<Cow<'a, Dense>, ModelError> {
    let narrow = |v: &i64| {
        i32::try_from(*v).map_err(|_| {
            failure(format!(
                "input `{}` has 32-bit integers, given was {v}",
                input.name
            ))
        })
    };
    let turned = match (input.dtype, dense) {
        (DType::F32, Dense::F64(a)) => Dense::F32(a.mapv(|v| v as f32).into_shared()),
        (DType::F64, Dense::F32(a)) => Dense::F64(a.mapv(f64::from).into_shared()),
        (DType::I64, Dense::I32(a)) => Dense::I64(a.mapv(i64::from).into_shared()),
        (DType::I32, Dense::I64(a)) => {
            let data = a.iter().map(narrow).collect::<Result<_, _>>()?;
            Dense::I32(array(a.shape(), data)?)
        }
        (wanted, given) if wanted == given.dtype() => return Ok(in_order(dense)),
        (wanted, given) => {
            return Err(failure(format!(
                "input `{}` wants {wanted}, given was {}",
                input.name,
                given.dtype()
            )));
        }
    };
    Ok(Cow::Owned(in_order(&turned).into_owned()))
}

fn in_order(dense: &Dense) -> Cow<'_, Dense> {
    fn ordered<T: Clone>(array: &Shared<T>) -> Option<Shared<T>> {
        (!array.is_standard_layout()).then(|| array.as_standard_layout().into_owned().into_shared())
    }
    let copied = match dense {
        Dense::F32(a) => ordered(a).map(Dense::F32),
        Dense::F64(a) => ordered(a).map(Dense::F64),
        Dense::I8(a) => ordered(a).map(Dense::I8),
        Dense::U8(a) => ordered(a).map(Dense::U8),
        Dense::I32(a) => ordered(a).map(Dense::I32),
        Dense::I64(a) => ordered(a).map(Dense::I64),
        Dense::Bool(a) => ordered(a).map(Dense::Bool),
        Dense::Raw { .. } => None,
    };
    copied.map_or(Cow::Borrowed(dense), Cow::Owned)
}

/// A tensor that [`fit`] gave, without a copy.
///
/// # Errors
/// When its type has no array here.
pub fn view<'a>(name: &str, dense: &'a Dense) -> Result<SessionInputValue<'a>, ModelError> {
    macro_rules! view {
        ($array:expr) => {{
            let data = $array.as_slice().expect("the elements lie in order");
            TensorRef::from_array_view(($array.shape(), data))
                .map_err(refuse)?
                .into()
        }};
    }
    Ok(match dense {
        Dense::F32(a) => view!(a),
        Dense::F64(a) => view!(a),
        Dense::I8(a) => view!(a),
        Dense::U8(a) => view!(a),
        Dense::I32(a) => view!(a),
        Dense::I64(a) => view!(a),
        Dense::Bool(a) => view!(a),
        Dense::Raw { dtype, .. } => {
            return Err(failure(format!("input `{name}`: {dtype} cannot be given")));
        }
    })
}

/// What onnxruntime gave for an output.
///
/// # Errors
/// When it is no tensor, or of a type that has no array here.
pub fn copy(name: &str, value: &DynValue) -> Result<Dense, ModelError> {
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err(failure(format!("output `{name}` is no tensor")));
    };
    let shape: Vec<usize> = shape.iter().map(|&d| d as usize).collect();
    macro_rules! copy {
        ($variant:ident, $type:ty) => {{
            let (_, data) = value.try_extract_tensor::<$type>().map_err(refuse)?;
            Ok(Dense::$variant(array(&shape, data.to_vec())?))
        }};
    }
    match ty {
        TensorElementType::Float32 => copy!(F32, f32),
        TensorElementType::Float64 => copy!(F64, f64),
        TensorElementType::Int8 => copy!(I8, i8),
        TensorElementType::Uint8 => copy!(U8, u8),
        TensorElementType::Int32 => copy!(I32, i32),
        TensorElementType::Int64 => copy!(I64, i64),
        TensorElementType::Bool => copy!(Bool, bool),
        other => Err(failure(format!("output `{name}` is {other}"))),
    }
}
