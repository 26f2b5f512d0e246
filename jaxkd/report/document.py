"""One HTML file that needs nothing else: its skeleton, its style, and the parts that every page has."""

import html
import os
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path


def write(path: Path, *, title: str, body: Sequence[str]) -> None:
    """Write a page, whole or not at all; what is there is replaced.

    Args:
        path: of the file; its folder is made.
        title: as text.
        body: elements, as HTML; empty ones are left out.
    """
    style = resources.files("jaxkd.report").joinpath("page.css").read_text(encoding="utf-8")
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n<footer>Written by jaxkd. This page holds everything it shows and requests nothing.</footer>\n"
        "</body>\n</html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(page, encoding="utf-8")
    os.replace(temporary, path)


def head(title: str, *, paragraphs: Sequence[str] = (), facts: Iterable[tuple[str, str]] = ()) -> str:
    """The head of a page: its title, what it is about, and facts of a few words."""
    about = "".join(f'<p class="description">{escaped(paragraph)}</p>' for paragraph in paragraphs)
    named = "".join(f"<div><dt>{escaped(name)}</dt><dd>{escaped(fact)}</dd></div>" for name, fact in facts)
    named = f'<dl class="facts">{named}</dl>' if named else ""
    return f"<header><h1>{escaped(title)}</h1>{about}{named}</header>"


def figure(title: str, note: str, svg: str) -> str:
    """A figure with what is said about it."""
    note = f'<span class="note">{escaped(note)}</span>' if note else ""
    return f'<figure><figcaption><h3>{escaped(title)}{note}</h3></figcaption><div class="scroll">{svg}</div></figure>'


def escaped(value: object) -> str:
    """As HTML that shows the value's text as it is."""
    return html.escape(str(value))
