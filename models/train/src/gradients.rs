//! Gradients of operators by finite differences, and their values by hand, on the device that trains.

mod activation;
mod arithmetic;
mod linear;
mod logic;
mod normalize;
mod pool;
mod quantize;
mod reduce;
mod shape;
