"""The example of FORMAT.md is what every form of the coder writes and reads."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import rangecoder
from rangecoder import coder, reference

TEXT = (Path(rangecoder.__file__).parent / "FORMAT.md").read_text("utf-8").partition("## 4")[2]
SYMBOLS, ONE, TWO = re.findall(r"^    (.*)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("form", [reference, coder])
@pytest.mark.parametrize(("lanes", "payload"), [(1, ONE), (2, TWO)])
def test_example(form: ModuleType, lanes: int, payload: str) -> None:
    """Symbols, table and payloads are parsed from the text."""
    found = re.search(r"minimum (-?\d+), cdf ([\d ]+) \(n = 3\)", TEXT)
    assert found is not None
    cdf = np.array(found[2].split(), np.int32)
    tables = rangecoder.Tables(cdf, np.array([0, 5], np.int32), np.array([found[1]], np.int32))
    symbols = np.array(SYMBOLS.split(), np.int32)
    indexes = np.zeros(len(symbols), np.uint8)
    plain = form is reference
    args = (indexes.tolist() if plain else indexes, tables, lanes)
    data = form.encode(symbols.tolist() if plain else symbols, *args)
    assert data.hex(" ") == payload
    assert list(form.decode(data, *args)) == symbols.tolist()
