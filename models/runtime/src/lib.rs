//! Runtimes: where graphs are run, observed, timed and profiled.
//!
//! An [`Engine`](engine::Engine) makes sessions of graphs; [`RunnableGraph`](run::RunnableGraph) runs a graph on any number of samples by one, and
//! [`LoadedGraph`](loaded::LoadedGraph) is what a runtime of the registry hands out. There are two engines: [`rten`],
//! built in, and [`ort`], which loads the library of onnxruntime that the user has.

mod batch;
pub mod engine;
pub mod loaded;
pub mod ort;
pub mod quantized;
pub mod rten;
pub mod run;
