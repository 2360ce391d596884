"""`evaluate.load_model`: a checkpoint of a stranger gives a model or a ValueError, and no more."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import anonymous

torch = pytest.importorskip("torch")
from intnet.training import checkpoint, evaluate, quantise  # noqa: E402  # torch first
from intnet.training.models import Config, MeanScaleHyperprior  # noqa: E402

SMALLEST = Config(c=1, m=1, m_hidden=1, z=1, blocks=1)
State = dict[str, Any]


def saved(path: Path, stage: str = "float") -> tuple[State, State]:
    """Tensors and metadata of a small checkpoint, which is written."""
    torch.manual_seed(0)
    model = MeanScaleHyperprior(SMALLEST)
    made = quantise.empty_twin(model) if stage == "integer" else model
    state, meta = dict(made.state_dict()), {"stage": stage, **SMALLEST.as_dict()}
    checkpoint.save_weights(path, state, meta)
    return state, meta


@pytest.mark.parametrize("stage", ["float", "integer"])
def test_what_was_saved_is_loaded(tmp_path: Path, stage: str) -> None:
    state, _ = saved(tmp_path / "x", stage)
    found = evaluate.load_model(tmp_path / "x")
    assert found.state_dict().keys() == state.keys()
    assert all(torch.equal(found.state_dict()[name], value) for name, value in state.items())
    assert not found.training


def say(**fields: Any) -> Callable[[State, State], None]:
    """Other metadata."""
    return lambda _, meta: meta.update(fields)


def give(change: Callable[[Any], Any]) -> Callable[[State, State], None]:
    """Another tensor of gains."""
    return lambda state, _: state.update(log_gain=change(state["log_gain"]))


WRONG: dict[str, tuple[Callable[[State, State], None], str]] = {
    "no stage": (lambda _, meta: meta.pop("stage"), "stage None, must be 'float' or 'integer'"),
    "stage is a list": (say(stage=[]), r"stage \[\], must be"),
    "other stage": (say(stage="integer"), "tensor .* is missing"),
    "no blocks": (lambda _, meta: meta.pop("blocks"), "blocks: None, must be an integer"),
    "blocks": (say(blocks=10**9), r"blocks: 1000000000, must be an integer within \[1, 64\]"),
    "channels": (say(c=2**40), r"c: 1099511627776, must be an integer within \[1, 4096\]"),
    "channels are true": (say(c=True), "c: True, must be an integer"),
    "channels are 1.0": (say(c=1.0), r"c: 1\.0, must be an integer"),
    "no channels": (say(c=0), "c: 0, must be an integer"),
    "as many as allowed": (say(c=4096, m=4096, m_hidden=4096), r"must be .*4096"),
    "a tensor less": (lambda state, _: state.pop("log_gain"), "tensor 'log_gain' is missing"),
    "a tensor more": (lambda state, _: state.update(a=torch.zeros(1)), "tensor 'a' is there"),
    "shape": (give(lambda x: x[:7]), r"'log_gain': .*\(7, 1\)\), must be .*\(8, 1\)"),
    "dtype": (give(lambda x: x.double()), r"'log_gain': .*float64.*, must be .*float32"),
    "not a number": (give(lambda x: x * torch.nan), "'log_gain': a value that is not finite"),
    "infinite": (give(lambda x: x + torch.inf), "'log_gain': a value that is not finite"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_others_are_refused(tmp_path: Path, case: str) -> None:
    """The error names file, field or tensor, got and allowed."""
    state, meta = saved(tmp_path / "x")
    damage, words = WRONG[case]
    damage(state, meta)
    checkpoint.save_weights(tmp_path / "x", state, meta)
    with pytest.raises(ValueError, match=rf"^{tmp_path / 'x'}: .*{words}"):
        evaluate.load_model(tmp_path / "x")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_sizes_that_a_file_only_claims_take_no_memory(tmp_path: Path) -> None:
    """Weights of 4096 x 4096 x 64 blocks would be 20 GB."""
    state, meta = saved(tmp_path / "x")
    meta |= {"c": 4096, "m": 4096, "m_hidden": 4096, "z": 4096, "blocks": 64}
    checkpoint.save_weights(tmp_path / "x", state, meta)
    before = anonymous("self")
    with pytest.raises(ValueError, match="tensor"):
        evaluate.load_model(tmp_path / "x")
    assert anonymous("self") - before < 2**28


@pytest.mark.parametrize("shape", [[2**62], [2**63 - 1, 0], [2**32, 2**32], [8, 1, 2**40]])
def test_a_header_of_huge_shapes(tmp_path: Path, shape: list[int]) -> None:
    """Under the right framing."""
    saved(tmp_path / "x")
    data = (tmp_path / "x").read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + size])
    header["log_gain"]["shape"] = shape
    text = json.dumps(header).encode()
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])
    with pytest.raises(ValueError, match=f"^{tmp_path / 'x'}: "):
        evaluate.load_model(tmp_path / "x")
