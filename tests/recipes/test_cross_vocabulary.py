"""The recipes between two vocabularies: float64 re-derivations example by example, and what must not matter."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxkd.losses import ReverseKL
from jaxkd.models import LoRA, Pretrained
from jaxkd.recipes.alm import ALM
from jaxkd.recipes.dskd_cross_attention import DSKDCrossAttention
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.gold import GOLD
from jaxkd.recipes.mined import MinED
from jaxkd.recipes.uld import ULD
from jaxkd.records import PairedBatch, TokenBatch, TokenSpans
from jaxkd.runtime import metric_writer
from jaxkd.sharding import MeshShape
from jaxkd.tokenizers import vocabulary, vocabulary_mapping
from tests.recipes import numpy_losses as oracle
from tests.recipes import paired_batches
from tests.recipes.paired_batches import all_zero
from tests.tiny_runs import initial, loss_alone, loss_and_gradient_on, loss_and_gradients

OPTIONS = {
    DSKDv2ETA: {"divergence": ReverseKL(temperature=1.5)},
    DSKDCrossAttention: {"divergence": ReverseKL(temperature=1.5)},
    ULD: {"top": None},
    MinED: {"temperature": 1.5},
    ALM: {},
    GOLD: {},
}
"""One recipe of each method for all that does not depend on its options, so that it is compiled once."""
METHODS = pytest.mark.parametrize("method", OPTIONS)
PLANNED = DSKDv2ETA, DSKDCrossAttention, ULD, MinED


@pytest.fixture(scope="module")
def batch(tiny):
    return paired_batches.first(tiny)


def build(tiny, method, **changes):
    return tiny.cross(method, **{"kd_rate": 0.3} | OPTIONS[method] | changes)


def loss_of(tiny, recipe, batch):
    """Loss, its output and the variables; of the recipe that a method's tests share, by their program."""
    if recipe != build(tiny, type(recipe)):
        return loss_alone(recipe, batch)
    value, output, _, variables = loss_and_gradients(recipe, batch)
    return value, output, variables


def logits_and_parts(recipe, variables, batch):
    """Hidden states of both sides, their float64 logits, and the places of each example's targets on both sides."""
    student = oracle.hiddens(recipe.student.config(), variables.params["student"], batch.student)
    teacher = oracle.hiddens(recipe.teacher.config(), variables.frozen["teacher"], batch.teacher)
    ours, theirs = np.asarray(batch.student_spans.segment_ids), np.asarray(batch.teacher_spans.segment_ids)
    examples = [
        (row, np.flatnonzero(ours[row] == segment), np.flatnonzero(theirs[row] == segment))
        for row in range(len(ours))
        for segment in range(1, ours[row].max() + 1)
    ]
    return student, teacher, examples


def spans_of(spans, row, places):
    return [tuple(pair) for pair in np.stack([spans.starts[row], spans.ends[row]], -1)[places].tolist()]


def gold(student, batch):
    nats = oracle.cross_entropy(oracle.logits(student), batch.student.labels)
    return nats[np.asarray(batch.student.loss_mask)].sum()


def float64(leaf):
    return np.asarray(leaf, np.float64)


