"""Writes ONNX files as other programs make them, to be read and written back.

usage: make.py FOLDER

Every model NAME.onnx comes with its inputs, NAME.npz (by input name). Models whose name begins with `carried` hold what no
engine of ours runs; they come without inputs.
"""

import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(1)


def weight(name, *shape):
    scale = 1 / np.sqrt(max(1, int(np.prod(shape[1:]))))
    return numpy_helper.from_array((RNG.standard_normal(shape) * scale).astype(np.float32), name)


def vector(name, values, dtype=np.float32):
    return numpy_helper.from_array(np.array(values, dtype), name)


def port(name, *shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, list(shape))


def write(folder, name, nodes, inputs, outputs, weights, opset, arrays, ir=8, extra=(), **save):
    graph = helper.make_graph(nodes, name, inputs, outputs, weights)
    opsets = [helper.make_opsetid("", opset), *extra]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=ir, producer_name="make.py")
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, os.path.join(folder, f"{name}.onnx"), **save)
    if arrays is not None:
        np.savez(os.path.join(folder, f"{name}.npz"), **arrays)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def old_convnet(folder):
    """Opset 9, IR 3: weights are inputs too, Dropout and Upsample in their old forms."""
    weights = [
        weight("w1", 6, 3, 3, 3), weight("b1", 6), vector("scale", [1.0, 0.5, 2, 1, 1, 1.5]),
        weight("shift", 6), weight("mean", 6), vector("var", [1, 2, 0.5, 1, 1, 3]),
        vector("scales", [1, 1, 2, 2]), weight("w2", 5, 6), weight("b2", 5),
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c"], "conv", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["c", "scale", "shift", "mean", "var"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Dropout", ["r"], ["d"], ratio=0.5),
        helper.make_node("Upsample", ["d", "scales"], ["u"], mode="nearest"),
        helper.make_node("MaxPool", ["u"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["m"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "w2", "b2"], ["l"], transB=1),
        helper.make_node("Softmax", ["l"], ["y"], axis=1),
    ]
    inputs = [port("x", "n", 3, 8, 8)] + [port(w.name, *w.dims) for w in weights]
    write(folder, "old_convnet", nodes, inputs, [port("y", "n", 5)], weights, 9,
          {"x": floats(7, 3, 8, 8)}, ir=3)


def attention(folder):
    """Opset 13: embedding, one attention head, a layer normalisation in single operators, GELU by Erf."""
    weights = [
        weight("table", 20, 8), weight("q", 8, 8), weight("k", 8, 8), weight("v", 8, 8),
        vector("root", 8 ** 0.5), vector("half", 0.5), vector("one", 1.0), vector("two", 2.0),
        vector("sqrt2", 2 ** 0.5), vector("eps", 1e-5), weight("gain", 8), weight("up", 8, 16),
    ]
    nodes = [
        helper.make_node("Gather", ["table", "tokens"], ["e"]),
        helper.make_node("MatMul", ["e", "q"], ["eq"]),
        helper.make_node("MatMul", ["e", "k"], ["ek"]),
        helper.make_node("MatMul", ["e", "v"], ["ev"]),
        helper.make_node("Transpose", ["ek"], ["ekt"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["eq", "ekt"], ["s"]),
        helper.make_node("Div", ["s", "root"], ["sd"]),
        helper.make_node("Softmax", ["sd"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "ev"], ["a"]),
        helper.make_node("Add", ["a", "e"], ["r"]),
        helper.make_node("ReduceMean", ["r"], ["mu"], axes=[-1]),
        helper.make_node("Sub", ["r", "mu"], ["c"]),
        helper.make_node("Pow", ["c", "two"], ["c2"]),
        helper.make_node("ReduceMean", ["c2"], ["var"], axes=[-1]),
        helper.make_node("Add", ["var", "eps"], ["ve"]),
        helper.make_node("Sqrt", ["ve"], ["sd2"]),
        helper.make_node("Div", ["c", "sd2"], ["ln"]),
        helper.make_node("Mul", ["ln", "gain"], ["g"]),
        helper.make_node("MatMul", ["g", "up"], ["h"]),
        helper.make_node("Div", ["h", "sqrt2"], ["hd"]),
        helper.make_node("Erf", ["hd"], ["he"]),
        helper.make_node("Add", ["he", "one"], ["ho"]),
        helper.make_node("Mul", ["h", "ho"], ["hm"]),
        helper.make_node("Mul", ["hm", "half"], ["y"]),
    ]
    tokens = RNG.integers(0, 20, (5, 6)).astype(np.int64)
    write(folder, "attention", nodes, [port("tokens", "n", "t", dtype=TensorProto.INT64)],
          [port("y", "n", "t", 16)], weights, 13, {"tokens": tokens})


def recurrent(folder):
    weights = [weight("w", 1, 16, 5), weight("r", 1, 16, 4), weight("b", 1, 32), weight("o", 4, 2)]
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r", "b"], ["", "h", ""], hidden_size=4),
        helper.make_node("Squeeze", ["h"], ["s"], axes=[0]),
        helper.make_node("MatMul", ["s", "o"], ["y"]),
    ]
    write(folder, "recurrent", nodes, [port("x", 6, 3, 5)], [port("y", 3, 2)], weights, 11,
          {"x": floats(6, 3, 5)})


