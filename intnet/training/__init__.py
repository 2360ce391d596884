"""Training: float twins, quantisation-aware layers, data, optimisers.

Needs torch; never imported at run time.
"""
