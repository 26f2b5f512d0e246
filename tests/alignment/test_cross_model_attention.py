"""Cross-model attention by itself, and as the loss of DSKD that it is a part of."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxkd.alignment.cross_model_attention import attend, attention_weights, normalise
from jaxkd.typing import DATA, FSDP
from tests.alignment import cross_model
from tests.kernels.test_mesh import on_mesh
from tests.losses.compiled import assert_equals_finite_differences, jitted

TERMS = cross_model.TERMS
GRADIENTS = {
    "t2s_ce": {"t2s", "query"},
    "t2s_kd": {"h_s", "W_s"},
    "s2t_kd": {"h_s", "s2t", "query"},
}
"""Which trained arrays each term reaches: the table of DSKD."""

terms = functools.partial(jax.jit(cross_model.terms, static_argnames="over"), over="tokens")


def case(seed):
    return jax.tree.map(np.asarray, cross_model.case(seed))


@functools.cache
def term_gradients():
    return jax.jit(jax.jacrev(lambda *arguments: cross_model.terms(*arguments), argnums=(0, 1, 2)))


def arrays(seed, *, n=4, m=5, width=6, b=8):
    rng = np.random.default_rng(seed)
    queries, keys = (rng.normal(size=(b, size, width)).astype(np.float32) for size in (n, m))
    masks = {"student_mask": rng.random((b, n)) < 0.8, "teacher_mask": rng.random((b, m)) < 0.8}
    for mask in masks.values():
        mask[:, 0] = True
    return queries, keys, masks


def both_weights(queries, keys, **masks):
    """t2s and s2t."""
    weights = attention_weights(queries, keys, **masks)
    return weights.t2s, weights.s2t


def pieces(queries, keys, masks):
    """Keys of standard deviation 1, weights t2s and s2t to them, and what they make of keys and queries."""
    scaled = normalise(keys, masks["teacher_mask"])
    t2s, s2t = both_weights(queries, scaled, **masks)
    return scaled, t2s, s2t, attend(t2s, keys), attend(s2t, queries)


@jax.jit
def _run(queries, keys, masks):
    def total(queries, keys):
        found = pieces(queries, keys, masks)
        return sum(jnp.sum(states * (1 + states)) for states in found[3:]), found

    (value, found), gradients = jax.value_and_grad(total, (0, 1), has_aux=True)(queries, keys)
    return found, value, gradients


def run(queries, keys, masks):
    """The pieces, a function of the last two of them, and its gradients to queries and keys."""
    return jax.device_get(_run(queries, keys, masks))


def assert_close(found, expected, rtol, atol):
    for leaf, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(leaf, other, rtol=rtol, atol=atol)


def test_hand_values():
    queries, keys = np.float32([[2, 0, 0, 0]]), np.float32([[0, 0, 0, 0], [np.log(3), 0, 0, 0], [9, 9, 9, 9]])
    mask = np.array([True, True, False])
    t2s, s2t = jitted(both_weights)(queries, keys, student_mask=np.array([True]), teacher_mask=mask)
    np.testing.assert_allclose(t2s, [[0.25, 0.75, 0]], rtol=1e-6)
    np.testing.assert_allclose(s2t, [[1], [1], [0]], rtol=1e-6)
    np.testing.assert_allclose(jitted(attend)(t2s, np.float32([[4], [8], [np.nan]])), [[7.0]], rtol=1e-6)
    std = np.sqrt(8 / 3)
    values = np.float32([[0, 2], [4, 2], [50, 50]])
    expected = np.array([[0, 2], [4, 2], [0, 0]]) / std
    np.testing.assert_allclose(jitted(normalise)(values, mask), expected, rtol=1e-6)
    whole = jitted(normalise, over="reference")(values, mask)
    np.testing.assert_allclose(whole, values / np.std(values, ddof=1), rtol=1e-6)


def test_rows_add_up_to_one_and_masked_targets_get_nothing():
    queries, keys, masks = arrays(0)
    (_, t2s, s2t, *_), *_ = run(queries, keys, masks)
    np.testing.assert_allclose(t2s.sum(-1), masks["student_mask"], rtol=1e-6)
    np.testing.assert_allclose(s2t.sum(-1), masks["teacher_mask"], rtol=1e-6)
    allowed = masks["student_mask"][:, :, None] & masks["teacher_mask"][:, None, :]
    assert not t2s[~allowed].any()
    assert not s2t[~allowed.swapaxes(1, 2)].any()


def test_weights_and_states_equal_float64_numpy():
    queries, keys, masks = arrays(1)
    (scaled, t2s, s2t, of_keys, of_queries), *_ = run(queries, keys, masks)
    for row in range(len(queries)):
        of_s, of_t = (mask[row] for mask in masks.values())
        q, k = (one[row].astype(np.float64)[of] for one, of in ((queries, of_s), (keys, of_t)))
        scores = q @ (k / k.std(ddof=1)).T / np.sqrt(6)
        to_keys, to_queries = cross_model.softmax(scores), cross_model.softmax(scores.T)
        np.testing.assert_allclose(scaled[row][of_t], k / k.std(ddof=1), rtol=1e-5)
        np.testing.assert_allclose(t2s[row][np.ix_(of_s, of_t)], to_keys, rtol=1e-5)
        np.testing.assert_allclose(s2t[row][np.ix_(of_t, of_s)], to_queries, rtol=1e-5)
        np.testing.assert_allclose(of_keys[row][of_s], to_keys @ k, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(of_queries[row][of_t], to_queries @ q, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("over", ["tokens", "reference"])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_loss_of_dskd_equals_float64_numpy(over, seed):
    arguments = case(seed)
    found, exact = terms(*arguments, over=over), cross_model.exact_terms(*arguments, over=over)
    assert exact["t2s_kd"] > 0  # some target is predicted by the teacher's side
    for name in TERMS:
        np.testing.assert_allclose(found[name], exact[name], rtol=1e-6, err_msg=name)


def test_gradients_reach_what_dskd_trains_and_are_exactly_zero_elsewhere():
    gradients = term_gradients()(*case(2))
    for term, reached in GRADIENTS.items():
        trained, frozen, embeds = gradients[term]
        for name, gradient in trained.items():
            moved = any(np.asarray(leaf).any() for leaf in jax.tree.leaves(gradient))
            assert moved == (name in reached), (term, name)
        assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves((frozen, embeds))), term


@pytest.mark.parametrize("term", TERMS)
def test_gradients_of_the_loss_equal_finite_differences(term):
    trained, *others = case(1)

    def of_moved(moved):
        # The accuracy mask jumps, so the target that it compares with is held still by the term alone.
        arguments = trained | moved, *others
        gradients, *_ = jax.device_get(term_gradients()(*arguments)[term])
        return np.asarray(terms(*arguments)[term]), ({name: gradients[name] for name in moved},)

    # W_s also makes the target of t2s_kd, whose gradient is stopped.
    names = {"h_s"} if term == "t2s_kd" else GRADIENTS[term]
    moved = {name: trained[name] for name in names}
    assert_equals_finite_differences(of_moved, moved, rtol=2e-2, atol=2e-2, eps=1e-3)


def test_gradients_of_the_pieces_equal_finite_differences():
    queries, keys, masks = arrays(2)
    sides = [side.astype(np.float64) for side in (queries, keys)]
    with jax.enable_x64(True):
        for at in (0, 1):
            assert_equals_finite_differences(
                lambda *sides: run(*sides, masks)[1:], *sides, at=at, rtol=1e-6, atol=1e-9, eps=1e-5
            )


def test_what_is_masked_does_not_matter():
    """In value and gradient; a projector multiplies what it is given, so the padding of the whole loss is finite."""
    trained, frozen, embeds, ids = whole = case(2)

    def filled(array, mask):
        return np.where(ids[mask][..., None], array, np.float32(1e3))

    masks = {"e_s_in": "student_mask", "e_s_target": "student_mask", "e_t_in": "teacher_mask"}
    masks["e_t_target"] = "teacher_mask"
    broken = (
        trained | {"h_s": filled(trained["h_s"], "student_mask")},
        frozen | {"h_t": filled(frozen["h_t"], "teacher_mask")},
        {name: filled(one, masks[name]) for name, one in embeds.items()},
        ids,
    )
    assert_close(terms(*broken), terms(*whole), rtol=1e-6, atol=0)
    assert_close(term_gradients()(*broken), term_gradients()(*whole), rtol=1e-5, atol=1e-6)


def test_masked_targets_may_be_nan():
    queries, keys, masks = arrays(9)
    broken = [
        np.where(mask[..., None], one, np.float32(np.nan))
        for one, mask in zip((queries, keys), masks.values(), strict=True)
    ]
    assert_close(run(*broken, masks)[1:], run(queries, keys, masks)[1:], rtol=1e-6, atol=1e-6)


def test_rows_are_their_own_batch_and_padding_changes_nothing():
    trained, frozen, embeds, ids = case(5)
    whole = terms(trained, frozen, embeds, ids)

    def row(tree, index, pad):
        def cut(leaf):
            return np.pad(leaf[index : index + 1], [(0, 0), (0, pad)] + [(0, 0)] * (leaf.ndim - 2))

        return jax.tree.map(cut, tree)

    rows = []
    for index in (0, 1):
        one = {**trained, "h_s": row(trained["h_s"], index, 3)}
        kept = {**frozen, "h_t": row(frozen["h_t"], index, 3)}
        rows.append(terms(one, kept, row(embeds, index, 3), row(ids, index, 3)))
    for name in TERMS:
        np.testing.assert_allclose(sum(one[name] for one in rows), whole[name], rtol=1e-6)


def test_a_packed_row_is_its_examples():
    trained, frozen, embeds, ids = case(4)

    def packed(tree):
        return jax.tree.map(lambda leaf: leaf.reshape(1, -1, *leaf.shape[2:]), tree)

    def numbered(mask):
        return np.broadcast_to(np.int32([[1], [2]]), mask.shape).reshape(1, -1)

    segments = numbered(ids["student_mask"]), numbered(ids["teacher_mask"])
    one_row = {**trained, "h_s": packed(trained["h_s"])}
    kept = {**frozen, "h_t": packed(frozen["h_t"])}
    found, expected = terms(one_row, kept, packed(embeds), packed(ids), segments), terms(trained, frozen, embeds, ids)
    for name in TERMS:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6)


def test_one_example_without_padding_is_normalised_as_the_reference_does():
    values = (np.random.default_rng(0).normal(size=(1, 4, 3)) * 5 + 1).astype(np.float32)
    found, reference = (jitted(normalise, over=over)(values, np.ones((1, 4), bool)) for over in ("tokens", "reference"))
    np.testing.assert_allclose(found, reference, rtol=1e-6)


@pytest.mark.parametrize("side", ["student_mask", "teacher_mask"])
def test_nothing_to_look_at_gives_zero_and_a_zero_gradient(side):
    queries, keys, masks = arrays(3)
    _, value, gradients = run(queries, keys, masks | {side: np.zeros_like(masks[side])})
    assert value == 0
    assert not any(leaf.any() for leaf in gradients)


def test_large_scores_and_equal_values_are_finite():
    queries, keys, masks = arrays(4)
    equal, large = np.full_like(keys, 0.1), np.float32(1e4)
    for sides in ((queries * large, keys * large), (queries, equal), (queries * 0, keys * 0)):
        (_, t2s, *_), _, gradients = run(*sides, masks)
        assert all(np.isfinite(leaf).all() for leaf in gradients)
        np.testing.assert_allclose(t2s.sum(-1), masks["student_mask"], rtol=1e-6)
    (constant, *_), *_ = run(queries, equal, masks | {"teacher_mask": np.ones_like(masks["teacher_mask"])})
    np.testing.assert_allclose(constant, 0.1, rtol=1e-6)


def test_nan_at_a_used_target_is_not_hidden():
    queries, keys, masks = arrays(5)
    queries[0, 0], keys[1, 0] = np.nan, np.nan
    (scaled, t2s, *_), *_ = run(queries, keys, masks)
    assert np.isnan(t2s[0, 0, 0])
    assert np.isnan(scaled[1, 0]).all()


def test_bfloat16_is_computed_in_float32_and_float64_is_kept():
    queries, keys, masks = arrays(6)
    narrow = queries.astype(jnp.bfloat16), keys.astype(jnp.bfloat16)
    wide = [side.astype(np.float32) for side in narrow]
    found, expected = (jitted(both_weights)(*sides, **masks) for sides in (narrow, wide))
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, other)
    (scaled, *_, of_keys, of_queries), (wide_scaled, *_, wide_of_keys, wide_of_queries) = (
        run(*sides, masks)[0] for sides in (narrow, wide)
    )
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, wide_scaled)
    for states, wide_states in ((of_keys, wide_of_keys), (of_queries, wide_of_queries)):
        assert states.dtype == jnp.bfloat16
        np.testing.assert_array_equal(states, wide_states.astype(jnp.bfloat16))
    with jax.enable_x64(True):
        exact, *_ = run(*(side.astype(np.float64) for side in wide), masks)
    assert all(one.dtype == np.float64 for one in exact)


def test_jit_vmap_and_eight_devices_change_nothing(unchecked_shapes):
    arguments = arrays(7)
    expected, *others = run(*arguments)
    with on_mesh(2, 4, 1):
        rows = NamedSharding(jax.sharding.get_mesh(), PartitionSpec((DATA, FSDP)))
        on_devices, *others_on_devices = run(*jax.device_put(arguments, rows))
    assert_close(others_on_devices, others, rtol=1e-5, atol=1e-6)
    for found in (pieces(*jax.tree.map(jnp.asarray, arguments)), jax.jit(jax.vmap(pieces))(*arguments), on_devices):
        assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_shapes_and_choices_that_make_no_sense_are_refused(unchecked_shapes):
    queries, keys, masks = arrays(8)
    with pytest.raises(ValueError, match="keys must have the width of queries, 6, got 5. The query projector"):
        attention_weights(queries, keys[..., :5], **masks)
    with pytest.raises(ValueError, match=r"student_mask must have one value per position, shape \(8, 4\), got \(4,\)"):
        attention_weights(queries, keys, **masks | {"student_mask": np.ones(4, bool)})
    with pytest.raises(ValueError, match="student_segment_ids and teacher_segment_ids must be given together, got one"):
        attention_weights(queries, keys, **masks, student_segment_ids=np.ones((8, 4), np.int32))
    with pytest.raises(ValueError, match="values must have a row for each of the 5 weights, got 4. t2s takes the"):
        attend(np.ones((8, 4, 5), np.float32), queries)
    with pytest.raises(ValueError, match="over must be one of tokens, reference, got 'batch'"):
        normalise(keys, masks["teacher_mask"], over="batch")