@pytest.mark.parametrize(
    ("normalisation", "head_fit"), [("tokens", "plain"), ("reference", "plain"), ("tokens", "centred")]
)
def test_exact_token_alignment_equals_float64_numpy(tiny, batch, normalisation, head_fit):
    recipe = build(tiny, DSKDv2ETA, normalisation=normalisation, head_fit=head_fit)
    value, output, variables = loss_of(tiny, recipe, batch)
    student, teacher, examples = logits_and_parts(recipe, variables, batch)
    shared = vocabulary.relation(recipe.student, recipe.teacher)
    heads = [float64(one.head.weight).T for one in (student, teacher)]
    common = heads[0][:, shared.student_ids], heads[1][:, shared.teacher_ids]
    if head_fit == "centred":
        common = [head - head.mean(1, keepdims=True) for head in common]
    p_t2s, p_s2t = common[1] @ np.linalg.pinv(common[0], 1e-3), common[0] @ np.linalg.pinv(common[1], 1e-3)
    in_student = dict(zip(shared.teacher_ids.tolist(), shared.student_ids.tolist(), strict=True))
    rows = {name: [] for name in ("t2s_ce", "t2s_kd", "s2t_kd", "s2t_known")}
    aligned = 0
    for row, ours, theirs in examples:
        places = dict(zip(spans_of(batch.teacher_spans, row, theirs), theirs, strict=True))
        for span, i in zip(spans_of(batch.student_spans, row, ours), ours, strict=True):
            if span not in places or span[0] == span[1]:
                continue
            aligned += 1
            h_s, h_t = float64(student.values[row, i]), float64(teacher.values[row, places[span]])
            p, q, t2s, s2t = h_t @ heads[1], h_s @ heads[0], h_t @ p_t2s @ heads[0], h_s @ p_s2t @ heads[1]
            rows["s2t_kd"].append(oracle.reverse_kl(s2t, p, 1.5))
            label = in_student.get(int(p.argmax()))
            if label is not None:
                rows["s2t_known"].append(rows["s2t_kd"][-1])
                rows["t2s_ce"].append(oracle.cross_entropy(t2s[None], [label])[0])
                if t2s.argmax() == label:
                    rows["t2s_kd"].append(oracle.reverse_kl(q, t2s, 1.5))
    assert 0 < len(rows["t2s_kd"]) < len(rows["t2s_ce"]) < len(rows["s2t_kd"])
    count = int(batch.student.loss_mask.sum())
    if normalisation == "tokens":
        dual = (sum(rows["t2s_ce"]) + sum(rows["t2s_kd"]) + sum(rows["s2t_kd"])) / count
    else:
        dual = np.mean(rows["t2s_ce"]) + np.mean(rows["t2s_kd"]) + np.mean(rows["s2t_known"])
    np.testing.assert_allclose(value, 0.7 * gold(student, batch) / count + 0.3 * dual, rtol=2e-6)
    np.testing.assert_allclose(output.metrics["aligned"].value(), aligned / count, rtol=1e-6)
    np.testing.assert_allclose(output.metrics["known"].value(), len(rows["t2s_ce"]) / aligned, rtol=1e-6)


def test_each_space_of_exact_token_alignment_has_its_own_terms(tiny, batch):
    recipe = build(tiny, DSKDv2ETA)
    whole, output, _ = loss_of(tiny, recipe, batch)
    labels = 0.7 * output.metrics["cross_entropy"].value()
    one, in_student, _ = loss_of(tiny, dataclasses.replace(recipe, spaces="student"), batch)
    other, in_teacher, _ = loss_of(tiny, dataclasses.replace(recipe, spaces="teacher"), batch)
    np.testing.assert_allclose(one + other - labels, whole, rtol=1e-5)
    assert "s2t_divergence" not in in_student.metrics and "t2s_divergence" not in in_teacher.metrics
    assert in_student.metrics.keys() | in_teacher.metrics.keys() == output.metrics.keys()


