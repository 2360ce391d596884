"""`intnet bench`: the product beside what a user would take instead, on the same machine.

`race` lets contenders take turns, `peers` finds the optional ones, `report` says what came out;
`kernels`, `coder` and `codec` are the three comparisons. Peers are imported by name when they are
asked for, so nothing here needs the extra `bench` until then.
"""
