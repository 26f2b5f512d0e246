"""DPO and its relatives: two answers to one prompt."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.distillation import answer_log_probs, forward
from jaxkd.kernels import linear_log_probs
from jaxkd.losses.preference import APODownLoss, DPOLoss, IPOLoss, SimPOLoss, dpo_loss, ipo_loss, simpo_loss
from jaxkd.models import LoRA
from jaxkd.recipes.dpo import DPO
from jaxkd.records import Head, Hiddens, Variables
from jaxkd.runtime import configs
from jaxkd.sharding import MeshShape
from jaxkd.study import Cache
from jaxkd.training.stage_folder import read_evaluations
from tests.memory import assert_never_as_large_as_the_logits
from tests.recipes.paired_batches import all_zero
from tests.tiny_preferences import log_probs
from tests.tiny_runs import initial, loss_alone, loss_and_gradient_on, loss_and_gradients, weights_by_numpy

OWN, EXACT = DPOLoss(beta=0.7), {"objective": DPOLoss(beta=0.3), "sft_weight": 0.25}
"""Options of the recipe without and of that with a reference, for all that does not depend on them."""
LORA = LoRA(rank=2, alpha=4.0, targets=(".",))


@pytest.fixture
def dpo(tiny, tiny_preferences):
    """The narrow student against itself as it starts, or with changes."""

    def made(**changes):
        return DPO(**{"student": tiny.narrow, "data": tiny_preferences} | changes)

    return made


@pytest.fixture
def other(tiny):
    """A reference that is not the student."""
    return tiny.teacher


@pytest.fixture
def batch(dpo):
    return next(iter(dpo().batches("train", 0)))


def test_at_the_start_the_loss_is_log_2_and_nothing_is_preferred(dpo, batch):
    value, output, _, _ = loss_and_gradients(dpo(objective=OWN), batch)
    assert value == pytest.approx(np.log(2), rel=1e-6)
    metrics = {name: float(mean.value()) for name, mean in output.metrics.items()}
    assert metrics["margin"] == metrics["accuracy"] == metrics["reward_chosen"] == metrics["reward_rejected"] == 0
    assert metrics["preference"] == pytest.approx(np.log(2), rel=1e-6)


OBJECTIVES = {
    "dpo": (DPOLoss(beta=0.3), lambda one, two, p: dpo_loss(one, two, beta=0.3, probability=p)),
    "ipo": (IPOLoss(beta=0.3, normalization="mean"), lambda one, two, p: ipo_loss(one, two, beta=0.3, probability=p)),
    "simpo": (
        SimPOLoss(beta=2.0, margin=0.5),
        lambda one, two, p: simpo_loss(one, two, beta=2.0, margin=0.5, probability=p),
    ),
}


@pytest.mark.parametrize(
    ("name", "prefer"),
    [
        ("dpo", "chosen"),
        ("dpo", "rejected"),
        ("ipo", "chosen"),
        ("simpo", "rejected"),
        pytest.param("ipo", "rejected", marks=pytest.mark.slow),
        pytest.param("simpo", "chosen", marks=pytest.mark.slow),
    ],
)
def test_equals_float64_of_all_logits(tiny, dpo, batch, other, name, prefer):
    objective, exact = OBJECTIVES[name]
    reference = other if objective.reads_reference else None
    recipe = dpo(objective=objective, prefer=prefer, reference=reference, sft_weight=0.25)
    value, output, _ = loss_alone(recipe, batch)
    sums, lengths = log_probs(tiny.narrow, batch)
    scores = sums - (log_probs(other, batch)[0] if reference else 0)
    if objective.normalization == "mean":
        scores = scores / np.maximum(lengths, 1)
    better, worse = (scores[..., side] for side in ((0, 1) if prefer == "chosen" else (1, 0)))
    with jax.enable_x64(True):
        pairs = np.asarray(jax.jit(exact)(better, worse, batch.probability.astype(np.float64)))
    side = 0 if prefer == "chosen" else 1
    gold = -sums[..., side].sum() / lengths[..., side].sum()
    expected = (pairs * batch.weights).sum() / batch.weights.sum() + 0.25 * gold
    assert value == pytest.approx(expected, rel=1e-5)
    present = batch.weights > 0
    assert float(output.metrics["cross_entropy"].value()) == pytest.approx(gold, rel=1e-5)
    assert float(output.metrics["accuracy"].value()) == pytest.approx((better > worse)[present].mean(), rel=1e-6)
    assert float(output.metrics["log_prob_chosen"].value()) == pytest.approx(sums[present, 0].mean(), rel=1e-5)
    margin = objective.beta * (better - worse)[present].mean()
    assert float(output.metrics["margin"].value()) == pytest.approx(margin, rel=1e-4, abs=1e-5)


def test_the_cross_entropy_can_be_a_mean_of_answers(tiny, dpo, batch):
    """The code of AlignDistil averages over each answer first; both reductions differ, as the answers' lengths do."""
    sums, lengths = log_probs(tiny.narrow, batch)
    present = batch.weights > 0
    nats, lengths = -sums[present, 0], lengths[present, 0]
    assert len(set(lengths.tolist())) > 1
    bare = loss_alone(dpo(), batch)[0]
    for reduction, expected in (("tokens", nats.sum() / lengths.sum()), ("answers", (nats / lengths).mean())):
        value = loss_alone(dpo(sft_weight=0.25, sft_reduction=reduction), batch)[0]
        assert value - bare == pytest.approx(0.25 * expected, rel=1e-4)


