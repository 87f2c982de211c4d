//! SVG to PNG, with the bundled font only: the picture is the same on every machine.

use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use crate::PlotError;

/// Pixels of a PNG for one of the SVG, along each side.
const ZOOM: f32 = 2.0;

const FONT: &[u8] = include_bytes!("../assets/DejaVuSans.ttf");

/// Draws an SVG picture of [`crate::svg`] as PNG, with two pixels for one.
///
/// # Errors
/// When the picture is too large to be drawn.
pub fn png(svg: &str) -> Result<Vec<u8>, PlotError> {
    let refuse = |error: String| PlotError::Png(error);
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    let options = Options {
        fontdb: Arc::new(fonts),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).map_err(|e| refuse(e.to_string()))?;
    let size = tree.size();
    let [width, height] = [size.width(), size.height()].map(|side| (side * ZOOM).ceil() as u32);
    let mut pixels = Pixmap::new(width, height)
        .ok_or_else(|| refuse(format!("{width} × {height} pixels are too many")))?;
    resvg::render(
        &tree,
        Transform::from_scale(ZOOM, ZOOM),
        &mut pixels.as_mut(),
    );
    pixels.encode_png().map_err(|e| refuse(e.to_string()))
}
