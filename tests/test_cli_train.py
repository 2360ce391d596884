"""`intnet train`."""

from __future__ import annotations

import sys

from cli_parts import call, refused


def test_train_without_torch_says_what_to_install(photo_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [m for m in sys.modules if m.startswith("intnet.training")]:
        monkeypatch.delitem(sys.modules, name)
    refused("train", "corpus", "--out", "x", because="pip install 'intnet[train]'")


def test_train_passes_arguments_on(photo_folder):
    """The trainer's own parser speaks."""
    assert "--minutes" in call("train", "--", "--help").stdout
    call("train", "corpus", "--out", "x.safetensors", "--no-such-option", code=2)
