//! Graphs within nodes, run once, again and again, or not at all.

use super::Operator;

pub static IF: Operator = Operator {
    types: |typed| typed.inner("then_branch"),
    ..Operator::standard("If")
};

/// The first output of its body says whether to go on.
pub static LOOP: Operator = Operator {
    types: |typed| typed.inner("body").into_iter().skip(1).collect(),
    ..Operator::standard("Loop")
};

pub static SCAN: Operator = Operator {
    types: |typed| typed.inner("body"),
    ..Operator::standard("Scan")
};
