"""The decoder written from SPEC.md alone agrees with every vector; its check is shown to fail."""

import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

CONFORMANCE = ROOT / "conformance"
FILES = ("reference_decoder.py", "check_reference.py")
FAULTS = {  # what is broken: class of cases that shows it, text, text instead
    "rounding tie": ("op", "(a + (1 << (s - 1))) >> s", "(a + (1 << (s - 1)) - (a < 0)) >> s"),
    "clip bound": ("op", "lo if a < lo else hi if a > hi", "lo if a < lo else hi - 1 if a > hi"),
    "table entry": ("coder", "bisect_right(cdf, quantile)", "bisect_right(cdf, quantile + 1)"),
    "a check less": ("tables", 'need(data[1] == 0, "reserved', 'need(True, "reserved'),
    "class of error": (
        "invalid_stream",
        'raise StreamError(f"payload of {name}',
        'raise IntnetError(f"payload of {name}',
    ),
    "rounding": ("arith", "(a + (1 << (s - 1))) >> s", "(a + (1 << (s - 1)) - 1) >> s"),
    "sum": ("signal_range", "clip(a + b, op.lo", "clip(a + b - (a > 99), op.lo"),
    "end of a lane": ("stress", "self.range < 2**30", "self.range < 2**29"),
    "grey": ("real", "return (r + 2 * g + b + 2) >> 2", "return (r + 2 * g + b) >> 2"),
    "quotation": ("quotation", "# > Step 6, x_hat", "# > Step 6, x"),
}


def check(folder, *arguments):
    """check_reference.py in a process of its own."""
    command = [sys.executable, "-S", str(folder / "check_reference.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize(
    "arguments, classes",
    [
        (("--small",), 14),
        (("--class", "stream"), 1),
        pytest.param((), 14, marks=pytest.mark.slow),  # large photographs
    ],
)
def test_the_reference_decoder_agrees(arguments, classes):
    """Every vector, every example and quotation of SPEC.md, in every class."""
    done = check(CONFORMANCE, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    lines = re.findall(r"^(\w+): (\d+) passed, 0 failed", done.stdout, re.MULTILINE)
    assert len(lines) == classes
    assert all(int(count) > 0 for _, count in lines)


def test_small_leaves_out_what_is_large():
    """And nothing else."""
    counts = [
        int(re.search(r"\d+", check(CONFORMANCE, "--class", "stream", *more).stdout)[0])
        for more in ((), ("--small",))
    ]
    assert counts[0] - counts[1] == 5


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_decoder_is_found(tmp_path, fault):
    """One thing broken in a copy: exit code 1, and cases of that class are named."""
    kind, old, new = FAULTS[fault]
    for name in FILES:
        shutil.copy(CONFORMANCE / name, tmp_path)
    for name in ("SPEC.md", "vectors"):
        (tmp_path / name).symlink_to(CONFORMANCE / name)
    text = (tmp_path / FILES[0]).read_text(encoding="utf-8")
    assert text.count(old) == 1
    (tmp_path / FILES[0]).write_text(text.replace(old, new), encoding="utf-8")
    done = check(tmp_path, "--class", kind, "--small")
    assert done.returncode == 1
    assert re.search(rf"^{kind}: \d+ passed, [1-9]\d* failed", done.stdout, re.MULTILINE)
    assert f"  {kind.split('_')[0]}" in done.stderr


def test_no_cases_are_a_failure():
    """A pattern that fits nothing."""
    assert check(CONFORMANCE, "--only", "none", "--class", "op").returncode == 1
