"""The progress bar that a user sees, with a clock that the test sets."""

import io

import jax
import pytest
from rich.console import Console

from jaxkd.runtime.progress import progress


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def _log():
    return Console(file=io.StringIO(), force_terminal=False)


def test_log_gets_a_line_every_interval_and_the_last():
    console, clock = _log(), Clock()
    with progress(1000, "train", interval_s=10, console=console, clock=clock) as bar:
        for step in range(1, 1001):
            clock.now += 1
            bar.update(step, loss=2.0 / step, count=2048)
            if step == 25:
                break
        bar.update(1000, loss=0.5)
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "train 1/1000  loss 2"
    assert lines[1] == "train 11/1000  loss 0.1818  2,048 tokens/s  eta 0:16:29"
    assert [line.split()[1] for line in lines] == ["1/1000", "11/1000", "21/1000", "1000/1000"]
    assert lines[-1].endswith("eta 0:00:00")


def test_the_rate_has_the_word_for_what_is_counted():
    console, clock = _log(), Clock()
    with progress(3, "train", counted="images", interval_s=1, console=console, clock=clock) as bar:
        for step in (1, 2, 3):
            clock.now += 2
            bar.update(step, count=32)
    assert console.file.getvalue().splitlines()[-1] == "train 3/3  16 images/s  eta 0:00:00"


def test_resumed_run_counts_from_where_it_was():
    console, clock = _log(), Clock()
    with progress(100, "train", 50, interval_s=2, console=console, clock=clock) as bar:
        for step in (51, 52, 53):
            clock.now += 2
            bar.update(step)
    assert console.file.getvalue().splitlines()[-1] == "train 53/100  eta 0:01:34"


def test_values_of_updates_that_are_not_shown_are_not_read():
    class Unread:
        def __float__(self):
            raise AssertionError

    console, clock = _log(), Clock()
    with progress(9, "train", console=console, clock=clock) as bar:
        bar.update(1, loss=1.0)
        bar.update(2, loss=Unread())
    assert len(console.file.getvalue().splitlines()) == 1


def test_terminal_gets_one_live_line():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    clock = Clock()
    with progress(4, "train", 1, console=console, clock=clock) as bar:
        for step in (2, 3, 4):
            clock.now += 1
            bar.update(step, loss=0.25, count=10)
    shown = console.file.getvalue()
    assert "4/4" in shown
    assert "loss 0.25  10 tokens/s  eta 0:00:00" in shown
    assert shown.count("\n") == 1


def test_a_description_is_no_markup():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with progress(1, "bits [/b] per byte", console=console, clock=Clock()) as bar:
        bar.update(1)
    assert "bits [/b] per byte" in console.file.getvalue()


def test_other_processes_are_silent(monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    console = _log()
    with progress(2, "train", console=console) as bar:
        bar.update(1, loss=1.0)
    assert console.file.getvalue() == ""


def test_stderr_is_the_default(capsys):
    with progress(1, "train") as bar:
        bar.update(1)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "train 1/1\n")


@pytest.mark.parametrize(("total", "start"), [(0, 0), (5, 6), (5, -1)])
def test_impossible_counts_are_refused(total, start):
    with (
        pytest.raises(ValueError, match=f"start must lie between 0 and total.*got {start} and {total}"),
        progress(total, "train", start),
    ):
        pass
