"""Pin the bytes that the default model gives on the bundled photograph.

    python tools/pin_selftest.py

To be run when the shipped model changes, and for no other reason. Refuses where backends differ.
"""

from __future__ import annotations

import json

import numpy as np

from intnet import selftest, shipped


def main() -> None:
    """Compare backends, then write intnet/samples/selftest.json."""
    model = shipped.load()
    slow, fast = (selftest.outcome(model, backend) for backend in selftest.BACKENDS)
    if slow.stream != fast.stream or not np.array_equal(slow.pixels, fast.pixels):
        raise SystemExit(f"backends {selftest.BACKENDS} differ: nothing is pinned")
    pin = selftest.pin(model, slow)
    selftest.pin_path().write_text(json.dumps(pin, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {selftest.pin_path()}: {pin}")


if __name__ == "__main__":
    main()
