"""Every distillation on the student's own answers: what is sampled, what is learnt from it, and that it can go on."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxkd.data.text.chat import Answer
from jaxkd.on_policy import Ramp, Replay, rollouts
from jaxkd.on_policy.rollouts import Rollouts
from jaxkd.recipes.dskd import DSKD
from jaxkd.recipes.dskd_cross_attention import DSKDCrossAttention
from jaxkd.recipes.dskdv2 import DSKDv2
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.logit_kd import LogitKD
from jaxkd.recipes.mined import MinED
from jaxkd.recipes.on_policy import OnPolicy
from jaxkd.recipes.uld import ULD
from jaxkd.records import PairedBatch
from jaxkd.runtime import configs
from jaxkd.sampling import GREEDY
from jaxkd.sharding import MeshShape
from jaxkd.sharding.mesh import make
from tests.recipes.paired_batches import all_zero
from tests.tiny_runs import initial, loss_alone, loss_and_gradient_on, loss_and_gradients

TWO_VOCABULARIES = (DSKDv2ETA, DSKDCrossAttention, ULD, MinED)
KEY = jax.random.key(3)


@pytest.fixture
def on_policy(tiny):
    def make(method, **changes):
        if method in TWO_VOCABULARIES:
            recipe = tiny.cross(method, kd_rate=0.25)
        else:
            recipe = {LogitKD: tiny.logit_kd, DSKD: tiny.dskd, DSKDv2: tiny.dskdv2}[method](kd_rate=0.25)
        return OnPolicy(**{"recipe": recipe, "max_new_tokens": 6} | changes)

    return make


def examples_of(recipe):
    """The first batch of examples."""
    return next(iter(recipe.batches("train", 0)))


@pytest.fixture
def one_length(monkeypatch):
    """All rows are as long, whatever is written, so that a recipe is compiled once."""
    monkeypatch.setattr(rollouts, "bucket", lambda length, *, limit: 64)


@pytest.mark.parametrize(
    "method",
    [
        DSKDv2ETA,
        *(
            pytest.param(method, marks=pytest.mark.slow)
            for method in (LogitKD, DSKD, DSKDv2, DSKDCrossAttention, MinED, ULD)
        ),
    ],
    ids=lambda method: method.__name__,
)
def test_every_distillation_learns_from_what_its_student_writes(on_policy, one_length, method):
    recipe = on_policy(method)
    recipe.validate()
    assert configs.decode(configs.encode(recipe)) == recipe
    examples = examples_of(recipe)
    rollout = recipe.rollout(initial(recipe), examples, KEY)
    value, _, (gradient, _), _ = loss_and_gradients(recipe, rollout.batch)
    written = rollout.batch.on_policy
    ours = written.student if method in TWO_VOCABULARIES else written
    targets = np.asarray(ours.loss_mask).sum(axis=1)
    assert (targets >= 1).all() and (targets <= 6).all()
    assert rollout.metrics["rollout/length"] == pytest.approx(targets.mean())
    assert np.isfinite(float(value))
    assert not all_zero(gradient["student"])
    # The prompt is the example's, whatever was written behind it.
    for row, example in enumerate(examples):
        example = example.student if method in TWO_VOCABULARIES else example
        prompt = example.tokens[: example.prompt_length]
        np.testing.assert_array_equal(np.asarray(ours.tokens)[row, : len(prompt)], prompt)
        assert np.asarray(ours.target_positions)[row, 0] == len(prompt) - 1


@pytest.mark.parametrize("method", [LogitKD, DSKDv2ETA], ids=lambda method: method.__name__)
def test_the_loss_is_the_cross_entropy_of_the_data_and_the_divergence_on_what_was_written(
    on_policy, one_length, method
):
    recipe = on_policy(method)
    rollout = recipe.rollout(initial(recipe), examples_of(recipe), KEY)
    value, output, *_ = loss_and_gradients(recipe, rollout.batch)
    divergence, *_ = loss_alone(dataclasses.replace(recipe.recipe, kd_rate=1.0), rollout.batch.on_policy)
    nats = output.metrics["cross_entropy"].value()
    np.testing.assert_allclose(value, 0.75 * nats + 0.25 * divergence, rtol=1e-5)
    alone = on_policy(method, cross_entropy="none")
    rollout = alone.rollout(initial(alone), examples_of(alone), KEY)
    assert rollout.batch.off_policy is None
    value, *_ = loss_alone(alone, rollout.batch)
    np.testing.assert_allclose(value, divergence, rtol=1e-5)


def test_a_rollout_is_a_function_of_its_arguments(on_policy):
    recipe = on_policy(LogitKD)
    variables, examples = initial(recipe), examples_of(recipe)
    batches = [recipe.rollout(variables, examples, key).batch for key in (KEY, KEY, jax.random.key(4))]
    same = jax.tree.map(lambda a, b: np.array_equal(a, b), *batches[:2])
    assert all(jax.tree.leaves(same))
    assert not np.array_equal(batches[0].on_policy.labels, batches[2].on_policy.labels)


def test_the_students_of_a_fraction_of_the_prompts_answer(on_policy):
    recipe = on_policy(LogitKD, fraction=0.5, sampling=GREEDY)
    variables, examples = initial(recipe), examples_of(recipe)
    rollout = recipe.rollout(variables, examples, KEY)
    written = rollout.batch.on_policy
    kept = 0
    for row, example in enumerate(examples):
        answer = np.asarray(written.labels)[row][np.asarray(written.loss_mask)[row]]
        kept += np.array_equal(answer, example.tokens[example.prompt_length :])
    assert 0 < kept < len(examples)
    assert rollout.metrics["rollout/share"] == pytest.approx(1 - kept / len(examples))
    # Whether a prompt is answered depends on its example and the key alone.
    again = recipe.rollout(variables, examples[::-1], KEY).batch.on_policy
    np.testing.assert_array_equal(np.asarray(again.loss_mask)[::-1], written.loss_mask)


def test_the_share_of_the_prompts_may_change_over_a_run(on_policy):
    recipe = on_policy(LogitKD, fraction=Ramp(start=0.0, end=1.0, steps=4))
    recipe.validate()
    assert configs.decode(configs.encode(recipe)) == recipe
    variables, examples = initial(recipe), examples_of(recipe)
    shares = [
        recipe.rollout(variables.replace(step=step), examples, KEY).metrics["rollout/share"] for step in (0, 2, 4, 9)
    ]
    assert shares[0] == 0 < shares[1] < shares[2] == shares[3] == 1


@pytest.mark.parametrize("method", [LogitKD, DSKDv2ETA], ids=lambda method: method.__name__)
def test_kept_answers_come_back_with_their_prompts(on_policy, method):
    recipe = on_policy(method, replay=Replay(start=1.0, steps=1, capacity=8))
    recipe.validate()
    assert configs.decode(configs.encode(recipe)) == recipe
    variables, stream = initial(recipe), iter(recipe.batches("train", 0))
    described = recipe.abstract().rollout_state["replay"]
    for name, leaf in variables.rollout_state["replay"].items():
        assert (leaf.shape, leaf.dtype) == (described[name].shape, described[name].dtype)
    first = recipe.rollout(variables, next(stream), KEY)
    assert first.metrics["rollout/new"] == 1
    later = variables.replace(rollout_state=first.rollout_state, step=1)
    second = recipe.rollout(later, next(stream), jax.random.key(5))
    assert second.metrics["rollout/replayed"] == 1
    written = [sorted(texts(rollout.batch.on_policy)) for rollout in (first, second)]
    assert written[0] == written[1]
    assert sorted(texts(first.batch.on_policy)) != sorted(texts(second.batch.off_policy))


@pytest.mark.parametrize("method", [LogitKD, DSKDv2ETA], ids=lambda method: method.__name__)
def test_a_round_is_written_once_and_each_step_learns_its_part(on_policy, method):
    recipe = on_policy(method, every=2)
    recipe.validate()
    assert configs.decode(configs.encode(recipe)) == recipe
    variables, stream = initial(recipe), iter(recipe.batches("train", 0))
    turns = [next(stream) for _ in range(3)]
    each = on_policy(method)
    batches = iter(each.batches("train", 0))
    first = recipe.rollout(variables, turns[0], KEY)
    # What the student would write to the second batch at the same moment, whatever the parameters and the key are then.
    later, other_key = (
        variables.replace(rollout_state=jax.device_put(first.rollout_state), step=1, params=None),
        jax.random.key(5),
    )
    with jax.transfer_guard_host_to_device("disallow"):  # nothing that the device must do first
        second = recipe.rollout(later, turns[1], other_key)
    for age, rollout in enumerate((first, second)):
        expected = each.rollout(variables, next(batches), KEY)
        assert texts(rollout.batch.on_policy) == texts(expected.batch.on_policy)
        assert texts(rollout.batch.off_policy) == texts(expected.batch.off_policy)
        assert rollout.metrics["rollout/age"] == age
    third = recipe.rollout(variables.replace(rollout_state=second.rollout_state, step=2), turns[2], KEY)
    assert third.metrics["rollout/age"] == 0
    assert not np.array_equal(third.rollout_state["cycle"]["tokens"], second.rollout_state["cycle"]["tokens"])


def test_a_part_of_the_prompts_of_a_round_is_answered(on_policy):
    recipe = on_policy(LogitKD, every=2, fraction=0.5, sampling=GREEDY)
    variables, stream = initial(recipe), iter(recipe.batches("train", 0))
    first = recipe.rollout(variables, next(stream), KEY)
    second = recipe.rollout(variables.replace(rollout_state=first.rollout_state), next(stream), KEY)
    shares = [rollout.metrics["rollout/share"] for rollout in (first, second)]
    assert 0 < sum(shares) < 2
    asked = np.asarray(first.rollout_state["cycle"]["lengths"]).reshape(2, -1) > 0
    assert shares == asked.mean(axis=1).tolist()


def texts(batch):
    """Prompt and answer of each row, as the student and, of another vocabulary, the teacher reads them."""
    sides = (batch.student, batch.teacher) if isinstance(batch, PairedBatch) else (batch,)
    return [tuple(tuple(side.tokens[row].tolist()) for side in sides) for row in range(len(sides[0].tokens))]


def test_without_a_student_s_share_the_data_are_learnt(on_policy):
    recipe = on_policy(LogitKD, replay=Replay(start=0.0, steps=1, capacity=8))
    variables = initial(recipe)
    rollout = recipe.rollout(variables, examples_of(recipe), KEY)
    assert rollout.metrics["rollout/share"] == 0
    assert texts(rollout.batch.on_policy) == texts(rollout.batch.off_policy)


def test_an_answer_without_an_end_has_none_to_learn(on_policy, tiny):
    recipe = on_policy(DSKDv2ETA)
    pair = examples_of(recipe)[0]
    end = tiny.foreign.tokenizer().eos_token_id
    words = tuple(tiny.foreign.tokenizer()("the he", add_special_tokens=False)["input_ids"])
    whole, cut = (
        tiny.paired.answered(pair, Answer(tokens=tokens, ended=ended), tiny.foreign, tiny.teacher)
        for tokens, ended in (((*words, end), True), (words, False))
    )
    assert len(whole.teacher.tokens) == len(cut.teacher.tokens) + 1
    assert whole.student_spans.tolist()[-1] == whole.teacher_spans.tolist()[-1] == [6, 7]
    assert cut.student_spans.tolist()[-1][1] == cut.teacher_spans.tolist()[-1][1] == 6


def test_a_student_that_writes_nothing_but_the_end_is_aligned_at_the_end(on_policy, tiny):
    pair = examples_of(on_policy(DSKDv2ETA))[0]
    end = tiny.foreign.tokenizer().eos_token_id
    empty = tiny.paired.answered(pair, Answer(tokens=(end,), ended=True), tiny.foreign, tiny.teacher)
    assert empty.student_spans.tolist() == empty.teacher_spans.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    "method", [LogitKD, DSKDv2ETA, pytest.param(MinED, marks=pytest.mark.slow)], ids=lambda method: method.__name__
)
def test_answers_that_are_hardly_text_are_learnt_without_harm(on_policy, one_length, method):
    """Nothing but the end, no end, and half a character, in a batch of their own each."""
    recipe = on_policy(method)
    examples, tokenizer = examples_of(recipe), recipe.student.tokenizer()
    end = tokenizer.eos_token_id
    words = tokenizer("the \N{SLIGHTLY SMILING FACE}", add_special_tokens=False)["input_ids"]
    models = {"student": recipe.student, "teacher": recipe.recipe.teacher}
    written = Rollouts(text=recipe.recipe.text, max_new_tokens=6, **models)
    for answer in (
        Answer(tokens=(end,), ended=True),
        Answer(tokens=tuple((words * 6)[:6]), ended=False),
        Answer(tokens=tuple(words[:-1]), ended=False),
    ):
        rollout = written.assembled(examples, dict.fromkeys(range(len(examples)), answer))
        value, _, (gradient, _), _ = loss_and_gradients(recipe, rollout.batch)
        assert np.isfinite(value)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_half_a_character_is_read_by_nobody(tiny):
    """The student is the byte-level model here, and stops within an emoji."""
    data = dataclasses.replace(tiny.paired, student=tiny.paired.teacher, teacher=tiny.paired.student)
    pair = data.pairs("train", tiny.teacher, tiny.foreign)[0]
    tokenizer = tiny.teacher.tokenizer()
    ids = tokenizer("the \N{SLIGHTLY SMILING FACE}", add_special_tokens=False)["input_ids"]
    answered = data.answered(pair, Answer(tokens=tuple(ids[:-1]), ended=False), tiny.teacher, tiny.foreign)
    assert len(answered.student_spans) == len(ids) - 1
    assert (answered.student_spans[-1] == answered.student_spans[-1][0]).all()
    read = answered.teacher.tokens[answered.teacher.prompt_length :]
    assert "the" in tiny.foreign.tokenizer().decode(read)


def test_a_cached_teacher_is_refused(on_policy):
    recipe = on_policy(LogitKD)
    cached = dataclasses.replace(recipe, recipe=dataclasses.replace(recipe.recipe, teacher_cache="stage:cache"))
    with pytest.raises(ValueError, match="teacher_cache must be None on-policy, got 'stage:cache'"):
        cached.validate()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fraction": Ramp(start=0.0, end=1.5, steps=4)}, r"fraction must be in \(0, 1\], got Ramp"),
        ({"fraction": Ramp(start=0.0, end=0.0, steps=4)}, r"fraction must be in \(0, 1\], got Ramp"),
        ({"fraction": Ramp(start=0.0, end=1.0, steps=0)}, "fraction.steps must be at least 1, got 0"),
        ({"every": 0}, "every must be at least 1 step, got 0"),
        ({"replay": Replay(start=0.5, steps=9), "every": 2}, "every must be 1 with replay, whose schedule decides"),
        ({"fraction": 0.0}, r"fraction must be in \(0, 1\], got 0.0"),
        ({"cross_entropy": "both"}, "cross_entropy must be one of data, none, got 'both'"),
        ({"max_new_tokens": 100_000}, "max_new_tokens must be between 1 and"),
        ({"replay": Replay(start=2.0, steps=9)}, r"replay.start must be in \[0, 1\], got 2.0"),
        ({"replay": Replay(start=0.5, steps=0)}, "replay.steps must be at least 1, got 0. Take the steps of the run"),
        ({"replay": Replay(start=0.5, steps=9, capacity=7)}, "replay.capacity must be at least the 8 rows of a batch"),
        ({"replay": Replay(start=0.5, steps=9, increase=-1.0)}, "replay.increase must be at least 0, got -1.0"),
        (
            {"replay": Replay(start=0.5, steps=9), "fraction": 0.5},
            "fraction must be 1 with replay, whose",
        ),
    ],
)
def test_what_cannot_work_is_refused_first(on_policy, changes, message):
    with pytest.raises(ValueError, match=message):
        on_policy(LogitKD, **changes).validate()


def test_a_recipe_without_a_teacher_is_refused(tiny):
    with pytest.raises(ValueError, match="recipe must be a distillation, got SFT, which has no teacher"):
        OnPolicy(recipe=tiny.sft()).validate()


def test_a_collapsed_student_stops_the_run(on_policy):
    recipe = on_policy(LogitKD, stop_repeated=-1.0)
    variables = initial(recipe)
    with pytest.raises(FloatingPointError, match="repeated 4-grams in the student's answers must be at most"):
        recipe.rollout(variables, examples_of(recipe), KEY)


@pytest.mark.slow
def test_a_run_on_eight_devices_equals_one_on_one(on_policy, tiny):
    recipe = on_policy(DSKDv2ETA, sampling=GREEDY)
    examples, shape = examples_of(recipe), MeshShape(data=2, fsdp=2, tensor=2)
    expected, *_ = loss_alone(recipe, recipe.rollout(initial(recipe), examples, KEY).batch)
    with jax.set_mesh(make(shape)):
        rollout = recipe.rollout(recipe.init(jax.random.key(0)), examples, KEY)
    value, _ = loss_and_gradient_on(shape, recipe, rollout.batch)
    np.testing.assert_allclose(value, expected, rtol=1e-4)
