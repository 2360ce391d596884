"""`intnet conform run`: counts, and names of what fails."""

from __future__ import annotations

import shutil
from pathlib import Path

from cli_parts import call, only_json, refused
from conform_parts import VECTORS, edit


def test_conform_counts_and_names_failures(photo_folder):
    """One flipped expectation of two; zero vectors are a failure too."""
    shutil.copytree(VECTORS, "v1")

    def flip(document):
        vector = next(v for v in document["vectors"] if v["id"] == "op/crop")
        vector["expected"]["outputs"]["out"]["values"][0] += 1

    edit(Path("v1/op.json"), flip)
    line = ("conform", "run", "--vectors", "v1", "--only")
    result = call(*line, "op/*crop*", code=1)
    assert "FAILED op/crop [op.crop]: outputs.out.values[0]: " in result.stdout
    assert result.stdout.endswith(" passed, 1 failed\n")
    report = only_json(call(*line, "op/*crop*", "--json", code=1))
    assert (report["failed"], report["passed"] + 1) == (1, len(report["cases"]))
    assert call(*line, "op/pad*").stdout.endswith(" passed, 0 failed\n")
    call(*line, "nothing", code=1)
    refused("conform", "run", "--vectors", "no/such", because="no/such")
