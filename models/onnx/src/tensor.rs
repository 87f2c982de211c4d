//! Tensors as files hold them, and as [`Dense`].

use lapidary_core::tensor::{DType, Dense, TensorError, array};

use crate::error::OnnxError;
use crate::proto::{SparseTensorProto, TensorProto, data_type as code};

/// The element type with the ONNX number `number`.
pub(crate) fn dtype(number: i32) -> DType {
    match number {
        code::FLOAT => DType::F32,
        code::DOUBLE => DType::F64,
        code::FLOAT16 => DType::F16,
        code::BFLOAT16 => DType::BF16,
        code::INT8 => DType::I8,
        code::UINT8 => DType::U8,
        code::INT16 => DType::I16,
        code::UINT16 => DType::U16,
        code::INT32 => DType::I32,
        code::UINT32 => DType::U32,
        code::INT64 => DType::I64,
        code::UINT64 => DType::U64,
        code::BOOL => DType::Bool,
        code::STRING => DType::String,
        other => DType::Other(other),
    }
}

/// The ONNX number of an element type.
pub(crate) fn number(dtype: DType) -> i32 {
    match dtype {
        DType::F32 => code::FLOAT,
        DType::F64 => code::DOUBLE,
        DType::F16 => code::FLOAT16,
        DType::BF16 => code::BFLOAT16,
        DType::I8 => code::INT8,
        DType::U8 => code::UINT8,
        DType::I16 => code::INT16,
        DType::U16 => code::UINT16,
        DType::I32 => code::INT32,
        DType::U32 => code::UINT32,
        DType::I64 => code::INT64,
        DType::U64 => code::UINT64,
        DType::Bool => code::BOOL,
        DType::String => code::STRING,
        DType::Other(other) => other,
    }
}

/// Bytes that `count` elements of a type take; `None` where the type has no fixed size we know.
fn stored_bytes(dtype: DType, count: usize) -> Option<usize> {
    match dtype {
        DType::Other(code::COMPLEX64) => count.checked_mul(8),
        DType::Other(code::COMPLEX128) => count.checked_mul(16),
        DType::Other(code::FLOAT8E4M3FN..=code::FLOAT8E5M2FNUZ | code::FLOAT8E8M0) => Some(count),
        DType::Other(code::UINT4 | code::INT4 | code::FLOAT4E2M1) => Some(count.div_ceil(2)),
        DType::Other(code::UINT2 | code::INT2) => Some(count.div_ceil(4)),
        other => count.checked_mul(other.size()?),
    }
}

/// The extents of a stored tensor, each checked to be a size, and the number of elements.
fn extents(name: &str, dims: &[i64]) -> Result<(Vec<usize>, usize), OnnxError> {
    let too_large = || OnnxError::tensor(name, format!("dims {dims:?} are not a possible shape"));
    let shape = dims
        .iter()
        .map(|&d| usize::try_from(d).map_err(|_| too_large()))
        .collect::<Result<Vec<_>, _>>()?;
    // Arrays address elements by isize, whatever extent is zero.
    let addressed = (shape.iter().filter(|&&d| d > 0))
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .filter(|&n| n <= isize::MAX as usize / 16)
        .ok_or_else(too_large)?;
    let count = if shape.contains(&0) { 0 } else { addressed };
    Ok((shape, count))
}

/// Bytes the elements of a stored tensor take by its type and shape, where its type has a size we know.
///
/// # Errors
/// When the shape is impossible.
pub(crate) fn byte_length(proto: &TensorProto) -> Result<Option<usize>, OnnxError> {
    let (_, count) = extents(proto.name.as_deref().unwrap_or_default(), &proto.dims)?;
    Ok(stored_bytes(dtype(proto.data_type.unwrap_or(0)), count))
}

