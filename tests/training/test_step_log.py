import io

import jax.numpy as jnp
import pytest
from rich.console import Console

from jaxkd.runtime import metric_writer
from jaxkd.runtime.progress import progress
from jaxkd.training import Optimizer
from jaxkd.training.recipe import Count
from jaxkd.training.step_log import StepLog

IMAGES = Count(name="images", word="images", column="images\ntrained on")


def logged(folder, counted, metrics, *, steps=2):
    """Rows of a run whose steps have these metrics, and what the log's console shows."""
    console = Console(file=io.StringIO(), force_terminal=False)
    word = "" if counted is None else counted.word
    with (
        metric_writer.MetricWriter(folder, tensorboard=False) as writer,
        progress(steps, "train", counted=word, interval_s=0, console=console) as bar,
    ):
        log = StepLog(writer, bar, optimizer=Optimizer(learning_rate=1e-3), steps=steps, every=1, counted=counted)
        for step in range(1, steps + 1):
            log.push(step, {name: jnp.asarray(value) for name, value in metrics.items()})
        log.flush()
    return metric_writer.read(folder), console.file.getvalue()


def test_the_rate_has_the_recipes_word(tmp_path):
    rows, shown = logged(tmp_path, IMAGES, {"loss": 0.5, "count/images": 32, "count/targets": 7})
    for row in rows:
        assert row["images_per_second"] == 32 / row["seconds"]
        assert (row["count/images"], row["count/targets"]) == (32, 7)
        assert "tokens_per_second" not in row
    assert " images/s" in shown.splitlines()[-1]


def test_a_recipe_that_counts_nothing_has_no_rate(tmp_path):
    rows, shown = logged(tmp_path, None, {"loss": 0.5, "count/points": 64})
    assert rows[0].keys() == {"step", "train/loss", "count/points", "learning_rate", "seconds"}
    assert "/s" not in shown


def test_a_count_that_the_step_does_not_have_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="counted must be one of the recipe's counts, got 'images'. It has pairs, targets"
    ):
        logged(tmp_path, IMAGES, {"loss": 0.5, "count/targets": 7, "count/pairs": 2})
    with pytest.raises(ValueError, match="got 'images'. It has none"):
        logged(tmp_path, IMAGES, {"loss": 0.5})


def test_a_metric_that_is_not_finite_stops_the_run(tmp_path):
    with pytest.raises(FloatingPointError, match="gap must be finite, got nan at step 1"):
        logged(tmp_path, None, {"loss": 0.5, "gap": float("nan")})


def test_a_word_is_a_part_of_a_metrics_name():
    with pytest.raises(ValueError, match="word must be one word, letters without spaces, got 'answer tokens'"):
        Count(name="targets", word="answer tokens", column="answer tokens")
