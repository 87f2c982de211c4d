//! Tensors: what a model's weights, inputs and outputs are made of.

use std::ops::Range;
use std::sync::Arc;

use half::{bf16, f16};
use ndarray::{ArcArray, ArrayD, Axis, IxDyn, Slice};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A dense array of any rank, shared until it is written to (copy on write).
pub type Shared<T> = ArcArray<T, IxDyn>;

/// An array of the given shape from row-major `data`.
///
/// # Errors
/// When `data` has another number of elements than the shape.
pub fn array<T>(shape: &[usize], data: Vec<T>) -> Result<Shared<T>, TensorError> {
    let elements = data.len();
    ArcArray::from_shape_vec(IxDyn(shape), data).map_err(|_| TensorError::Elements {
        shape: shape.to_vec(),
        elements,
    })
}

/// The element type of a tensor, named as in ONNX.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the variants are the ONNX names")]
pub enum DType {
    F32,
    F64,
    F16,
    BF16,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    Bool,
    String,
    /// A type we carry without looking inside, by its ONNX number.
    Other(i32),
}

impl DType {
    /// Bytes one element takes in a file; `None` for strings and types we do not know.
    pub fn size(self) -> Option<usize> {
        match self {
            Self::I8 | Self::U8 | Self::Bool => Some(1),
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => Some(2),
            Self::F32 | Self::I32 | Self::U32 => Some(4),
            Self::F64 | Self::I64 | Self::U64 => Some(8),
            Self::String | Self::Other(_) => None,
        }
    }

    /// Whether elements are floating-point numbers.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::F16 | Self::BF16)
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Other(code) => write!(f, "onnx type {code}"),
            known => write!(f, "{}", format!("{known:?}").to_lowercase()),
        }
    }
}

/// A dense tensor: one array, its buffer shared until written to.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the variants are the element types")]
pub enum Dense {
    F32(Shared<f32>),
    F64(Shared<f64>),
    I8(Shared<i8>),
    U8(Shared<u8>),
    I32(Shared<i32>),
    I64(Shared<i64>),
    Bool(Shared<bool>),
    /// Elements carried as the little-endian bytes they are stored in (f16, strings' types and the like).
    Raw {
        /// Element type.
        dtype: DType,
        /// Extent of each axis.
        shape: Vec<usize>,
        /// The stored bytes.
        bytes: Arc<[u8]>,
    },
}

/// Runs one expression for whichever array a [`Dense`] holds; `Raw` gets its own arm.
macro_rules! for_array {
    ($dense:expr, $array:ident => $body:expr, raw($dtype:ident, $shape:ident, $bytes:ident) => $raw:expr) => {
        match $dense {
            Dense::F32($array) => $body,
            Dense::F64($array) => $body,
            Dense::I8($array) => $body,
            Dense::U8($array) => $body,
            Dense::I32($array) => $body,
            Dense::I64($array) => $body,
            Dense::Bool($array) => $body,
            Dense::Raw {
                dtype: $dtype,
                shape: $shape,
                bytes: $bytes,
            } => $raw,
        }
    };
}

impl Dense {
    /// A float tensor of the given shape from row-major `data`.
    ///
    /// # Errors
    /// When the number of elements is not the product of `shape`.
    pub fn f32(shape: &[usize], data: Vec<f32>) -> Result<Self, TensorError> {
        shaped(shape, data).map(Self::F32)
    }

    /// An `i64` tensor of the given shape from row-major `data`.
    ///
    /// # Errors
    /// When the number of elements is not the product of `shape`.
    pub fn i64(shape: &[usize], data: Vec<i64>) -> Result<Self, TensorError> {
        shaped(shape, data).map(Self::I64)
    }

