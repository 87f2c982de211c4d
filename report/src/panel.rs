//! A panel: two scales at right angles with ticks, grid and names; and what stands above panels.

use crate::canvas::{Anchor, Area, At, Canvas, Mark, colour, width};
use crate::scale::Scale;

/// Room left of a panel for the ticks' numbers and the name.
pub const LEFT: f64 = 80.0;

/// Room below a panel.
pub const BELOW: f64 = 52.0;

/// Room above all panels, for the title and the legend.
pub const ABOVE: f64 = 64.0;

/// Room right of a panel, and above each.
pub const MARGIN: f64 = 24.0;

/// A scale with its name.
pub struct Named {
    pub name: String,
    pub scale: Scale,
}

/// Two scales at right angles.
pub struct Panel {
    pub area: Area,
    pub x: Named,
    pub y: Named,
}

impl Panel {
    /// Where a value pair stands.
    pub fn at(&self, x: f64, y: f64) -> At {
        self.area.at(self.x.scale.place(x), self.y.scale.place(y))
    }

    /// Draws grid, ticks and names.
    pub fn draw(&self, canvas: &mut Canvas) {
        let area = self.area;
        let across = ((area.right - area.left) / 70.0) as usize;
        for (value, text) in self.x.scale.ticks(across.max(2)) {
            let (x, _) = area.at(self.x.scale.place(value), 0.0);
            canvas.line((x, area.top), (x, area.bottom), colour::PALE);
            canvas.text((x, area.bottom + 14.0), Anchor::Middle, &text);
        }
        for (value, text) in self.y.scale.ticks(5) {
            let (_, y) = area.at(0.0, self.y.scale.place(value));
            canvas.line((area.left, y), (area.right, y), colour::PALE);
            canvas.text((area.left - 8.0, y), Anchor::End, &text);
        }
        let corner = area.at(0.0, 0.0);
        canvas.line(area.at(0.0, 1.0), corner, colour::INK);
        canvas.line(corner, area.at(1.0, 0.0), colour::INK);
        let (middle, _) = area.at(0.5, 0.0);
        canvas.text((middle, area.bottom + 34.0), Anchor::Middle, &self.x.name);
        let (_, middle) = area.at(0.0, 0.5);
        canvas.text_upwards((area.left - LEFT + 14.0, middle), &self.y.name);
    }
}

/// A line of a legend: how it is drawn, and what it means.
pub enum Key {
    Mark(Mark, &'static str, String),
    Line(&'static str, String),
}

/// Draws the title and, below it, what marks and lines mean.
pub fn head(canvas: &mut Canvas, title: &str, keys: &[Key]) {
    canvas.title((MARGIN, 20.0), title);
    let (mut x, y) = (MARGIN, 44.0);
    for key in keys {
        let text = match key {
            Key::Mark(mark, colour, text) => {
                canvas.mark(*mark, (x + 8.0, y), colour);
                text
            }
            Key::Line(colour, text) => {
                canvas.path(&[(x, y), (x + 16.0, y)], colour, 2.0, 1.0);
                text
            }
        };
        canvas.text((x + 22.0, y), Anchor::Start, text);
        x += 22.0 + width(text) + 18.0;
    }
}
