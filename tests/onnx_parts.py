"""ONNX files made with onnx.helper, and programs compared."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


def node(operator, inputs, output, **attributes):
    """Inputs and outputs by name, between blanks."""
    return onnx.helper.make_node(operator, inputs.split(" "), [output], output, **attributes)


def value(name, channels=3, kind=FLOAT):
    """An input or output of any size."""
    return onnx.helper.make_tensor_value_info(name, kind, ["n", channels, "h", "w"])


def constants(**arrays):
    """Initializers."""
    return [onnx.numpy_helper.from_array(np.asarray(array), name)
            for name, array in arrays.items()]  # fmt: skip


def model(nodes, arrays, inputs=("x",), outputs=("y",), opset=20):
    """Of nodes, initializers by name, and names or values of inputs and outputs."""
    made = [[value(v) if isinstance(v, str) else v for v in side] for side in (inputs, outputs)]
    graph = onnx.helper.make_graph(nodes, "g", *made, constants(**arrays))
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])


def save(made, path):
    """Its bytes."""
    Path(path).write_bytes(made.SerializeToString())
    return Path(path)


def assert_equal(a, b):
    """Programs with every number, and types of arrays."""
    np.testing.assert_equal(asdict(a), asdict(b))
    arrays = [[v for op in p.ops for v in vars(op).values() if isinstance(v, np.ndarray)]
              for p in (a, b)]  # fmt: skip
    assert [v.dtype for v in arrays[0]] == [v.dtype for v in arrays[1]]
