//! Folders of images, one folder for each class.

use std::path::{Path, PathBuf};

use image::{ColorType, ImageDecoder, ImageReader};

use crate::error::DataError;
use crate::files;
use crate::pixels::Images;

const EXTENSIONS: [&str; 4] = ["bmp", "jpeg", "jpg", "png"];

/// Reads the images in the folders `names` of `folder`, each folder being a class. Where the folders are `train` and
/// `test`, each holds the classes of one part. Images are grey where all files are, else RGB; transparency is dropped.
///
/// # Errors
/// When a folder holds no image, an image is damaged, or two differ in size.
pub(crate) fn read(folder: &Path, names: &[String]) -> Result<(Images, Option<Images>), DataError> {
    let classes = folders(folder, names);
    if classes.iter().map(String::as_str).eq(["test", "train"]) {
        let [test, train] = ["test", "train"].map(|part| {
            let part = folder.join(part);
            let names = files::names(&part)?;
            list(&part, &folders(&part, &names))
        });
        let (test, train) = (test?, train?);
        let colour = has_colour(&train)? || has_colour(&test)?;
        return Ok((decode(train, colour)?, Some(decode(test, colour)?)));
    }
    let listing = list(folder, &classes)?;
    let colour = has_colour(&listing)?;
    Ok((decode(listing, colour)?, None))
}

/// Those of `names` that are folders in `folder`.
fn folders(folder: &Path, names: &[String]) -> Vec<String> {
    names
        .iter()
        .filter(|name| folder.join(name).is_dir())
        .cloned()
        .collect()
}

/// Image files with their classes.
struct Listing {
    folder: PathBuf,
    names: Vec<String>,
    files: Vec<(PathBuf, usize)>,
}

fn list(folder: &Path, classes: &[String]) -> Result<Listing, DataError> {
    let mut listing = Listing {
        folder: folder.to_path_buf(),
        names: classes.to_vec(),
        files: Vec::new(),
    };
    for (class, name) in classes.iter().enumerate() {
        let inside = folder.join(name);
        let before = listing.files.len();
        for file in files::names(&inside)? {
            let file = inside.join(file);
            let extension = file.extension().and_then(|e| e.to_str()).unwrap_or("");
            if EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()) {
                listing.files.push((file, class));
            }
        }
        if listing.files.len() == before {
            return Err(DataError::format(
                &inside,
                format!("holds no image ({})", EXTENSIONS.join(", ")),
            ));
        }
    }
    if listing.files.is_empty() {
        return Err(DataError::UnknownKind {
            path: folder.to_path_buf(),
        });
    }
    Ok(listing)
}

/// Whether one of the files has colour; checks on the way that all have the size of the first.
fn has_colour(listing: &Listing) -> Result<bool, DataError> {
    let mut colour = false;
    let mut size: Option<(u32, u32)> = None;
    for (path, _) in &listing.files {
        let decoder = open(path)?
            .into_decoder()
            .map_err(|e| DataError::format(path, e.to_string()))?;
        let (width, height) = decoder.dimensions();
        let (w, h) = *size.get_or_insert((width, height));
        if (width, height) != (w, h) {
            return Err(DataError::format(
                path,
                format!(
                    "{width} × {height} pixels, where the images before it have {w} × {h}; all must have one size"
                ),
            ));
        }
        colour |= !matches!(
            decoder.color_type(),
            ColorType::L8 | ColorType::La8 | ColorType::L16 | ColorType::La16
        );
    }
    let (width, height) = size.unwrap_or((0, 0));
    let total = listing.files.len() as u128 * u128::from(width) * u128::from(height) * 3;
    if total > files::MAX_BYTES as u128 {
        return Err(DataError::format(
            &listing.folder,
            format!(
                "{total} bytes of pixels; at most {} are read",
                files::MAX_BYTES
            ),
        ));
    }
    Ok(colour)
}

fn decode(listing: Listing, colour: bool) -> Result<Images, DataError> {
    let channels = if colour { 3 } else { 1 };
    let mut images = Images {
        shape: [channels, 0, 0],
        bytes: Vec::new(),
        labels: Vec::new(),
        names: listing.names,
        full: 255.0,
    };
    for (path, class) in listing.files {
        let image = open(&path)?
            .decode()
            .map_err(|e| DataError::format(&path, e.to_string()))?;
        images.shape = [channels, image.height() as usize, image.width() as usize];
        if colour {
            let pixels = image.into_rgb8();
            for channel in 0..3 {
                images.bytes.extend(pixels.pixels().map(|p| p.0[channel]));
            }
        } else {
            images.bytes.extend(image.into_luma8().into_raw());
        }
        images.labels.push(class);
    }
    Ok(images)
}

fn open(path: &Path) -> Result<ImageReader<std::io::BufReader<std::fs::File>>, DataError> {
    ImageReader::open(path)
        .and_then(ImageReader::with_guessed_format)
        .map_err(DataError::io(path))
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma, Rgb, RgbImage};

    use super::*;

    fn grey(path: &Path, size: (u32, u32), value: u8) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        GrayImage::from_pixel(size.0, size.1, Luma([value]))
            .save(path)
            .unwrap();
    }

    fn open_folder(path: &Path) -> Result<(Images, Option<Images>), DataError> {
        read(path, &files::names(path).unwrap())
    }

    #[test]
    fn folders_are_classes_and_stray_files_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        grey(&dir.path().join("cat/a.png"), (3, 2), 10);
        grey(&dir.path().join("dog/b.PNG"), (3, 2), 20);
        std::fs::write(dir.path().join("dog/notes.txt"), "x").unwrap();
        std::fs::write(dir.path().join("README"), "x").unwrap();
        let (images, test) = open_folder(dir.path()).unwrap();
        assert!(test.is_none());
        assert_eq!((images.shape, images.labels), ([1, 2, 3], vec![0, 1]));
        assert_eq!(images.names, ["cat", "dog"]);
        assert_eq!(images.bytes, [[10; 6], [20; 6]].concat());
    }

    #[test]
    fn one_coloured_file_makes_all_rgb_channel_by_channel() {
        let dir = tempfile::tempdir().unwrap();
        grey(&dir.path().join("train/a/1.png"), (2, 1), 7);
        std::fs::create_dir_all(dir.path().join("test/a")).unwrap();
        RgbImage::from_fn(2, 1, |x, _| Rgb([1 + x as u8, 3 + x as u8, 5 + x as u8]))
            .save(dir.path().join("test/a/2.bmp"))
            .unwrap();
        let (train, test) = open_folder(dir.path()).unwrap();
        assert_eq!(train.bytes, [7; 6]);
        assert_eq!(test.unwrap().bytes, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn another_size_damage_and_empty_classes_are_named() {
        let dir = tempfile::tempdir().unwrap();
        grey(&dir.path().join("a/1.png"), (2, 2), 7);
        grey(&dir.path().join("b/2.png"), (2, 3), 7);
        let message = open_folder(dir.path()).unwrap_err().to_string();
        assert!(message.contains("2.png: 2 × 3 pixels"), "{message}");

        let whole = std::fs::read(dir.path().join("a/1.png")).unwrap();
        for cut in [0, 8, 20, whole.len() / 2, whole.len() - 14] {
            std::fs::write(dir.path().join("b/2.png"), &whole[..cut]).unwrap();
            let message = open_folder(dir.path()).unwrap_err().to_string();
            assert!(message.contains("2.png"), "{message}");
        }
        std::fs::remove_file(dir.path().join("b/2.png")).unwrap();
        let message = open_folder(dir.path()).unwrap_err().to_string();
        assert!(message.contains("b: holds no image"), "{message}");
    }
}
