"""Parts of `tools/float_failure.py`: one prior, run in many environments, compared in pairs.

inputs: what every environment is given; environments: which there are, and running them;
numpy_prior, torch_prior, integer_prior: the programs they run; exchange: the files between;
pairs: A encodes, B decodes; report: tables, JSON, plot.
"""
