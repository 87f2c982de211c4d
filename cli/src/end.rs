//! How a command ends, and whose fault it is when it ends badly.

use std::error::Error;
use std::fmt;

use lapidary_core::model::ModelError;
use lapidary_core::optimizer::OptimizeError;
use lapidary_study::recipe::RecipeError;

/// A command that did its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Done.
    Done,
    /// Done, but the user's goal was not met.
    GoalMissed,
}

/// A command that could not do its work.
#[derive(Debug)]
pub enum Failure {
    /// What the user gave cannot be used.
    Input(Box<dyn Error + Send + Sync>),
    /// What was given is fine, yet the work failed.
    Work(Box<dyn Error + Send + Sync>),
    /// The user ended it.
    Interrupted,
}

impl Failure {
    /// The user gave something that cannot be used.
    pub fn input(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Input(error.into())
    }

    /// The work failed.
    pub fn work(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Work(error.into())
    }

    /// A model could not be used.
    pub fn of_model(error: ModelError) -> Self {
        match blame_model(&error) {
            Blame::Input => Self::input(error),
            Blame::Work => Self::work(error),
            Blame::User => Self::Interrupted,
        }
    }

    /// A recipe could not be run.
    pub fn of_recipe(error: RecipeError) -> Self {
        let blame = match &error {
            RecipeError::Build { .. } | RecipeError::NoData { .. } => Blame::Input,
            RecipeError::Step { source, .. } => blame_optimizer(source),
            RecipeError::Measure { source, .. } => blame_model(source),
            RecipeError::Cancelled => Blame::User,
            _ => Blame::Work,
        };
        match blame {
            Blame::Input => Self::input(error),
            Blame::Work => Self::work(error),
            Blame::User => Self::Interrupted,
        }
    }
}

/// Who is to blame for an error.
enum Blame {
    Input,
    Work,
    User,
}

fn blame_model(error: &ModelError) -> Blame {
    match error {
        ModelError::Cancelled => Blame::User,
        ModelError::Engine { .. } | ModelError::Unsupported(_) | ModelError::Fit(_) => Blame::Work,
        _ => Blame::Input,
    }
}

fn blame_optimizer(error: &OptimizeError) -> Blame {
    match error {
        OptimizeError::Cancelled => Blame::User,
        OptimizeError::Model(error) => blame_model(error),
        OptimizeError::Method { .. } => Blame::Work,
        _ => Blame::Input,
    }
}

impl fmt::Display for Failure {
    /// The error and its causes in one line; a cause that the text before it already tells is not told twice.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Input(error) | Self::Work(error)) = self else {
            return f.write_str("interrupted");
        };
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let told = error.to_string();
            if !text.contains(&told) {
                text.push_str("; caused by: ");
                text.push_str(&told);
            }
            cause = error.source();
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Middle);

    #[derive(Debug, thiserror::Error)]
    #[error("middle: {0}")]
    struct Middle(#[source] std::num::ParseIntError);

    #[test]
    fn causes_are_told_once() {
        let inner = "x".parse::<u8>().unwrap_err();
        assert_eq!(
            Failure::work(Outer(Middle(inner))).to_string(),
            "outer; caused by: middle: invalid digit found in string"
        );
    }
}
