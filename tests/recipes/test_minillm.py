"""MiniLLM: its gradient in float64 and on average, what is drawn, and what is refused."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.distillation import forward
from jaxkd.on_policy import rollouts
from jaxkd.recipes.minillm import MiniLLM
from jaxkd.recipes.on_policy import OnPolicy
from jaxkd.records import Head, Hiddens, OnPolicyBatch, TokenBatch
from jaxkd.runtime import configs
from jaxkd.tokenizers import vocabulary
from tests.memory import assert_never_as_large_as_the_logits
from tests.recipes import numpy_losses as oracle
from tests.recipes import paired_batches
from tests.recipes.paired_batches import all_zero
from tests.tiny_runs import initial

KEY = jax.random.key(3)
LENGTHS = (5, 1, 3)


@pytest.fixture
def make(tiny):
    def make(**changes):
        return MiniLLM(
            **{"student": tiny.student, "teacher": tiny.teacher, "data": tiny.text, "max_new_tokens": 6} | changes
        )

    return make


@pytest.fixture
def gradient_behind_the_models(make, monkeypatch):
    """Loss, metrics and gradients to both sides' hidden states, of answers and of nothing else."""

    @functools.cache
    def compiled(recipe):
        variables = recipe.abstract()

        def loss(student, teacher, labels, mask):
            monkeypatch.setattr(forward, "hiddens", lambda *_, **__: student)
            monkeypatch.setattr(forward, "teacher", lambda *_, **__: teacher)
            others = ("tokens", "positions", "segment_ids", "target_positions", "example_ids")
            written = TokenBatch(labels=labels, loss_mask=mask, **dict.fromkeys(others, jnp.zeros_like(labels)))
            batch = OnPolicyBatch(on_policy=written, off_policy=None)
            output = recipe.loss(variables, batch, recipe.counts(batch), jax.random.key(0))
            return output.loss, {name: mean.value() for name, mean in output.metrics.items()}

        return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))

    def found(student, teacher, labels, mask, **changes):
        monkeypatch.setattr(vocabulary, "common_prefix_size", lambda *_: student.head.vocab_size)
        results = compiled(make(kd_rate=1.0, **changes))(student, teacher, labels, mask)
        (value, metrics), gradients = jax.device_get(results)
        return value, metrics, gradients

    return found


def case(size=11, columns=6):
    """Hidden states of both sides, of any width, and answers of some lengths with garbage behind them."""
    random = np.random.default_rng(0)

    def side(width, scale):
        values = random.normal(0, scale, (len(LENGTHS), columns, width))
        return Hiddens(values=values, head=Head(weight=random.normal(size=(size, width)), vocab_size=size))

    labels = random.integers(0, size, (len(LENGTHS), columns)).astype(np.int32)
    return side(4, 0.8), side(5, 0.5), labels, np.arange(columns) < np.array(LENGTHS)[:, None]


def rederived(student, teacher, labels, alpha, clip):
    """Value, gradient to the student's logits and the share that is clipped, answer by answer and token by token."""
    log_q, log_p = (oracle.log_softmax(oracle.logits(side)) for side in (student, teacher))
    value, gradient, clipped, tokens = 0.0, np.zeros(log_q.shape), 0, sum(LENGTHS)
    for row, length in enumerate(LENGTHS):
        said = [(log_q[row, t, labels[row, t]], log_p[row, t, labels[row, t]]) for t in range(length)]
        for t in range(length):
            q, own = np.exp(log_q[row, t]), np.exp(said[t])
            weight = own[0] / (alpha * own[1] + (1 - alpha) * own[0])
            behind = [p - q for q, p in said[t + 1 :]]
            advantage = sum(behind) / len(behind) if behind else 0.0
            if clip is not None and advantage * (weight - 1) > abs(advantage) * clip:
                advantage, clipped = 0.0, clipped + 1
            difference = log_q[row, t] - log_p[row, t]
            nats = (q * difference).sum()
            value += weight * (nats - advantage * said[t][0])
            gradient[row, t] = weight * (q * (difference - nats) + advantage * (q - np.eye(len(q))[labels[row, t]]))
    return value / tokens, gradient / tokens, clipped / tokens


