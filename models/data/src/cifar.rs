//! CIFAR-10's binary format: one label byte and 3 × 32 × 32 bytes for each image
//! (Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; <https://www.cs.toronto.edu/~kriz/cifar.html>).

use std::path::Path;

use crate::error::DataError;
use crate::files;
use crate::pixels::Images;

const PIXELS: usize = 3 * 32 * 32;
const NAMES: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

/// Reads one file.
pub(crate) fn read(path: &Path) -> Result<Images, DataError> {
    parse(path, &files::read(path)?)
}

/// Whether one of `names` is an official training file.
pub(crate) fn found(names: &[String]) -> bool {
    names.iter().any(|name| is_batch(name))
}

/// Reads the official training files among `names` in `folder`, and the test file where it is there.
pub(crate) fn read_folder(
    folder: &Path,
    names: &[String],
) -> Result<(Images, Option<Images>), DataError> {
    let mut train: Option<Images> = None;
    for name in names.iter().filter(|name| is_batch(name)) {
        let batch = read(&folder.join(name))?;
        match &mut train {
            None => train = Some(batch),
            Some(train) => {
                train.bytes.extend(batch.bytes);
                train.labels.extend(batch.labels);
            }
        }
    }
    let train = train.ok_or_else(|| DataError::UnknownKind {
        path: folder.to_path_buf(),
    })?;
    let test = names
        .iter()
        .find(|name| name.trim_end_matches(".gz") == "test_batch.bin")
        .map(|name| read(&folder.join(name)))
        .transpose()?;
    Ok((train, test))
}

fn is_batch(name: &str) -> bool {
    name.starts_with("data_batch_") && name.trim_end_matches(".gz").ends_with(".bin")
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Images, DataError> {
    let record = 1 + PIXELS;
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        return Err(DataError::format(
            path,
            format!(
                "{} bytes, where CIFAR-10 takes {record} for each image",
                bytes.len()
            ),
        ));
    }
    let records = bytes.len() / record;
    let mut pixels = Vec::with_capacity(records * PIXELS);
    let mut labels = Vec::with_capacity(records);
    for (i, image) in bytes.chunks_exact(record).enumerate() {
        let label = usize::from(image[0]);
        if label >= NAMES.len() {
            return Err(DataError::format(
                path,
                format!("image {i} has the label {label}; CIFAR-10 has the labels 0 to 9"),
            ));
        }
        labels.push(label);
        pixels.extend_from_slice(&image[1..]);
    }
    Ok(Images {
        shape: [3, 32, 32],
        bytes: pixels,
        labels,
        names: NAMES.map(String::from).to_vec(),
        full: 255.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(label: u8, pixel: u8) -> Vec<u8> {
        let mut bytes = vec![pixel; 1 + PIXELS];
        bytes[0] = label;
        bytes
    }

    #[test]
    fn labels_and_pixels_come_apart() {
        let images = parse(Path::new("x"), &[image(3, 1), image(9, 2)].concat()).unwrap();
        assert_eq!(images.labels, [3, 9]);
        assert_eq!(images.bytes[PIXELS - 1..=PIXELS], [1, 2]);
    }

    #[test]
    fn cut_files_and_impossible_labels_are_refused() {
        for bytes in [
            vec![],
            image(0, 0)[..3072].to_vec(),
            [image(0, 0), vec![1]].concat(),
        ] {
            assert!(parse(Path::new("x"), &bytes).is_err());
        }
        let message = parse(Path::new("x"), &[image(1, 0), image(10, 0)].concat())
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "x: image 1 has the label 10; CIFAR-10 has the labels 0 to 9"
        );
    }

    #[test]
    fn a_folder_joins_its_batches_and_keeps_the_test_file_apart() {
        let dir = tempfile::tempdir().unwrap();
        for (name, label) in [
            ("data_batch_1.bin", 1),
            ("data_batch_2.bin", 2),
            ("test_batch.bin", 3),
        ] {
            std::fs::write(dir.path().join(name), image(label, 0)).unwrap();
        }
        let names = files::names(dir.path()).unwrap();
        assert!(found(&names));
        let (train, test) = read_folder(dir.path(), &names).unwrap();
        assert_eq!(train.labels, [1, 2]);
        assert_eq!(test.unwrap().labels, [3]);
    }
}