    /// A tensor of floats of the type `dtype` from row-major `values`, each rounded to the nearest.
    ///
    /// # Errors
    /// When the number of values is not the product of `shape`, or `dtype` is no float.
    pub fn floats(
        dtype: DType,
        shape: &[usize],
        values: impl Iterator<Item = f64>,
    ) -> Result<Self, TensorError> {
        let bytes: Vec<u8> = match dtype {
            DType::F32 => return Self::f32(shape, values.map(|v| v as f32).collect()),
            DType::F64 => return shaped(shape, values.collect()).map(Self::F64),
            DType::F16 => values
                .flat_map(|v| f16::from_f64(v).to_le_bytes())
                .collect(),
            DType::BF16 => values
                .flat_map(|v| bf16::from_f64(v).to_le_bytes())
                .collect(),
            other => return Err(TensorError::Opaque { dtype: other }),
        };
        let elements = bytes.len() / 2;
        if elements != shape.iter().product::<usize>() {
            return Err(TensorError::Elements {
                shape: shape.to_vec(),
                elements,
            });
        }
        Ok(Self::Raw {
            dtype,
            shape: shape.to_vec(),
            bytes: bytes.into(),
        })
    }

    /// The elements as `f32`, where they are floats: shared where they are `f32`, else the nearest ones.
    pub fn to_f32(&self) -> Option<Shared<f32>> {
        let halves = |bytes: &[u8], value: fn(u16) -> f32| {
            let (pairs, _) = bytes.as_chunks::<2>();
            let values = pairs.iter().map(|b| value(u16::from_le_bytes(*b)));
            array(self.shape(), values.collect()).ok()
        };
        match self {
            Self::F32(a) => Some(a.clone()),
            Self::F64(a) => Some(a.mapv(|v| v as f32).into_shared()),
            Self::Raw { dtype, bytes, .. } => match dtype {
                DType::F16 => halves(bytes, |bits| f16::from_bits(bits).to_f32()),
                DType::BF16 => halves(bytes, |bits| bf16::from_bits(bits).to_f32()),
                _ => None,
            },
            _ => None,
        }
    }

    /// The same floats with zeros where `kept` is false; others keep their bits. `None` where the shapes differ or the
    /// elements are no floats.
    pub fn masked(&self, kept: &Shared<bool>) -> Option<Self> {
        if self.shape() != kept.shape() {
            return None;
        }
        macro_rules! go {
            ($v:ident, $a:expr) => {{
                let mut masked = $a.clone();
                masked.zip_mut_with(kept, |v, &kept| {
                    if !kept {
                        *v = 0.0;
                    }
                });
                Some(Self::$v(masked))
            }};
        }
        match self {
            Self::F32(a) => go!(F32, a),
            Self::F64(a) => go!(F64, a),
            Self::Raw {
                dtype: dtype @ (DType::F16 | DType::BF16),
                shape,
                bytes,
            } => {
                let (pairs, _) = bytes.as_chunks::<2>();
                let masked =
                    (pairs.iter().zip(kept)).flat_map(|(b, &kept)| if kept { *b } else { [0; 2] });
                Some(Self::Raw {
                    dtype: *dtype,
                    shape: shape.clone(),
                    bytes: masked.collect(),
                })
            }
            _ => None,
        }
    }

