"""`python -m intnet.conform decode`: our decoder in the form that `conformance/run.py` asks for.

Exit code 69 where the backend cannot be imported.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from intnet import backends, codec, model_file
from intnet.errors import IntnetError
from intnet.limits import NO_LIMITS

NOT_SUPPORTED = 69  # exit code, see conformance/README.md


def main(arguments: list[str] | None = None) -> int:
    """A stream on stdin, its samples on stdout; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m intnet.conform", description=__doc__)
    parser.add_argument("verb", choices=["decode"])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--backend", choices=list(backends.MODULES), default="numba")
    chosen = parser.parse_args(arguments)
    try:
        backends.load(chosen.backend)
    except ImportError as error:
        print(f"backend {chosen.backend}: {error}", file=sys.stderr)  # noqa: T201  # diagnostics
        return NOT_SUPPORTED
    try:
        models = [model_file.load(chosen.model)]
        data = sys.stdin.buffer.read()
        pixels = codec.decode(data, models, chosen.backend, NO_LIMITS).pixels
    except (IntnetError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201  # diagnostics go to stderr
        return 1
    sys.stdout.buffer.write(pixels.tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