def branches(folder):
    """A condition whose branches read values from around them."""
    def branch(name, op):
        return helper.make_graph([helper.make_node(op, ["x", "w"], [f"{name}_out"], op)], name, [],
                                 [port(f"{name}_out", "n", 4)])
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0),
        helper.make_node("Greater", ["total", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["y"], then_branch=branch("then", "Add"),
                         else_branch=branch("else", "Mul")),
    ]
    write(folder, "branches", nodes, [port("x", "n", 4)], [port("y", "n", 4)],
          [weight("w", 4), vector("zero", 0.0)], 13, {"x": floats(3, 4)})


def external(folder):
    """Weights in a file beside the model."""
    weights = [weight("w1", 32, 16), weight("b1", 32), weight("w2", 3, 32)]
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], transB=1),
        helper.make_node("Sigmoid", ["h"], ["s"]),
        helper.make_node("Gemm", ["s", "w2"], ["y"], transB=1),
    ]
    write(folder, "external", nodes, [port("x", "n", 16)], [port("y", "n", 3)], weights, 17,
          {"x": floats(9, 16)}, save_as_external_data=True, location="external.data",
          size_threshold=0)


def new_convnet(folder):
    """Opset 21: grouped and transposed convolutions, padding, slicing, resizing."""
    weights = [
        weight("w1", 8, 1, 3, 3), weight("w2", 8, 4, 2, 2), vector("pads", [0, 0, 1, 1, 0, 0, 1, 1], np.int64),
        vector("starts", [1], np.int64), vector("ends", [100], np.int64), vector("axes", [2], np.int64),
        vector("scales", [1, 1, 2, 2]), vector("low", -1.0), vector("high", 1.0),
        vector("split", [2, 2], np.int64),
    ]
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["p"]),
        helper.make_node("Conv", ["p", "w1"], ["c"], group=4),
        helper.make_node("HardSwish", ["c"], ["h"]),
        helper.make_node("ConvTranspose", ["h", "w2"], ["t"], strides=[2, 2]),
        helper.make_node("Split", ["t", "split"], ["a", "b"], axis=1),
        helper.make_node("Concat", ["b", "a"], ["s"], axis=1),
        helper.make_node("Slice", ["s", "starts", "ends", "axes"], ["l"]),
        helper.make_node("Clip", ["l", "low", "high"], ["k"]),
        helper.make_node("Resize", ["k", "", "scales"], ["y"], mode="nearest",
                         coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    ]
    write(folder, "new_convnet", nodes, [port("x", "n", 4, 5, 5)], [port("y", "n", 4, "h", "w")],
          weights, 21, {"x": floats(2, 4, 5, 5)}, ir=10)


def carried_custom(folder):
    """An operator nobody knows, with attributes of every kind, metadata and a function."""
    inner = helper.make_graph([helper.make_node("Identity", ["a"], ["b"], "same")], "inner",
                              [port("a", 1)], [port("b", 1)])
    custom = helper.make_node(
        "Mystery", ["x", "", "w"], ["m", ""], "mystery", domain="com.example", doc_string="a note",
        f=0.1, i=-3, s=b"\x00bytes", fs=[1.5, 2.5], **{"is": [1, -1]}, ss=["a", "b"],
        t=weight("", 2, 2), ts=[weight("", 1), vector("", [7], np.int64)], g=inner,
    )
    call = helper.make_node("Twice", ["m"], ["y"], domain="local")
    twice = helper.make_function("local", "Twice", ["v"], ["d"],
                                 [helper.make_node("Add", ["v", "v"], ["d"])],
                                 [helper.make_opsetid("", 17)])
    graph = helper.make_graph([custom, call], "carried", [port("x", "n", 4)], [port("y", "n", 4)],
                              [weight("w", 4)], doc_string="a graph")
    model = helper.make_model(
        graph, functions=[twice], ir_version=8, producer_name="make.py", doc_string="a model",
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.example", 3),
                       helper.make_opsetid("local", 1)],
    )
    helper.set_model_props(model, {"author": "make.py", "empty": ""})
    onnx.save_model(model, os.path.join(folder, "carried_custom.onnx"))


def main():
    for make in (old_convnet, attention, recurrent, branches, external, new_convnet, carried_custom):
        make(sys.argv[1])


main()