    /// Extent of each axis.
    pub fn shape(&self) -> &[usize] {
        for_array!(self, a => a.shape(), raw(_d, shape, _b) => shape)
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape().iter().product()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::F64(_) => DType::F64,
            Self::I8(_) => DType::I8,
            Self::U8(_) => DType::U8,
            Self::I32(_) => DType::I32,
            Self::I64(_) => DType::I64,
            Self::Bool(_) => DType::Bool,
            Self::Raw { dtype, .. } => *dtype,
        }
    }

    /// Bytes the elements take when stored.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Raw { bytes, .. } => bytes.len(),
            other => other.len() * other.dtype().size().unwrap_or(0),
        }
    }

    /// The array, where elements are `f32`.
    pub fn as_f32(&self) -> Option<&Shared<f32>> {
        match self {
            Self::F32(a) => Some(a),
            _ => None,
        }
    }

    /// The array, where elements are `i64`.
    pub fn as_i64(&self) -> Option<&Shared<i64>> {
        match self {
            Self::I64(a) => Some(a),
            _ => None,
        }
    }

    /// The same elements (row-major order) under another shape.
    ///
    /// # Errors
    /// When the element counts differ.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self, TensorError> {
        if shape.iter().product::<usize>() != self.len() {
            return Err(TensorError::Reshape {
                from: self.shape().to_vec(),
                to: shape.to_vec(),
            });
        }
        macro_rules! go {
            ($v:ident, $a:expr) => {
                Self::$v(
                    $a.to_shape((IxDyn(shape), ndarray::Order::RowMajor))
                        .expect("element counts agree")
                        .to_shared(),
                )
            };
        }
        Ok(match self {
            Self::F32(a) => go!(F32, a),
            Self::F64(a) => go!(F64, a),
            Self::I8(a) => go!(I8, a),
            Self::U8(a) => go!(U8, a),
            Self::I32(a) => go!(I32, a),
            Self::I64(a) => go!(I64, a),
            Self::Bool(a) => go!(Bool, a),
            Self::Raw { dtype, bytes, .. } => Self::Raw {
                dtype: *dtype,
                shape: shape.to_vec(),
                bytes: bytes.clone(),
            },
        })
    }

    /// The slices `range` of the first axis; their buffer is shared, not copied.
    ///
    /// # Errors
    /// When there is no axis, the range reaches beyond it, or elements of the type have no bytes of their own.
    pub fn rows(&self, range: Range<usize>) -> Result<Self, TensorError> {
        let extent = *self.shape().first().ok_or_else(|| TensorError::Axis {
            axis: 0,
            shape: self.shape().to_vec(),
        })?;
        if range.start > range.end || range.end > extent {
            return Err(TensorError::Index {
                index: range.end.saturating_sub(1),
                axis: 0,
                extent,
            });
        }
        macro_rules! go {
            ($v:ident, $a:expr) => {{
                let mut rows = $a.clone();
                rows.slice_axis_inplace(Axis(0), Slice::from(range));
                Self::$v(rows)
            }};
        }
        Ok(match self {
            Self::F32(a) => go!(F32, a),
            Self::F64(a) => go!(F64, a),
            Self::I8(a) => go!(I8, a),
            Self::U8(a) => go!(U8, a),
            Self::I32(a) => go!(I32, a),
            Self::I64(a) => go!(I64, a),
            Self::Bool(a) => go!(Bool, a),
            Self::Raw { .. } => return self.select(0, &range.collect::<Vec<_>>()),
        })
    }

    /// The slices at `indices` of `axis`, in that order.
    ///
    /// # Errors
    /// When the axis does not exist, an index is out of range, or elements of the type have no bytes of their own.
    pub fn select(&self, axis: usize, indices: &[usize]) -> Result<Self, TensorError> {
        let extent = *self.shape().get(axis).ok_or_else(|| TensorError::Axis {
            axis,
            shape: self.shape().to_vec(),
        })?;
        if let Some(&index) = indices.iter().find(|&&i| i >= extent) {
            return Err(TensorError::Index {
                index,
                axis,
                extent,
            });
        }
        macro_rules! go {
            ($v:ident, $a:expr) => {
                Self::$v($a.select(Axis(axis), indices).into_shared())
            };
        }
        Ok(match self {
            Self::F32(a) => go!(F32, a),
            Self::F64(a) => go!(F64, a),
            Self::I8(a) => go!(I8, a),
            Self::U8(a) => go!(U8, a),
            Self::I32(a) => go!(I32, a),
            Self::I64(a) => go!(I64, a),
            Self::Bool(a) => go!(Bool, a),
            Self::Raw {
                dtype,
                shape,
                bytes,
            } => {
                let size = dtype.size().ok_or(TensorError::Opaque { dtype: *dtype })?;
                let run = size * shape[axis + 1..].iter().product::<usize>();
                let outer: usize = shape[..axis].iter().product();
                let picked =
                    (0..outer).flat_map(|o| indices.iter().map(move |i| (o * extent + i) * run));
                let picked = picked.flat_map(|at| bytes[at..at + run].iter().copied());
                let mut selected = shape.clone();
                selected[axis] = indices.len();
                Self::Raw {
                    dtype: *dtype,
                    shape: selected,
                    bytes: picked.collect(),
                }
            }
        })
    }
}

impl From<ArrayD<f32>> for Dense {
    fn from(array: ArrayD<f32>) -> Self {
        Self::F32(array.into_shared())
    }
}

impl From<ArrayD<i64>> for Dense {
    fn from(array: ArrayD<i64>) -> Self {
        Self::I64(array.into_shared())
    }
}