/// The elements of a stored tensor. `raw` are the bytes of its external data, where it has some.
///
/// # Errors
/// When the shape is impossible or the number of elements stored differs from it.
pub(crate) fn decode(mut proto: TensorProto, raw: Option<Vec<u8>>) -> Result<Dense, OnnxError> {
    let name = proto.name.clone().unwrap_or_default();
    if proto.segment.is_some() {
        return Err(OnnxError::tensor(
            &name,
            "tensors in segments are not supported",
        ));
    }
    let dtype = dtype(proto.data_type.unwrap_or(0));
    if dtype == DType::Other(0) {
        return Err(OnnxError::tensor(&name, "it has no element type"));
    }
    let (shape, count) = extents(&name, &proto.dims)?;
    let bytes = match raw.or(proto.raw_data.take()) {
        Some(bytes) => bytes,
        None => return decode_typed(&name, dtype, shape, count, &proto),
    };
    if dtype == DType::String {
        return Err(OnnxError::tensor(
            &name,
            "strings cannot be stored as raw bytes",
        ));
    }
    if let Some(wanted) = stored_bytes(dtype, count)
        && wanted != bytes.len()
    {
        return Err(OnnxError::tensor(
            &name,
            format!(
                "shape {shape:?} of {dtype} takes {wanted} bytes, {} are stored",
                bytes.len()
            ),
        ));
    }
    from_bytes(dtype, shape, bytes).map_err(|e| OnnxError::tensor(&name, e.to_string()))
}

/// A dense tensor from the little-endian bytes of its elements.
fn from_bytes(dtype: DType, shape: Vec<usize>, bytes: Vec<u8>) -> Result<Dense, TensorError> {
    macro_rules! numbers {
        ($variant:ident, $t:ty) => {{
            let (chunks, _) = bytes.as_chunks::<{ size_of::<$t>() }>();
            let data = chunks.iter().map(|c| <$t>::from_le_bytes(*c)).collect();
            Dense::$variant(array(&shape, data)?)
        }};
    }
    Ok(match dtype {
        DType::F32 => numbers!(F32, f32),
        DType::F64 => numbers!(F64, f64),
        DType::I8 => numbers!(I8, i8),
        DType::U8 => Dense::U8(array(&shape, bytes)?),
        DType::I32 => numbers!(I32, i32),
        DType::I64 => numbers!(I64, i64),
        DType::Bool => Dense::Bool(array(&shape, bytes.iter().map(|&b| b != 0).collect())?),
        _ => Dense::Raw {
            dtype,
            shape,
            bytes: bytes.into(),
        },
    })
}

/// Elements that stand in the fields by type instead of in `raw_data`.
fn decode_typed(
    name: &str,
    dtype: DType,
    shape: Vec<usize>,
    count: usize,
    proto: &TensorProto,
) -> Result<Dense, OnnxError> {
    let bytes: Vec<u8> = match dtype {
        DType::F32 | DType::Other(code::COMPLEX64) => proto
            .float_data
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        DType::F64 | DType::Other(code::COMPLEX128) => proto
            .double_data
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        DType::I64 => proto
            .int64_data
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        DType::U64 => proto
            .uint64_data
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        DType::U32 => (proto.uint64_data.iter())
            .flat_map(|&v| (v as u32).to_le_bytes())
            .collect(),
        DType::String => {
            if proto.string_data.len() != count {
                return Err(OnnxError::tensor(
                    name,
                    format!(
                        "shape {shape:?} takes {count} strings, {} are stored",
                        proto.string_data.len()
                    ),
                ));
            }
            return Ok(Dense::Raw {
                dtype,
                shape,
                bytes: pack_strings(&proto.string_data).into(),
            });
        }
        DType::I32 => proto
            .int32_data
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        DType::F16 | DType::BF16 | DType::I16 | DType::U16 => (proto.int32_data.iter())
            .flat_map(|&v| (v as u16).to_le_bytes())
            .collect(),
        // Eight bits or fewer: one stored byte in each number.
        _ => proto.int32_data.iter().map(|&v| v as u8).collect(),
    };
    if stored_bytes(dtype, count).is_some_and(|wanted| wanted != bytes.len()) {
        return Err(OnnxError::tensor(
            name,
            format!(
                "shape {shape:?} takes {count} elements of {dtype}, the file stores a different number"
            ),
        ));
    }
    from_bytes(dtype, shape, bytes).map_err(|e| OnnxError::tensor(name, e.to_string()))
}

/// Strings as one run of bytes: each its length (u32, little-endian), then its bytes.
fn pack_strings(strings: &[Vec<u8>]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(strings.iter().map(|s| s.len() + 4).sum());
    for s in strings {
        // Protobuf fields are shorter than 2 GiB, so the length fits.
        packed.extend_from_slice(&(s.len() as u32).to_le_bytes());
        packed.extend_from_slice(s);
    }
    packed
}

