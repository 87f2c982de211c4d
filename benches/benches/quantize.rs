//! Quantization of weights: bytes of f32 a second, for a matrix of a transformer and the kernels of a convolution.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lapidary_core::rng::Rng;
use lapidary_core::tensor::{Dense, Shared};
use lapidary_quantize::{quantize_blocks, quantize_symmetric};

/// A weight of normal values.
fn weight(shape: &[usize]) -> Shared<f32> {
    let mut rng = Rng::keyed(1, 0, "bench: weight");
    let data = (0..shape.iter().product::<usize>())
        .map(|_| rng.normal() as f32)
        .collect();
    let dense = Dense::f32(shape, data).expect("as many elements as the shape takes");
    dense.as_f32().expect("it is f32").clone()
}

fn weights(criterion: &mut Criterion) {
    let matrix = weight(&[768, 3072]);
    let kernels = weight(&[256, 256, 3, 3]);
    let mut group = criterion.benchmark_group("quantize");
    group.throughput(Throughput::Bytes(4 * matrix.len() as u64));
    group.bench_function("8 bits per column of 768x3072", |b| {
        b.iter(|| quantize_symmetric(&matrix, Some(1)))
    });
    group.bench_function("8 bits per row of 768x3072", |b| {
        b.iter(|| quantize_symmetric(&matrix, Some(0)))
    });
    group.bench_function("4 bits in blocks of 32 along rows of 768x3072", |b| {
        b.iter(|| quantize_blocks(&matrix, 0, 32, 4))
    });
    group.bench_function("4 bits in blocks of 32 along columns of 768x3072", |b| {
        b.iter(|| quantize_blocks(&matrix, 1, 32, 4))
    });
    group.throughput(Throughput::Bytes(4 * kernels.len() as u64));
    group.bench_function("8 bits per channel of 256x256x3x3", |b| {
        b.iter(|| quantize_symmetric(&kernels, Some(0)))
    });
    group.finish();
}

criterion_group!(benches, weights);
criterion_main!(benches);
