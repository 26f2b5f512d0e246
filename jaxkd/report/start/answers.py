"""Answers side by side, with the end marked that many of a model's answers share."""

from collections.abc import Iterator, Sequence
from typing import TextIO, TypeAlias

from jaxkd.evals.language.shared_end import SharedEnd
from jaxkd.report.stages import Model, StageReport

LEFT, RIGHT = "\N{MATHEMATICAL LEFT WHITE SQUARE BRACKET}", "\N{MATHEMATICAL RIGHT WHITE SQUARE BRACKET}"
"""Brackets around a shared end where there is no markup."""
PROMPTS_ON_TERMINAL = 3
"""Maximum number of prompts whose answers are printed."""

_WIDTH = 160
"""Maximum number of characters of a printed answer."""

Parts: TypeAlias = tuple[tuple[bool, str], ...]
"""Pieces of a text in order, each with whether it is a shared end."""


def parts(text: str, ends: Sequence[SharedEnd]) -> Parts:
    """Divide a text into what is its own and the longest of the shared ends that it has, if any."""
    places = [place for end in ends if (place := end.start_in(text)) is not None]
    if not places:
        return ((False, text),)
    start, stop = min(places), len(text.rstrip())
    return tuple(
        (marked, piece)
        for marked, piece in ((False, text[:start]), (True, text[start:stop]), (False, text[stop:]))
        if piece
    )


def shown(text: str, ends: Sequence[SharedEnd]) -> Parts:
    """Divide a text for the page, without the empty lines around it; nothing of a blank one."""
    return parts(text.strip("\n"), ends) if text.strip() else ()


def first_with_samples(model: Model) -> StageReport | None:
    """Return the model's first seed that has samples."""
    return next((stage for stage in model.stages if stage.samples), None)


def legend(models: Sequence[Model]) -> list[tuple[Model, str]]:
    """Return a line for each end that a model's answers share: what it is, and how many have it."""
    ends = [(model, stage.shared_ends) for model in models if (stage := first_with_samples(model)) is not None]
    several = len({evaluator for _, of in ends for evaluator in of}) > 1
    return [
        (
            model,
            f"{100 * end.share:.1f} % of its answers{f' ({evaluator})' if several else ''} end with {_quoted(end)}",
        )
        for model, of in ends
        for evaluator, end in of.items()
    ]


def print_answers(models: Sequence[Model], file: TextIO) -> None:
    """Print the answers to a few prompts, a line for each model, with shared ends in double brackets.

    Args:
        models: models in the order of the lines.
        file: output stream.
    """
    shown = [(model, stage) for model in models if (stage := first_with_samples(model)) is not None]
    width = max((len(model.label) for model, _ in shown), default=0)
    prompts = dict.fromkeys(sample.prompt for _, stage in shown for sample in stage.samples)
    for prompt in list(prompts)[:PROMPTS_ON_TERMINAL]:
        file.write(f"\n{_shortened(_one_line(prompt), _WIDTH)}\n")
        for model, stage in shown:
            text = next((one.text for one in stage.samples if one.prompt == prompt), None)
            ends = list(stage.shared_ends.values())
            line = "not sampled" if text is None else "".join(_line(text, ends)) or "empty answer"
            file.write(f"  {model.label:<{width}}  {line}\n")
    lines = legend(models)
    if lines:
        file.write("\n")
    for model, line in lines:
        file.write(f"{model.label}: {line}\n")


def _line(text: str, ends: Sequence[SharedEnd]) -> Iterator[str]:
    """Yield the pieces of an answer on one line; what is in the middle is left out, and the end is not."""
    pieces = [(marked, _one_line(piece)) for marked, piece in parts(text.strip(), ends)]
    left = _WIDTH // len(pieces)
    for marked, piece in pieces:
        short = _shortened(piece, left)
        yield f"{LEFT}{short}{RIGHT}" if marked else f"{short} " if len(pieces) > 1 else short


def _quoted(end: SharedEnd) -> str:
    return f"“{_shortened(_one_line(end.text), _WIDTH)}”"


def _one_line(text: str) -> str:
    """Return the words of a text; what would steer a terminal is replaced."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in " ".join(text.split()))


def _shortened(text: str, width: int) -> str:
    half = (width - 3) // 2
    return text if len(text) <= width else f"{text[:half]} … {text[-half:]}"