@pytest.mark.parametrize(("alpha", "clip"), [(0.0, 0.2), (0.2, None), (0.6, 0.3)])
def test_its_gradient_is_the_papers_in_float64(gradient_behind_the_models, alpha, clip):
    with jax.enable_x64(True):
        student, teacher, labels, mask = case()
        value, metrics, (to_student, to_teacher) = gradient_behind_the_models(
            student, teacher, labels, mask, alpha=alpha, clip=clip
        )
        expected, to_logits, clipped = rederived(student, teacher, labels, alpha, clip)
    np.testing.assert_allclose(value, expected, rtol=1e-9)
    np.testing.assert_allclose(to_student.values, to_logits @ np.asarray(student.head.weight), rtol=1e-6, atol=1e-12)
    to_head = np.einsum("bkv,bkd->vd", to_logits, np.asarray(student.values))
    np.testing.assert_allclose(to_student.head.weight, to_head, rtol=1e-6, atol=1e-12)
    assert all_zero(to_teacher)
    np.testing.assert_allclose(metrics["clipped"], clipped)
    assert (clipped > 0) == (alpha == 0.6), "and not everything"
    assert (to_student.values[~mask] == 0).all()


@pytest.mark.parametrize(("alpha", "length"), [(0.0, 2), (0.7, 1)])
def test_on_average_it_is_the_gradient_of_the_reverse_kl_of_whole_answers(gradient_behind_the_models, alpha, length):
    """Over all answers of a vocabulary of three; with a mixture those of one token, where the weights are exact."""
    size = 3
    answers = np.array(list(itertools.product(range(size), repeat=length)), np.int32)
    prefixes = np.array([[0, 1 + answer[0]][:length] for answer in answers])
    random = np.random.default_rng(1)

    def side(table):
        return Hiddens(values=table[prefixes], head=Head(weight=np.eye(size), vocab_size=size))

    @jax.jit
    def log_probs(table):
        """Log-probability of every whole answer."""
        each = jax.nn.log_softmax(table)[prefixes]
        return jnp.take_along_axis(each, answers[..., None], axis=-1)[..., 0].sum(axis=1)

    with jax.enable_x64(True):
        ours, theirs = (random.normal(size=(1 + size, size)) for _ in range(2))
        exact = jax.jit(jax.grad(lambda table: jnp.exp(log_probs(table)) @ (log_probs(table) - log_probs(theirs))))(
            ours
        )
        _, _, (found, _) = gradient_behind_the_models(
            side(ours), side(theirs), answers, np.ones(answers.shape, bool), alpha=alpha, clip=None
        )
        drawn = alpha * np.exp(log_probs(theirs)) + (1 - alpha) * np.exp(log_probs(ours))
    mean = np.zeros(ours.shape)
    np.add.at(mean, prefixes, drawn[:, None, None] * np.asarray(found.values) * answers.size)
    np.testing.assert_allclose(mean, exact, rtol=1e-9, atol=1e-12)


def test_a_student_that_is_its_teacher_learns_nothing(gradient_behind_the_models):
    with jax.enable_x64(True):
        student, _, labels, mask = case()
        value, metrics, (gradient, _) = gradient_behind_the_models(student, student, labels, mask, alpha=0.0)
    assert metrics["reward"] == 0 and metrics["importance"] == 1
    np.testing.assert_allclose(value, 0, atol=1e-12)
    for leaf in jax.tree.leaves(gradient):
        np.testing.assert_allclose(leaf, 0, atol=1e-12)


