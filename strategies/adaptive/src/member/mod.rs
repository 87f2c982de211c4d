//! The members of the portfolio: each proposes places from what all have learnt.

mod cma;
mod cross;
mod line;
mod quadratic;
mod step;
mod tpe;

use std::sync::Arc;

use lapidary_core::rng::Rng;
use lapidary_core::space::Space;
use serde::{Deserialize, Serialize};

use crate::archive::{Archive, Entry};
use crate::place::Place;

/// A member's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// Brackets along one axis at a time.
    Line,
    /// Scans of one whole axis at a time.
    Scan,
    /// The (1+1) evolution strategy.
    Step,
    /// A quadratic model within a trust region.
    Quadratic,
    /// CMA-ES.
    Cma,
    /// The multivariate Parzen estimator.
    Tpe,
    /// Crossover and mutation of good points.
    Cross,
}

/// What a member sees when it proposes.
pub struct View<'a> {
    /// The space.
    pub space: &'a Arc<Space>,
    /// Everything told.
    pub archive: &'a Archive,
    /// The best of the running descent.
    pub base: &'a Base,
    /// Axes with numbers.
    pub numbers: &'a [usize],
    /// Axes with choices.
    pub choices: &'a [usize],
}

/// The best of a descent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// How many bases there were before: tells one from another.
    pub number: u64,
    /// The scored point.
    pub entry: Entry,
}

/// What came of a member's proposal.
pub struct Lesson<'a> {
    /// Everything told, this trial included.
    pub archive: &'a Archive,
    /// What was evaluated.
    pub place: &'a Place,
    /// The scored point; `None` where the trial failed.
    pub entry: Option<&'a Entry>,
    /// Number of the base when it was proposed.
    pub from: u64,
    /// Number of the base now.
    pub base: u64,
    /// Whether the trial became the base.
    pub improved: bool,
}

/// One way to propose.
pub trait Member {
    /// The next place to look at; `None` where the member has nothing to say now.
    fn propose(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<Place>;

    /// Learns what came of its proposal within the running descent.
    fn learn(&mut self, _lesson: &Lesson<'_>) {}

    /// Its proposal was tried before and is not evaluated.
    fn refused(&mut self) {}

    /// Forgets the running descent.
    fn restart(&mut self) {}
}

/// All members with what each keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    line: line::Line,
    scan: line::Line,
    step: step::Step,
    quadratic: quadratic::Quadratic,
    cma: cma::Cma,
    #[serde(skip)]
    tpe: tpe::Tpe,
    #[serde(skip)]
    cross: cross::Cross,
}

impl Who {
    /// All members.
    pub const ALL: [Self; 7] = [
        Self::Line,
        Self::Scan,
        Self::Step,
        Self::Quadratic,
        Self::Cma,
        Self::Tpe,
        Self::Cross,
    ];

    /// The credit a member starts with: what works from few points comes first.
    pub fn first_credit(self) -> f64 {
        match self {
            Self::Line | Self::Scan | Self::Quadratic => 0.5,
            Self::Step => 0.4,
            Self::Cma | Self::Tpe | Self::Cross => 0.2,
        }
    }
}

impl Members {
    /// Members that know nothing, for a space of so many axes.
    pub fn new(axes: usize) -> Self {
        Self {
            line: line::Line::bracketing(axes),
            scan: line::Line::scanning(axes),
            step: step::Step::default(),
            quadratic: quadratic::Quadratic::default(),
            cma: cma::Cma::default(),
            tpe: tpe::Tpe,
            cross: cross::Cross,
        }
    }

    /// One of them.
    pub fn get(&mut self, who: Who) -> &mut dyn Member {
        match who {
            Who::Line => &mut self.line,
            Who::Scan => &mut self.scan,
            Who::Step => &mut self.step,
            Who::Quadratic => &mut self.quadratic,
            Who::Cma => &mut self.cma,
            Who::Tpe => &mut self.tpe,
            Who::Cross => &mut self.cross,
        }
    }

    /// All forget the running descent.
    pub fn restart(&mut self) {
        for who in Who::ALL {
            self.get(who).restart();
        }
    }

    /// Whether the state is one of a space of so many axes.
    pub fn is_sound(&self, axes: usize) -> bool {
        self.line.is_sound(axes) && self.scan.is_sound(axes) && self.cma.is_sound(axes)
    }
}
