"""Pictures of what the codec does: beside others at one rate, and where its bits go.

Floats are allowed here: nothing in this package decides a stream or a sample.
"""