def test_cross_model_attention_equals_float64_numpy(tiny, batch):
    recipe = build(tiny, DSKDCrossAttention, teacher_temperature=1.25)
    value, output, _, variables = loss_and_gradients(recipe, batch)
    student, teacher, examples = logits_and_parts(recipe, variables, batch)
    projectors = jax.tree.map(float64, variables.params["projectors"])
    tables = float64(variables.params["student"]["embedding"]), float64(variables.frozen["teacher"]["embedding"])

    def embedded(side, table, row, places):
        inputs = np.asarray(side.tokens)[row, np.asarray(side.target_positions)[row, places]]
        return table[inputs], table[np.asarray(side.labels)[row, places]]

    def linear(name, values):
        return values @ projectors[name]["weight"] + projectors[name]["bias"]

    total, correct = 0.0, 0
    for row, ours, theirs in examples:
        h_s, h_t = float64(student.values[row, ours]), float64(teacher.values[row, theirs])
        e_s, (inputs, targets) = (
            np.concatenate(embedded(batch.student, tables[0], row, ours), -1),
            embedded(batch.teacher, tables[1], row, theirs),
        )
        keys = np.concatenate([inputs, targets], -1)
        scores = linear("query", e_s) @ (keys / keys.std(ddof=1)).T / np.sqrt(keys.shape[-1])
        values = linear("t2s", h_t / h_t.std(ddof=1) + targets / targets.std(ddof=1))
        heads = [float64(one.head.weight).T for one in (student, teacher)]
        t2s = np.exp(oracle.log_softmax(scores)) @ values @ heads[0]
        s2t = np.exp(oracle.log_softmax(scores.T)) @ linear("s2t", h_s) @ heads[1]
        labels = np.asarray(batch.student.labels)[row, ours]
        right = t2s.argmax(-1) == labels
        correct += right.sum()
        total += (
            oracle.cross_entropy(t2s, labels).sum() + oracle.reverse_kl(h_s @ heads[0], t2s / 1.25, 1.5)[right].sum()
        )
        total += oracle.forward_kl(s2t, h_t @ heads[1], 1.5).sum()
    count = int(batch.student.loss_mask.sum())
    np.testing.assert_allclose(value, (0.7 * gold(student, batch) + 0.3 * total) / count, rtol=2e-6)
    np.testing.assert_allclose(output.metrics["t2s_accuracy"].value(), correct / count, rtol=1e-6)


def test_rank_matching_equals_float64_numpy(tiny, batch):
    recipe = build(tiny, ULD)
    value, output, _, variables = loss_and_gradients(recipe, batch)
    student, teacher, examples = logits_and_parts(recipe, variables, batch)
    probs = [np.sort(np.exp(oracle.log_softmax(oracle.logits(one))), -1)[..., ::-1] for one in (student, teacher)]
    size = max(one.shape[-1] for one in probs)
    probs = [np.pad(one, [(0, 0), (0, 0), (0, size - one.shape[-1])]) for one in probs]
    total, compared = 0.0, 0
    for row, ours, theirs in examples:
        both = min(len(ours), len(theirs))
        compared += both
        total += np.abs(probs[0][row, ours[:both]] - probs[1][row, theirs[:both]]).sum()
    count = int(batch.student.loss_mask.sum())
    np.testing.assert_allclose(value, (0.7 * gold(student, batch) + 0.3 * total) / count, rtol=2e-6)
    np.testing.assert_allclose(output.metrics["compared"].value(), compared / count, rtol=1e-6)
    assert output.metrics["tail_bound"].value() == 0
    truncated = loss_alone(dataclasses.replace(recipe, top=16), batch)
    missing = value - truncated[0]
    assert 0 <= missing <= 0.3 * truncated[1].metrics["tail_bound"].value() * compared / count + 1e-6


def test_minimum_edit_distance_equals_float64_numpy(tiny, batch):
    recipe = build(tiny, MinED)
    value, output, _, variables = loss_and_gradients(recipe, batch)
    student, teacher, examples = logits_and_parts(recipe, variables, batch)
    q, p = oracle.logits(student), oracle.logits(teacher)
    first = vocabulary_mapping.mapping(recipe.student, recipe.teacher).teacher_of_student
    positions, labels = np.asarray(batch.teacher_positions), np.asarray(batch.student.labels)
    total, aligned = 0.0, 0
    for row, ours, _ in examples:
        for i in ours:
            if positions[row, i] >= 0:
                aligned += 1
                moved = np.where(first >= 0, p[row, positions[row, i]][np.maximum(first, 0)], -1e5)
                total += oracle.forward_kl(q[row, i], moved, 1.5)
            else:
                total += oracle.cross_entropy(q[row, i][None] / 1.5, [labels[row, i]])[0]
    count = int(batch.student.loss_mask.sum())
    np.testing.assert_allclose(value, (0.7 * gold(student, batch) + 0.3 * total) / count, rtol=2e-6)
    np.testing.assert_allclose(output.metrics["aligned"].value(), aligned / count, rtol=1e-6)
    assert 0 < aligned < count


