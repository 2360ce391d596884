"""Checkpoints that are wrong or mean harm: one clear line each, nothing written, no code run."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from pathlib import Path

import compressai_models
import numpy as np
import pytest
import torch
from cli_parts import refused
from PIL import Image
from safetensors.torch import save_file

GOOD = compressai_models.state("mbt2018-mean")


class Bomb:
    """Unpickling makes a file."""

    def __reduce__(self):
        """What unpickling would call."""
        return os.mkdir, ("harm",)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, picture):
    """A folder with pictures to calibrate with."""
    monkeypatch.chdir(tmp_path)
    Path("pictures").mkdir()
    Image.fromarray(np.tile(picture, (2, 2, 1))).save("pictures/a.png")


def refusal(path, because, *options):
    line = refused(
        "convert", path, "-o", "m.inm", "--calibration", "pictures", *options, because=because
    )
    assert len(line) < 600
    assert not Path("harm").exists()


def changed(name, value):
    """A good state dict but for one tensor; value: what it becomes, by function; None drops it."""
    state = dict(GOOD)
    new = None if value is None else value(state[name]) if callable(value) else value
    if new is None:
        del state[name]
    else:
        state[name] = new
    return state


def filled(value):
    """One element of a tensor becomes value."""

    def fill(x):
        x = x.clone()
        x.view(-1)[0] = value
        return x

    return fill


TENSORS = {
    "nan": (changed("g_a.2.weight", filled(torch.nan)), "'g_a.2.weight': has NaN"),
    "infinite": (changed("g_s.0.bias", filled(torch.inf)), "'g_s.0.bias': has NaN or infinite"),
    "missing": (changed("g_s.4.weight", None), "'g_s.4.weight' is missing"),
    "missing-first": (changed("g_a.0.weight", None), "no tensor 'g_a.0.weight'"),
    "missing-quantiles": (changed("entropy_bottleneck.quantiles", None), "quantiles' is missing"),
    "missing-density": (
        changed("entropy_bottleneck.biases.4", None), "'bias 4' is missing"),
    "channels": (changed("g_a.2.weight", lambda x: x[:, :3]), "'g_a.2.weight': shape (8, 3, 5, 5)"),
    "bias": (changed("h_a.0.bias", lambda x: x[:3]), "'h_a.0.bias': shape (3,), must be (8)"),
    "gamma": (changed("g_a.1.gamma", lambda x: x[:3]), "'g_a.1.gamma': shape (3, 8)"),
    "axes": (changed("h_s.0.weight", lambda x: x[..., 0]), "'h_s.0.weight': shape (8, 12, 5)"),
    "empty-tensor": (changed("g_a.0.weight", lambda x: x[:0]), "shape (0, 3, 5, 5)"),
    "even-kernel": (changed("h_a.4.weight", lambda x: x[..., :4, :4]), "kernel 4x4, must be odd"),
    "pixels": (
        changed("g_s.6.weight", lambda x: torch.cat([x, x], 1))
        | {"g_s.6.bias": torch.zeros(6)}, "6 channels of pixels"),
    "huge": (
        changed("g_a.2.weight", torch.zeros(1).expand(100_000, 100_000, 5, 5)), "at most 67108864"),
    "kernel": (
        changed("h_a.4.weight", torch.zeros(8, 8, 17, 17)), "kernel 17x17, at most 15"),
    "complex": (changed("g_a.0.weight", lambda x: x.to(torch.complex64)), "must be real"),
    "integers": (changed("g_a.0.weight", lambda x: x.to(torch.int32)), "must be floating point"),
    "sparse": (changed("g_a.0.bias", lambda x: x.to_sparse()), "must be dense"),
    "overflow": (
        changed("g_a.2.weight", lambda x: x * 1e30), "values that are not finite in calibration"),
    "unknown": (changed("g_a.0.bias", lambda x: x) | {"g_a.7.weight": torch.ones(1)},
                "'g_a.7.weight': no layer"),
    "cheng2020": ({"g_a.0.conv1.weight": torch.ones(8, 3, 3, 3)}, "no architecture"),
    "variable-z": (GOOD | {"Gain": torch.ones(4), "gayn2zqstep.0.weight": torch.ones(10, 1)},
                   "gayn2zqstep.*': hyper-latents of variable step"),
    "context-of-rate": (GOOD | {"scale_to_context.weight": torch.ones(24, 1)},
                        "scale_to_context.*': a context that depends on the rate"),
    "other-quantiles": (
        changed("entropy_bottleneck.quantiles", lambda x: x[:5]), "must be (5, any, 1)"),
    "wide-density": (
        changed("entropy_bottleneck.matrices.1", lambda x: x[..., :2]), "must be (8, any, 3)"),
    "numbered": ({1: torch.ones(2)}, "its name is a int"),
    "not-tensors": ({"g_a.0.weight": 3.5}, "a float, must be a tensor"),
    "list": ([torch.ones(2)], "a list, must be a state dict"),
    "nothing": ({}, "no tensors"),
}  # fmt: skip


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_are_refused(name):
    state, because = TENSORS[name]
    torch.save({"state_dict": state} if name != "list" else state, "bad.pth.tar")
    refusal("bad.pth.tar", because)


def test_good_ones_are_not():
    """The state dict that others are made from has nothing to refuse."""
    from intnet.converting import compressai  # noqa: PLC0415

    assert compressai.float_codec(GOOD).name == "mbt2018-mean"


def test_pickled_code_is_not_run():
    torch.save({"state_dict": {"g_a.0.weight": Bomb()}}, "bad.pth")
    refusal("bad.pth", "code in files is never run")


def test_pickled_model_is_refused():
    torch.save(torch.nn.Conv2d(3, 3, 3), "bad.pth")
    refusal("bad.pth", "save `model.state_dict()`, not the model")


def damaged():
    """A good file in bytes."""
    file = io.BytesIO()
    torch.save(GOOD, file)
    return file.getvalue()


@pytest.mark.parametrize("data", [
    b"", b"hello", bytes(1000), damaged()[:-200], damaged()[: len(damaged()) // 2],
    b"\x80\x02" + bytes(50),
], ids=["empty", "text", "zeros", "cut", "half", "pickle"])  # fmt: skip
def test_other_files_are_refused(data):
    Path("bad.pth").write_bytes(data)
    refusal("bad.pth", "bad.pth: not ")


def test_archive_that_swells_is_refused():
    """A few kilobytes that unpack to gigabytes are not unpacked."""
    with zipfile.ZipFile("bad.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo("a/data/0")
        archive.writestr(entry, bytes(100))
    data = bytearray(Path("bad.pth").read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 2**32 - 2)
    Path("bad.pth").write_bytes(data)
    refusal("bad.pth", "unpacks to 4294967294 bytes")


@pytest.mark.parametrize("data", [b"", b"x" * 20, struct.pack("<Q", 2**60) + b"{}"],
                         ids=["empty", "text", "length"])  # fmt: skip
def test_safetensors_are_checked(data):
    Path("bad.safetensors").write_bytes(data)
    refusal("bad.safetensors", "not a")


def test_another_architecture_is_refused():
    save_file({name: x.contiguous() for name, x in GOOD.items()}, "good.safetensors")
    refusal("good.safetensors", "are those of mbt2018-mean", "--architecture", "mbt2018")
    refusal("good.safetensors", "must be one of w8a8", "--recipe", "w4a4")


def test_calibration_is_needed():
    torch.save(GOOD, "good.pth")
    refused("convert", "good.pth", "-o", "m.inm", because="needs --calibration")