def test_what_stands_behind_an_answer_does_not_matter(gradient_behind_the_models):
    student, teacher, labels, mask = case()
    cut = max(LENGTHS)
    changed = [
        dataclasses.replace(side, values=np.where(mask[..., None], side.values, 50.0)) for side in (student, teacher)
    ]
    short = [dataclasses.replace(side, values=side.values[:, :cut]) for side in (student, teacher)]
    results = [
        gradient_behind_the_models(*sides, words, where)
        for sides, words, where in (
            ((student, teacher), labels, mask),
            (changed, np.where(mask, labels, 7), mask),
            (short, labels[:, :cut], mask[:, :cut]),
        )
    ]
    value, metrics, (gradient, _) = results[0]
    for other, other_metrics, (other_gradient, _) in results[1:]:
        np.testing.assert_allclose(other, value, rtol=1e-6)
        np.testing.assert_allclose(other_gradient.values[:, :cut], gradient.values[:, :cut], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(other_gradient.head.weight, gradient.head.weight, rtol=1e-5, atol=1e-6)
        for name, mean in metrics.items():
            np.testing.assert_allclose(other_metrics[name], mean, rtol=1e-5)
    value, metrics, (gradient, _) = gradient_behind_the_models(student, teacher, labels, np.zeros_like(mask))
    assert value == 0 and all_zero(gradient) and all(mean == 0 for mean in metrics.values())


def test_stores_no_logits(make, tiny_batch, monkeypatch):
    recipe, size = make(kd_rate=1.0), 4096
    monkeypatch.setattr(vocabulary, "common_prefix_size", lambda *_: size)
    long = {"labels": np.zeros((8, 8192), np.int32), "loss_mask": np.ones((8, 8192), bool)}
    written = dataclasses.replace(tiny_batch, **long)
    loss = paired_batches.loss_of_hiddens(recipe, OnPolicyBatch(on_policy=written, off_policy=None), monkeypatch)
    sides = (paired_batches.described(8, 8192, width, size) for width in (8, 16))
    assert_never_as_large_as_the_logits(loss, *sides, tokens=8 * 8192, vocabulary=size, sizes=(8192, 8, 16))


def test_a_step_learns_from_what_both_write_and_from_the_data(make, tiny):
    recipe = make(kd_rate=0.25, dropout=0.5)
    recipe.validate()
    assert configs.decode(configs.encode(recipe)) == recipe
    variables = initial(recipe)
    examples = next(iter(recipe.batches("train", 0)))
    rollout, again = (recipe.rollout(variables, examples, KEY) for _ in range(2))
    assert jax.tree.all(jax.tree.map(np.array_equal, rollout.batch, again.batch))
    alone = make(alpha=0.0).rollout(variables, examples, KEY)
    on_policy = OnPolicy(recipe=tiny.logit_kd(), max_new_tokens=6).rollout(variables, examples, KEY)
    assert jax.tree.all(jax.tree.map(np.array_equal, alone.batch, on_policy.batch)), "alpha = 0 is the student alone"
    written = rollout.batch.on_policy
    assert not np.array_equal(written.labels, alone.batch.on_policy.labels)
    assert rollout.metrics["rollout/length"] == pytest.approx(written.loss_mask.sum(axis=1).mean())
    for row, example in enumerate(examples):
        prompt = example.tokens[: example.prompt_length]
        np.testing.assert_array_equal(written.tokens[row, : len(prompt)], prompt)
        assert written.target_positions[row, 0] == len(prompt) - 1

    batch = jax.device_put(rollout.batch)

    def loss(params, key):
        output = recipe.loss(variables.replace(params=params), batch, recipe.counts(batch), key)
        return output.loss, {name: mean.value() for name, mean in output.metrics.items()}

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (value, metrics), gradient = step(variables.params, jax.random.key(1))
    (other, other_metrics), _ = step(variables.params, jax.random.key(2))
    # Dropout is on where the data are read, and off where the weights compare with what was drawn.
    assert metrics["cross_entropy"] != other_metrics["cross_entropy"]
    assert all(metrics[name] == other_metrics[name] for name in ("divergence", "reward", "importance", "clipped"))
    learnt, also_learnt = value - 0.75 * metrics["cross_entropy"], other - 0.75 * other_metrics["cross_entropy"]
    np.testing.assert_allclose(learnt, also_learnt, rtol=1e-5)
    assert 0 < metrics["importance"] <= 1 / (1 - recipe.alpha)
    assert not any(all_zero(leaf) for leaf in jax.tree.leaves(gradient))
    assert make(kd_rate=1.0).rollout(variables, examples, KEY).batch.off_policy is None


def test_no_other_tokens_are_drawn_than_those_of_both(make, monkeypatch):
    asked = []
    monkeypatch.setattr(vocabulary, "common_prefix_size", lambda *_: 200)
    monkeypatch.setattr(rollouts.Rollouts, "rollout", lambda self, *args, mixture: asked.append((args[0], mixture)))
    recipe = make()
    variables = initial(recipe)
    for alpha in (0.2, 0.0):
        make(alpha=alpha).rollout(variables, (), KEY)
    (student, mixture), (alone, none) = asked
    assert student.config.tokens == mixture.config.tokens == alone.config.tokens == 200
    assert mixture.share == 0.2 and none is None


def test_a_batch_is_planned_with_the_longest(make):
    planned = make().abstract_batch()
    assert planned.on_policy.tokens.shape == (8, 128), "96 and 6, in a bucket"
    assert planned.on_policy.labels.shape == (8, 48)
    assert planned.off_policy.tokens.shape == (8, 96)
    assert make(kd_rate=1.0).abstract_batch().off_policy is None


def test_it_is_on_policy_by_itself(make):
    with pytest.raises(ValueError, match="recipe must learn from answers that it is given, got MiniLLM, which samples"):
        OnPolicy(recipe=make()).validate()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher_cache": "stage:cache"}, "teacher_cache must be None in MiniLLM, got 'stage:cache'"),
        ({"alpha": 1.0}, r"alpha must be in \[0, 1\), got 1.0"),
        ({"alpha": -0.1}, r"alpha must be in \[0, 1\), got -0.1"),
        ({"clip": 0.0}, "clip must be above 0 and finite, got 0.0. None switches it off"),
        ({"max_new_tokens": 33}, "max_new_tokens must be between 1 and 32, what the models' positions leave"),
    ],
)
def test_what_cannot_work_is_refused_first(make, changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes).validate()
