//! Texts with tensors beside them.

use std::borrow::Cow;

use lapidary_core::tensor::{DType, Dense, TensorError};
use ndarray::{ArcArray, IxDyn};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::write;

/// A tensor beside a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Element type, by its ONNX number.
    pub dtype: u32,
    /// Extents of the axes.
    pub shape: Vec<u64>,
    /// Row-major elements in the machine's byte order.
    pub bytes: Cow<'a, [u8]>,
}

/// A text in JSON that speaks of tensors by their number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message<'a> {
    /// The text.
    pub text: Vec<u8>,
    /// The tensors.
    pub pieces: Vec<Piece<'a>>,
}

/// Element types by their ONNX numbers.
const DTYPES: [(DType, u32); 13] = [
    (DType::F32, 1),
    (DType::U8, 2),
    (DType::I8, 3),
    (DType::U16, 4),
    (DType::I16, 5),
    (DType::I32, 6),
    (DType::I64, 7),
    (DType::String, 8),
    (DType::Bool, 9),
    (DType::F16, 10),
    (DType::F64, 11),
    (DType::U32, 12),
    (DType::U64, 13),
];

fn number_of(dtype: DType) -> u32 {
    match dtype {
        DType::BF16 => 16,
        DType::Other(number) => number.cast_unsigned(),
        known => (DTYPES.iter().find(|(d, _)| *d == known)).map_or(0, |(_, n)| *n),
    }
}

fn dtype_of(number: u32) -> DType {
    match DTYPES.iter().find(|(_, n)| *n == number) {
        Some((dtype, _)) => *dtype,
        None if number == 16 => DType::BF16,
        None => DType::Other(number.cast_signed()),
    }
}

/// Numbers whose bytes are their value.
pub(super) trait Plain: Copy + 'static {
    const NUMBER: u32;
    fn read(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! plain {
    ($($type:ty = $number:literal)*) => {
        $(impl Plain for $type {
            const NUMBER: u32 = $number;
            fn read(bytes: &[u8]) -> Vec<Self> {
                let (whole, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
                whole.iter().map(|b| <$type>::from_ne_bytes(*b)).collect()
            }
        })*
    };
}

plain! { f32 = 1 u8 = 2 i8 = 3 i16 = 5 i32 = 6 i64 = 7 f64 = 11 }

impl Plain for bool {
    const NUMBER: u32 = 9;
    fn read(bytes: &[u8]) -> Vec<Self> {
        bytes.iter().map(|b| *b != 0).collect()
    }
}

/// The bytes of numbers.
fn bytes_of<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: the types that are `Plain` have no padding, and every byte may be read as a `u8`.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

impl<'a> Piece<'a> {
    /// A tensor, without a copy where its elements lie in order.
    pub(super) fn of_array<T: Plain, S: ndarray::Data<Elem = T>>(
        array: &'a ndarray::ArrayBase<S, IxDyn>,
    ) -> Self {
        let bytes = match array.as_slice() {
            Some(values) => Cow::Borrowed(bytes_of(values)),
            None => {
                let values: Vec<T> = array.iter().copied().collect();
                Cow::Owned(bytes_of(&values).to_vec())
            }
        };
        Self {
            dtype: T::NUMBER,
            shape: array.shape().iter().map(|n| *n as u64).collect(),
            bytes,
        }
    }

    /// A tensor, without a copy where its elements lie in order.
    pub fn of(dense: &'a Dense) -> Self {
        match dense {
            Dense::F32(a) => Self::of_array(a),
            Dense::F64(a) => Self::of_array(a),
            Dense::I8(a) => Self::of_array(a),
            Dense::U8(a) => Self::of_array(a),
            Dense::I32(a) => Self::of_array(a),
            Dense::I64(a) => Self::of_array(a),
            Dense::Bool(a) => Self::of_array(a),
            Dense::Raw {
                dtype,
                shape,
                bytes,
            } => Self {
                dtype: number_of(*dtype),
                shape: shape.iter().map(|n| *n as u64).collect(),
                bytes: Cow::Borrowed(bytes),
            },
        }
    }

    fn extents(&self) -> Vec<usize> {
        (self.shape.iter())
            .map(|n| usize::try_from(*n).unwrap_or(usize::MAX))
            .collect()
    }

    /// The elements as an array, where they are of type `T`.
    pub(super) fn array<T: Plain>(&self) -> Result<ArcArray<T, IxDyn>, TensorError> {
        let (shape, values) = (self.extents(), T::read(&self.bytes));
        let elements = values.len();
        let wanted = shape
            .iter()
            .try_fold(1usize, |n, extent| n.checked_mul(*extent));
        if self.dtype != T::NUMBER || wanted != Some(elements) {
            return Err(TensorError::Elements {
                shape: vec![elements],
                elements,
            });
        }
        ArcArray::from_shape_vec(IxDyn(&shape), values)
            .map_err(|_| TensorError::Elements { shape, elements })
    }

    /// The tensor.
    ///
    /// # Errors
    /// When its bytes are not as many as its shape takes.
    pub fn dense(&self) -> Result<Dense, TensorError> {
        Ok(match self.dtype {
            1 => Dense::F32(self.array()?),
            2 => Dense::U8(self.array()?),
            3 => Dense::I8(self.array()?),
            6 => Dense::I32(self.array()?),
            7 => Dense::I64(self.array()?),
            9 => Dense::Bool(self.array()?),
            11 => Dense::F64(self.array()?),
            other => Dense::Raw {
                dtype: dtype_of(other),
                shape: self.extents(),
                bytes: self.bytes.as_ref().into(),
            },
        })
    }
}

impl<'a> Message<'a> {
    /// A message of `form` with tensors beside it.
    pub fn new(form: &impl Serialize, pieces: Vec<Piece<'a>>) -> Self {
        let mut text = Vec::new();
        // Through a value, in which every float has 64 bits: whoever reads all numbers as such gets the bits of those of 32.
        let value = serde_json::to_value(form).expect("every form is JSON");
        write(&mut text, &value);
        Self { text, pieces }
    }

    /// What the text says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.text).map_err(|e| e.to_string())
    }

    /// The tensor with a number.
    ///
    /// # Errors
    /// When there is none.
    pub fn piece(&self, at: usize) -> Result<&Piece<'a>, String> {
        let count = self.pieces.len();
        (self.pieces.get(at)).ok_or_else(|| format!("tensor {at} of {count}"))
    }
}
