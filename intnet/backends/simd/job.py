"""What a panel of tiles is told: int64 words at the indexes below. It trusts them.

Addresses and steps are in bytes. Numba's disk cache of the drivers, unlike that of the panels, does
not notice a change here: delete `__pycache__` after one.
"""

(
    RUNS,  # address of int64[n_runs]: where each run of position 0 starts
    OFFSET,  # added to each of them
    STEP,  # from a position to the next
    N_RUNS,
    GROUPS,  # of a run; taps of a run if depthwise
    TAP_STEP,  # bytes from a tap to the next if depthwise
    WEIGHTS,  # address of the panel
    PARAMETERS,  # address of the panel's parameters, see `pack.py`
    TARGETS,  # address of the panel's targets, see `pack.py`
    OUT,  # address of the first position's outputs
    OUT_STEP,
    OUT_BYTES,  # 1, 2 or 4 for each output
    ADDEND,  # address of s16 to add after the clip, or 0
    ADDEND_STEP,
    TABLE,  # address of the s32 for 0 in a table to look the clipped value up in, or 0
    HIGH,  # 1: every shift > 32 and stored less 32; 0: any shift
    LO,
    HI,
    SUM_LO,  # clip after the addition
    SUM_HI,
    POSITIONS,
) = range(21)
JOB_WORDS = 21