/// The strings that [`pack_strings`] packed.
fn unpack_strings(mut packed: &[u8]) -> Vec<Vec<u8>> {
    let mut strings = Vec::new();
    while let Some((length, rest)) = packed.split_first_chunk::<4>() {
        let length = (u32::from_le_bytes(*length) as usize).min(rest.len());
        strings.push(rest[..length].to_vec());
        packed = &rest[length..];
    }
    strings
}

/// The most bytes that the elements of a tensor may take that is stored by those that are not zero: its shape alone is no proof
/// that anything is there.
const LARGEST_SPARSE: usize = 1 << 31;

/// The name and all elements of a tensor that is stored by those that are not zero.
///
/// # Errors
/// When the shape is impossible, or elements and indices do not fit it.
pub(crate) fn decode_sparse(proto: SparseTensorProto) -> Result<(String, Dense), OnnxError> {
    let values = proto.values.unwrap_or_default();
    let name = values.name.clone().unwrap_or_default();
    let refuse = |reason: &str| OnnxError::tensor(&name, format!("(sparse) {reason}"));
    if name.is_empty() {
        return Err(refuse("an initialiser has no name"));
    }
    let (shape, count) = extents(&name, &proto.dims)?;
    let values = decode(values, None)?;
    let indices = decode(proto.indices.unwrap_or_default(), None)?;
    let Dense::I64(indices) = indices else {
        return Err(refuse("its indices are no i64"));
    };
    let size = values
        .dtype()
        .size()
        .ok_or_else(|| refuse("its elements have no fixed size"))?;
    if count > LARGEST_SPARSE / size {
        return Err(refuse("it is too large to be written out"));
    }
    let stored = to_bytes(&values);
    let each = match indices.shape() {
        [n] if *n == values.len() => 1,
        [n, rank] if *n == values.len() && *rank == shape.len() => *rank,
        _ => return Err(refuse("it has another number of indices than elements")),
    };
    let mut bytes = vec![0u8; count * size];
    let flat: Vec<i64> = indices.iter().copied().collect();
    for (i, index) in flat.chunks_exact(each.max(1)).enumerate() {
        let at = match index {
            [at] => usize::try_from(*at).ok(),
            index => index
                .iter()
                .zip(&shape)
                .try_fold(0usize, |at, (&i, &extent)| {
                    let i = usize::try_from(i).ok().filter(|&i| i < extent)?;
                    at.checked_mul(extent)?.checked_add(i)
                }),
        };
        let at = at
            .filter(|&at| at < count)
            .ok_or_else(|| refuse("an index is outside its shape"))?;
        bytes[at * size..][..size].copy_from_slice(&stored[i * size..][..size]);
    }
    let dense = from_bytes(values.dtype(), shape, bytes);
    let dense = dense.map_err(|e| OnnxError::tensor(&name, e.to_string()))?;
    Ok((name, dense))
}

/// A tensor as it is stored by its elements that are not zero, where that takes less.
pub(crate) fn encode_sparse(name: &str, dense: &Dense) -> Option<SparseTensorProto> {
    let size = dense.dtype().size()?;
    let bytes = to_bytes(dense);
    let kept = |(_, element): &(usize, &[u8])| element.iter().any(|&b| b != 0);
    let elements: Vec<(usize, &[u8])> = bytes.chunks_exact(size).enumerate().filter(kept).collect();
    if elements.len() * (size + 8) >= bytes.len() {
        return None;
    }
    let part = |data_type, raw: Vec<u8>| TensorProto {
        dims: vec![elements.len() as i64],
        data_type: Some(data_type),
        raw_data: Some(raw),
        ..TensorProto::default()
    };
    let raw = elements
        .iter()
        .flat_map(|(_, element)| element.iter().copied());
    let places = elements
        .iter()
        .flat_map(|(at, _)| (*at as i64).to_le_bytes());
    Some(SparseTensorProto {
        values: Some(TensorProto {
            name: Some(name.to_owned()),
            ..part(number(dense.dtype()), raw.collect())
        }),
        indices: Some(part(code::INT64, places.collect())),
        dims: dense.shape().iter().map(|&d| d as i64).collect(),
    })
}

