"""Float models of other people to integer models: needs torch, floats end here.

    checkpoint -> layers (a float graph) -> record (calibration) -> formats -> emit -> Model

`layers` is the graph; `float_run` computes it, `record` watches that, `emit` walks it once more and
leaves integer operations. Imports point from left to right.
"""
