"""Cross-model attention by itself, and as the loss of DSKD that it is a part of."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from jax.test_util import check_grads

from jaxkd.alignment.cross_model_attention import attend, attention_weights, normalise
from jaxkd.typing import DATA, FSDP
from tests.alignment import cross_model
from tests.kernels.test_mesh import on_mesh

TERMS = cross_model.TERMS
GRADIENTS = {
    "t2s_ce": {"t2s", "query"},
    "t2s_kd": {"h_s", "W_s"},
    "s2t_kd": {"h_s", "s2t", "query"},
}
"""Which trained arrays each term reaches: the table of DSKD."""

terms = jax.jit(cross_model.terms, static_argnames="over")


@functools.cache
def term_gradients():
    return jax.jit(jax.jacrev(lambda *arguments: cross_model.terms(*arguments), argnums=(0, 1, 2)))


def arrays(seed, *, n=4, m=5, width=6, b=3):
    rng = np.random.default_rng(seed)
    queries, keys = (jnp.asarray(rng.normal(size=(b, size, width)), jnp.float32) for size in (n, m))
    masks = {
        "student_mask": jnp.asarray(rng.random((b, n)) < 0.8).at[:, 0].set(True),
        "teacher_mask": jnp.asarray(rng.random((b, m)) < 0.8).at[:, 0].set(True),
    }
    return queries, keys, masks


def test_hand_values():
    queries, keys = jnp.array([[2.0, 0, 0, 0]]), jnp.array([[0.0, 0, 0, 0], [np.log(3.0), 0, 0, 0], [9.0, 9, 9, 9]])
    masks = {"student_mask": jnp.array([True]), "teacher_mask": jnp.array([True, True, False])}
    weights = attention_weights(queries, keys, **masks)
    np.testing.assert_allclose(weights.t2s, [[0.25, 0.75, 0]], rtol=1e-6)
    np.testing.assert_allclose(weights.s2t, [[1], [1], [0]], rtol=1e-6)
    np.testing.assert_allclose(attend(weights.t2s, jnp.array([[4.0], [8.0], [jnp.nan]])), [[7.0]], rtol=1e-6)
    std = np.sqrt(8 / 3)
    values = jnp.array([[0.0, 2.0], [4.0, 2.0], [50.0, 50.0]])
    expected = np.array([[0, 2], [4, 2], [0, 0]]) / std
    np.testing.assert_allclose(normalise(values, jnp.array([True, True, False])), expected, rtol=1e-6)
    whole = normalise(values, jnp.array([True, True, False]), over="reference")
    np.testing.assert_allclose(whole, values / np.std(np.asarray(values), ddof=1), rtol=1e-6)


def test_rows_add_up_to_one_and_masked_targets_get_nothing():
    queries, keys, masks = arrays(0)
    weights = attention_weights(queries, keys, **masks)
    np.testing.assert_allclose(weights.t2s.sum(-1), masks["student_mask"], rtol=1e-6)
    np.testing.assert_allclose(weights.s2t.sum(-1), masks["teacher_mask"], rtol=1e-6)
    allowed = masks["student_mask"][:, :, None] & masks["teacher_mask"][:, None, :]
    assert not np.asarray(weights.t2s)[~allowed].any()
    assert not np.asarray(weights.s2t)[~allowed.swapaxes(1, 2)].any()


def test_weights_and_states_equal_float64_numpy():
    queries, keys, masks = arrays(1)
    weights = attention_weights(queries, keys, **masks)
    states = attend(weights.t2s, keys)
    scaled = normalise(keys, masks["teacher_mask"])
    for row in range(3):
        of_s, of_t = (np.asarray(mask[row]) for mask in masks.values())
        q, k = (np.asarray(one[row], np.float64)[of] for one, of in ((queries, of_s), (keys, of_t)))
        scores = q @ k.T / np.sqrt(6)
        t2s, s2t = cross_model.softmax(scores), cross_model.softmax(scores.T)
        np.testing.assert_allclose(weights.t2s[row][np.ix_(of_s, of_t)], t2s, rtol=1e-5)
        np.testing.assert_allclose(weights.s2t[row][np.ix_(of_t, of_s)], s2t, rtol=1e-5)
        np.testing.assert_allclose(states[row][of_s], t2s @ k, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(scaled[row][of_t], k / k.std(ddof=1), rtol=1e-5)


@pytest.mark.parametrize("over", ["tokens", "reference"])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_loss_of_dskd_equals_float64_numpy(over, seed):
    case = cross_model.case(seed)
    found, exact = terms(*case, over=over), cross_model.exact_terms(*case, over=over)
    assert exact["t2s_kd"] > 0  # some target is predicted by the teacher's side
    for name in TERMS:
        np.testing.assert_allclose(found[name], exact[name], rtol=1e-6, err_msg=name)


def test_gradients_reach_what_dskd_trains_and_are_exactly_zero_elsewhere():
    gradients = term_gradients()(*cross_model.case(2))
    for term, reached in GRADIENTS.items():
        trained, frozen, embeds = gradients[term]
        for name, gradient in trained.items():
            moved = any(np.asarray(leaf).any() for leaf in jax.tree.leaves(gradient))
            assert moved == (name in reached), (term, name)
        assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves((frozen, embeds))), term


@pytest.mark.parametrize("term", TERMS)
def test_gradients_of_the_loss_equal_finite_differences(term):
    trained, frozen, embeds, ids = cross_model.case(1)
    moved = {name: trained[name] for name in GRADIENTS[term]}

    def total(moved):
        # The accuracy mask jumps, so the target that it compares with is held still by the term alone.
        return cross_model.terms(trained | moved, frozen, embeds, ids)[term]

    if term == "t2s_kd":  # of h_s and W_s; W_s also makes the target, whose gradient is stopped
        moved = {"h_s": trained["h_s"]}
    check_grads(jax.jit(total), (moved,), order=1, modes=["rev"], rtol=2e-2, atol=2e-2, eps=1e-3)


def test_gradients_of_the_pieces_equal_finite_differences():
    queries, keys, masks = arrays(2)

    def total(queries, keys):
        scaled = normalise(keys, masks["teacher_mask"])
        weights = attention_weights(queries, scaled, **masks)
        return jnp.sum(attend(weights.t2s, scaled) ** 2) + jnp.sum(attend(weights.s2t, queries) ** 2)

    check_grads(jax.jit(total), (queries, keys), order=1, modes=["rev"], rtol=2e-2, atol=2e-2)


def test_what_is_masked_does_not_matter():
    """In value and gradient; a projector multiplies what it is given, so the padding of the whole loss is finite."""
    trained, frozen, embeds, ids = cross_model.case(2)

    def filled(array, mask):
        return jnp.where(mask[..., None], array, 1e3)

    broken_frozen = frozen | {"h_t": filled(frozen["h_t"], ids["teacher_mask"])}
    masks = {"e_s_in": "student_mask", "e_s_target": "student_mask", "e_t_in": "teacher_mask"}
    masks["e_t_target"] = "teacher_mask"
    broken_embeds = {name: filled(one, ids[masks[name]]) for name, one in embeds.items()}
    broken_trained = trained | {"h_s": filled(trained["h_s"], ids["student_mask"])}
    expected, found = terms(trained, frozen, embeds, ids), terms(broken_trained, broken_frozen, broken_embeds, ids)
    gradient = term_gradients()(trained, frozen, embeds, ids)
    broken_gradient = term_gradients()(broken_trained, broken_frozen, broken_embeds, ids)
    for name in TERMS:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6)
        for leaf, other in zip(jax.tree.leaves(broken_gradient[name]), jax.tree.leaves(gradient[name]), strict=True):
            np.testing.assert_allclose(leaf, other, rtol=1e-5, atol=1e-6)


def test_masked_targets_may_be_nan():
    queries, keys, masks = arrays(9)

    def total(queries, keys):
        weights = attention_weights(queries, normalise(keys, masks["teacher_mask"]), **masks)
        return jnp.sum(attend(weights.t2s, keys) ** 2) + jnp.sum(attend(weights.s2t, queries) ** 2)

    run = jax.jit(jax.value_and_grad(total, (0, 1)))
    broken = (
        jnp.where(mask[..., None], one, jnp.nan) for one, mask in zip((queries, keys), masks.values(), strict=True)
    )
    for leaf, other in zip(jax.tree.leaves(run(*broken)), jax.tree.leaves(run(queries, keys)), strict=True):
        np.testing.assert_allclose(leaf, other, rtol=1e-6, atol=1e-6)


def test_rows_are_their_own_batch_and_padding_changes_nothing():
    trained, frozen, embeds, ids = cross_model.case(5)
    whole = terms(trained, frozen, embeds, ids)

    def row(tree, index, pad):
        def cut(leaf):
            return jnp.pad(leaf[index : index + 1], [(0, 0), (0, pad)] + [(0, 0)] * (leaf.ndim - 2))

        return jax.tree.map(cut, tree)

    rows = []
    for index in (0, 1):
        one = {**trained, "h_s": row(trained["h_s"], index, 3)}
        kept = {**frozen, "h_t": row(frozen["h_t"], index, 3)}
        rows.append(terms(one, kept, row(embeds, index, 3), row(ids, index, 3)))
    for name in TERMS:
        np.testing.assert_allclose(sum(one[name] for one in rows), whole[name], rtol=1e-6)


def test_a_packed_row_is_its_examples():
    trained, frozen, embeds, ids = cross_model.case(4)

    def packed(tree):
        return jax.tree.map(lambda leaf: leaf.reshape(1, -1, *leaf.shape[2:]), tree)

    def numbered(mask):
        return jnp.broadcast_to(jnp.arange(1, 3)[:, None], mask.shape).reshape(1, -1)

    segments = numbered(ids["student_mask"]), numbered(ids["teacher_mask"])
    one_row = {**trained, "h_s": packed(trained["h_s"])}
    kept = {**frozen, "h_t": packed(frozen["h_t"])}
    found, expected = terms(one_row, kept, packed(embeds), packed(ids), segments), terms(trained, frozen, embeds, ids)
    for name in TERMS:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6)


def test_one_example_without_padding_is_normalised_as_the_reference_does():
    values = jnp.asarray(np.random.default_rng(0).normal(size=(1, 4, 3)) * 5 + 1, jnp.float32)
    found, reference = (normalise(values, jnp.ones((1, 4), bool), over=over) for over in ("tokens", "reference"))
    np.testing.assert_allclose(found, reference, rtol=1e-6)


def test_nothing_to_look_at_gives_zero_and_a_zero_gradient():
    queries, keys, masks = arrays(3)
    for side in masks:
        empty = masks | {side: jnp.zeros_like(masks[side])}

        def total(queries, keys, empty=empty):
            scaled = normalise(keys, empty["teacher_mask"])
            weights = attention_weights(queries, scaled, **empty)
            return jnp.sum(attend(weights.t2s, scaled)) + jnp.sum(attend(weights.s2t, queries))

        value, gradient = jax.value_and_grad(total, (0, 1))(queries, keys)
        assert value == 0
        assert not any(np.asarray(leaf).any() for leaf in gradient)


def test_large_scores_and_equal_values_are_finite():
    queries, keys, masks = arrays(4)

    def total(queries, keys):
        weights = attention_weights(queries, normalise(keys, masks["teacher_mask"]), **masks)
        return jnp.sum(attend(weights.t2s, keys) ** 2), weights

    for scaled in ((queries * 1e4, keys * 1e4), (queries, jnp.full_like(keys, 0.1)), (queries * 0, keys * 0)):
        (_, weights), gradient = jax.value_and_grad(total, (0, 1), has_aux=True)(*scaled)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
        np.testing.assert_allclose(weights.t2s.sum(-1), masks["student_mask"], rtol=1e-6)
    constant = normalise(jnp.full_like(keys, 0.1), jnp.ones_like(masks["teacher_mask"]))
    np.testing.assert_allclose(constant, 0.1, rtol=1e-6)


def test_nan_at_a_used_target_is_not_hidden():
    queries, keys, masks = arrays(5)
    broken = queries.at[0, 0].set(jnp.nan)
    assert jnp.isnan(attention_weights(broken, keys, **masks).t2s[0, 0, 0])
    assert jnp.isnan(normalise(keys.at[0, 0].set(jnp.nan), masks["teacher_mask"])[0, 0]).all()


def test_bfloat16_is_computed_in_float32_and_float64_is_kept():
    queries, keys, masks = arrays(6)
    narrow = queries.astype(jnp.bfloat16), keys.astype(jnp.bfloat16)
    wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), narrow)
    found, expected = attention_weights(*narrow, **masks), attention_weights(*wide, **masks)
    assert found.t2s.dtype == jnp.float32
    np.testing.assert_array_equal(found.t2s, expected.t2s)
    states = attend(found.t2s, narrow[1])
    assert states.dtype == jnp.bfloat16
    np.testing.assert_array_equal(states, attend(found.t2s, wide[1]).astype(jnp.bfloat16))
    scaled = normalise(narrow[1], masks["teacher_mask"])
    assert scaled.dtype == jnp.float32
    np.testing.assert_array_equal(scaled, normalise(wide[1], masks["teacher_mask"]))
    with jax.enable_x64(True):
        exact = [jnp.asarray(np.asarray(one, np.float64)) for one in wide]
        weights = attention_weights(*exact, **masks)
        assert weights.s2t.dtype == attend(weights.t2s, exact[1]).dtype == jnp.float64
        assert normalise(exact[1], masks["teacher_mask"]).dtype == jnp.float64


def test_jit_vmap_and_eight_devices_change_nothing(unchecked_shapes):
    queries, keys, masks = arrays(7, b=8)

    def run(queries, keys, masks):
        scaled = normalise(keys, masks["teacher_mask"])
        weights = attention_weights(queries, scaled, **masks)
        return weights, attend(weights.t2s, scaled), attend(weights.s2t, queries)

    expected = run(queries, keys, masks)
    with on_mesh(2, 4, 1) as _:
        rows = PartitionSpec((DATA, FSDP))
        spread = jax.tree.map(
            lambda leaf: jax.device_put(leaf, NamedSharding(jax.sharding.get_mesh(), rows)), (queries, keys, masks)
        )
        on_devices = jax.jit(run)(*spread)
    for found in (jax.jit(run)(queries, keys, masks), jax.vmap(run)(queries, keys, masks), on_devices):
        for leaf, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(leaf, other, rtol=1e-5, atol=1e-6)


def test_shapes_and_choices_that_make_no_sense_are_refused(unchecked_shapes):
    queries, keys, masks = arrays(8)
    with pytest.raises(ValueError, match="keys must have the width of queries, 6, got 5. The query projector"):
        attention_weights(queries, keys[..., :5], **masks)
    with pytest.raises(ValueError, match=r"student_mask must have one value per position, shape \(3, 4\), got \(4,\)"):
        attention_weights(queries, keys, **masks | {"student_mask": jnp.ones(4, bool)})
    with pytest.raises(ValueError, match="student_segment_ids and teacher_segment_ids must be given together, got one"):
        attention_weights(queries, keys, **masks, student_segment_ids=jnp.ones((3, 4), jnp.int32))
    with pytest.raises(ValueError, match="values must have a row for each of the 5 weights, got 4. t2s takes the"):
        attend(jnp.ones((3, 4, 5)), queries)
    with pytest.raises(ValueError, match="over must be one of tokens, reference, got 'batch'"):
        normalise(keys, masks["teacher_mask"], over="batch")
