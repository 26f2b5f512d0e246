"""`python -m jaxkd.show_alignment`: show how two tokenizers split a text, and which tokens stand for the same bytes."""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rich.text import Text

    from jaxkd.records import TokenSpans
    from jaxkd.report.token_rows import TokenRow
    from jaxkd.tokenizers.byte_spans import Spans


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Print the tokens of a text in two vocabularies, aligned ones in colour, and draw them."""

    text: str
    """Text to tokenize.  In a shell, $'one\\ntwo' holds a line break."""
    a: str
    """First tokenizer: a folder that holds one, a packaged model, a GGUF file or a hub id."""
    b: str
    """Second tokenizer, given like the first."""
    output: Path | None = None
    """Figure to write: .svg, .png or .pdf."""


def main(arguments: list[str] | None = None) -> None:
    """Align, print and draw."""
    import tyro

    from jaxkd.runtime.program import run_program

    command = tyro.cli(Command, args=arguments, prog="python -m jaxkd.show_alignment")
    run_program(lambda: _show(command))


def _show(command: Command) -> None:
    from rich.console import Console

    from jaxkd.report import token_rows

    above, below = aligned(command.text, command.a, command.b)
    figure = token_rows.draw(command.text, above, below)
    console = Console(file=sys.stdout, highlight=False, markup=False)
    indent = 2 + max(len(row.name) for row in (above, below))
    for row in (above, below):
        console.print(_line(command.text, row, indent))
    console.print(token_rows.summary(above, below), soft_wrap=True)
    if command.output is not None:
        token_rows.save(figure, command.output)
        console.print(f"{command.output} written", soft_wrap=True)


def aligned(text: str, a: str, b: str) -> "tuple[TokenRow, TokenRow]":
    """Return the tokens of a text in two vocabularies, each with its partner.

    Raises:
        ValueError: a path that is not a tokenizer, or tokens that do not spell the text.
        FileNotFoundError: a folder without a tokenizer.
    """
    from jaxkd.alignment import exact_token
    from jaxkd.models.checkpoints.pretrained import Pretrained
    from jaxkd.report.token_rows import TokenRow
    from jaxkd.tokenizers import byte_spans

    first, second = (byte_spans.encode(Pretrained(path=path).tokenizer(), text)[1] for path in (a, b))
    pairs = exact_token.align(_record(first), _record(second))
    partners = np.full(len(first), -1), np.full(len(second), -1)
    mask = np.asarray(pairs.mask)
    ours, theirs = np.asarray(pairs.student)[mask], np.asarray(pairs.teacher)[mask]
    partners[0][ours], partners[1][theirs] = theirs, ours
    names = [Path(path).name or path for path in (a, b)]
    return (
        TokenRow(name=names[0], spans=first, partners=partners[0]),
        TokenRow(name=names[1], spans=second, partners=partners[1]),
    )


def _record(spans: "Spans") -> "TokenSpans":
    import jax.numpy as jnp

    from jaxkd.records import TokenSpans

    starts, ends = map(jnp.asarray, spans.T)
    return TokenSpans(starts=starts, ends=ends, segment_ids=jnp.ones(len(spans), jnp.int32))


def _line(text: str, row: "TokenRow", indent: int) -> "Text":
    """Format the tokens of one side: aligned ones on a coloured background, the others grey."""
    from rich.text import Text

    from jaxkd.report.token_rows import visible

    data, line, paired = text.encode(), Text(row.name.ljust(indent), style="bold"), 0
    for (start, end), partner in zip(row.spans.tolist(), row.partners.tolist(), strict=True):
        if start == end:
            continue
        style = "bright_black"
        if partner >= 0:
            style = ("black on cyan", "black on green")[paired % 2]
            paired += 1
        line.append(visible(data[start:end]), style=style)
        line.append("|", style="bright_black")
    return line


if __name__ == "__main__":
    main()
