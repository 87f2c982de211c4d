//! The portfolio: all members with their names.

use lapidary_core::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};

use crate::member::{Member, additive, cma, cross, line, quadratic, step, tpe};

/// A member's name.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
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
    /// Draws of an additive model.
    Additive,
    /// CMA-ES.
    Cma,
    /// The multivariate Parzen estimator.
    Tpe,
    /// Crossover and mutation of good points.
    Cross,
}

/// All members with what each keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Portfolio {
    line: line::LineSearch,
    scan: line::LineSearch,
    step: step::Step,
    quadratic: quadratic::Quadratic,
    additive: additive::Additive,
    cma: cma::Cma,
    #[serde(skip)]
    tpe: tpe::Tpe,
    #[serde(skip)]
    cross: cross::Cross,
}

impl Who {
    /// All members.
    pub const ALL: [Self; 8] = [
        Self::Line,
        Self::Scan,
        Self::Step,
        Self::Quadratic,
        Self::Additive,
        Self::Cma,
        Self::Tpe,
        Self::Cross,
    ];

    /// The credit a member starts with: what works from few points comes first, what needs many later.
    pub fn first_credit(self) -> f64 {
        match self {
            Self::Line | Self::Scan | Self::Quadratic | Self::Additive => 0.5,
            Self::Step => 0.4,
            Self::Cma | Self::Tpe | Self::Cross => 0.05,
        }
    }
}

impl Portfolio {
    /// Portfolio that know nothing, for a space of so many axes.
    pub fn new(axes: usize) -> Self {
        Self {
            line: line::LineSearch::bracketing(axes),
            scan: line::LineSearch::scanning(axes),
            step: step::Step::default(),
            quadratic: quadratic::Quadratic::default(),
            additive: additive::Additive::default(),
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
            Who::Additive => &mut self.additive,
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
        self.line.is_sound(axes)
            && self.additive.is_sound()
            && self.scan.is_sound(axes)
            && self.cma.is_sound(axes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::tests::{Study, space};

    #[test]
    fn places_are_proposed_inside_the_space_whoever_proposes() {
        let space = space(2, &[3]);
        let f = |x: &[f64]| Some((x[0] - 0.9).abs() + x[1] + x[2]);
        for who in Who::ALL {
            let mut members = Portfolio::new(3);
            let mut study = Study::new(space.clone(), &[0.5, 0.5, 1.0], f);
            (0..20).for_each(|_| study.sample());
            for _ in 0..60 {
                if let Some(place) = study.proposal(members.get(who)) {
                    assert!(
                        place[..2].iter().all(|u| (0.0..=1.0).contains(u)),
                        "{who:?}"
                    );
                    assert!([0.0, 1.0, 2.0].contains(&place[2]), "{who:?}");
                }
                study.turn(members.get(who));
            }
            assert!(members.is_sound(3), "{who:?}");
        }
    }
}
