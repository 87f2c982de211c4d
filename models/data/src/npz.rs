//! NumPy archives: arrays named as the model's inputs, and `y` for the targets.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use lapidary_core::samples::{Inputs, Targets};
use lapidary_core::tensor::{Dense, Tensor};
use ndarray::ArrayD;
use ndarray_npy::npy::header::Header;
use ndarray_npy::{ReadNpyExt, ReadableElement};
use zip::ZipArchive;

use crate::error::DataError;
use crate::files;
use crate::kinds::TaskKind;
use crate::options::Options;

/// The array that holds the targets.
const TARGETS: &str = "y";
/// The longest array header that is read; what NumPy itself writes takes some hundred bytes.
const MAX_HEADER: usize = 1 << 16;
/// The most classes: beyond it, whole numbers are hardly labels.
const MAX_CLASSES: i64 = 1 << 16;

/// Reads the arrays that `options` names (all but `y` where it names none, or not all are there) and the targets.
///
/// # Errors
/// When the archive is damaged, an array has no element or another number of samples than the others, or holds a value
/// that is not finite.
pub(crate) fn read(path: &Path, options: &Options) -> Result<(Inputs, Option<Targets>), DataError> {
    let fail = |reason: String| DataError::format(path, reason);
    let file = File::open(path).map_err(DataError::io(path))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|e| fail(e.to_string()))?;
    let names: Vec<String> = archive
        .file_names()
        .map(|name| name.strip_suffix(".npy").unwrap_or(name).to_string())
        .collect();
    let all = options.inputs.is_empty() || options.inputs.iter().any(|i| !names.contains(i));

    let mut inputs = Inputs::new();
    let mut targets = None;
    let mut left = files::MAX_BYTES;
    for (index, name) in names.iter().enumerate() {
        if name != TARGETS && !all && !options.inputs.contains(name) {
            continue;
        }
        let entry = archive.by_index(index).map_err(|e| fail(e.to_string()))?;
        let bytes = files::read_capped(entry, left, path)?;
        left -= bytes.len();
        let array = parse(&bytes).map_err(|reason| fail(format!("array `{name}`: {reason}")))?;
        if name == TARGETS {
            targets = Some(array);
        } else {
            inputs.insert(name.clone(), array);
        }
    }
    if inputs.is_empty() {
        return Err(fail(format!("holds no array but `{TARGETS}`")));
    }
    let targets = targets
        .map(|y| {
            as_targets(y, options.task)
                .map_err(|reason| fail(format!("array `{TARGETS}`: {reason}")))
        })
        .transpose()?;
    let counts: Vec<(&str, usize)> = inputs
        .iter()
        .map(|(name, array)| (name.as_str(), array.shape()[0]))
        .chain(targets.iter().map(|y| (TARGETS, y.len())))
        .collect();
    if counts.iter().any(|c| c.1 != counts[0].1) {
        let counts: Vec<String> = counts
            .iter()
            .map(|(name, n)| format!("{n} in `{name}`"))
            .collect();
        return Err(fail(format!(
            "the arrays differ in their number of samples: {}",
            counts.join(", ")
        )));
    }
    Ok((inputs, targets))
}

/// The array in the .npy file `bytes`. Nothing is allocated before the header has been found to tell the truth.
fn parse(bytes: &[u8]) -> Result<Dense, String> {
    let cut = || "the header is cut off".to_string();
    let length = match bytes.get(6) {
        Some(1) => bytes
            .get(8..10)
            .map(|b| usize::from(u16::from_le_bytes([b[0], b[1]]))),
        _ => bytes
            .get(8..12)
            .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize),
    };
    let length = length.ok_or_else(cut)?;
    if length > MAX_HEADER {
        return Err(format!("a header of {length} bytes"));
    }
    let start = if bytes[6] == 1 { 10 } else { 12 };
    let header = bytes.get(start..start + length).ok_or_else(cut)?;
    if nesting(header) > 4 {
        return Err("the header is nested too deeply".into());
    }
    let header = Header::from_reader(&mut &bytes[..start + length]).map_err(|e| e.to_string())?;
    if header.shape.is_empty() || header.shape.contains(&0) {
        return Err(format!("shape {:?} holds no sample", header.shape));
    }
    let descriptor = header.type_descriptor.to_string();
    let kind = descriptor
        .trim_matches(['\'', '"'])
        .trim_start_matches(['<', '>', '|', '=']);
    let size = match kind {
        "b1" | "u1" | "i1" => 1,
        "f4" | "i4" => 4,
        "f8" | "i8" => 8,
        other => {
            return Err(format!(
                "elements of type {other} are not read; use f4, f8, i1, i4, i8, u1 or b1"
            ));
        }
    };
    let wanted = header
        .shape
        .iter()
        .try_fold(size, |n: usize, &d| n.checked_mul(d));
    let given = bytes.len() - start - length;
    if wanted != Some(given) {
        return Err(format!(
            "shape {:?} of {kind} does not take the {given} bytes that are there",
            header.shape
        ));
    }
    let array = match kind {
        "b1" => Dense::Bool(elements(bytes)?.into_shared()),
        "u1" => Dense::U8(elements(bytes)?.into_shared()),
        "i1" => Dense::I8(elements(bytes)?.into_shared()),
        "i4" => Dense::I32(elements(bytes)?.into_shared()),
        "i8" => Dense::I64(elements(bytes)?.into_shared()),
        "f4" => Dense::F32(elements(bytes)?.into_shared()),
        _ => Dense::F64(elements(bytes)?.into_shared()),
    };
    let array = Tensor::Dense(array);
    if let Some((index, value)) = array.first_non_finite() {
        return Err(format!("{value} at index {index}; values must be finite"));
    }
    match array {
        Tensor::Dense(array) => Ok(array),
        Tensor::Quantized(_) => unreachable!("the tensor was made dense"),
    }
}

