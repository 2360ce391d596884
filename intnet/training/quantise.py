from __future__ import annotations
def integer_twin(model, x):
    raise SystemExit("soon")
