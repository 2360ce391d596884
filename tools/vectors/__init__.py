"""What `tools/make_vectors.py` writes: one module per stage, nothing read from the vectors folder."""
