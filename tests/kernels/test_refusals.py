"""Inputs that the losses from hidden states refuse, and their messages."""

import jax.numpy as jnp
import pytest

from jaxkd import losses
from jaxkd.kernels import VocabTile, linear_cross_entropy, linear_divergence, top_k
from jaxkd.losses import ForwardKL
from tests.kernels.cases import pair, targets, with_head, with_values


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_cannot_be_compared():
    student, teacher = pair(16)
    given = targets(16) | {"divergence": ForwardKL()}
    shorter = with_values(teacher, teacher.values[:, :4])
    with pytest.raises(
        ValueError, match=r"teacher.values must have the leading shape of student.values, got \(3, 4, 6"
    ):
        linear_divergence(student, shorter, **given)
    record = top_k(jnp.zeros((3, 4, 13)), 2)
    with pytest.raises(ValueError, match=r"teacher.ids must have the leading shape of student.values, got \(3, 4, 2\)"):
        linear_divergence(student, record, **given)
    with pytest.raises(
        ValueError, match=r"the vocab_size of teacher must equal the student's 13, got 12. .* align the"
    ):
        linear_divergence(student, with_head(teacher, vocab_size=12), **given)
    with pytest.raises(ValueError, match=r"the vocab_size of teacher must equal the student's 13, got 12"):
        linear_divergence(student, top_k(jnp.zeros((3, 5, 12)), 2), **given)
    with pytest.raises(ValueError, match=r"student.head.vocab_size must be at most the 16 rows of its weight, got 17"):
        linear_divergence(*(with_head(side, vocab_size=17) for side in (student, teacher)), **given)
    with pytest.raises(ValueError, match=r"weights must have the leading shape .* \(3, 5\), got \(5,\)"):
        linear_divergence(student, teacher, **(given | {"weights": jnp.ones(5)}))
    with pytest.raises(ValueError, match=r"weights must have the leading shape .* \(3, 5\), got \(5,\)"):
        linear_cross_entropy(student, given["labels"], weights=jnp.ones(5))


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_labels_that_are_not_ids_of_each_position():
    student, teacher = pair(16)
    given = targets(16) | {"divergence": ForwardKL()}
    for name in ("labels", "label_weights"):
        with pytest.raises(ValueError, match=r"labels and label_weights must be given together, got one of them"):
            linear_divergence(student, teacher, **(given | {name: None}))
        with pytest.raises(ValueError, match=rf"{name} must have the leading shape .* \(3, 5\), got \(3,\)"):
            linear_divergence(student, teacher, **(given | {name: given[name][:, 0]}))
    with pytest.raises(TypeError, match=r"labels must be token ids of an integer dtype, got float32"):
        linear_divergence(student, teacher, **(given | {"labels": given["weights"]}))
    with pytest.raises(TypeError, match=r"labels must be token ids of an integer dtype, got float32"):
        linear_cross_entropy(student, given["weights"], weights=given["weights"])
    with pytest.raises(ValueError, match=r"labels must have the leading shape .* \(3, 5\), got \(5,\)"):
        linear_cross_entropy(student, given["labels"][0], weights=given["weights"])


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_an_implementation_that_is_unknown_or_does_not_fit():
    student, teacher = pair(16)
    given = {"weights": jnp.ones((3, 5))}
    unknown = r"implementation must be one of auto, reference, token_chunk, vocab_tile, or a kernel, got 'fast'"
    with pytest.raises(ValueError, match=unknown):
        linear_divergence(student, teacher, divergence=ForwardKL(), implementation="fast", **given)
    with pytest.raises(ValueError, match=unknown):
        linear_cross_entropy(student, jnp.zeros((3, 5), jnp.int32), implementation="fast", **given)
    needs = r"divergence must be a sum over the vocabulary, .* for vocab_tile, got {}.*Use token_chunk"
    record = top_k(jnp.zeros((3, 5, 13)), 2)
    for implementation in ("vocab_tile", VocabTile(tile=4)):
        for divergence in (losses.AdaptiveKL(), losses.WassersteinSorted()):
            with pytest.raises(ValueError, match=needs.format(type(divergence).__name__)):
                linear_divergence(student, teacher, divergence=divergence, implementation=implementation, **given)
        with pytest.raises(ValueError, match=needs.format("ForwardKL")):
            linear_divergence(student, record, divergence=ForwardKL(), implementation=implementation, **given)
    with pytest.raises(ValueError, match=r"divergence.temperature must be the 1.0 that the top-k record was made at"):
        linear_divergence(student, record, divergence=ForwardKL(temperature=2.0), **given)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_is_no_divergence_and_what_are_no_hiddens():
    student, teacher = pair(16)
    given = {"weights": jnp.ones((3, 5))}
    for other, kind in ((losses.forward_kl, "function"), (ForwardKL, "ForwardKL")):
        with pytest.raises(
            TypeError, match=rf"divergence must be an instance of a divergence, such as .* got {kind}\."
        ):
            linear_divergence(student, teacher, divergence=other, **given)
    for side, arguments in (("student", (student.values, teacher)), ("teacher", (student, teacher.values))):
        with pytest.raises(TypeError, match=rf"{side} must be Hiddens, got ArrayImpl\. Give hidden states with their"):
            linear_divergence(*arguments, divergence=ForwardKL(), **given)
    with pytest.raises(TypeError, match=r"student must be Hiddens, got ArrayImpl"):
        linear_cross_entropy(student.values, jnp.zeros((3, 5), int), **given)
