"""Conformance vectors: what this installation gives for them, and reports of it side by side.

`arrays` and `folder` read vectors; `arith`, `coder` and `classes` compute what they expect;
`running` runs them, `tracing` adds the tensors on the way; `comparing`, `making` and `external`
are what else `intnet conform` does. `python -m intnet.conform decode` is our decoder alone.
"""
