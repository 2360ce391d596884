"""`intnet --show-completion` is a script with which bash completes verbs, options and values."""

from __future__ import annotations

import subprocess

import pytest
from conftest import BIN

# What bash does when TAB is pressed: it sets the words and calls the function.
SCRIPT = """
PATH={bin}:$PATH
eval "$(intnet --show-completion)"
complete -p intnet | grep -q -- '-o default -F _intnet_completion'
COMP_WORDS=({words} '') COMP_CWORD={last}
COMP_WORDS[COMP_CWORD]='{begun}'
_intnet_completion intnet
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize("words, begun, found", [
    ("intnet", "en", {"encode"}),
    ("intnet", "co", {"compare", "conform", "convert"}),
    ("intnet conform", "", {"run", "make", "compare"}),
    ("intnet decode", "--sal", {"--salvage"}),
    ("intnet encode --backend", "", {"numba", "numpy"}),
])  # fmt: skip
def test_bash_completes(words, begun, found, tmp_path):
    script = SCRIPT.format(bin=BIN, words=words, last=len(words.split()), begun=begun)
    done = subprocess.run(
        ["bash", "-eu", "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == found


def test_install_writes_where_bash_reads(tmp_path):
    """In a home of its own: a script, and a line of .bashrc that reads it."""
    script = f"HOME={tmp_path} PATH={BIN}:$PATH; intnet --install-completion; true"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    (completion,) = tmp_path.glob(".bash_completions/intnet.sh")
    assert str(completion) in (tmp_path / ".bashrc").read_text(), done.stderr
    assert "_INTNET_COMPLETE" in completion.read_text()