fn shaped<T>(shape: &[usize], data: Vec<T>) -> Result<Shared<T>, TensorError> {
    let elements = data.len();
    ArcArray::from_shape_vec(IxDyn(shape), data).map_err(|_| TensorError::Elements {
        shape: shape.to_vec(),
        elements,
    })
}

/// How the elements of a quantized tensor share scales and zero points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Granularity {
    /// One scale for all elements.
    Tensor,
    /// One scale for each index of an axis.
    Axis(usize),
    /// One scale for each run of `size` elements along `axis`, the last run possibly shorter.
    Block {
        /// The axis that is cut into runs.
        axis: usize,
        /// Elements in a run.
        size: usize,
    },
}

/// A tensor stored as integer codes: `value = (code − zero_point) · scale`.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantized {
    /// Integer codes, one for each element, within the range of `bits` and `signed`.
    pub codes: Shared<i16>,
    /// Bits in which a code is stored: 4 or 8.
    pub bits: u8,
    /// Whether codes are signed.
    pub signed: bool,
    /// How elements share scales.
    pub granularity: Granularity,
    /// Scales: one element for `Tensor`, `[n]` for `Axis`; for `Block` the shape of the codes with the
    /// blocked axis divided by the block size (rounded up).
    pub scales: ArrayD<f32>,
    /// Zero points, shaped as `scales`.
    pub zero_points: ArrayD<i16>,
}

impl Quantized {
    /// Extent of each axis.
    pub fn shape(&self) -> &[usize] {
        self.codes.shape()
    }

