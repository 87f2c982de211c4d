//! A picture that grows shape by shape. Lengths are in pixels, y goes down.

/// Height of letters.
pub const TEXT: f64 = 12.0;

/// Height of a title's letters.
const TITLE: f64 = 14.0;

/// Colours that people with colour-blindness can tell apart (Okabe and Ito, 2002).
pub mod colour {
    pub const BLUE: &str = "#0072b2";
    pub const SKY: &str = "#56b4e9";
    pub const ORANGE: &str = "#e69f00";
    pub const RED: &str = "#d55e00";
    pub const GREY: &str = "#999999";
    pub const PALE: &str = "#e4e4e4";
    pub const INK: &str = "#333333";
}

/// A place on the canvas.
pub type At = (f64, f64);

/// Where a text stands relative to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// What marks a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A disc.
    Dot,
    /// A circle.
    Ring,
    /// A triangle that points down.
    Triangle,
    /// Two crossed lines.
    Cross,
}

/// A rectangle.
#[derive(Debug, Clone, Copy)]
pub struct Area {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Area {
    /// The place at shares of the width, from the left, and of the height, from below.
    pub fn at(&self, x: f64, y: f64) -> At {
        (
            self.left + x * (self.right - self.left),
            self.bottom - y * (self.bottom - self.top),
        )
    }
}

/// About how wide `text` is: digits and small letters of the font are 0.6 of its size wide.
pub fn width(text: &str) -> f64 {
    0.62 * TEXT * text.chars().count() as f64
}

/// What is on a canvas.
#[derive(Debug, Clone)]
pub enum Shape {
    /// A straight line.
    Line { from: At, to: At, colour: String },
    /// A line through places, with its width and opacity.
    Path {
        places: Vec<At>,
        colour: String,
        width: f64,
        opacity: f64,
    },
    /// A filled rectangle.
    Rectangle { area: Area, fill: String },
    /// A mark at a place.
    Mark { mark: Mark, at: At, colour: String },
    /// A line of text, legible on lines below it.
    Text(Text),
}

/// A line of text.
#[derive(Debug, Clone)]
pub struct Text {
    /// Where it stands; letters rest on the height of the place.
    pub at: At,
    pub anchor: Anchor,
    pub size: f64,
    /// The place around which it is turned to run upwards, where it does.
    pub upwards: Option<At>,
    pub text: String,
}

/// The picture.
#[derive(Debug, Clone)]
pub struct Canvas {
    pub width: f64,
    pub height: f64,
    pub shapes: Vec<Shape>,
}

impl Canvas {
    pub fn new(width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            shapes: Vec::new(),
        }
    }

    pub fn line(&mut self, from: At, to: At, colour: &str) {
        let colour = colour.to_owned();
        self.shapes.push(Shape::Line { from, to, colour });
    }

    /// A line through all `places`.
    pub fn path(&mut self, places: &[At], colour: &str, width: f64, opacity: f64) {
        self.shapes.push(Shape::Path {
            places: places.to_vec(),
            colour: colour.to_owned(),
            width,
            opacity,
        });
    }

    pub fn rectangle(&mut self, area: Area, fill: &str) {
        let fill = fill.to_owned();
        self.shapes.push(Shape::Rectangle { area, fill });
    }

    pub fn mark(&mut self, mark: Mark, at: At, colour: &str) {
        let colour = colour.to_owned();
        self.shapes.push(Shape::Mark { mark, at, colour });
    }

    /// A line of text whose middle is at the height of its place.
    pub fn text(&mut self, at: At, anchor: Anchor, text: &str) {
        self.letters(at, anchor, TEXT, None, text);
    }

    /// A line of larger text.
    pub fn title(&mut self, at: At, text: &str) {
        self.letters(at, Anchor::Start, TITLE, None, text);
    }

    /// A line of text that runs upwards.
    pub fn text_upwards(&mut self, at: At, text: &str) {
        self.letters(at, Anchor::Middle, TEXT, Some(at), text);
    }

    fn letters(&mut self, (x, y): At, anchor: Anchor, size: f64, upwards: Option<At>, text: &str) {
        self.shapes.push(Shape::Text(Text {
            at: (x, y + 0.35 * TEXT),
            anchor,
            size,
            upwards,
            text: text.chars().filter(|c| !c.is_control()).collect(),
        }));
    }
}
