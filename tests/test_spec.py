"""`conformance/SPEC.md` is what the code does: its examples are run, its clauses are complete."""

from __future__ import annotations

import inspect
from dataclasses import fields

import pytest
import spec_coder
import spec_files
import spec_network
import spec_text
from spec_text import SPEC, Example, clause_text, clauses, examples, plain

import rangecoder.errors
from intnet import container, errors
from intnet.architecture import CONTEXT
from intnet.model_file import ARRAYS, SHIFTS
from intnet.program import KINDS, Port, Program

TEXT = SPEC.read_text("utf-8")
EXAMPLES = examples(TEXT)
FORMS: dict[str, spec_text.Form] = {
    "values": spec_network.values_form,
    "program": spec_network.program_form,
    **spec_coder.FORMS,
    **spec_files.FORMS,
}
ERRORS = [
    name
    for module in (errors, rangecoder.errors)
    for name, kind in inspect.getmembers(module, inspect.isclass)
    if kind.__module__ == module.__name__
]


def check(example: Example, backend: str) -> None:
    """The lines of an example are those that the code gives."""
    made = list(FORMS[example.form](example.lines, backend))
    assert plain(example.lines) == plain(made), f"{SPEC.name}:{example.at}"


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_example(example: Example, backend: str) -> None:
    """What the text says comes out, comes out."""
    assert example.lines
    check(example, backend)


def test_every_block_is_an_example() -> None:
    """No fence escapes the parser, every form is used, and there are many examples."""
    assert TEXT.count("```") == 2 * len(EXAMPLES)
    assert {example.form for example in EXAMPLES} == set(FORMS)
    assert len(EXAMPLES) >= 40


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_example_can_fail(example: Example) -> None:
    """One changed character of a result is noticed."""
    at = max(i for i, line in enumerate(example.lines) if " = " in line or "table" in line)
    line = example.lines[at]
    changed = line[:-1] + ("1" if line[-1] != "1" else "2")
    broken = example._replace(lines=[*example.lines[:at], changed, *example.lines[at + 1 :]])
    with pytest.raises(Exception):  # noqa: B017, PT011  # whichever check notices first
        check(broken, "numpy")


@pytest.mark.parametrize("form", FORMS)
def test_unreadable_lines_fail(form: str) -> None:
    """A line of another form is an error, not a comment."""
    example = next(example for example in EXAMPLES if example.form == form)
    with pytest.raises(Exception):  # noqa: B017, PT011  # as above
        check(example._replace(lines=[*example.lines, "what is this"]), "numpy")


def test_clause_ids() -> None:
    """Every anchor shows its id; none is defined twice; whatever is cited is defined."""
    defined = clauses(TEXT)
    assert TEXT.count("<a ") == len(defined) == len(set(defined)) > 100
    assert all(a == b for a, b in spec_text.CLAUSE.findall(TEXT))
    assert spec_text.citations(TEXT) <= set(defined)


@pytest.mark.parametrize("kind", KINDS)
def test_every_operation(kind: str) -> None:
    """A clause that names each field, and an example."""
    text = clause_text(TEXT, f"op.{kind}")
    common = ("kind", "name", "inputs", "dtype", "lo", "hi")
    missing = [f.name for f in fields(KINDS[kind]) if f"`{f.name}`" not in text]
    assert not set(missing) - set(common)
    assert f"op.{kind}" in {example.clause for example in EXAMPLES}


@pytest.mark.parametrize("name", [
    *(f"error.{name}" for name in ERRORS),
    *(f"stream.header.{name}" for name in container.Header._fields),
    *(f"model.scaling.{name}" for name in (*ARRAYS, *SHIFTS)),
    *(f"model.program.{name}" for name in CONTEXT),
    *(f"port.{f.name}" for f in fields(Port)),
    *(f"program.{f.name}" for f in fields(Program)),
])  # fmt: skip
def test_every_name_has_a_clause(name: str) -> None:
    """Errors, header fields, scaling, programs, ports: by the names of the code."""
    assert clause_text(TEXT, name).strip()


def test_parser() -> None:
    """The checker itself: fences, clauses and citations are found."""
    text = '<a id="a.b">[a.b]</a> x [a.b](#a.c)\n```example clause=a.d form=values\nf(1) = 2\n```\n'
    assert examples(text) == [Example("a.d", "values", ["f(1) = 2"], 2)]
    assert clauses(text) == ["a.b"]
    assert spec_text.citations(text) == {"a.c", "a.d"}


def test_length() -> None:
    """A text that one person can read in a sitting."""
    assert len(TEXT.splitlines()) <= 1050
