"""`intnet info` and `intnet models`."""

from __future__ import annotations

import json

import pytest
from cli_parts import call, only_json

from intnet import shipped


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
    assert row["measured"] == {}  # the folder's own model has no card
    decoding = [p for p in info_programs() if p["name"] in ("prior", "synthesis")]
    assert row["decode_kmac_per_pixel"] == pytest.approx(
        sum(p["kmac_per_pixel"] for p in decoding), abs=1e-3
    )


def info_programs():
    """Programs of the model at hand."""
    return only_json(call("info", "photo", "--json"))["programs"]


def test_models_shows_the_card_of_this_model_alone(photo_folder, tiny):
    """A card that was measured with another model says nothing of this one."""
    card = {"sha256": tiny.sha256, "pictures": "two", "bpp": [0.1, 2.0], "psnr": [25.0, 39.5],
            "bd_rate": {"against BPG": -1.5}}  # fmt: skip
    path = shipped.folder() / "photo.json"
    path.write_text(json.dumps(card))
    (row,) = only_json(call("models", "--json"))["models"]
    assert row["measured"] == card
    shown = call("models").stdout
    assert "two: 0.100 to 2.000 bpp, 25.00 to 39.50 dB" in shown
    assert "BD-rate against BPG: -1.50 %" in shown
    path.write_text(json.dumps(card | {"sha256": "0" * 64}))
    (row,) = only_json(call("models", "--json"))["models"]
    assert row["measured"] == {}
