"""`intnet info` and `intnet models`."""

from __future__ import annotations

import pytest
from cli_parts import call, only_json


def test_info_of_both_kinds(photo_folder, tiny, tiny_path):
    stream = only_json(call("info", "photo.inic", "--json"))
    assert (stream["kind"], stream["model"], stream["quality"]) == ("stream", "photo", 40)
    assert stream["z_bytes"] + stream["y_bytes"] + 38 == stream["stream_bytes"]
    model = only_json(call("info", tiny_path, "--json"))
    assert (model["kind"], model["sha256"]) == ("model", tiny.sha256)
    assert {p["name"] for p in model["programs"]} == set(tiny.programs)
    assert model["programs"][0]["ops"]["conv"] == 12
    assert model["metadata"]["recipe"] == "random weights"
    assert "kMAC/pixel" in call("info", tiny_path).stdout


def test_info_of_a_shipped_model_by_its_name(photo_folder):
    """Unless a file has that name."""
    model = only_json(call("info", "photo", "--json"))
    assert (model["kind"], len(model["sha256"])) == ("model", 64)
    (photo_folder / "photo").write_bytes((photo_folder / "photo.inic").read_bytes())
    assert only_json(call("info", "photo", "--json"))["kind"] == "stream"


def test_kmac_counts_by_hand(photo_folder, tiny, tiny_path):
    """hyper_analysis: 3x3 at 1/16, then 5x5 stride 2 twice, 16 channels all."""
    programs = only_json(call("info", tiny_path, "--json"))["programs"]
    (row,) = [p for p in programs if p["name"] == "hyper_analysis"]
    macs = 256 * (9 / 16**2 + 25 / 32**2 + 25 / 64**2)
    assert row["kmac_per_pixel"] == pytest.approx(macs / 1000, abs=1e-3)


def test_models_lists_ids(photo_folder, tiny):
    (row,) = only_json(call("models", "--json"))["models"]
    assert (row["name"], row["default"], row["sha256"]) == ("photo", True, tiny.sha256)
    assert tiny.model_id.hex() in call("models").stdout
