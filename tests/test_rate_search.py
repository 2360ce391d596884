"""Rates: the quality that is nearest to one, or the best that fits."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from intnet import codec, container, pictures, rate_search
from intnet.model_file import QUALITIES, Model
from intnet.options import EncoderOptions


@pytest.mark.parametrize("verify", [False, True])
def test_of_all_qualities(tiny: Model, picture: np.ndarray, verify: bool) -> None:
    """Against all of them; what verifying adds counts."""
    options, pixels = EncoderOptions(verify=verify), picture[..., 0].size
    streams = [codec.encode(picture, tiny, q, verify=verify) for q in range(QUALITIES)]
    sizes = [len(stream) for stream in streams]
    for quality in range(0, QUALITIES, 7):
        size = sizes[quality]
        fits = rate_search.encode_to_size(picture, tiny, size, options)
        assert len(fits) == size
        assert (container.peek(fits).pixel_crc is not None) == verify
        for more in (-3, 3):
            nearest = rate_search.encode_to_bpp(picture, tiny, 8 * (size + more) / pixels, options)
            assert abs(len(nearest) - size - more) == min(abs(n - size - more) for n in sizes)
    with pytest.raises(ValueError, match=f"quality 0 needs {sizes[0]} for this"):
        rate_search.encode_to_size(picture, tiny, sizes[0] - 1, options)


def test_too_few_bytes_in_json(
    script: Callable[..., subprocess.CompletedProcess[bytes]],
    tmp_path: Path,
    tiny_path: Path,
    picture: np.ndarray,
) -> None:
    """One object on stdout, as of every error."""
    source, output = tmp_path / "x.png", tmp_path / "x.inic"
    pictures.write(source, picture)
    done = script("encode", source, "-o", output, "--model", tiny_path, "--max-bytes=9", "--json")
    assert (done.returncode, output.exists()) == (1, False)
    assert "max_bytes: 9, quality 0 needs" in json.loads(done.stdout)["error"]
