//! Pictures of studies: what trials gave, which are best, where they lie and which axes decide, as SVG and as PNG; for the latter
//! a font is bundled, so none of the system is needed.

mod canvas;
mod drawn;
mod error;
mod fanova;
mod front;
mod history;
mod importance;
mod panel;
mod parallel;
mod png;
mod scale;
mod svg;
#[cfg(test)]
mod tests;

use self::canvas::Canvas;
pub use self::drawn::Drawn;
pub use self::error::PlotError;
pub use self::importance::importances;

/// What a picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every trial in order, and the best so far.
    History,
    /// Two objectives against each other, every pair where there are more.
    Front,
    /// Every trial a line through its values.
    Parallel,
    /// How much each axis decides.
    Importance,
}

/// A picture, to be written as a file.
#[derive(Debug, Clone)]
pub struct Picture(Canvas);

impl Picture {
    /// The picture as an SVG document.
    pub fn svg(&self) -> String {
        svg::svg(&self.0)
    }

    /// The picture as PNG, two pixels for one of the SVG.
    ///
    /// # Errors
    /// When it is too large to be drawn.
    pub fn png(&self) -> Result<Vec<u8>, PlotError> {
        png::png(&self.0)
    }
}

/// Draws a study.
///
/// # Errors
/// When the study has nothing to show of this kind.
pub fn draw(study: &Drawn<'_>, kind: Kind) -> Result<Picture, PlotError> {
    let canvas = match kind {
        Kind::History => history::draw(study)?,
        Kind::Front => front::draw(study)?,
        Kind::Parallel => parallel::draw(study)?,
        Kind::Importance => importance::draw(study)?,
    };
    Ok(Picture(canvas))
}