@METHODS
def test_nothing_reaches_the_teacher_and_something_reaches_the_student(tiny, batch, method):
    _, _, (to_params, to_frozen), _ = loss_and_gradients(build(tiny, method), batch)
    assert all_zero(to_frozen["teacher"]["blocks"])
    for name, tree in to_params.items():
        assert not all_zero(tree), name
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)), name


@METHODS
def test_padding_does_not_touch_loss_or_gradient(tiny, batch, method):
    def scrambled(side):
        padding = side.segment_ids == 0
        tokens = np.where(padding, 7, side.tokens)
        return dataclasses.replace(side, tokens=tokens, labels=np.where(side.loss_mask, side.labels, 3))

    changed = dataclasses.replace(batch, student=scrambled(batch.student), teacher=scrambled(batch.teacher))
    (value, _, (gradient, _), _), (other, _, (other_gradient, _), _) = (
        loss_and_gradients(build(tiny, method), one) for one in (batch, changed)
    )
    np.testing.assert_allclose(value, other, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), gradient, other_gradient)


@METHODS
def test_rows_are_added_up(tiny, batch, method):
    """Half of the rows at a time, divided by the count of all: batch mates do not matter, nor does accumulation."""
    recipe, first = build(tiny, method), np.arange(len(batch.student.tokens)) < 4
    counts = recipe.counts(batch)
    whole, *halves = (
        loss_and_gradients(recipe, only(batch, batch.student.loss_mask & rows[:, None]), counts)[0]
        for rows in (np.ones_like(first), first, ~first)
    )
    np.testing.assert_allclose(sum(halves), whole, rtol=1e-6)


@METHODS
def test_a_batch_without_a_target_costs_nothing(tiny, batch, method):
    """The empty rows that fill a last batch."""
    empty = jax.tree.map(np.zeros_like, batch)
    empty = dataclasses.replace(empty, teacher_positions=np.full_like(batch.teacher_positions, -1))
    value, output, (gradient, _), _ = loss_and_gradients(build(tiny, method), empty)
    assert value == 0
    assert all_zero(gradient)
    assert all(mean.value() == 0 for mean in output.metrics.values())


@METHODS
def test_packed_rows_cost_what_single_rows_cost(tiny, batch, method):
    """The same examples, each in a row of its own."""
    recipe = build(tiny, method)
    counts = recipe.counts(batch)
    packed, *_ = loss_and_gradients(recipe, batch, counts)
    single = [loss_and_gradients(recipe, one, counts)[0] for one in in_rows_of_their_own(batch)]
    assert len(single) > 1
    np.testing.assert_allclose(sum(single), packed, rtol=2e-5)


def only(batch, kept):
    """The batch with the targets of some of its examples alone: the others keep no label and no span on either side."""
    segments = [row[mask] for row, mask in zip(batch.student_spans.segment_ids, kept, strict=True)]

    def of(side, spans):
        mask = np.array([np.isin(row, ids) for row, ids in zip(spans.segment_ids, segments, strict=True)])
        side = dataclasses.replace(side, loss_mask=side.loss_mask & mask)
        return side, dataclasses.replace(spans, ends=np.where(mask, spans.ends, spans.starts))

    (student, student_spans), (teacher, teacher_spans) = (
        of(batch.student, batch.student_spans),
        of(batch.teacher, batch.teacher_spans),
    )
    return dataclasses.replace(
        batch, student=student, teacher=teacher, student_spans=student_spans, teacher_spans=teacher_spans
    )


