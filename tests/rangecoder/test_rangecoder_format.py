"""The examples of sections 5 and 6 of SPEC.md are what every form of the coder writes and reads."""

from __future__ import annotations

import pytest
import spec_coder
from spec_text import SPEC, Example, examples, plain

EXAMPLES = [e for e in examples(SPEC.read_text("utf-8")) if e.form in spec_coder.FORMS]


@pytest.mark.parametrize("coder", ["numpy", "numba"])  # in Python ints, compiled
@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_example(example: Example, coder: str) -> None:
    """Tables, symbols, payloads and states are parsed from the text."""
    made = list(spec_coder.FORMS[example.form](example.lines, coder))
    assert plain(made) == plain(example.lines)


def test_every_form_has_an_example() -> None:
    """Nothing is left out by the filter."""
    assert {example.form for example in EXAMPLES} == set(spec_coder.FORMS)
