"""What tests of the command line share: a call of it, what it prints, how it refuses."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from intnet import cli


def call(*arguments, stdin=b"", code=0):
    """Result of `intnet arguments`; its exit code must be code."""
    result = CliRunner().invoke(cli.app, list(map(str, arguments)), input=stdin)
    assert result.exit_code == code, (result.stderr, result.exception)
    return result


def only_json(result):
    """The one object on stdout."""
    (line,) = result.stdout.splitlines()
    return json.loads(line)


def refused(*arguments, because, stdin=b""):
    """One line on stderr that names the cause, exit code 1, and no new file."""
    before = sorted(Path().iterdir())
    result = call(*arguments, stdin=stdin, code=1)
    (line,) = result.stderr.splitlines()
    assert line.startswith("intnet: error: ")
    assert because in line
    assert sorted(Path().iterdir()) == before
    return line
