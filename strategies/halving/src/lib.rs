//! Halving, being built.
