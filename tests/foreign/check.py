"""Checks ONNX files against the reference implementations.

usage: check.py MANIFEST.json

The manifest is a list of {"model": FILE, "values": FILE.npz, "quantized": bool, "original": FILE}. The values hold the inputs
as `in:NAME`, our outputs in the model's order as `out:INDEX`, and for a quantized classifier the class indices as `labels`.
Every file has to pass onnx.checker, run in ONNX Runtime and give our numbers; where an original is named, the file was read
from it and written back, and has to mean the same. Files without values only have to pass the checker and to carry all that
their original holds. Prints a line a file; exits with 1 when one does not hold.
"""

import json
import sys

import numpy as np
import onnx
import onnx.numpy_helper
import onnxruntime as ort


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def difference(name, ours, theirs):
    """What is wrong with our output, or None."""
    if ours.shape != theirs.shape:
        return f"output {name}: our shape {ours.shape}, theirs {theirs.shape}"
    if not np.all(np.isfinite(theirs)):
        return f"output {name}: theirs is not finite"
    if ours.size == 0:
        return f"output {name}: nothing was compared"
    worst = float(np.max(np.abs(ours.astype(np.float64) - theirs.astype(np.float64))))
    allowed = 1e-4 * float(np.max(np.abs(theirs))) + 1e-6
    if not worst <= allowed:
        return f"output {name}: differs by {worst:.3g}, allowed {allowed:.3g}"
    return None


def hits(outputs, labels):
    return int(np.sum(np.argmax(outputs.reshape(len(labels), -1), axis=1) == labels))


def node_text(node, named):
    """A node without the order of its attributes, and without a name where its original has none: those are given one."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    del copy.attribute[:]
    copy.attribute.extend(sorted(node.attribute, key=lambda a: a.name))
    if not named:
        copy.ClearField("name")
    return copy.SerializeToString(deterministic=True)


def contents(model, named):
    """All that a model holds, without the order in which it is written; `named` says which nodes have names to keep."""
    graph = model.graph
    parts = {
        "nodes": [node_text(node, name) for node, name in zip(graph.node, named, strict=True)],
        "inputs": [value.SerializeToString(deterministic=True) for value in graph.input],
        "outputs": [value.SerializeToString(deterministic=True) for value in graph.output],
        "weights": sorted((t.name, onnx.numpy_helper.to_array(t).tobytes()) for t in graph.initializer),
        "metadata": sorted((p.key, p.value) for p in model.metadata_props),
        "functions": [f.SerializeToString(deterministic=True) for f in model.functions],
        "opsets": sorted((o.domain, o.version) for o in model.opset_import),
        "notes": (model.doc_string, graph.doc_string, graph.name),
    }
    return parts


def carried(path, original):
    """What a file does not carry of its original, or None."""
    original = onnx.load(original)
    named = [bool(node.name) for node in original.graph.node]
    ours, theirs = contents(onnx.load(path), named), contents(original, named)
    lost = [part for part in theirs if ours[part] != theirs[part]]
    return f"other {', '.join(lost)} than the original" if lost else None


def check(entry):
    """What is wrong with one file, or None; and a line on what was seen."""
    onnx.checker.check_model(entry["model"], full_check=True)
    if "original" in entry:
        lost = carried(entry["model"], entry["original"])
        if lost or "values" not in entry:
            return lost, "all is carried"
    values = np.load(entry["values"])
    run = session(entry["model"])
    inputs = {i.name: values[f"in:{i.name}"] for i in run.get_inputs()}
    theirs = run.run(None, inputs)
    if "original" in entry:
        originals = session(entry["original"]).run(None, inputs)
        for output, a, b in zip(run.get_outputs(), theirs, originals):
            # Not bit for bit: the runtime fuses more where weights are no inputs.
            wrong = difference(output.name, a, b)
            if wrong:
                return f"{wrong} (from the original's)", ""
    ours = [values[f"out:{i}"] for i in range(len(theirs))]
    if entry.get("quantized"):
        labels = values["labels"]
        a, b = hits(ours[0], labels), hits(theirs[0], labels)
        allowed = max(3, 0.002 * len(labels))
        seen = f"{a} and {b} of {len(labels)} right"
        return (f"{seen}, allowed difference {allowed:g}" if abs(a - b) > allowed else None), seen
    for output, a, b in zip(run.get_outputs(), ours, theirs):
        wrong = difference(output.name, a, b)
        if wrong:
            return wrong, ""
    return None, f"{len(theirs)} outputs agree"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        entries = json.load(file)
    failed = not entries
    for entry in entries:
        try:
            wrong, seen = check(entry)
        except Exception as error:  # whatever the reference refuses is a finding
            wrong, seen = f"{type(error).__name__}: {error}", ""
        print(f"{entry['model']}: {'WRONG, ' + wrong if wrong else 'ok, ' + seen}")
        failed = failed or wrong is not None
    sys.exit(1 if failed else 0)


main()