def in_rows_of_their_own(batch):
    """Batches of the same shape, each row with one example, the last rows of the last one empty."""
    rows = []
    for row, segment in np.ndindex(len(batch.student.tokens), batch.student_spans.segment_ids.max()):
        if (batch.student_spans.segment_ids[row] == segment + 1).any():
            rows.append(alone(batch, row, segment + 1))
    empty = dataclasses.replace(
        jax.tree.map(np.zeros_like, rows[0]), teacher_positions=-np.ones_like(rows[0].teacher_positions)
    )
    size = len(batch.student.tokens)
    rows += [empty] * (-len(rows) % size)
    return [
        jax.tree.map(lambda *leaves: np.stack(leaves), *rows[start : start + size])
        for start in range(0, len(rows), size)
    ]


def alone(batch, row, segment):
    """One example of a row, moved to the row's beginning."""

    def first(leaf, kept, shift=0):
        moved = np.zeros_like(leaf[row])
        moved[: len(kept)] = leaf[row, kept] - shift
        return moved

    def of(side, spans):
        columns, places = (np.flatnonzero(ids[row] == segment) for ids in (side.segment_ids, spans.segment_ids))
        tokens = TokenBatch(
            tokens=first(side.tokens, columns),
            positions=first(side.positions, columns),
            segment_ids=first(side.segment_ids, columns, segment - 1),
            target_positions=first(side.target_positions, places, columns[0]),
            labels=first(side.labels, places),
            loss_mask=first(side.loss_mask, places),
            example_ids=first(side.example_ids, places),
        )
        spans = TokenSpans(
            starts=first(spans.starts, places),
            ends=first(spans.ends, places),
            segment_ids=first(spans.segment_ids, places, segment - 1),
        )
        return tokens, spans, places

    student, student_spans, ours = of(batch.student, batch.student_spans)
    teacher, teacher_spans, theirs = of(batch.teacher, batch.teacher_spans)
    matched = np.full_like(batch.teacher_positions[row], -1)
    matched[: len(ours)] = np.maximum(batch.teacher_positions[row, ours] - theirs[0], -1)
    return PairedBatch(
        student=student,
        teacher=teacher,
        student_spans=student_spans,
        teacher_spans=teacher_spans,
        teacher_positions=matched,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "shape"),
    [
        (DSKDv2ETA, MeshShape(data=2, fsdp=2, tensor=2)),
        (DSKDCrossAttention, MeshShape(data=1, tensor=8)),
        (ULD, MeshShape(data=2, fsdp=2, tensor=2)),
        (MinED, MeshShape(data=1, tensor=8)),
        (ALM, MeshShape(data=1, tensor=8)),
        (GOLD, MeshShape(data=2, fsdp=2, tensor=2)),
    ],
)
def test_eight_devices_equal_one(tiny, batch, method, shape):
    recipe = build(tiny, method)
    value, _, (gradient, _), _ = loss_and_gradients(recipe, batch)
    found = loss_and_gradient_on(shape, recipe, batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, (value, gradient))


@pytest.mark.parametrize(
    ("method", "lora"), [*((method, None) for method in OPTIONS), (DSKDCrossAttention, LoRA(rank=2))]
)
def test_abstract_variables_describe_the_real_ones(tiny, method, lora):
    recipe = build(tiny, method, lora=lora)
    described, real = recipe.abstract(), initial(recipe)
    for name in ("params", "frozen", "state"):
        one, other = getattr(described, name), getattr(real, name)
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), one) == jax.tree.map(
            lambda leaf: (leaf.shape, leaf.dtype), other
        )


@METHODS
def test_a_cached_teacher_needs_only_its_embedding(tiny, method):
    assert set(tiny.cross(method, teacher_cache="somewhere").load_frozen()["teacher"]) == {"embedding"}


@pytest.mark.slow
@METHODS
def test_hidden_states_of_a_cache_cost_what_those_of_a_live_teacher_cost(tiny, batch, method):
    live, cached = build(tiny, method), build(tiny, method, teacher_cache="somewhere")
    value, *_ = loss_and_gradients(live, batch)
    filled = paired_batches.with_teacher_hiddens(cached, batch)
    np.testing.assert_allclose(loss_alone(cached, filled)[0], value, rtol=1e-5)


