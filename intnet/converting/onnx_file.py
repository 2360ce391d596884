"""An ONNX file as nodes and constants: the protobuf is parsed, and nothing else is done with it.

READ ME FIRST
1. No checker, no shape inference, no runtime of ONNX sees the file, and no other file is opened.
2. Sizes are compared with limits before anything of that size is made.
3. Constants are decoded when a layer asks for them, so those that nobody reads cost nothing.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as brief
from typing import Any

import torch
from torch import Tensor

from intnet.converting.state_file import MAX_TENSOR, one_line
from intnet.errors import IntnetError, ModelError
from intnet.ports import MAX_OPS

MAX_FILE = 2**27  # bytes; parsed, empty nodes take 80 times as much
MIN_OPSET, MAX_OPSET = 11, 28  # DepthToSpace has its mode from 11 on; 28 is the newest looked at
DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True, eq=False)
class Node:
    """One operator; its domain is part of the name unless it is ONNX's own."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class File:
    """Nodes in order, without Constant; constants by name, still encoded.

    source: the input; channels: of it, if the file says so.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, Any]
    source: str
    channels: int | None
    output: str


def package() -> Any:
    """The package onnx. Raises IntnetError saying how to install it."""
    try:
        return importlib.import_module("onnx")
    except ModuleNotFoundError as error:
        raise IntnetError(
            "ONNX files need the extra onnx: pip install 'intnet[onnx]' (in a clone: '.[onnx]'); "
            f"missing: {error.name}"
        ) from None


def read(path: Path) -> File:
    """Of a file with one network. Raises ModelError saying what, got, allowed and what to do."""
    size = path.stat().st_size
    if size > MAX_FILE:
        raise ModelError(f"{size} bytes, at most {MAX_FILE}")
    onnx = package()
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        opsets = {entry.domain: entry.version for entry in model.opset_import}
        functions = [function.name for function in model.functions]
        graph = model.graph
        constants = {text(tensor.name): tensor for tensor in graph.initializer}
        sources = [value for value in graph.input if value.name not in constants]
        outputs = [text(value.name) for value in graph.output]
        names = [text(value.name) for value in sources]
    except Exception as error:  # noqa: BLE001  # whatever parsing meets in a damaged file
        raise ModelError(f"not an ONNX file ({one_line(error)})") from None
    opset = opsets.get("", opsets.get("ai.onnx", 0))
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise ModelError(f"opset {opset}, must be {MIN_OPSET}..{MAX_OPSET}; export it again with "
                         "opset_version=20")  # fmt: skip
    if functions:
        raise ModelError(f"functions of its own, {brief(functions)}; inline them, see onnx.inliner")
    if len(constants) != len(graph.initializer):
        raise ModelError("initializers of the same name, must be of different names")
    if len(graph.node) > MAX_OPS:
        raise ModelError(f"{len(graph.node)} nodes, at most {MAX_OPS}")
    for what, found in (("input", names), ("output", outputs)):
        if len(found) != 1:
            raise ModelError(f"{what}s {brief(found)}, must be one; export each network by itself, "
                             "its weights as initializers")  # fmt: skip
    nodes = tuple(node for proto in graph.node if (node := parsed(onnx, proto, constants)))
    return File(nodes, constants, names[0], channels(onnx, sources[0]), outputs[0])


def parsed(onnx: Any, proto: Any, constants: dict[str, Any]) -> Node | None:
    """A node; of a Constant, its tensor is added to the constants."""
    try:
        name, operator, domain = map(text, (proto.name, proto.op_type, proto.domain))
        inputs, outputs = tuple(map(text, proto.input)), [text(o) for o in proto.output if o]
        attributes = {text(a.name): onnx.helper.get_attribute_value(a) for a in proto.attribute}
    except ValueError as error:
        raise ModelError(f"a node that cannot be read ({one_line(error)})") from None
    where = f"node {brief(name)} ({plain(operator)})"
    if len(outputs) != 1 or len(attributes) != len(proto.attribute):
        raise ModelError(f"{where}: outputs {brief(outputs)}, attributes "
                         f"{brief([a.name for a in proto.attribute])}, must be one output and no "
                         "attribute twice")  # fmt: skip
    if operator == "Constant" and domain in DOMAINS:
        if list(attributes) != ["value"] or outputs[0] in constants:
            raise ModelError(f"{where}: {brief(sorted(attributes))}, must be a value with a name "
                             "of its own")  # fmt: skip
        constants[outputs[0]] = attributes["value"]
        return None
    operator = operator if domain in DOMAINS else f"{domain}.{operator}"
    return Node(name, operator, inputs, outputs[0], attributes)


def text(value: str | bytes) -> str:
    """A name. Raises ValueError for bytes, which protobuf makes of what is no text."""
    if isinstance(value, bytes):
        raise ValueError(f"{brief(value)} is not UTF-8")  # noqa: TRY004  # of a value, not a type
    return value


def plain(name: str) -> str:
    """A word as it is, all else quoted: an error stays one line."""
    return name if len(name) < 40 and name.replace(".", "_").isidentifier() else brief(name)


def channels(onnx: Any, value: Any) -> int | None:
    """Of an input (n, channels, height, width) of float32; None where the file does not say."""
    where, tensor = f"input {brief(value.name)}", value.type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        raise ModelError(f"{where}: {kind(onnx, tensor.elem_type)}, must be FLOAT; export the "
                         "model in float32")  # fmt: skip
    if not tensor.HasField("shape"):
        return None
    sides = tensor.shape.dim
    if len(sides) != 4:
        raise ModelError(f"{where}: {len(sides)} axes, must be 4: n, channels, height, width")
    return int(sides[1].dim_value) if sides[1].HasField("dim_value") else None


def kind(onnx: Any, number: int) -> str:
    """Name of a type of elements."""
    known = onnx.TensorProto.DataType
    return str(known.Name(number)) if number in known.values() else f"type {number}"


def tensor(proto: Any) -> Tensor:
    """A constant, float32. Raises ModelError saying got, allowed and what to do."""
    onnx = package()
    if not isinstance(proto, onnx.TensorProto):
        raise ModelError(f"a {type(proto).__name__}, must be a tensor")
    if proto.data_type != onnx.TensorProto.FLOAT:
        raise ModelError(f"{kind(onnx, proto.data_type)}, must be FLOAT; export the model in "
                         "float32")  # fmt: skip
    if proto.data_location == onnx.TensorProto.EXTERNAL or proto.external_data:
        raise ModelError("its data are in another file, which is never opened; export with "
                         "external_data=False, or onnx.save(onnx.load(path), path)")  # fmt: skip
    shape = tuple(proto.dims)
    if any(side < 1 for side in shape) or math.prod(shape) > MAX_TENSOR:
        raise ModelError(f"shape {brief(shape)}, must be 1 to {MAX_TENSOR} numbers")
    try:
        return torch.from_numpy(onnx.numpy_helper.to_array(proto).copy())
    except ValueError as error:
        raise ModelError(f"shape {shape}, but other data ({one_line(error)})") from None
