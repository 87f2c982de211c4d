//! Folders of IDX files, as MNIST and its relatives come (<http://yann.lecun.com/exdb/mnist/>).

use std::path::Path;

use crate::error::DataError;
use crate::files;
use crate::pixels::Images;

/// Whether one of `names` is an IDX file of images.
pub(crate) fn found(names: &[String]) -> bool {
    ["train", "t10k"]
        .iter()
        .any(|part| find(names, part, "images", 3).is_some())
}

/// Reads the official training and test files among `names` in `folder`, whichever are there; where both are, the second
/// part is the test part.
pub(crate) fn read(folder: &Path, names: &[String]) -> Result<(Images, Option<Images>), DataError> {
    let train = read_part(folder, names, "train")?;
    let test = read_part(folder, names, "t10k")?;
    match (train, test) {
        (Some(train), test) => Ok((train, test)),
        (None, Some(test)) => Ok((test, None)),
        (None, None) => Err(DataError::UnknownKind {
            path: folder.to_path_buf(),
        }),
    }
}

/// The name among `names` of the file with `what` of `part`, in any of the spellings in use.
fn find<'a>(names: &'a [String], part: &str, what: &str, rank: usize) -> Option<&'a String> {
    names.iter().find(|name| {
        let plain = name.strip_suffix(".gz").unwrap_or(name);
        ['-', '.']
            .iter()
            .any(|dot| plain == format!("{part}-{what}{dot}idx{rank}-ubyte"))
    })
}

fn read_part(folder: &Path, names: &[String], part: &str) -> Result<Option<Images>, DataError> {
    let Some(images) = find(names, part, "images", 3) else {
        return Ok(None);
    };
    let labels = find(names, part, "labels", 1).ok_or_else(|| {
        DataError::format(
            folder,
            format!("there is `{images}` but no `{part}-labels-idx1-ubyte`"),
        )
    })?;
    let (images_path, labels_path) = (folder.join(images), folder.join(labels));
    let (shape, bytes) = read_file(&images_path, 3)?;
    let (_, labels) = read_file(&labels_path, 1)?;
    if shape[0] != labels.len() {
        return Err(DataError::format(
            &labels_path,
            format!("{} labels for {} images", labels.len(), shape[0]),
        ));
    }
    let classes = labels
        .iter()
        .copied()
        .max()
        .map_or(0, |most| usize::from(most) + 1);
    Ok(Some(Images {
        shape: [1, shape[1], shape[2]],
        bytes,
        labels: labels.into_iter().map(usize::from).collect(),
        names: (0..classes).map(|c| c.to_string()).collect(),
        full: 255.0,
    }))
}

/// The extents and elements of an IDX file of bytes with `rank` axes.
fn read_file(path: &Path, rank: usize) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    parse(path, files::read(path)?, rank)
}

fn parse(path: &Path, mut bytes: Vec<u8>, rank: usize) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let fail = |reason: String| Err(DataError::format(path, reason));
    let header = 4 + 4 * rank;
    if bytes.len() < header {
        return fail(format!(
            "{} bytes, where an IDX header takes {header}",
            bytes.len()
        ));
    }
    if bytes[..4] != [0, 0, 8, rank as u8] {
        return fail(format!(
            "starts with {:02x?}, where IDX bytes with {rank} axes start with {:02x?}",
            &bytes[..4],
            [0, 0, 8, rank as u8]
        ));
    }
    let shape: Vec<usize> = bytes[4..header]
        .chunks_exact(4)
        .map(|c| u32::from_be_bytes([c[0], c[1], c[2], c[3]]) as usize)
        .collect();
    let wanted = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let given = bytes.len() - header;
    if wanted != Some(given) {
        return fail(format!(
            "the header says {} bytes of data, there are {given}",
            shape
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" × ")
        ));
    }
    if given == 0 {
        return fail("holds no sample".into());
    }
    bytes.drain(..header);
    Ok((shape, bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn idx(shape: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, shape.len() as u8];
        for extent in shape {
            bytes.extend(extent.to_be_bytes());
        }
        bytes.extend(data);
        bytes
    }

    #[test]
    fn reads_shape_and_data() {
        let (shape, data) = parse(Path::new("x"), idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]), 3).unwrap();
        assert_eq!((shape, data), (vec![2, 1, 3], vec![1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn a_header_that_promises_too_much_is_refused_at_once() {
        let huge = idx(&[u32::MAX, u32::MAX, u32::MAX], &[0; 10]);
        let message = parse(Path::new("x"), huge, 3).unwrap_err().to_string();
        assert_eq!(
            message,
            "x: the header says 4294967295 × 4294967295 × 4294967295 bytes of data, there are 10"
        );
        assert!(parse(Path::new("x"), idx(&[0, 28, 28], &[]), 3).is_err());
        assert!(parse(Path::new("x"), idx(&[2, 1], &[1, 2]), 3).is_err());
    }

    #[test]
    fn labels_must_be_there_and_as_many() {
        let dir = tempfile::tempdir().unwrap();
        let images = dir.path().join("train-images.idx3-ubyte");
        std::fs::write(&images, idx(&[2, 1, 1], &[7, 8])).unwrap();
        let open = || read(dir.path(), &files::names(dir.path()).unwrap());
        assert!(
            open()
                .unwrap_err()
                .to_string()
                .contains("train-labels-idx1-ubyte")
        );
        let labels = dir.path().join("train-labels.idx1-ubyte");
        std::fs::write(&labels, idx(&[3], &[0, 1, 2])).unwrap();
        assert!(
            open()
                .unwrap_err()
                .to_string()
                .contains("3 labels for 2 images")
        );
        std::fs::write(&labels, idx(&[2], &[0, 3])).unwrap();
        let (train, test) = open().unwrap();
        assert_eq!(
            (train.shape, train.labels, train.names.len()),
            ([1, 1, 1], vec![0, 3], 4)
        );
        assert!(test.is_none());
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), rank in 1usize..4) {
            let _ = parse(Path::new("x"), bytes, rank);
        }

        #[test]
        fn a_cut_file_is_an_error(cut in 0usize..40) {
            let mut bytes = idx(&[2, 3, 4], &[9; 24]);
            bytes.truncate(cut);
            prop_assert!(parse(Path::new("x"), bytes, 3).is_err());
        }
    }
}