    /// The smallest and largest code that `bits` and `signed` allow.
    pub fn code_range(bits: u8, signed: bool) -> (i16, i16) {
        if signed {
            (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
        } else {
            (0, (1 << bits) - 1)
        }
    }

    /// Checks that codes, scales and zero points fit each other.
    ///
    /// # Errors
    /// What does not fit, in words.
    pub fn check(&self) -> Result<(), String> {
        if !matches!(self.bits, 4 | 8) {
            return Err(format!("codes of {} bits; there are 4 and 8", self.bits));
        }
        let scales = self.scales.shape();
        let fits = match self.granularity {
            Granularity::Tensor => self.scales.len() == 1,
            Granularity::Axis(axis) => self.shape().get(axis).is_some_and(|n| scales == [*n]),
            Granularity::Block { axis, size } => {
                let mut wanted = self.shape().to_vec();
                match wanted.get_mut(axis) {
                    Some(extent) if size > 0 => *extent = extent.div_ceil(size),
                    _ => return Err(format!("no blocks of {size} along axis {axis}")),
                }
                scales == wanted
            }
        };
        if !fits || self.zero_points.shape() != scales {
            return Err(format!(
                "scales of shape {scales:?} and zero points of shape {:?} do not fit codes of shape {:?} by {:?}",
                self.zero_points.shape(),
                self.shape(),
                self.granularity
            ));
        }
        let (low, high) = Self::code_range(self.bits, self.signed);
        match self
            .codes
            .iter()
            .chain(&self.zero_points)
            .find(|&&c| c < low || c > high)
        {
            Some(code) => Err(format!("code {code} is outside {low} to {high}")),
            None => Ok(()),
        }
    }

    /// The index into `scales` for the element at `index`.
    pub fn scale_index(&self, index: &[usize]) -> IxDyn {
        match self.granularity {
            Granularity::Tensor => IxDyn(&vec![0; self.scales.ndim()]),
            Granularity::Axis(axis) => IxDyn(&[index[axis]]),
            Granularity::Block { axis, size } => {
                let mut at = index.to_vec();
                at[axis] /= size;
                IxDyn(&at)
            }
        }
    }

    /// The values the codes stand for.
    pub fn dequantize(&self) -> Shared<f32> {
        let mut values = self.codes.mapv(f32::from);
        match self.granularity {
            Granularity::Tensor => {
                let scale = self.scales.first().copied().unwrap_or_default();
                let zero = self.zero_points.first().copied().map_or(0.0, f32::from);
                values.mapv_inplace(|v| (v - zero) * scale);
            }
            Granularity::Axis(axis) => {
                let parameters = self.scales.iter().zip(&self.zero_points);
                for (mut part, (&scale, &zero)) in values.axis_iter_mut(Axis(axis)).zip(parameters)
                {
                    part.mapv_inplace(|v| (v - f32::from(zero)) * scale);
                }
            }
            Granularity::Block { axis, size } => {
                let axis = Axis(axis);
                for (i, mut block) in values.axis_chunks_iter_mut(axis, size).enumerate() {
                    let scales = self.scales.index_axis(axis, i);
                    let zeros = self.zero_points.index_axis(axis, i);
                    for part in block.axis_iter_mut(axis) {
                        ndarray::Zip::from(part)
                            .and(&scales)
                            .and(&zeros)
                            .for_each(|v, &scale, &zero| *v = (*v - f32::from(zero)) * scale);
                    }
                }
            }
        }
        values.into_shared()
    }

    /// Bytes the codes, scales and zero points take when stored.
    pub fn bytes(&self) -> usize {
        let packed = |n: usize| (n * usize::from(self.bits)).div_ceil(8);
        packed(self.codes.len()) + 4 * self.scales.len() + packed(self.zero_points.len())
    }
}

/// A weight of a model.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "tensors are kept behind an Arc")]
pub enum Tensor {
    /// Plain elements.
    Dense(Dense),
    /// Integer codes with scales.
    Quantized(Quantized),
}

impl Tensor {
    /// Extent of each axis.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Dense(d) => d.shape(),
            Self::Quantized(q) => q.shape(),
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape().iter().product()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes the tensor takes when stored.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Dense(d) => d.bytes(),
            Self::Quantized(q) => q.bytes(),
        }
    }

    /// Bits in which an element is stored; 0 where that has no fixed size.
    pub fn bits(&self) -> usize {
        match self {
            Self::Dense(d) => d.dtype().size().unwrap_or(0) * 8,
            Self::Quantized(q) => usize::from(q.bits),
        }
    }

    /// The values as `f32` where the tensor holds floats: shared where they are `f32`, else computed.
    pub fn to_f32(&self) -> Option<Shared<f32>> {
        match self {
            Self::Dense(d) => d.to_f32(),
            Self::Quantized(q) => Some(q.dequantize()),
        }
    }

    /// The dense tensor, where it is one.
    pub fn as_dense(&self) -> Option<&Dense> {
        match self {
            Self::Dense(d) => Some(d),
            Self::Quantized(_) => None,
        }
    }

    /// Share of elements that are exactly zero, in [0, 1]; 0 for tensors that hold no floats or no element.
    pub fn sparsity(&self) -> f64 {
        match self.to_f32() {
            Some(values) if !values.is_empty() => {
                values.iter().filter(|&&v| v == 0.0).count() as f64 / values.len() as f64
            }
            _ => 0.0,
        }
    }

    /// The row-major index and value of the first element that is NaN or infinite.
    pub fn first_non_finite(&self) -> Option<(usize, f64)> {
        fn find<'a, T: Copy + Into<f64> + 'a>(
            mut values: impl Iterator<Item = &'a T>,
        ) -> Option<(usize, f64)> {
            let mut index = 0;
            values.find_map(|&v| {
                let at = index;
                index += 1;
                let v: f64 = v.into();
                (!v.is_finite()).then_some((at, v))
            })
        }
        match self {
            Self::Dense(Dense::F32(a)) => find(a.iter()),
            Self::Dense(Dense::F64(a)) => find(a.iter()),
            Self::Quantized(q) => find(q.scales.iter()),
            Self::Dense(other) => find(other.to_f32()?.iter()),
        }
    }
}

impl From<Dense> for Tensor {
    fn from(dense: Dense) -> Self {
        Self::Dense(dense)
    }
}

