"""The benchmarks of the losses at toy sizes: what they ask, what they make of the answers.  Nothing is timed here."""

import dataclasses
import functools
import math

import jax
import numpy as np
import pytest

from benchmarks import environment
from benchmarks.environment import Environment
from benchmarks.losses import (
    gpu_worker,
    loss_inputs,
    losses_accuracy,
    losses_gpu,
    losses_memory,
    losses_speed,
    plot_losses_memory,
    speed_worker,
)
from benchmarks.losses.loss_inputs import Shape
from benchmarks.losses.loss_step import CROSS_ENTROPY, DIVERGENCES, IMPLEMENTATIONS, takes
from benchmarks.row import Bar
from benchmarks.runner import main

TOY = Shape(tokens=6, vocabulary=40, width=4, teacher_width=8)


def test_inputs_are_the_same_in_every_process_and_favour_their_label():
    first, second = loss_inputs.draw(TOY), loss_inputs.draw(TOY)
    for one, other in zip(dataclasses.astuple(first), dataclasses.astuple(second), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (first.student.dtype, first.student.shape) == (np.float32, (6, 4))
    wide = loss_inputs.draw(Shape(tokens=50, vocabulary=100, width=64, teacher_width=64))
    assert ((wide.student @ wide.student_weight.T).argmax(-1) == wide.labels).mean() > 0.9


def test_tiles_take_sums_over_the_vocabulary():
    assert takes("vocab_tile", "forward KL")
    assert takes("vocab_tile", "cross entropy")
    assert not takes("vocab_tile", "sorted Wasserstein")
    assert all(takes(name, loss) for name in ("reference", "token_chunk") for loss in DIVERGENCES)


@pytest.fixture(scope="module")
def toy_memory():
    """Memory measured quickly and in full, at vocabularies of 32 and 64."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(losses_memory, "TOKENS", 8)
        patched.setattr(losses_memory, "WIDTH", 4)
        patched.setattr(losses_memory, "TEACHER_WIDTH", 8)
        patched.setattr(losses_memory, "VOCABULARY", 64)
        patched.setattr(losses_memory, "VOCABULARIES", (32, 64))
        patched.setattr(losses_memory, "JUDGED", ("forward KL", "Jensen-Shannon"))
        patched.setattr(plot_losses_memory, "VOCABULARIES", (32, 64))
        patched.setattr(losses_memory, "_gibibytes", functools.cache(losses_memory._gibibytes))
        yield tuple(losses_memory.measure(quick=quick) for quick in (True, False))


def test_memory_has_a_row_for_each_loss_and_implementation(toy_memory):
    rows = toy_memory[0].rows
    assert len(rows) == 2 * len(IMPLEMENTATIONS)
    assert rows[0].figure == "forward KL by reference, vocabulary of 64"
    assert [row.bar for row in rows[:3]] == [None, *losses_memory.BARS.values()]
    assert rows[0].value >= 2 * 8 * 64 * 4 / 2**30  # two float32 logits


def test_the_figure_finds_the_rows_and_names_its_curves(toy_memory, tmp_path):
    curves = plot_losses_memory.curves(toy_memory[1])
    assert {name: len(values) for name, values in curves.items()} == dict.fromkeys(IMPLEMENTATIONS, 2)
    path = tmp_path / "memory.svg"
    plot_losses_memory.save(plot_losses_memory.draw(curves), path)
    text = path.read_text()
    assert all(name in text for name in plot_losses_memory.LABELS.values())
    plot_losses_memory.save(plot_losses_memory.draw(curves), path)
    assert path.read_text() == text


def test_a_quick_result_is_not_drawn(toy_memory):
    with pytest.raises(
        ValueError, match="must have a row for every vocabulary, got none for 'forward KL by reference, "
    ):
        plot_losses_memory.curves(toy_memory[0])


def test_accuracy_has_two_rows_for_each_loss_and_implementation(monkeypatch):
    monkeypatch.setattr(losses_accuracy, "LARGE", TOY)
    monkeypatch.setattr(losses_accuracy, "QUICK_LOSSES", ("forward KL", CROSS_ENTROPY))
    rows = losses_accuracy.measure(quick=True).rows
    judged = [row for row in rows if row.figure.startswith("forward KL by reference")]
    assert [(row.figure, row.bar) for row in judged] == [
        ("forward KL by reference: loss", losses_accuracy.LOSS),
        ("forward KL by reference: gradient", losses_accuracy.GRADIENT),
    ]
    assert all(row.holds for row in judged)
    assert len(rows) == 2 * 2 * len(IMPLEMENTATIONS) + 1 + len(IMPLEMENTATIONS)


def test_a_gradient_without_sides_is_not_judged():
    rows = losses_accuracy._rows("sorted Wasserstein", [loss_inputs.draw(TOY)])
    assert [row.bar for row in rows] == [losses_accuracy.LOSS, None] * 2


@pytest.mark.parametrize("poisoned", ["values", "head"])
def test_a_gradient_that_is_not_a_number_is_no_small_error(monkeypatch, poisoned):
    total, gradient = losses_accuracy._computed(
        "forward KL", "reference", loss_inputs.draw(TOY), np.ones(6, np.float32)
    )
    poison = {poisoned: jax.tree.map(lambda leaf: leaf * np.nan, getattr(gradient, poisoned))}
    monkeypatch.setattr(losses_accuracy, "_computed", lambda *_: (total, dataclasses.replace(gradient, **poison)))
    with pytest.raises(ValueError, match="value must be finite, got nan for 'forward KL by reference: gradient'"):
        losses_accuracy._rows("forward KL", [loss_inputs.draw(TOY)] * 2)


def test_the_bfloat16_models_are_near_and_exactly_representable():
    inputs = losses_accuracy._near_teacher(TOY)
    for array in (inputs.student, inputs.teacher, inputs.student_weight):
        assert not (array.view(np.uint32) & 0xFFFF).any()  # the lower half of a bfloat16 that is stored as float32
    rows = losses_accuracy._bfloat16_rows(TOY)
    assert 0 < rows[0].value < 0.1
    assert rows[0].bar is None


def speed_group(*ratios):
    return losses_speed.Group(divergence="forward KL", shape=TOY, ratios=ratios)


def test_speed_divides_the_times_of_a_round():
    ratio = losses_speed.Ratio(name="TRL", against="auto", bar=Bar(relation=">=", limit=1.2))
    group = speed_group(ratio)
    rows = losses_speed._rows(group, {"TRL": [4.0, 6.0, 8.0, 6.0, 6.0], "auto": [2.0, 2.0, 2.0, 2.0, 3.0]})
    assert [(row.figure, row.value, row.unit, row.bar) for row in rows] == [
        ("forward KL, 6 tokens, widths 4/8: TRL", 6.0, "s", None),
        ("forward KL, 6 tokens, widths 4/8: auto", 2.0, "s", None),
        ("forward KL, 6 tokens, widths 4/8: TRL / auto", 3.0, "x", ratio.bar),
    ]
    assert rows[2].spread == (2.0, 4.0)


def test_speed_asks_each_side_in_turn_after_they_agree():
    asked = []

    def side(name, **request):
        asked.append((name, request.get("implementation"), request.get("chunk")))
        return {"seconds": 1.0, "result": [1.0, 2.0, 3.0]}

    group = speed_group(
        losses_speed.Ratio(name=losses_speed.TRL, against=losses_speed.AUTO),
        losses_speed.Ratio(name=losses_speed.CHUNK, against=losses_speed.AUTO),
    )
    seconds = losses_speed._times(group, functools.partial(side, "ours"), functools.partial(side, "theirs"))
    assert asked[:3] == [("theirs", None, None), ("ours", "auto", None), ("ours", "token_chunk", 256)]
    assert asked == asked[:3] * 7  # to agree, to warm up, to count five times
    assert {name: len(samples) for name, samples in seconds.items()} == {"TRL": 5, "auto": 5, "token_chunk of 256": 5}


@pytest.mark.parametrize("result", [[1.0, 2.0, 3.001], [1.0, 2.0, math.nan]])
def test_sides_that_do_not_agree_are_not_timed(result):
    with pytest.raises(ValueError, match="TRL and auto must agree on the loss and the norms of its gradients within"):
        losses_speed.require_agreement("forward KL", {"TRL": [1.0, 2.0, 3.0], "auto": result})


def test_every_pair_of_speed_is_something_that_can_be_asked_for():
    for group in losses_speed.groups(quick=False):
        assert set(group.names) <= {losses_speed.TRL, *losses_speed.WAYS}
    figures = [group.label for group in losses_speed.groups(quick=False)]
    assert len(figures) == len(set(figures)) == 6
    assert len(losses_speed.groups(quick=True)) == 2


def test_the_library_s_side_says_where_it_runs():
    assert Environment(**speed_worker.answer({"environment": True})) == environment.here()


@pytest.mark.parametrize("way", [losses_speed.AUTO, losses_speed.CHUNK, losses_speed.TILE])
def test_every_way_gives_the_result_of_the_reference(way):
    request = {"divergence": "Jensen-Shannon", "shape": dataclasses.asdict(TOY)}
    expected = speed_worker.answer({**request, **losses_speed.WAYS[losses_speed.REFERENCE]})
    answer = speed_worker.answer({**request, **losses_speed.WAYS[way]})
    assert answer["result"] == pytest.approx(expected["result"], rel=1e-5)
    assert answer["seconds"] > 0


def on_any_device(**request):
    return gpu_worker.timed(**{**request, "shape": Shape(**request["shape"])})


@pytest.mark.parametrize("implementation", losses_gpu.IMPLEMENTATIONS)
def test_the_gpu_rows_are_ready_but_for_the_gpu(implementation):
    judged = losses_gpu._judged_rows(on_any_device, implementation, TOY)
    assert judged[0].figure == f"Jensen-Shannon by {implementation}, 6 tokens"
    assert judged[0].unit == "ms"
    assert len(judged[0].samples) == losses_gpu.REPEATS
    assert judged[0].bar == losses_gpu.MILLISECONDS[implementation]


def test_a_device_that_counts_gives_its_peak():
    def ask(**request):
        return {"milliseconds": [60.0] * 10, "temporary_bytes": 5e8, "peak_bytes": 7e9}

    rows = losses_gpu._judged_rows(ask, "token_chunk", TOY)
    assert [(row.value, row.unit, row.holds) for row in rows] == [
        (60.0, "ms", True),
        (7.0, "GB", True),
        (0.5, "GB", None),
    ]


def test_the_largest_vocabulary_has_rows_for_what_tiles_take(monkeypatch):
    monkeypatch.setattr(losses_gpu, "REPEATS", 1)
    monkeypatch.setattr(
        losses_gpu, "DIVERGENCES", {name: DIVERGENCES[name] for name in ("forward KL", "sorted Wasserstein")}
    )
    assert len(losses_gpu._largest_rows(on_any_device, "token_chunk", TOY)) == 4
    assert len(losses_gpu._largest_rows(on_any_device, "vocab_tile", TOY)) == 2


def test_what_liger_published_is_not_judged():
    assert all(row.bar is None and "published" in row.figure for row in losses_gpu.LIGER)


def test_without_a_gpu_the_benchmark_says_so(capsys):
    with pytest.raises(SystemExit) as stop:
        main([losses_gpu.BENCHMARK], ["losses_gpu"])
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: losses_gpu must run on a GPU, got cpu. Install the extra cuda12 or cuda13")
    assert said.count("\n") == 1