@pytest.mark.slow
# Of those that read the teacher's embedding too, and those that read its hidden states alone.
@pytest.mark.parametrize("method", [DSKDCrossAttention, MinED])
def test_a_run_with_a_cache_equals_one_with_a_live_teacher(tiny, tmp_path, method):
    tiny.cache(data=tiny.paired.teacher).run(tmp_path / "cache", seed=0, stages={})
    losses = []
    for name, cache in (("live", None), ("cached", str(tmp_path / "cache"))):
        recipe = tiny.cross(method, teacher_cache=cache)
        options = {"validation": (), "evaluators": (), "mesh": MeshShape(data=1)}
        tiny.train(recipe, steps=2, accumulation=2, **options).run(tmp_path / name, seed=0, stages={})
        losses.append([row["train/loss"] for row in metric_writer.read(tmp_path / name) if "train/loss" in row])
    assert len(losses[0]) == 2
    np.testing.assert_allclose(*losses, rtol=2e-5)


# What the vocabularies share is part of the compiled step of ALM and GOLD, which cannot be planned without it.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "mesh"),
    [
        (DSKDv2ETA, MeshShape(data=1)),
        (DSKDCrossAttention, MeshShape(data=1)),
        (ULD, MeshShape(data=1)),
        (MinED, MeshShape(data=2, fsdp=2)),
    ],
)
def test_a_run_is_planned_without_files(tiny, tmp_path, method, mesh):
    """The same step as with them, from the architectures alone."""
    plans = []
    for recipe in (tiny.cross(method), without_files(tiny.cross(method), tmp_path)):
        train = tiny.train(recipe, accumulation=2, mesh=mesh)
        train.validate()
        plans.append(train.plan().description)
    assert plans[0] == plans[1]
    assert "GiB a device" in plans[0]


@pytest.mark.parametrize("method", PLANNED)
def test_the_variables_of_a_plan_are_those_of_the_files(tiny, tmp_path, method):
    here, planned = tiny.cross(method), without_files(tiny.cross(method), tmp_path)
    planned.validate()
    assert planned.abstract() == here.abstract()
    assert planned.abstract_batch() == here.abstract_batch()


def without_files(recipe, folder):
    """The recipe with checkpoints that do not exist."""
    planned = {
        name: Pretrained(path=str(folder / name), architecture=getattr(recipe, name).config())
        for name in ("student", "teacher")
    }
    return dataclasses.replace(recipe, **planned)


@METHODS
def test_a_rate_out_of_range_is_refused(tiny, method):
    for rate in (0.0, 1.5):
        with pytest.raises(ValueError, match=rf"kd_rate must be in \(0, 1\], got {rate}\. Without"):
            tiny.cross(method, kd_rate=rate).validate()
    tiny.cross(method).validate()


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        (DSKDv2ETA, {"normalisation": "mean"}, "normalisation must be one of tokens, reference, got 'mean'"),
        (DSKDv2ETA, {"spaces": "none"}, "spaces must be one of both, student, teacher, got 'none'"),
        (DSKDv2ETA, {"head_fit": "mean"}, "head_fit must be one of plain, centred, got 'mean'"),
        (DSKDCrossAttention, {"teacher_temperature": 0.0}, "teacher_temperature must be > 0 and finite, got 0.0"),
        (DSKDCrossAttention, {"normalise_over": "rows"}, "normalise_over must be one of tokens, reference, got 'rows'"),
        (ULD, {"top": 0}, "top must be at least 1, or None for all ranks, got 0"),
        (MinED, {"temperature": 0.0}, "temperature must be > 0, got 0.0"),
    ],
)
def test_values_out_of_range_are_refused(tiny, method, changes, message):
    with pytest.raises(ValueError, match=message):
        tiny.cross(method, **changes).validate()


def test_a_batch_without_matched_positions_is_refused(tiny, batch):
    recipe = tiny.cross(MinED)
    with pytest.raises(ValueError, match="batch must have teacher_positions, got none. Make it of the recipe's text"):
        loss_and_gradients(recipe, dataclasses.replace(batch, teacher_positions=None))
