//! An SVG picture that grows shape by shape. Lengths are in pixels, y goes down.

use std::fmt::Write;

/// Height of letters.
pub const TEXT: f64 = 12.0;

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

/// The picture.
pub struct Canvas {
    width: f64,
    height: f64,
    body: String,
}

impl Canvas {
    pub fn new(width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            body: String::new(),
        }
    }

    fn put(&mut self, shape: std::fmt::Arguments<'_>) {
        self.body
            .write_fmt(shape)
            .expect("a string takes whatever is written");
        self.body.push('\n');
    }

    pub fn line(&mut self, from: At, to: At, colour: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.put(format_args!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}"/>"#
        ));
    }

    /// A line through all `places`.
    pub fn path(&mut self, places: &[At], colour: &str, width: f64, opacity: f64) {
        let points: Vec<String> = (places.iter())
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        self.put(format_args!(
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-opacity="{opacity:.2}" stroke-linejoin="round"/>"#,
            points.join(" ")
        ));
    }

    pub fn rectangle(&mut self, area: Area, fill: &str) {
        let (width, height) = (area.right - area.left, area.bottom - area.top);
        self.put(format_args!(
            r#"<rect x="{:.1}" y="{:.1}" width="{width:.1}" height="{height:.1}" fill="{fill}"/>"#,
            area.left, area.top
        ));
    }

    pub fn mark(&mut self, mark: Mark, (x, y): At, colour: &str) {
        match mark {
            Mark::Dot => self.put(format_args!(
                r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}" fill-opacity="0.75"/>"#
            )),
            Mark::Ring => self.put(format_args!(
                r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="none" stroke="{colour}"/>"#
            )),
            Mark::Triangle => self.put(format_args!(
                r#"<path d="M{:.1} {:.1}h8l-4 7z" fill="{colour}"/>"#,
                x - 4.0,
                y - 3.5
            )),
            Mark::Cross => self.put(format_args!(
                r#"<path d="M{:.1} {:.1}l7 7m0 -7l-7 7" stroke="{colour}" stroke-width="1.5"/>"#,
                x - 3.5,
                y - 3.5
            )),
        }
    }

    /// A line of text whose middle is at the height of its place, legible on lines below it.
    pub fn text(&mut self, at: At, anchor: Anchor, text: &str) {
        self.letters(at, anchor, text, "");
    }

    /// A line of larger text.
    pub fn title(&mut self, at: At, text: &str) {
        self.letters(at, Anchor::Start, text, r#" font-size="14""#);
    }

    /// A line of text that runs upwards.
    pub fn text_upwards(&mut self, at: At, text: &str) {
        let turn = format!(r#" transform="rotate(-90 {:.1} {:.1})""#, at.0, at.1);
        self.letters(at, Anchor::Middle, text, &turn);
    }

    fn letters(&mut self, (x, y): At, anchor: Anchor, text: &str, more: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let y = y + 0.35 * TEXT;
        self.put(format_args!(
            r#"<text x="{x:.1}" y="{:.1}" text-anchor="{anchor}"{more}>{}</text>"#,
            y,
            escaped(text)
        ));
    }

    /// The whole SVG document.
    pub fn finish(self) -> String {
        let Self {
            width,
            height,
            body,
        } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"DejaVu Sans, Verdana, sans-serif\" \
             font-size=\"{TEXT}\">\n<style>text {{ fill: {}; stroke: white; stroke-width: 3; paint-order: stroke; \
             stroke-linejoin: round }}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n",
            colour::INK
        )
    }
}

/// `text` as XML has it; characters that XML cannot hold are left out.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\u{fffe}' | '\u{ffff}' => {}
            c => out.push(c),
        }
    }
    out
}
