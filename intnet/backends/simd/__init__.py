"""Micro-kernels for each instruction set, emitted as LLVM IR.

`emit` derives the tiles, one module for each instruction set says what its dot product is,
`pack` orders weights, `drivers` loops over a picture, `linear` makes that a step of a program,
`choose` picks the instruction set.
"""