def test_the_gradient_at_the_start_is_that_of_half_of_beta_times_the_difference(dpo, batch):
    recipe = dpo(objective=OWN)
    certain = jax.device_put(dataclasses.replace(batch, probability=np.ones_like(batch.probability)))
    found = loss_and_gradients(recipe, certain)[2][0]
    answers = certain.answers

    @jax.jit
    @jax.grad
    def expected(params):
        hiddens = forward.hiddens(recipe.student.config(), params["student"], answers)
        nats = linear_log_probs(hiddens, answers.labels, mask=answers.loss_mask).values
        chosen, rejected = jnp.moveaxis(answer_log_probs.per_pair(nats, certain), -1, 0)
        return -0.35 * jnp.sum(certain.weights * (chosen - rejected)) / jnp.sum(certain.weights)

    wanted = expected(initial(recipe).params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, wanted)


def test_reverse_dpo_is_dpo_of_exchanged_answers(dpo, batch, other):
    recipe = dpo(reference=other, **EXACT)
    reverse = dataclasses.replace(recipe, prefer="rejected")
    forward_value, forward_output, *_ = loss_and_gradients(recipe, batch)  # as other tests have it
    value, output, _ = loss_alone(reverse, batch)
    total = forward_output.metrics["margin"].value() + output.metrics["margin"].value()
    assert float(total) == pytest.approx(0, abs=1e-6)
    assert value != forward_value


def test_no_gradient_reaches_the_reference(dpo, batch, other):
    assert all_zero(loss_and_gradients(dpo(reference=other, **EXACT), batch)[2][1])


def test_micro_batches_add_up(dpo, batch, other):
    """Half of the rows at a time beside empty ones, divided by the counts of all."""
    recipe, upper = dpo(reference=other, **EXACT), np.arange(len(batch.weights)) < 4
    counts = recipe.counts(batch)
    whole, *halves = (
        loss_and_gradients(recipe, jax.tree.map(lambda leaf, rows=rows: (leaf.T * rows).T, batch), counts)
        for rows in (np.ones_like(upper), upper, ~upper)
    )
    assert halves[0][0] + halves[1][0] == pytest.approx(float(whole[0]), rel=1e-5)
    added = jax.tree.map(np.add, halves[0][2][0], halves[1][2][0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), added, whole[2][0])


def test_adapters_stand_beside_their_own_reference(dpo, batch):
    recipe = dpo(lora=LORA)
    value, _, gradients, variables = loss_and_gradients(recipe, batch)
    assert value == pytest.approx(np.log(2), rel=1e-6)
    assert set(variables.frozen) == {"student"}
    assert not all_zero(gradients[0])


def test_a_cache_of_the_reference_gives_the_same_loss_and_loads_no_reference(
    dpo, tiny_preferences, batch, other, tmp_path
):
    stage = Cache(name="reference", model=other, data=tiny_preferences, mesh=MeshShape(data=1))
    stage.run(tmp_path / "cache", seed=0, stages={})
    live = dpo(reference=other, **EXACT)
    cached = dataclasses.replace(live, reference_cache=str(tmp_path / "cache"))
    assert set(initial(cached).frozen) == set()
    filled = next(iter(cached.batches("train", 0)))
    assert filled.reference.shape == (8, 2, 2)
    described = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), cached.abstract_batch())
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), filled) == described
    expected, found = loss_and_gradients(live, batch), loss_and_gradients(cached, filled)
    assert found[0] == pytest.approx(float(expected[0]), rel=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found[2][0], expected[2][0])
    with pytest.raises(ValueError, match="must be made from the same .* but differs in model"):
        next(iter(dataclasses.replace(cached, reference=None).batches("train", 0)))
    fewer = dataclasses.replace(cached, data=dataclasses.replace(tiny_preferences, limit=5))
    with pytest.raises(ValueError, match="but differs in data"):
        next(iter(fewer.batches("train", 0)))


