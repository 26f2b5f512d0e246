"""Records are pytrees: heads keep their settings, means add without bias."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxkd.records import Head, ImageBatch, Mean, Variables


def test_parts_of_unequal_size_average_without_bias():
    parts = [Mean(total=jnp.array(6.0), count=jnp.array(3.0)), Mean(total=jnp.array(1.0), count=jnp.array(1.0))]
    assert (parts[0] + parts[1]).value() == 7 / 4


def test_a_mean_of_nothing_is_zero():
    assert Mean(total=jnp.array(0.0), count=jnp.array(0.0)).value() == 0


def test_settings_of_a_head_are_structure_and_its_arrays_are_leaves():
    head = Head(weight=jnp.ones((4, 2)), softcap=30.0, vocab_size=3)
    assert len(jax.tree.leaves(head)) == 1
    doubled = jax.tree.map(lambda leaf: 2 * leaf, head)
    assert (doubled.softcap, doubled.vocab_size) == (30.0, 3)
    np.testing.assert_array_equal(doubled.weight, 2)


def test_images_and_targets_are_leaves():
    batch = ImageBatch(images=jnp.zeros((2, 4, 4, 3), jnp.uint8), targets=jnp.ones((2, 4, 4), jnp.uint8))
    first = jax.tree.map(lambda leaf: leaf[:1], batch)
    assert (first.images.shape, first.targets.shape) == ((1, 4, 4, 3), (1, 4, 4))


def test_variables_are_replaced_not_changed():
    old = Variables(params={"student": jnp.ones(2)})
    new = old.replace(step=3)
    assert (old.step, new.step) == (0, 3)
    assert new.params is old.params