/// The elements of a checked .npy file in row-major order.
fn elements<T: ReadableElement + Clone>(bytes: &[u8]) -> Result<ArrayD<T>, String> {
    let array = ArrayD::<T>::read_npy(bytes).map_err(|e| e.to_string())?;
    Ok(if array.is_standard_layout() {
        array
    } else {
        array.as_standard_layout().into_owned()
    })
}

/// How deeply brackets are nested; the header's parser recurses on them.
fn nesting(header: &[u8]) -> usize {
    let (mut depth, mut most) = (0usize, 0);
    for byte in header {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
    }
    most
}

/// Whole numbers in one column are classes, named by their numbers; all else is numbers. `task` overrules.
fn as_targets(y: Dense, task: Option<TaskKind>) -> Result<Targets, String> {
    let samples = y.shape()[0];
    let values: Vec<f64> = match &y {
        Dense::F32(a) => a.iter().map(|&v| f64::from(v)).collect(),
        Dense::F64(a) => a.iter().copied().collect(),
        Dense::I8(a) => a.iter().map(|&v| f64::from(v)).collect(),
        Dense::U8(a) => a.iter().map(|&v| f64::from(v)).collect(),
        Dense::I32(a) => a.iter().map(|&v| f64::from(v)).collect(),
        Dense::I64(a) => a.iter().map(|&v| v as f64).collect(),
        Dense::Bool(a) => a.iter().map(|&v| f64::from(u8::from(v))).collect(),
        Dense::Raw { dtype, .. } => return Err(format!("targets of type {dtype}")),
    };
    let columns = values.len() / samples;
    let classes = match task {
        Some(task) => task == TaskKind::Classification,
        None => !y.dtype().is_float() && columns == 1,
    };
    if !classes {
        let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        if let Some(index) = values.iter().position(|v| !v.is_finite()) {
            return Err(format!("the value at index {index} is too large"));
        }
        let dense = Dense::f32(&[samples, columns], values).map_err(|e| e.to_string())?;
        return match dense {
            Dense::F32(values) => Ok(Targets::Values(values)),
            _ => unreachable!("the array was made of f32"),
        };
    }
    if columns != 1 {
        return Err(format!(
            "shape {:?}, where classes take one number each",
            y.shape()
        ));
    }
    let labels = values
        .iter()
        .enumerate()
        .map(|(index, &v)| {
            if v.fract() == 0.0 && v >= 0.0 && v < MAX_CLASSES as f64 {
                Ok(v as usize)
            } else {
                Err(format!(
                    "{v} at index {index} is no class (0 to {})",
                    MAX_CLASSES - 1
                ))
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    let classes = labels.iter().max().map_or(0, |most| most + 1);
    Ok(Targets::Classes {
        labels,
        names: (0..classes).map(|class| class.to_string()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use ndarray::{Array1, Array2, ShapeBuilder, array};
    use ndarray_npy::{NpzWriter, WriteNpyExt};
    use proptest::prelude::*;

    use super::*;

    struct Archive {
        _dir: tempfile::TempDir,
        path: PathBuf,
    }

    fn archive(fill: impl FnOnce(&mut NpzWriter<File>)) -> Archive {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.npz");
        let mut writer = NpzWriter::new_compressed(File::create(&path).unwrap());
        fill(&mut writer);
        writer.finish().unwrap();
        Archive { _dir: dir, path }
    }

    fn npy(array: &impl WriteNpyExt) -> Vec<u8> {
        let mut bytes = Vec::new();
        array.write_npy(&mut bytes).unwrap();
        bytes
    }

    /// A .npy file with any header.
    fn forged(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(((header.len() + 1) as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.push(b'\n');
        bytes.extend(data);
        bytes
    }

    #[test]
    fn arrays_and_classes_are_read() {
        let file = archive(|w| {
            w.add_array("ids", &array![[1i64, 2], [3, 4], [5, 6]])
                .unwrap();
            w.add_array("mask", &array![true, false, true]).unwrap();
            w.add_array("y", &array![0i32, 2, 0]).unwrap();
        });
        let (inputs, targets) = read(&file.path, &Options::default()).unwrap();
        assert_eq!(inputs.keys().collect::<Vec<_>>(), ["ids", "mask"]);
        assert_eq!(
            inputs["ids"],
            Dense::i64(&[3, 2], (1..7).collect()).unwrap()
        );
        let Some(Targets::Classes { labels, names }) = targets else {
            panic!("classes expected");
        };
        assert_eq!((labels, names.len()), (vec![0, 2, 0], 3));
    }

    #[test]
    fn only_the_models_inputs_are_read_where_all_are_there() {
        let file = archive(|w| {
            w.add_array("a", &Array2::<f32>::zeros((3, 2))).unwrap();
            w.add_array("score", &Array1::<f32>::zeros(2)).unwrap();
        });
        let options = |inputs: &[&str]| Options {
            inputs: inputs.iter().map(ToString::to_string).collect(),
            ..Options::default()
        };
        assert_eq!(read(&file.path, &options(&["a"])).unwrap().0.len(), 1);
        let message = read(&file.path, &options(&["b"])).unwrap_err().to_string();
        assert!(
            message.ends_with("number of samples: 3 in `a`, 2 in `score`"),
            "{message}"
        );
    }

    #[test]
    fn column_major_arrays_come_out_row_major() {
        let mut array = Array2::<f32>::zeros((2, 3).f());
        array
            .iter_mut()
            .zip(0u8..)
            .for_each(|(v, i)| *v = f32::from(i));
        assert_eq!(
            parse(&npy(&array)).unwrap(),
            Dense::f32(&[2, 3], vec![0., 1., 2., 3., 4., 5.]).unwrap()
        );
    }

    #[test]
    fn targets_follow_their_type_and_the_task() {
        let float = || Dense::f32(&[2], vec![1.0, 0.0]).unwrap();
        assert!(matches!(as_targets(float(), None), Ok(Targets::Values(v)) if v.shape() == [2, 1]));
        let classes = as_targets(float(), Some(TaskKind::Classification));
        assert!(matches!(classes, Ok(Targets::Classes { labels, .. }) if labels == [1, 0]));
        let whole = || Dense::i64(&[2], vec![7, 3]).unwrap();
        assert!(matches!(
            as_targets(whole(), Some(TaskKind::Regression)),
            Ok(Targets::Values(_))
        ));
        for bad in [-1, MAX_CLASSES, i64::MAX] {
            assert!(as_targets(Dense::i64(&[1], vec![bad]).unwrap(), None).is_err());
        }
    }

    #[test]
    fn lying_headers_are_refused_before_anything_is_allocated() {
        let header = |shape: &str, kind: &str| {
            format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}")
        };
        for (shape, kind) in [
            ("(1000000000000,)", "<f4"),
            ("(18446744073709551615, 18446744073709551615)", "<f4"),
            ("(4294967296, 4294967296)", "<f4"),
            ("(0, 9223372036854775807, 9223372036854775807)", "<f4"),
            ("(3,)", "<f4"),
            ("(1,)", "<f4"),
            ("()", "<f4"),
            ("(2,)", "|O"),
            ("(2,)", "<f2"),
            ("(-2,)", "<f4"),
        ] {
            assert!(
                parse(&forged(&header(shape, kind), &[0; 8])).is_err(),
                "{shape} {kind}"
            );
        }
        assert!(parse(&forged(&header("(2,)", "<f4"), &[0; 8])).is_ok());
        assert!(parse(&forged(&header("(2,)", "|b1"), &[1, 2])).is_err());
        assert!(parse(&forged(&"(".repeat(60_000), &[])).is_err());
        let mut long = forged(&header("(2,)", "<f4"), &[0; 8]);
        long[6] = 2;
        long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(parse(&long).is_err());
        let nan = parse(&npy(&array![1.0f32, f32::NAN])).unwrap_err();
        assert_eq!(nan, "NaN at index 1; values must be finite");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn damaged_archives_are_errors(cut in 0.0f64..1.0, at in 0.0f64..1.0, flip in 1u8..) {
            let file = archive(|w| {
                w.add_array("x", &Array2::<f64>::ones((20, 5))).unwrap();
                w.add_array("y", &Array1::<i64>::zeros(20)).unwrap();
            });
            let whole = std::fs::read(&file.path).unwrap();
            std::fs::write(&file.path, &whole[..(whole.len() as f64 * cut) as usize]).unwrap();
            prop_assert!(read(&file.path, &Options::default()).is_err());
            let mut flipped = whole.clone();
            flipped[(whole.len() as f64 * at) as usize] ^= flip;
            std::fs::write(&file.path, flipped).unwrap();
            let _ = read(&file.path, &Options::default());
        }

        #[test]
        fn damaged_arrays_never_panic(at in 0usize..300, byte: u8) {
            let mut bytes = npy(&Array2::<f32>::ones((5, 4)));
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = parse(&bytes);
            prop_assert!(parse(&bytes[..at]).is_err());
        }
    }
}
