"""Pin the bytes that the default model gives on the bundled photograph, and the combined hashes.

    python tools/pin_selftest.py

To be run when the shipped model or the vectors change, and for no other reason. Refuses where any
other check fails.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from intnet import selftest, shipped

PINS = ("pin", "hash")  # the checks that may fail now


def write(path: Path, content: dict[str, Any]) -> None:
    """One of the two files."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path}: {content}")


def main() -> None:
    """Check, compare backends, then write."""
    reports = {"quick": selftest.run(), "full": selftest.run(full=True)}
    for report in reports.values():
        wrong = [c for c in report.checks if not c.ok and c.name not in PINS]
        if wrong:
            raise SystemExit(f"{wrong[0].name}: {wrong[0].detail}: nothing is pinned")
    model = shipped.load()
    write(selftest.pin_path(), selftest.pin(model, selftest.outcome(model, "numpy")))
    write(selftest.hash_path(), {name: report.sha256 for name, report in reports.items()})


if __name__ == "__main__":
    main()