/// What can be wrong with a tensor or an access to it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum TensorError {
    #[error("shape {shape:?} takes {} elements, found {elements}", shape.iter().product::<usize>())]
    Elements { shape: Vec<usize>, elements: usize },
    #[error("a tensor of shape {from:?} does not fit shape {to:?}: the element counts differ")]
    Reshape { from: Vec<usize>, to: Vec<usize> },
    #[error("no axis {axis} in shape {shape:?}")]
    Axis { axis: usize, shape: Vec<usize> },
    #[error("index {index} is outside axis {axis} of extent {extent}")]
    Index {
        index: usize,
        axis: usize,
        extent: usize,
    },
    #[error("elements of type {dtype} cannot be told apart")]
    Opaque { dtype: DType },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn select_keeps_order_and_names_bad_indices() {
        let t = Dense::f32(&[3, 2], vec![0., 1., 2., 3., 4., 5.]).unwrap();
        let rows = t.select(0, &[2, 0]).unwrap();
        assert_eq!(rows, Dense::f32(&[2, 2], vec![4., 5., 0., 1.]).unwrap());
        let error = t.select(0, &[3]).unwrap_err();
        assert_eq!(error.to_string(), "index 3 is outside axis 0 of extent 3");
    }

    #[test]
    fn rows_share_the_buffer_and_name_what_is_out_of_range() {
        let t = Dense::f32(&[3, 2], vec![0., 1., 2., 3., 4., 5.]).unwrap();
        let rows = t.rows(1..3).unwrap();
        assert_eq!(rows, t.select(0, &[1, 2]).unwrap());
        let (all, part) = (t.as_f32().unwrap(), rows.as_f32().unwrap());
        assert_eq!(&all.as_slice().unwrap()[2..], part.as_slice().unwrap());
        assert!(std::ptr::eq(&all[[1, 0]], &part[[0, 0]]));
        let error = t.rows(2..4).unwrap_err();
        assert_eq!(error.to_string(), "index 3 is outside axis 0 of extent 3");
    }

    #[test]
    fn narrow_floats_are_read_cut_and_masked() {
        let values = [1.0, -2.5, 0.1, 65504.0, 3.0, -0.0];
        for dtype in [DType::F16, DType::BF16, DType::F64] {
            let t = Dense::floats(dtype, &[3, 2], values.into_iter()).unwrap();
            let read: Vec<f32> = t.to_f32().unwrap().iter().copied().collect();
            assert_eq!((read[0], read[1], read[4]), (1.0, -2.5, 3.0));
            assert!((read[2] - 0.1).abs() < 1e-3, "{dtype}");
            let cut = t.select(0, &[2, 0]).unwrap();
            let cut: Vec<f32> = cut.to_f32().unwrap().iter().copied().collect();
            assert_eq!(cut, [3.0, -0.0, 1.0, -2.5]);
            let column = t.select(1, &[1]).unwrap();
            assert_eq!(column.shape(), [3, 1]);
            let kept = array(&[3, 2], vec![true, false, true, true, false, true]).unwrap();
            let masked = t.masked(&kept).unwrap();
            assert_eq!(masked.dtype(), dtype);
            let masked: Vec<f32> = masked.to_f32().unwrap().iter().copied().collect();
            assert_eq!(masked, [1.0, 0.0, read[2], read[3], 0.0, -0.0]);
        }
        assert!(Dense::floats(DType::I64, &[1], [1.0].into_iter()).is_err());
        assert!(Dense::floats(DType::F16, &[2], [1.0].into_iter()).is_err());
    }

    #[test]
    fn wrong_element_count_is_an_error() {
        let error = Dense::f32(&[2, 2], vec![0.0; 3]).unwrap_err();
        assert_eq!(error.to_string(), "shape [2, 2] takes 4 elements, found 3");
    }

    #[test]
    fn blocks_share_scales_along_their_axis() {
        let q = Quantized {
            codes: ArcArray::from_shape_vec(IxDyn(&[1, 5]), vec![1, 2, 3, 4, 5]).unwrap(),
            bits: 4,
            signed: false,
            granularity: Granularity::Block { axis: 1, size: 2 },
            scales: ArrayD::from_shape_vec(IxDyn(&[1, 3]), vec![1.0, 10.0, 100.0]).unwrap(),
            zero_points: ArrayD::from_shape_vec(IxDyn(&[1, 3]), vec![1, 0, 0]).unwrap(),
        };
        let values: Vec<f32> = q.dequantize().iter().copied().collect();
        assert_eq!(values, [0.0, 1.0, 30.0, 40.0, 500.0]);
        assert_eq!(q.bytes(), 3 + 12 + 2);
    }

    #[test]
    fn the_first_non_finite_element_is_found() {
        let t = Tensor::from(Dense::f32(&[2, 2], vec![0., 1., f32::NAN, f32::INFINITY]).unwrap());
        assert_eq!(t.first_non_finite().map(|(i, _)| i), Some(2));
    }
}
