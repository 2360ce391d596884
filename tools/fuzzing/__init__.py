"""Parts of `tools/fuzz.py`: what is mutated, what takes it, and who watches."""
