"""Recipes: how many bits each layer's weights and activations get.

A recipe is a list of patterns over layer names, as in `fnmatch`; later ones add to earlier ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from intnet.errors import IntnetError


@dataclass(frozen=True)
class Precision:
    """Of one layer: bits of its weights, bits of the activations that a convolution reads of it.

    weights: 4 to 8, or 16 for as many as the proof allows. activations: 8 or 16. ranges: of 8-bit
    activations, by least `squares` or by `percentile`. balance: 1 gives every channel the step of
    its own range, 0 all of them the same, between them some of both.
    """

    weights: int = 16
    activations: int = 16
    ranges: str = "squares"
    percentile: float = 99.99
    balance: float = 1.0
    rounding: str = "compensated"

    @property
    def greatest(self) -> int:
        """Of a weight's integers."""
        return (1 << (self.weights - 1)) - 1

    @property
    def compensates(self) -> bool:
        """Whether errors of rounding are carried on: 16 bits do not need it."""
        return self.weights <= 8 and self.rounding == "compensated"


ALLOWED: dict[str, tuple[Any, ...]] = {
    "weights": (4, 5, 6, 7, 8, 16), "activations": (8, 16), "ranges": ("squares", "percentile"),
    "rounding": ("nearest", "compensated"),
}  # fmt: skip
BETWEEN = {"percentile": (50.0, 100.0), "balance": (0.0, 1.0)}

Rules = Mapping[str, Mapping[str, Any]]
# An integer prior costs nothing even so: 8 bits, rounded to the nearest.
HYPER = {"weights": 8, "activations": 8, "balance": 0.5, "rounding": "nearest"}
NAMED: dict[str, Rules] = {
    "w8a8": {"*": {"weights": 8, "activations": 8}},
    "w8a16": {"*": {"weights": 8, "activations": 16, "balance": 0.0}},
    "mixed": {"*": {"weights": 16, "activations": 16}, "h_a.*": HYPER, "h_s.*": HYPER},
}
DEFAULT = "mixed"


@dataclass(frozen=True)
class Recipe:
    """A name, and patterns with what they set of Precision."""

    name: str
    rules: Rules

    def of(self, layer: str) -> Precision:
        """Precision of a layer.

        >>> named("mixed").of("h_s.0").weights, named("mixed").of("g_s.0").weights
        (8, 16)
        """
        precision = Precision()
        for pattern, settings in self.rules.items():
            if fnmatchcase(layer, pattern):
                precision = replace(precision, **settings)
        return precision


def named(name: str) -> Recipe:
    """One of NAMED."""
    return Recipe(name, NAMED[name])


def load(text: str) -> Recipe:
    """A name, or the path of a JSON file. Raises IntnetError naming pattern, got and allowed."""
    if text in NAMED:
        return named(text)
    path = Path(text)
    if path.suffix != ".json":
        raise IntnetError(f"recipe {text:.80}: must be one of {', '.join(NAMED)}, or a .json file")
    try:
        rules = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise IntnetError(f"{path}: not JSON ({error})") from None
    check(rules, str(path))
    return Recipe(path.stem, rules)


def check(rules: Any, where: str) -> None:
    """An object of objects with fields of Precision."""
    if not isinstance(rules, dict):
        raise IntnetError(f'{where}: must be an object like {{"g_s.*": {{"weights": 8}}}}')
    names = [field.name for field in fields(Precision)]
    for pattern, settings in rules.items():
        at = f"{where}, pattern {pattern!r:.80}"
        if not isinstance(settings, dict):
            raise IntnetError(f"{at}: must be an object with any of {', '.join(names)}")
        for name, value in settings.items():
            if name not in names:
                raise IntnetError(f"{at}: {name!r:.40}, must be one of {', '.join(names)}")
            if name in ALLOWED and (value not in ALLOWED[name] or isinstance(value, bool)):
                raise IntnetError(f"{at}: {name} {value!r:.40}, must be in {ALLOWED[name]}")
            if name in BETWEEN and not number_within(value, *BETWEEN[name]):
                raise IntnetError(f"{at}: {name} {value!r:.40}, must be in {BETWEEN[name]}")


def number_within(value: Any, low: float, high: float) -> bool:
    """A number of an interval; True is none."""
    return type(value) in (int, float) and low <= value <= high
