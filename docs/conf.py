"""Sphinx configuration: `python -m sphinx -W -b html docs docs/_build`."""

import re
from importlib import metadata
from typing import Any

from docutils import nodes

project = "jaxkd"
author = "the jaxkd authors"
project_copyright = "the jaxkd authors"
release = metadata.version("jaxkd-distill")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
]

exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Docstrings write code in single backticks.
default_role = "code"
# Examples in docstrings run in the namespace of their module, which `pytest --doctest-modules` gives them.
doctest_test_doctest_blocks = ""
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 80
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "jaxkd"
html_static_path = ["_static"]
html_css_files = ["page.css"]
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1d5f8a", "color-brand-content": "#1d5f8a"},
    "dark_css_variables": {"color-brand-primary": "#7fbde6", "color-brand-content": "#7fbde6"},
}


def setup(app: Any) -> None:
    """Register the translations below."""
    # Before napoleon, whose priority is 500.
    app.connect("autodoc-process-docstring", _to_restructured_text, priority=400)
    app.connect("doctree-read", _short_names)


def _to_restructured_text(app: Any, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text with backticks: some things in them mean something else in reStructuredText."""
    text = "\n".join(lines)
    text = re.sub(r"^( *)```\n(.*?)^ *```$", _literal_block, text, flags=re.MULTILINE | re.DOTALL)
    if what == "module":
        # A table that is only indented.
        text = re.sub(r"\n\n(?= {4}\S)", "\n\n::\n\n", text)
    # `Array`s: a role must end at the end of a word.
    text = re.sub(r"(?<!`)(`[^`\s]+`)(?=\w)", r"\1\\ ", text)
    # owner/name@commit is no address of electronic mail.
    text = re.sub(r"(?<![\w`/])([\w-]+/[\w.-]+@[0-9a-f]{7,40})\b", r"``\1``", text)
    # Napoleon takes what stands before a colon in the first line of an attribute's docstring for its type.
    # An empty comment in front has none.
    first = ["..", ""] if what in ("attribute", "data", "property") else []
    lines[:] = first + text.split("\n")


def _literal_block(match: re.Match[str]) -> str:
    indent, body = match.groups()
    return f"{indent}::\n\n" + "".join(f"    {line}\n" for line in body.splitlines())


def _short_names(app: Any, doctree: nodes.document) -> None:
    """`Array`, where JAX says in which of its files the class lives."""
    for text in list(doctree.findall(nodes.Text)):
        if "jaxlib._jax." in text:
            text.parent.replace(text, nodes.Text(text.replace("jaxlib._jax.", "")))
