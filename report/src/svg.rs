//! A canvas as an SVG document.

use std::fmt::Write;

use crate::canvas::{Anchor, Canvas, Mark, Shape, TEXT, Text, colour};

/// The whole document.
pub fn svg(canvas: &Canvas) -> String {
    let Canvas {
        width,
        height,
        shapes,
    } = canvas;
    let mut document = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"DejaVu Sans, Verdana, sans-serif\" \
         font-size=\"{TEXT}\">\n<style>text {{ fill: {}; stroke: white; stroke-width: 3; paint-order: stroke; \
         stroke-linejoin: round }}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        colour::INK
    );
    for shape in shapes {
        put(&mut document, shape).expect("a string takes whatever is written");
    }
    document.push_str("</svg>\n");
    document
}

fn put(out: &mut String, shape: &Shape) -> std::fmt::Result {
    match shape {
        Shape::Line {
            from: (x1, y1),
            to: (x2, y2),
            colour,
        } => writeln!(
            out,
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}"/>"#
        ),
        Shape::Path {
            places,
            colour,
            width,
            opacity,
        } => {
            let points: Vec<String> = (places.iter())
                .map(|(x, y)| format!("{x:.1},{y:.1}"))
                .collect();
            writeln!(
                out,
                r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-opacity="{opacity:.2}" stroke-linejoin="round"/>"#,
                points.join(" ")
            )
        }
        Shape::Rectangle { area, fill } => writeln!(
            out,
            r#"<rect x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}" fill="{fill}"/>"#,
            area.left,
            area.top,
            area.right - area.left,
            area.bottom - area.top
        ),
        Shape::Mark {
            mark,
            at: (x, y),
            colour,
        } => match mark {
            Mark::Dot => writeln!(
                out,
                r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}" fill-opacity="0.75"/>"#
            ),
            Mark::Ring => writeln!(
                out,
                r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="none" stroke="{colour}"/>"#
            ),
            Mark::Triangle => writeln!(
                out,
                r#"<path d="M{:.1} {:.1}h8l-4 7z" fill="{colour}"/>"#,
                x - 4.0,
                y - 3.5
            ),
            Mark::Cross => writeln!(
                out,
                r#"<path d="M{:.1} {:.1}l7 7m0 -7l-7 7" stroke="{colour}" stroke-width="1.5"/>"#,
                x - 3.5,
                y - 3.5
            ),
        },
        Shape::Text(text) => letters(out, text),
    }
}

fn letters(out: &mut String, text: &Text) -> std::fmt::Result {
    let anchor = match text.anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    let (x, y) = text.at;
    write!(out, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}""#)?;
    if text.size != TEXT {
        write!(out, r#" font-size="{}""#, text.size)?;
    }
    if let Some((x, y)) = text.upwards {
        write!(out, r#" transform="rotate(-90 {x:.1} {y:.1})""#)?;
    }
    writeln!(out, ">{}</text>", escaped(&text.text))
}

/// `text` as XML has it; characters that XML cannot hold are left out.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
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