def test_stores_no_logits(dpo, batch, monkeypatch):
    recipe, size, tokens = dpo(), 4096, (8, 8192)
    columns = {name: (tokens, getattr(batch.answers, name).dtype) for name in ("labels", "target_positions")}
    columns |= {"example_ids": (tokens, np.int32), "loss_mask": (tokens, bool)}
    long = dataclasses.replace(
        batch, answers=dataclasses.replace(batch.answers, **{name: np.zeros(*of) for name, of in columns.items()})
    )
    long = jax.device_put(long)

    def loss(hiddens):
        monkeypatch.setattr(forward, "hiddens", lambda *arguments, **options: hiddens)
        variables = Variables(params={"student": {}}, frozen={"reference": {}})
        return recipe.loss(variables, long, recipe.counts(long), jax.random.key(0)).loss

    head = Head(weight=jax.ShapeDtypeStruct((size, 16), jnp.float32), vocab_size=size)
    hiddens = Hiddens(values=jax.ShapeDtypeStruct((*tokens, 16), jnp.float32), head=head)
    assert_never_as_large_as_the_logits(loss, hiddens, tokens=8 * 8192, vocabulary=size, sizes=(8192, 16))


def test_its_config_is_json(dpo, other):
    recipe = dpo(reference=other, objective=IPOLoss(beta=0.2, normalization="mean"), prefer="rejected")
    assert configs.decode(configs.encode(recipe)) == recipe


@pytest.mark.parametrize("sizes", [(2, 2, 2), pytest.param((1, 1, 8), marks=pytest.mark.slow)])
def test_eight_devices_equal_one(dpo, batch, other, sizes):
    recipe = dpo(reference=other, **EXACT)
    value, _, (gradient, _), _ = loss_and_gradients(recipe, batch)
    found = loss_and_gradient_on(MeshShape(data=sizes[0], fsdp=sizes[1], tensor=sizes[2]), recipe, batch)
    # The terms of 8 x 36 targets are added up in another order, each time rounded by at most the largest's epsilon.
    bound = 8 * 36 * np.finfo(np.float32).eps
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=bound * np.abs(b).max()), found, (value, gradient)
    )


def test_a_run_learns_the_preference_and_is_evaluated(tiny, dpo, tmp_path):
    evaluators = (tiny.bits_per_byte(),)
    train = tiny.train(dpo(), steps=12, mesh=MeshShape(data=1), validation=(), evaluators=evaluators)
    train.run(tmp_path, seed=0, stages={})
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    margins = [row["train/margin"] for row in rows if "train/margin" in row]
    assert margins[0] == 0
    assert margins[-1] > 0.5
    assert np.isfinite(read_evaluations(tmp_path)["bits_per_byte"].metrics["bits_per_byte"])


def test_bad_choices_are_refused(dpo, other, tiny):
    cases = [
        ({"prefer": "best"}, r"prefer must be one of chosen, rejected, got 'best'"),
        ({"sft_weight": -1.0}, r"sft_weight must be 0 or more, got -1\.0"),
        ({"sft_reduction": "rows"}, r"sft_reduction must be one of tokens, answers, got 'rows'"),
        (
            {"objective": SimPOLoss(), "reference": other},
            r"reference and reference_cache must be None with SimPOLoss, which compares with no reference",
        ),
        ({"reference": tiny.foreign}, r"student and reference must share one vocabulary"),
    ]
    for changes, message in cases:
        with pytest.raises(ValueError, match=message):
            dpo(**changes).validate()
    dpo(objective=APODownLoss(), reference=other).validate()
    assert "no reference" in dpo(objective=SimPOLoss()).provenance()
    assert "learns the rejected answers" in dpo(prefer="rejected").provenance()


def test_it_is_planned_without_weights(tiny, dpo, other):
    for recipe in (dpo(reference=other), dpo(objective=SimPOLoss()), dpo(lora=LORA)):
        described, real = recipe.abstract(), initial(recipe)
        with weights_by_numpy():
            assert described.frozen.keys() == real.frozen.keys() == recipe.load_frozen().keys()
    assert "trainable" in tiny.train(dpo(reference=other), mesh=MeshShape(data=1)).plan().description
