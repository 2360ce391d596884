"""Many pictures: a folder encoded, decoded or evaluated, by processes here or by a Dask cluster.

`plans` does the work on one file, `run` hands files out, `journal` remembers what is finished.
"""
