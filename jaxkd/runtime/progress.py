"""Progress of a run: one live line on a terminal, a plain line every few seconds in a log."""

import contextlib
import datetime
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import jax

if TYPE_CHECKING:
    from rich.console import Console

Show: TypeAlias = Callable[[int, Callable[[], str]], None]
"""Display of the steps done and a text, whose function is not called for a skipped update."""


class ProgressBar:
    """Handle that `progress` yields."""

    def __init__(self, total: int, show: Show, clock: Callable[[], float], counted: str) -> None:
        self._total, self._show, self._clock, self._counted = total, show, clock, counted
        self._first: tuple[int, float] | None = None
        self._count = 0

    def update(self, step: int, *, count: int = 0, **values: Any) -> None:
        """Report that `step` steps are done.

        Args:
            step: number of steps done, including those of an earlier process.
            count: tokens, or what else the bar counts, of the steps since the last update.
            **values: name -> number to show, such as a loss already fetched from the device.
        """
        now = self._clock()
        if self._first is None:
            # Rates leave out the time before the first update, which includes the compilation.
            self._first = (step, now)
        else:
            self._count += count
        first_step, began = self._first
        elapsed = now - began

        def text() -> str:
            parts = [f"{name} {float(value):.4g}" for name, value in values.items()]
            if elapsed > 0 and self._count:
                parts.append(f"{self._count / elapsed:,.0f} {self._counted}/s")
            if elapsed > 0 and step > first_step:
                seconds = round((self._total - step) * elapsed / (step - first_step))
                parts.append(f"eta {datetime.timedelta(seconds=seconds)}")
            return "  ".join(parts)

        self._show(step, text)


@contextlib.contextmanager
def progress(
    total: int,
    description: str,
    start: int = 0,
    *,
    counted: str = "tokens",
    interval_s: float = 10.0,
    console: "Console | None" = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[ProgressBar]:
    """Show the progress of a loop on stderr, from process 0 only.

    Args:
        total: number of steps of the whole run.
        description: first word of the line.
        start: number of steps done by an earlier process.
        counted: plural noun for what updates count, of which the line has the rate.
        interval_s: seconds between lines in a log; the first and last update always get one.
        console: console to write to; None: stderr.
        clock: seconds since some fixed time.

    Example:
        >>> with progress(2, "train") as bar:
        ...     for step in (1, 2):
        ...         bar.update(step, loss=0.5, count=1024)
    """
    if total < 1 or not 0 <= start <= total:
        raise ValueError(f"start must lie between 0 and total, and total be 1 or more, got {start} and {total}.")
    from rich.console import Console

    console = console or Console(file=sys.stderr)
    if jax.process_index() != 0:
        yield ProgressBar(total, lambda step, text: None, clock, counted)
    elif console.is_terminal:
        with _live(total, description, start, console) as show:
            yield ProgressBar(total, show, clock, counted)
    else:
        yield ProgressBar(total, _lines(total, description, interval_s, console, clock), clock, counted)


@contextlib.contextmanager
def _live(total: int, description: str, start: int, console: "Console") -> Iterator[Show]:
    from rich import progress as rich_progress

    columns = (
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(bar_width=24),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TextColumn("{task.fields[text]}", markup=False),
    )
    with rich_progress.Progress(*columns, console=console) as live:
        task = live.add_task(description, total=total, completed=start, text="")
        yield lambda step, text: live.update(task, completed=step, text=text())


def _lines(total: int, description: str, interval_s: float, console: "Console", clock: Callable[[], float]) -> Show:
    written: float | None = None

    def show(step: int, text: Callable[[], str]) -> None:
        nonlocal written
        now = clock()
        if written is None or step == total or now - written >= interval_s:
            written = now
            # Not console.print, which would wrap a long line at the width that it guesses for a file.
            print(f"{description} {step}/{total}  {text()}".rstrip(), file=console.file, flush=True)

    return show
