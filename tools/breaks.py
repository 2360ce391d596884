"""Rules of SPEC.md and a wrong line for each, in our code and in the reference decoder."""

from __future__ import annotations

from typing import NamedTuple


class Break(NamedTuple):
    """Text of a file, a wrong text in its place, and the clause of the rule that it breaks."""

    what: str  # ours or reference
    name: str
    clause: str
    path: str
    right: str
    wrong: str


NUMPY, RESHAPE = "intnet/backends/numpy_reference.py", "intnet/backends/reshape.py"
CODER, TABLES = "rangecoder/reference.py", "rangecoder/tables.py"
LATENTS = "intnet/latents.py"
DECODER, CHECK = "conformance/reference_decoder.py", "conformance/check_reference.py"

OURS = (
    ("ties rounded down", "arith.round-shift", "intnet/backends/rounding.py",
     "(value + (1 << (shift - 1))) >> shift", "(value + (1 << (shift - 1)) - 1) >> shift"),
    ("clip one below its end", "arith.clip", NUMPY,
     "np.clip(value, op.lo, op.hi)", "np.clip(value, op.lo, op.hi - 1)"),
    ("requantise shifts one more", "arith.requantise", NUMPY,
     "round_shift(product, shift.astype(np.int64))", "round_shift(product, shift + np.int64(1))"),
    ("products in 32 bits", "proof.bounds", NUMPY,
     "acc.astype(np.int64) * multiplier.astype(np.int64)", "acc.astype(np.int32) * multiplier"),
    ("accumulators in float32", "proof.bounds", NUMPY,
     "acc = np.empty((height, width, n), np.int32)", "acc = np.empty((height, width, n), 'f4')"),
    ("division truncates", "arith.divide", NUMPY,
     "(2 * (a << op.left_shift) + b) // (2 * b)", "(a << op.left_shift) // b"),
    ("conv repeats the edge", "op.conv", NUMPY,
     "np.pad(x, ((0, 0), (left, right), (0, 0)))",
     "np.pad(x, ((0, 0), (left, right), (0, 0)), mode='edge')"),
    ("all groups read the first", "op.conv", NUMPY, "slice(g * i, (g + 1) * i)", "slice(0, i)"),
    ("conv_transpose cuts no column", "op.conv_transpose", NUMPY,
     "left : left + width], out)", ": width], out)"),
    ("lut of s8 begins at 0", "op.lut", NUMPY, "- int(np.iinfo(x.dtype).min)", "% 256"),
    ("pad edge with zeros", "op.pad", RESHAPE,
     '"constant" if op.mode == "zero" else "edge"', '"constant"'),
    ("depth_to_space swaps dy and dx", "op.depth_to_space", RESHAPE,
     "transpose(0, 3, 1, 4, 2)", "transpose(0, 4, 1, 3, 2)"),
    ("proof allows the limit", "proof.bounds", "intnet/bounds.py",
     "if bound.bound >= limit", "if bound.bound > limit"),
    ("table entry one too high", "table.bytes", TABLES,
     "cdf[inner] =", "cdf[inner] = 1 +"),
    ("cdf big-endian", "table.bytes", TABLES,
     'dtype="<u2", count=sum_n', 'dtype=">u2", count=sum_n'),
    ("carry lost", "coder.word", CODER, "words[i] += 1", "words[i] += 0"),
    ("lanes in reverse", "coder.lanes", CODER,
     "enumerate(split(data, lanes))", "enumerate(split(data, lanes)[::-1])"),
    ("escape below one too high", "coder.escape", CODER,
     "minimum - 1 - excess if below", "minimum - excess if below"),
    ("entry ends too early", "coder.decode", CODER,
     "while cdf[k + 1] <= quantile", "while cdf[k + 1] <= quantile + 1"),
    ("two lanes too late", "coder.lanes", "rangecoder/layout.py",
     "symbols >= SYMBOLS_OF_TWO_LANES", "symbols > SYMBOLS_OF_TWO_LANES"),
    ("table index offset subtracted", "decode.table_index", LATENTS,
     "+ scaling.index_offset[quality]", "- scaling.index_offset[quality]"),
    ("latents not clipped", "decode.dequantise", LATENTS,
     "np.clip(y_hat, port.lo, port.hi)", "np.asarray(y_hat)"),
    ("luma without rounding", "decode.luma", "intnet/planes.py",
     "(r + 2 * g + b + 2) >> 2", "(r + 2 * g + b) >> 2"),
    ("checksum big-endian", "stream.checksum", "intnet/container.py",
     "U32.unpack(data[-U32.size :])", 'struct.unpack(">I", data[-U32.size :])'),
    ("tiles by columns", "decode.tiles", "intnet/tile_coding.py",
     "number = band * len(self.rows.columns) + column",
     "number = column * len(self.rows.bands) + band"),
    ("a profile of any size", "stream.chunk.size", "intnet/chunks.py",
     "size > MAX_ANCILLARY", "size > 2**32"),
    ("alpha without the row above", "decode.alpha", "intnet/alpha.py",
     "return np.add.accumulate(rows, axis=0, dtype=np.uint8)", "return rows"),
    ("crc of a tile ignored", "stream.tile.y_crc", "intnet/container.py",
     'if stage == "z" else (y, entry.y_crc)', 'if stage == "z" else (y, zlib.crc32(y))'),
    ("steps move with the row", "model.steps", "intnet/step_context.py",
     "np.ix_(rows % 2, columns % 2, groups)", "np.ix_(rows % 2, (columns + rows) % 2, groups)"),
    ("a step sees the one after it", "decode.steps", "intnet/step_context.py",
     "here = step_of == step", "here = step_of == (step + 1) % step_count(order)"),
    ("fronts of another slope", "decode.serial", "intnet/serial_context.py",
     "conv.weight.shape[2] // 2 + 1", "conv.weight.shape[2] // 2 + 2"),
    ("grid one cell too large", "decode.sizes", "intnet/strips.py",
     "return -(-side // stride)", "return side // stride + 1"),
)  # fmt: skip
REFERENCE = (
    ("ties rounded down", "arith.round-shift", DECODER,
     "return (a + (1 << (s - 1))) >> s", "return (a + (1 << (s - 1)) - 1) >> s"),
    ("clip one below its end", "arith.clip", DECODER,
     "return lo if a < lo else hi if a > hi", "return lo if a < lo else hi - 1 if a > hi"),
    ("requantise shifts one more", "arith.requantise", DECODER,
     "return clip(round_shift(acc * multiplier, shift), lo, hi)",
     "return clip(round_shift(acc * multiplier, shift + 1), lo, hi)"),
    ("division truncates", "arith.divide", DECODER,
     "return (2 * n + b) // (2 * b)", "return n // b"),
    ("all groups read the first", "op.conv", DECODER, "windows[group_of[n]]", "windows[0]"),
    ("conv_transpose cuts no row", "op.conv_transpose", DECODER,
     "at_y, at_x = y * op.stride + ky - top", "at_y, at_x = y * op.stride + ky"),
    ("lut of s8 begins at 0", "op.lut", DECODER, "op.table.values[a - op.begins]",
     "op.table.values[a]"),
    ("pad edge wraps", "op.pad", DECODER, "t[clip(y, 0, h - 1)][clip(x, 0, w - 1)] for",
     "t[y % h][x % w] for"),
    ("depth_to_space swaps dy and dx", "op.depth_to_space", DECODER,
     "sample[dy * b + dx :: b * b]", "sample[dx * b + dy :: b * b]"),
    ("proof allows the limit", "proof.bounds", DECODER,
     "need(bound < LIMITS[quantity]", "need(bound <= LIMITS[quantity]"),
    ("last table entry one too low", "table.bytes", DECODER,
     "cdf = [0, *inner, 65536]", "cdf = [0, *inner, 65535]"),
    ("carry lost", "coder.word", CHECK, "self.words[at] += 1", "self.words[at] += 0"),
    ("lanes in reverse", "coder.lanes", DECODER, "states[i % lanes].symbol",
     "states[-1 - i % lanes].symbol"),
    ("entry ends too early", "coder.decode", DECODER,
     "bisect_right(cdf, quantile)", "bisect_right(cdf, quantile + 1)"),
    ("escape below one too high", "coder.escape", DECODER,
     "symbol = table.minimum - 1 - excess", "symbol = table.minimum - excess"),
    ("table index offset subtracted", "decode.table_index", DECODER,
     "clip(round_shift(index + index_offset, index_shift), 0, t_y - 1)\n",
     "clip(round_shift(index - index_offset, index_shift), 0, t_y - 1)\n"),
    ("symbols subtracted", "decode.dequantise", DECODER,
     "return clip(mean + round_shift(", "return clip(mean - round_shift("),
    ("luma without rounding", "decode.luma", DECODER,
     "return (r + 2 * g + b + 2) >> 2", "return (r + 2 * g + b) >> 2"),
    ("checksum big-endian", "stream.checksum", DECODER,
     "== number(data[-4:])", '== int.from_bytes(data[-4:], "big")'),
    ("tiles by columns", "decode.tiles", DECODER,
     "i, j = divmod(n, ceil_div(w, s))", "j, i = divmod(n, ceil_div(h, s))"),
    ("a profile of any size", "stream.chunk.size", DECODER, "size <= 4194304", "size <= 2**32"),
    ("alpha from the row above alone", "decode.alpha", DECODER,
     "above = [(a + d[y * width + x]) % 256 for x, a in", "above = [a for x, a in"),
    ("groups of channels the other way", "model.steps", DECODER,
     "return groups[c * len(groups) // m]", "return groups[-1 - c * len(groups) // m]"),
    ("a serial group from below", "decode.serial", DECODER,
     "groups[number] for number in sorted(groups)",
     "groups[number][::-1] for number in sorted(groups)"),
    ("crop keeps the last rows", "decode.sizes", DECODER,
     "return [row[:width] for row in t[:height]]", "return [row[:width] for row in t[-height:]]"),
)  # fmt: skip
BREAKS = (
    *(Break("ours", *rest) for rest in OURS),
    *(Break("reference", *rest) for rest in REFERENCE),
)
