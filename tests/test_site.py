"""The documentation is built without a warning, is whole, and loads nothing from elsewhere."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys

import nbformat
import pytest
import typer
from conftest import ROOT
from nbclient import NotebookClient

import intnet
import rangecoder
from intnet import cli

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
# Tags that make a browser load something, not links to follow.
LOADS = re.compile(r"<(?:script|img|iframe|link)\b[^>]*(?:src|href)=[\"']?(?:https?:)?//[^>]*>")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """What `make docs` builds."""
    folder = tmp_path_factory.mktemp("site")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def text(site, page):
    """Of the article, without tags."""
    article = re.search(r"<article.*</article>", (site / page).read_text(), re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", "", article[0]))


def test_every_page_is_a_page(site):
    """No mark of Markdown is left over, and nothing comes from elsewhere."""
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 18
    for page in pages:
        source = page.read_text()
        assert "```" not in source, page
        assert not LOADS.findall(source), page
    assert LOADS.search('<link rel="stylesheet" href="https://fonts.googleapis.com/css">')


def test_every_document_is_found(site):
    """Pages of docs/ and clauses of the specification are in the site and in its search."""
    index = json.loads((site / "search" / "search_index.json").read_text())
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}
    pages = {str(p.relative_to(ROOT / "docs").with_suffix(".html"))
             for p in (ROOT / "docs").rglob("*") if p.suffix in (".md", ".ipynb")}  # fmt: skip
    assert found >= pages | {"cli.html", "conformance/SPEC.html", "CHANGELOG.html"}
    nav = (site / "index.html").read_text()
    assert all(f'href="{name}"' in nav for name in pages - {"index.html"})
    specification = (ROOT / "conformance" / "SPEC.md").read_text(encoding="utf-8")
    clauses = re.findall(r'<a id="([^"]+)">', specification)
    made = (site / "conformance" / "SPEC.html").read_text()
    assert len(clauses) > 100
    assert [clause for clause in clauses if f'id="{clause}"' not in made] == []


def test_the_command_line_is_whole(site):
    """Every verb, with every option."""
    shown = text(site, "cli.html")
    root = typer.main.get_command(cli.app)
    context = root.make_context("intnet", [], resilient_parsing=True)
    for name in cli.VERBS:
        assert f"Usage: intnet {name} " in shown
        verb = root.get_command(context, name)
        children = getattr(verb, "commands", {name: verb}).values()
        words = [word for child in children for p in child.params for word in p.opts]
        options = [word for word in words if word[0] == "-"]
        assert [option for option in options if option not in shown] == []


def test_python_is_whole(site):
    """Every public function and class, with its examples as code."""
    page = (site / "api.html").read_text()
    names = [f"{module.__name__}.{name}" for module in (intnet, rangecoder)
             for name in module.__all__ if name[0] != "_" and not name.isupper()]  # fmt: skip
    names[names.index("intnet.IntnetError")] = "intnet.errors.IntnetError"
    assert [name for name in names if f'id="{name}"' not in page] == []
    assert '<span class="gp">&gt;&gt;&gt; </span>' in page


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path, tmp_path, installed, default_model):
    """They are stored without outputs; each makes a plot."""
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env=installed)
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs)
