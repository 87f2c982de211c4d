//! A canvas as PNG, with the bundled font only: the picture is the same on every machine.

use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform,
};
use ttf_parser::{Face, OutlineBuilder};

use crate::canvas::{Anchor, Canvas, Mark, Shape, Text, colour};
use crate::error::PlotError;

/// Pixels of a PNG for one of the canvas, along each side.
const ZOOM: f32 = 2.0;

/// Width of the white edge around letters.
const EDGE: f32 = 3.0;

const FONT: &[u8] = include_bytes!("../assets/DejaVuSans.ttf");

/// Draws a canvas, two pixels for one.
///
/// # Errors
/// When the picture is too large to be drawn.
pub fn png(canvas: &Canvas) -> Result<Vec<u8>, PlotError> {
    let [width, height] =
        [canvas.width, canvas.height].map(|side| (side as f32 * ZOOM).ceil() as u32);
    let pixels = Pixmap::new(width, height)
        .ok_or_else(|| PlotError::Png(format!("{width} × {height} pixels are too many")))?;
    let font = Face::parse(FONT, 0).map_err(|e| PlotError::Png(e.to_string()))?;
    let mut brush = Brush { pixels, font };
    brush.pixels.fill(Color::WHITE);
    for shape in &canvas.shapes {
        brush.shape(shape);
    }
    (brush.pixels.encode_png()).map_err(|e| PlotError::Png(e.to_string()))
}

struct Brush {
    pixels: Pixmap,
    font: Face<'static>,
}

impl Brush {
    fn fill(&mut self, path: &Path, paint: &Paint<'_>, by: Transform) {
        let by = by.post_scale(ZOOM, ZOOM);
        (self.pixels).fill_path(path, paint, FillRule::Winding, by, None);
    }

    fn stroke(&mut self, path: &Path, paint: &Paint<'_>, width: f32, by: Transform) {
        let stroke = Stroke {
            width,
            line_cap: LineCap::Butt,
            line_join: LineJoin::Round,
            ..Stroke::default()
        };
        let by = by.post_scale(ZOOM, ZOOM);
        self.pixels.stroke_path(path, paint, &stroke, by, None);
    }

    fn shape(&mut self, shape: &Shape) {
        let still = Transform::identity();
        match shape {
            Shape::Line { from, to, colour } => {
                let mut path = PathBuilder::new();
                path.move_to(from.0 as f32, from.1 as f32);
                path.line_to(to.0 as f32, to.1 as f32);
                // Nothing is drawn of a line without length.
                if let Some(path) = path.finish() {
                    self.stroke(&path, &paint(colour, 1.0), 1.0, still);
                }
            }
            Shape::Path {
                places,
                colour,
                width,
                opacity,
            } => {
                let mut path = PathBuilder::new();
                for (i, &(x, y)) in places.iter().enumerate() {
                    match i {
                        0 => path.move_to(x as f32, y as f32),
                        _ => path.line_to(x as f32, y as f32),
                    }
                }
                // Nothing is drawn of a single place.
                if let Some(path) = path.finish() {
                    self.stroke(&path, &paint(colour, *opacity), *width as f32, still);
                }
            }
            Shape::Rectangle { area, fill } => {
                let [left, top, right, bottom] =
                    [area.left, area.top, area.right, area.bottom].map(|v| v as f32);
                if let Some(area) = Rect::from_ltrb(left, top, right, bottom) {
                    self.fill(&PathBuilder::from_rect(area), &paint(fill, 1.0), still);
                }
            }
            Shape::Mark { mark, at, colour } => {
                let at = Transform::from_translate(at.0 as f32, at.1 as f32);
                let mut path = PathBuilder::new();
                match mark {
                    Mark::Dot | Mark::Ring => path.push_circle(0.0, 0.0, 3.0),
                    Mark::Triangle => {
                        path.move_to(-4.0, -3.5);
                        path.line_to(4.0, -3.5);
                        path.line_to(0.0, 3.5);
                        path.close();
                    }
                    Mark::Cross => {
                        for side in [1.0, -1.0] {
                            path.move_to(-3.5, -3.5 * side);
                            path.line_to(3.5, 3.5 * side);
                        }
                    }
                }
                let path = path.finish().expect("every mark has an outline");
                match mark {
                    Mark::Dot => self.fill(&path, &paint(colour, 0.75), at),
                    Mark::Triangle => self.fill(&path, &paint(colour, 1.0), at),
                    Mark::Ring => self.stroke(&path, &paint(colour, 1.0), 1.0, at),
                    Mark::Cross => self.stroke(&path, &paint(colour, 1.0), 1.5, at),
                }
            }
            Shape::Text(text) => self.text(text),
        }
    }

    fn text(&mut self, text: &Text) {
        let mut letters = Letters::default();
        for c in text.text.chars() {
            let glyph = self.font.glyph_index(c).unwrap_or_default();
            // Spaces have no outline.
            let _ = self.font.outline_glyph(glyph, &mut letters);
            letters.x += f32::from(self.font.glyph_hor_advance(glyph).unwrap_or_default());
        }
        let length = letters.x;
        let Some(path) = letters.path.finish() else {
            return;
        };
        let before = match text.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => length / 2.0,
            Anchor::End => length,
        };
        let scale = text.size as f32 / f32::from(self.font.units_per_em());
        // The font's y goes up.
        let mut by = Transform::from_translate(-before, 0.0)
            .post_scale(scale, -scale)
            .post_translate(text.at.0 as f32, text.at.1 as f32);
        if let Some((x, y)) = text.upwards {
            by = by.post_rotate_at(-90.0, x as f32, y as f32);
        }
        self.stroke(&path, &paint("#ffffff", 1.0), EDGE / scale, by);
        self.fill(&path, &paint(colour::INK, 1.0), by);
    }
}

/// The outlines of letters, one behind the other, in the font's units.
#[derive(Default)]
struct Letters {
    path: PathBuilder,
    x: f32,
}

impl OutlineBuilder for Letters {
    fn move_to(&mut self, x: f32, y: f32) {
        self.path.move_to(self.x + x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.path.line_to(self.x + x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.path.quad_to(self.x + x1, y1, self.x + x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let right = self.x;
        (self.path).cubic_to(right + x1, y1, right + x2, y2, right + x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

/// A colour written as `#rrggbb`.
fn paint(colour: &str, opacity: f64) -> Paint<'static> {
    let part = |at: usize| {
        (colour.get(at..at + 2))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .unwrap_or_default()
    };
    let mut paint = Paint::default();
    let opacity = (opacity * 255.0).round() as u8;
    paint.set_color_rgba8(part(1), part(3), part(5), opacity);
    paint
}
