"""Optimum of preference training where policies are tables: a model and its reverse are twice the reward apart."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.losses.preference import dpo_loss

ANSWERS, BETA = 6, 0.1


@functools.cache
def trained():
    """(rewards, log pi_ref, log pi of DPO, log pi of reverse DPO), of six answers to one prompt."""
    rng = np.random.default_rng(0)
    rewards, reference = rng.normal(size=ANSWERS), rng.normal(size=ANSWERS)
    one, two = (np.array(side) for side in zip(*((i, j) for i in range(6) for j in range(6) if i != j), strict=True))
    with jax.enable_x64(True):
        log_reference = jax.nn.log_softmax(jnp.asarray(reference))
        labels = jax.nn.sigmoid(jnp.asarray(rewards[one] - rewards[two]))

        def descend(labels):
            def loss(theta):
                ratios = jax.nn.log_softmax(theta) - log_reference
                return jnp.mean(dpo_loss(ratios[one], ratios[two], beta=BETA, probability=labels))

            return jax.lax.fori_loop(0, 60_000, lambda _, theta: theta - 50 * jax.grad(loss)(theta), log_reference)

        # Reverse DPO: the same answers as (chosen, rejected), with the opposite probability.
        found = [jax.nn.log_softmax(jax.jit(descend)(one)) for one in (labels, 1 - labels)]
    return rewards, np.asarray(log_reference), *(np.asarray(one) for one in found)


def centred(values):
    return values - values.mean()


@pytest.mark.parametrize(("place", "sign"), [(2, 1), (3, -1)])
def test_log_ratios_are_rewards(place, sign):
    rewards, reference, *_ = found = trained()
    published = [0.315846, -2.262505, 5.462770, 0.107545, -6.298150, 2.674494]
    np.testing.assert_allclose(centred(rewards) / BETA, published, atol=1e-6)
    np.testing.assert_allclose(centred(found[place] - reference), sign * centred(rewards) / BETA, atol=1e-4)


def test_a_model_and_its_reverse_are_twice_the_reward_apart():
    rewards, _, log_dpo, log_reverse = trained()
    np.testing.assert_allclose(centred(log_dpo - log_reverse), 2 * centred(rewards) / BETA, atol=1e-4)
