"""The same layers by torch and onnxruntime.

Each maker gives a function from a case to a call, or to None where a peer has no such operation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from intnet.bench.layers import Case
from intnet.bench.peers import need
from intnet.bench.race import Call

Maker = Callable[[Case], Call | None]


def torch_convolution(dtype: str, threads: int) -> Maker:
    """Convolution and bias in eager torch, channels last, inference mode. dtype: torch's name."""
    torch = need("torch")
    torch.set_num_threads(threads)

    def make(case: Case) -> Call:
        x = tensor(torch, case.x("u8"), dtype)[None].movedim(-1, 1)  # channels last in memory
        weight = tensor(torch, case.weight(), dtype).movedim(-1, 1)  # likewise
        bias = tensor(torch, case.bias(), dtype)
        f, stride, half = torch.nn.functional, case.stride, case.padding[0]
        if case.transposed:
            weight = weight.transpose(0, 1).contiguous(memory_format=torch.channels_last)
            work = partial(f.conv_transpose2d, x, weight, bias, stride, half, stride - 1)
        elif case.kernel == 1:  # a matrix product, which torch does faster
            work = partial(f.linear, x.movedim(1, -1), weight.flatten(1), bias)
        else:
            work = partial(f.conv2d, x, weight, bias, stride, half)
        return partial(inferred, torch, work)

    return make


def tensor(torch: Any, x: Any, dtype: str) -> Any:
    """Values of a NumPy array in torch's dtype of that name."""
    return torch.from_numpy(x).to(getattr(torch, dtype))


def inferred(torch: Any, work: Call) -> object:
    """Call without keeping anything for gradients."""
    with torch.inference_mode():
        return work()


def onnxruntime_int8(threads: int) -> Maker:
    """QLinearConv: u8 by s8 with a scale per output channel, u8 out; channels last.

    Calls give (height, width, channels).
    """
    onnxruntime, helper = need("onnxruntime"), need("onnx.helper")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads

    def make(case: Case) -> Call | None:
        if case.transposed:
            return None  # there is no quantised transposed convolution
        model = quantised_model(helper, case).SerializeToString()
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        feed = {"x": case.x("u8")[None]}
        return lambda: session.run(None, feed)[0][0]

    return make


def quantised_model(helper: Any, case: Case) -> Any:
    """An ONNX model of one layer. Scales are powers of two: only sums and ties could differ."""
    proto, arrays = need("onnx").TensorProto, need("onnx.numpy_helper")
    n, k = case.channels, case.kernel
    zero = np.zeros((), np.uint8)
    parameters = {
        "x_scale": np.float32(1), "x_zero": zero,
        "w": np.ascontiguousarray(np.moveaxis(case.weight(), -1, 1)),
        "w_scale": np.ones(n, np.float32), "w_zero": np.zeros(n, np.int8),
        "y_scale": np.float32(2**case.shift), "y_zero": zero, "bias": case.bias(),
    }  # fmt: skip
    # The contributed form of the operation is the one that keeps channels last.
    node = helper.make_node(
        "QLinearConv", ["x", *parameters], ["y"], domain="com.microsoft", channels_last=1,
        kernel_shape=[k, k], strides=[case.stride] * 2, pads=list(case.padding),
    )  # fmt: skip
    sizes = {"x": [1, *case.input, n], "y": [1, *case.output, n]}
    values = {name: helper.make_tensor_value_info(name, proto.UINT8, size)
              for name, size in sizes.items()}  # fmt: skip
    initializers = [arrays.from_array(np.asarray(v), name) for name, v in parameters.items()]
    graph = helper.make_graph([node], "layer", [values["x"]], [values["y"]], initializers)
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=versions, ir_version=10)
