"""What mkdocs does not find in docs/: the command line, files from elsewhere, notebooks as pages.

Links between pages are those that work in the repository too: `../conformance/SPEC.md` is a file
there, and a page here.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from intnet import cli

ROOT = Path(__file__).parents[2]
INCLUDED = (
    "conformance/SPEC.md", "conformance/README.md", "intnet/models/README.md",
    "intnet/models/photo.png", "CHANGELOG.md",
)  # fmt: skip
HOW_TO = "How to"
ANCHOR = re.compile(r'<a id="([^"]+)">\[\1\]</a>')  # of a clause of the specification
EXAMPLE = re.compile("^```example .*$", re.MULTILINE)  # its words say what the tests do with it


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made here, and to the nav every page of docs/ that it does not name."""
    for name in INCLUDED:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    files.append(File.generated(config, "cli.md", content=command_line()))
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        name = notebook.src_uri.removesuffix(".ipynb") + ".md"
        files.append(File.generated(config, name, content=page_of(Path(notebook.abs_src_path))))
    unnamed = sorted(
        {file.src_uri for file in files.documentation_pages()} - set(named(config.nav))
    )
    next(group for group in config.nav if HOW_TO in group)[HOW_TO] += unnamed
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to files that are included, as links to their pages; the specification's own marks."""
    up = "../" * page.file.src_uri.count("/")
    for name in INCLUDED:
        markdown = markdown.replace(f"](../{up}{name}", f"]({up}{name}")
    return EXAMPLE.sub("```text", ANCHOR.sub(r"`[\1]`{ #\1 }", markdown))


def named(nav: Any) -> Iterator[str]:
    """Files in a nav, however deep."""
    if isinstance(nav, str):
        yield nav
    for entry in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from named(entry)


def command_line() -> str:
    """The help of every verb, as a terminal of 80 columns shows it."""
    root = typer.main.get_command(cli.app)
    parts = ["# Command line", "What `--help` prints, from the program itself."]
    for command, context in walk(root, root.make_context("intnet", [], resilient_parsing=True)):
        shown = textwrap.indent(command.get_help(context), "    ")
        parts.append(f"## {context.command_path}\n\n{shown}")
    return "\n\n".join(parts)


def walk(command: Any, context: Any) -> Iterator[tuple[Any, Any]]:
    """A command and all below it, each with its context."""
    context.terminal_width = 80
    yield command, context
    if not hasattr(command, "list_commands"):
        return
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        made = child.make_context(name, [], parent=context, resilient_parsing=True)
        yield from walk(child, made)


def page_of(notebook: Path) -> str:
    """Its cells, and a link to it; outputs are made by whoever runs it."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    parts = [
        source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```"
        for cell in cells
        for source in ["".join(cell["source"])]
    ]
    return "\n\n".join([*parts, f"[The notebook]({notebook.name}), to run it and see the plots."])