/// A tensor as it is stored, its elements as raw bytes.
pub(crate) fn encode(name: &str, dense: &Dense) -> TensorProto {
    let mut proto = TensorProto {
        name: (!name.is_empty()).then(|| name.to_owned()),
        dims: dense.shape().iter().map(|&d| d as i64).collect(),
        data_type: Some(number(dense.dtype())),
        ..TensorProto::default()
    };
    match dense {
        Dense::Raw {
            dtype: DType::String,
            bytes,
            ..
        } => proto.string_data = unpack_strings(bytes),
        _ => proto.raw_data = Some(to_bytes(dense)),
    }
    proto
}

/// The elements as little-endian bytes in row-major order.
fn to_bytes(dense: &Dense) -> Vec<u8> {
    macro_rules! numbers {
        ($a:expr) => {
            $a.iter().flat_map(|v| v.to_le_bytes()).collect()
        };
    }
    match dense {
        Dense::F32(a) => numbers!(a),
        Dense::F64(a) => numbers!(a),
        Dense::I8(a) => numbers!(a),
        Dense::U8(a) => a.iter().copied().collect(),
        Dense::I32(a) => numbers!(a),
        Dense::I64(a) => numbers!(a),
        Dense::Bool(a) => a.iter().map(|&b| u8::from(b)).collect(),
        Dense::Raw { bytes, .. } => bytes.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(dims: &[i64], bytes: usize) -> TensorProto {
        TensorProto {
            name: Some("w".into()),
            dims: dims.to_vec(),
            data_type: Some(code::FLOAT),
            raw_data: Some(vec![0; bytes]),
            ..TensorProto::default()
        }
    }

    #[test]
    fn sizes_are_checked_before_anything_is_allocated() {
        for (dims, bytes) in [
            (vec![2, 3], 20),
            (vec![-1, 3], 12),
            (vec![i64::MAX, i64::MAX], 0),
            (vec![0, i64::MAX, i64::MAX], 0),
            (vec![1 << 40], 4),
        ] {
            let error = decode(raw(&dims, bytes), None).unwrap_err();
            assert!(error.to_string().contains("`w`"), "{error}");
        }
        assert_eq!(decode(raw(&[2, 3], 24), None).unwrap().shape(), [2, 3]);
    }

    #[test]
    fn sparse_tensors_are_written_out_and_back() {
        let values = Dense::f32(&[2], vec![3.0, -1.0]).unwrap();
        let sparse = |dims: &[i64], indices: Dense| SparseTensorProto {
            values: Some(encode("w", &values)),
            indices: Some(encode("", &indices)),
            dims: dims.to_vec(),
        };
        let line = Dense::i64(&[2], vec![1, 23]).unwrap();
        let pairs = Dense::i64(&[2, 2], vec![0, 1, 3, 5]).unwrap();
        for indices in [&line, &pairs] {
            let (name, dense) = decode_sparse(sparse(&[4, 6], indices.clone())).unwrap();
            let all: Vec<f32> = dense.to_f32().unwrap().iter().copied().collect();
            assert_eq!((name.as_str(), all[1], all[23]), ("w", 3.0, -1.0));
            assert_eq!(all.iter().filter(|v| **v != 0.0).count(), 2);
            let again = encode_sparse("w", &dense).unwrap();
            assert_eq!(decode_sparse(again).unwrap().1, dense);
        }
        for (dims, indices) in [
            (vec![4, 5], line),
            (vec![1 << 20, 1 << 20], pairs.clone()),
            (vec![3, 6], pairs),
        ] {
            assert!(decode_sparse(sparse(&dims, indices)).is_err());
        }
    }

    #[test]
    fn every_type_survives() {
        let typed = [
            (code::FLOAT16, vec![0x3c00, 0x4000]),
            (code::INT8, vec![-1, 5]),
            (code::BOOL, vec![1, 0]),
            (code::UINT16, vec![65535, 2]),
            (code::INT4, vec![0x5f]),
        ];
        for (data_type, int32_data) in typed {
            let proto = TensorProto {
                name: Some("t".into()),
                dims: vec![2],
                data_type: Some(data_type),
                int32_data,
                ..TensorProto::default()
            };
            let dense = decode(proto, None).unwrap();
            assert_eq!(decode(encode("t", &dense), None).unwrap(), dense);
        }
        let strings = TensorProto {
            name: Some("s".into()),
            dims: vec![2],
            data_type: Some(code::STRING),
            string_data: vec![b"one".to_vec(), Vec::new()],
            ..TensorProto::default()
        };
        let dense = decode(strings.clone(), None).unwrap();
        assert_eq!(encode("s", &dense), strings);
    }
}
