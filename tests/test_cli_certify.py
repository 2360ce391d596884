"""`intnet certify`, and models that it and others refuse."""

from __future__ import annotations

from pathlib import Path

from cli_parts import call, only_json, refused

from intnet.errors import BoundError


def test_certify_names_every_bound(photo_folder, tiny_path):
    report = only_json(call("certify", tiny_path, "--json"))
    assert report["ok"]
    assert all(row["bound"] < row["limit"] for row in report["bounds"])
    assert {"program", "op", "channel", "headroom_bits"} <= report["bounds"][0].keys()
    assert "proved" in call("certify", "photo").stdout


def test_altered_model_is_refused(photo_folder, tiny_path):
    """One changed weight is a hash error, in every verb that loads the file."""
    data = bytearray(tiny_path.read_bytes())
    data[-1000] ^= 1
    Path("bad.inm").write_bytes(data)
    refused("certify", "bad.inm", because="damaged or altered")
    refused("encode", "photo.png", "-o", "x.inic", "--model", "bad.inm", because="damaged")


def test_failed_proof_ends_with_1(photo_folder, monkeypatch):
    def fails(_: object) -> None:
        raise BoundError("program 'prior', op 'a', channel 3: accumulator may reach 2147483648")

    monkeypatch.setattr("intnet.model_file.certify", fails)
    refused("certify", "photo", because="channel 3")
