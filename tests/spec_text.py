"""`conformance/SPEC.md` as data: its clauses, its citations, its examples.

An example is a fenced block `example clause=ID form=FORM`. Its lines say what goes in and, after
` = `, what comes out. A form is a function that writes the lines anew: what goes in as it stands,
what comes out as our code computes it. An example holds where both agree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

SPEC = Path(__file__).parents[1] / "conformance" / "SPEC.md"
CLAUSE = re.compile(r'<a id="([^"]*)">\[([^]]*)\]</a>')
CITATION = re.compile(r"\]\(#([^)]*)\)")
EXAMPLE = re.compile(r"^```example clause=(\S+) form=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    """One block: the clause that it shows, its form, its lines, and the line it starts at."""

    clause: str
    form: str
    lines: list[str]
    at: int

    def __str__(self) -> str:
        """For the names of tests."""
        return f"{self.clause}:{self.at}"


Form = Callable[[list[str], str], Iterator[str]]  # lines, backend -> the same lines, computed


class UnreadableError(ValueError):
    """A line that no form knows."""


def examples(text: str) -> list[Example]:
    """Every example of the text, in order."""
    return [
        Example(found[1], found[2], found[3].splitlines(), text.count("\n", 0, found.start()) + 1)
        for found in EXAMPLE.finditer(text)
    ]


def clauses(text: str) -> list[str]:
    """Ids of the clauses, in order, repeated where they are defined twice."""
    return [found[1] for found in CLAUSE.finditer(text)]


def clause_text(text: str, name: str) -> str:
    """From the anchor of a clause to the next anchor."""
    return text.partition(f'<a id="{name}">')[2].partition("<a id=")[0]


def citations(text: str) -> set[str]:
    """Ids that are cited: by links and by examples."""
    return set(CITATION.findall(text)) | {example.clause for example in examples(text)}


def parts(line: str) -> tuple[str, str]:
    """What stands before ` = ` and after it."""
    before, equals, after = line.partition(" = ")
    if not equals:
        raise UnreadableError(f"no ' = ' in {line!r}")
    return before.strip(), after.strip()


def numbers(text: str) -> list[int]:
    """Integers apart by spaces; `5*3` is 5 5 5."""
    found: list[int] = []
    for word in text.split():
        value, times, count = word.partition("*")
        found += [int(value)] * (int(count) if times else 1)
    return found


def spaced(values: object) -> str:
    """The inverse of `numbers`."""
    return " ".join(map(str, values))  # type: ignore[call-overload]


def plain(lines: list[str]) -> list[str]:
    """Lines without runs of spaces, which are for the eye."""
    return [" ".join(line.split()) for line in lines]
