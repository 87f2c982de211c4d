//! Integer codes as tensors hold them.

use std::sync::Arc;

use lapidary_core::tensor::{DType, Dense, Shared, array};

/// ONNX's number of the type of unsigned 4-bit integers.
const UINT4: i32 = 21;

/// ONNX's number of the type of signed 4-bit integers.
const INT4: i32 = 22;

/// 4-bit codes, two in a byte, the first in the low half.
pub fn pack_nibbles(codes: impl Iterator<Item = i16>) -> Vec<u8> {
    let mut packed = Vec::new();
    for (i, c) in codes.enumerate() {
        let half = (c & 0xf) as u8;
        match packed.last_mut() {
            Some(last) if i % 2 == 1 => *last |= half << 4,
            _ => packed.push(half),
        }
    }
    packed
}

/// The first `count` codes that [`pack_nibbles`] packed.
pub fn unpack_nibbles(packed: &[u8], count: usize, signed: bool) -> Vec<i16> {
    (0..count)
        .map(|i| {
            let half = i16::from(packed[i / 2] >> (4 * (i % 2)) & 0xf);
            if signed && half > 7 { half - 16 } else { half }
        })
        .collect()
}

/// A tensor of 4-bit codes.
pub fn nibbles(shape: &[usize], codes: impl Iterator<Item = i16>, signed: bool) -> Dense {
    Dense::Raw {
        dtype: DType::Other(if signed { INT4 } else { UINT4 }),
        shape: shape.to_vec(),
        bytes: Arc::from(pack_nibbles(codes)),
    }
}

/// The integer codes of an 8- or 4-bit tensor with their bits and signedness; `None` for other tensors.
pub fn codes(dense: &Dense) -> Option<(Shared<i16>, u8, bool)> {
    match dense {
        Dense::I8(a) => Some((a.mapv(i16::from).into_shared(), 8, true)),
        Dense::U8(a) => Some((a.mapv(i16::from).into_shared(), 8, false)),
        Dense::Raw {
            dtype: DType::Other(t @ (INT4 | UINT4)),
            shape,
            bytes,
        } => {
            let signed = *t == INT4;
            let count = shape.iter().product();
            let codes = array(shape, unpack_nibbles(bytes, count, signed)).ok()?;
            Some((codes, 4, signed))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nibbles_keep_their_signs_and_odd_counts() {
        let codes_in = [-8i16, 7, -1];
        let dense = nibbles(&[3], codes_in.into_iter(), true);
        let (codes_out, bits, signed) = codes(&dense).unwrap();
        assert_eq!((bits, signed), (4, true));
        assert_eq!(codes_out.iter().copied().collect::<Vec<_>>(), codes_in);
    }
}
