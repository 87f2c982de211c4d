//! Training of graphs.
