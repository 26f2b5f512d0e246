"""LogitKD against a float64 re-derivation, its limits, its gradient map and its refusals."""

import dataclasses
import functools
import json

import jax
import numpy as np
import pytest

from jaxkd.data import Jsonl
from jaxkd.distillation import forward
from jaxkd.losses import ForwardKL, JensenShannon
from jaxkd.models import Pretrained
from jaxkd.models.checkpoints.gguf import convert
from jaxkd.tokenizers import vocabulary
from tests.assets import tiny_tensors, tiny_tokenizer_fields, write_tiny_gguf
from tests.recipes import numpy_losses as oracle
from tests.recipes.paired_batches import all_zero
from tests.tiny_runs import initial, loss_alone, loss_and_gradients


@pytest.mark.parametrize(("kd_rate", "temperature"), [(0.5, 2.0), (0.3, 4.0), (1.0, 1.0)])
def test_equals_float64_numpy(tiny, tiny_batch, kd_rate, temperature):
    recipe = tiny.logit_kd(kd_rate=kd_rate, divergence=ForwardKL(temperature=temperature))
    value, output, variables = loss_alone(recipe, tiny_batch)
    q, p = (
        oracle.logits(oracle.hiddens(model.config(), params, tiny_batch))
        for model, params in (
            (recipe.student, variables.params["student"]),
            (recipe.teacher, variables.frozen["teacher"]),
        )
    )
    divergence = oracle.forward_kl(q, p, temperature)[tiny_batch.loss_mask].mean()
    nats = oracle.cross_entropy(q, tiny_batch.labels)[tiny_batch.loss_mask].mean()
    np.testing.assert_allclose(value, kd_rate * divergence + (1 - kd_rate) * nats, rtol=1e-5)
    np.testing.assert_allclose(output.metrics["divergence"].value(), divergence, rtol=1e-5)
    np.testing.assert_allclose(output.metrics["cross_entropy"].value(), nats, rtol=1e-5)


def test_a_student_that_is_the_teacher_has_no_divergence_and_no_gradient_from_it(tiny, tiny_batch):
    recipe = tiny.logit_kd(student=tiny.teacher, kd_rate=1.0)
    value, _, (to_student, to_teacher), _ = loss_and_gradients(recipe, tiny_batch)
    np.testing.assert_allclose(value, 0, atol=1e-6)
    for leaf in jax.tree.leaves(to_student):
        np.testing.assert_allclose(leaf, 0, atol=1e-6)
    assert all_zero(to_teacher)


def test_without_the_divergence_it_is_sft(tiny, tiny_batch):
    kd, _, (kd_gradient, _), _ = loss_and_gradients(tiny.logit_kd(kd_rate=0.0), tiny_batch)
    sft, output, (sft_gradient, _), _ = loss_and_gradients(tiny.sft(), tiny_batch)
    np.testing.assert_allclose(kd, sft, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), kd_gradient, sft_gradient)
    assert set(output.metrics) == {"cross_entropy", "accuracy"}


def test_what_pads_a_row_does_not_touch_loss_or_gradient(tiny, tiny_batch):
    padding = tiny_batch.segment_ids == 0
    assert padding.any()
    changed = dataclasses.replace(
        tiny_batch,
        tokens=np.where(padding, 7, tiny_batch.tokens),
        labels=np.where(tiny_batch.loss_mask, tiny_batch.labels, 3),
    )
    (value, _, (gradient, _), _), (other, _, (other_gradient, _), _) = (
        loss_and_gradients(tiny.logit_kd(), one) for one in (tiny_batch, changed)
    )
    np.testing.assert_allclose(value, other, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), gradient, other_gradient)


def test_a_batch_without_a_target_costs_nothing(tiny, tiny_batch):
    empty = dataclasses.replace(tiny_batch, loss_mask=np.zeros_like(tiny_batch.loss_mask))
    for recipe in (tiny.sft(), tiny.logit_kd()):
        value, output, (gradient, _), _ = loss_and_gradients(recipe, empty)
        assert value == 0
        assert all_zero(gradient)
        assert all(mean.value() == 0 for mean in output.metrics.values())


def test_packed_rows_cost_what_single_rows_cost(tiny, tiny_text):
    """The mean over a packed epoch equals the mean over the same examples, one a row."""
    from jaxkd.data.text.packing import evaluation_batches

    tokenized = tiny_text.tokenized("train", tiny.teacher.tokenizer())
    params = tiny.student.load()
    nats = jax.jit(lambda params, batch: forward.label_cross_entropy(tiny.student.config(), params, batch))
    totals = []
    for pack in (True, False):
        found = np.zeros(len(tokenized))
        for batch in evaluation_batches(tokenized, rows=8, length=96, targets=40, pack=pack):
            mask = np.asarray(batch.loss_mask)
            np.add.at(found, batch.example_ids[mask], np.asarray(nats(params, batch))[mask])
        totals.append(found)
    np.testing.assert_allclose(totals[0], totals[1], rtol=2e-5)


def test_the_end_of_the_answer_is_a_target_although_it_is_also_padding(tiny, tiny_batch):
    """pad = eos in this tokenizer: a mask made from ids would drop the end of every answer."""
    tokenizer = tiny.teacher.tokenizer()
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    labels = tiny_batch.labels[tiny_batch.loss_mask]
    assert (labels == tokenizer.eos_token_id).sum() == tiny_batch.segment_ids.max(axis=1).sum()


def test_a_cached_teacher_needs_only_its_head(tiny):
    recipe = tiny.logit_kd(teacher_cache="somewhere")
    assert set(recipe.abstract().frozen["teacher"]) == {"embedding"}
    assert set(recipe.load_frozen()["teacher"]) == {"embedding"}
    assert recipe.abstract_batch().teacher.shape == (8, 40, 64)
    assert tiny.logit_kd().abstract_batch().teacher is None


def test_abstract_variables_describe_the_real_ones(tiny):
    recipe = tiny.logit_kd()
    described, real = recipe.abstract(), initial(recipe)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), described.params) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), real.params
    )
    assert jax.tree.map(np.shape, described.frozen) == jax.tree.map(np.shape, real.frozen)


def test_different_vocabularies_are_refused_with_both_sizes(tiny, tmp_path):
    merges = ["Ġ Ġ", "Ġ Â", "Â ½", "h e"]
    fields = tiny_tokenizer_fields()
    tokens = [token for token in fields["tokenizer.ggml.tokens"] if token != "the"]
    fields |= tiny_tokenizer_fields(tokens=tokens, merges=merges, token_type=[3] * 3 + [1] * (len(tokens) - 4) + [4])
    tensors = tiny_tensors()
    tensors["token_embd.weight"] = tensors["token_embd.weight"][: len(tokens)]
    other = convert(write_tiny_gguf(tmp_path / "other.gguf", fields=fields, tensors=tensors), tmp_path / "other")
    recipe = tiny.logit_kd(teacher=Pretrained(path=str(other)))
    message = r"one vocabulary in LogitKD, got .* Of 265 tokens of the student and 264 of the teacher, 264 are .* DSKD"
    with pytest.raises(ValueError, match=message):
        recipe.validate()


def test_one_size_but_other_tokens_is_refused_too(tiny, tiny_folder, tmp_path):
    import shutil

    other = tmp_path / "other"
    shutil.copytree(tiny_folder, other)
    saved = json.loads((other / "tokenizer.json").read_text())
    ids = saved["model"]["vocab"]
    ids["a"], ids["b"] = ids["b"], ids["a"]
    (other / "tokenizer.json").write_text(json.dumps(saved))
    with pytest.raises(ValueError, match="and 265 of the teacher, 265 are the same, not all under the same ids. Diff"):
        tiny.logit_kd(teacher=Pretrained(path=str(other))).validate()


@pytest.fixture(scope="module")
def padded(tmp_path_factory):
    """The tiny model with a head of `rows` rows; those beyond the tokens are large, and alike in all sizes."""

    @functools.cache
    def made(rows):
        folder, tensors = tmp_path_factory.mktemp("padded"), tiny_tensors()
        table = tensors["token_embd.weight"]
        noise = np.random.default_rng(0).normal(size=(rows - len(table), table.shape[1]))
        tensors["token_embd.weight"] = np.concatenate([table, noise]).astype(np.float32)
        return Pretrained(path=str(convert(write_tiny_gguf(folder / "tiny.gguf", tensors=tensors), folder / "model")))

    return made


@pytest.mark.parametrize(("student_rows", "teacher_rows"), [(265, 272), (272, 265), (272, 280)])
def test_heads_padded_differently_cost_what_equal_heads_cost(tiny, tiny_batch, padded, student_rows, teacher_rows):
    """Without a flag: rows that only one head has change neither loss nor gradient."""
    fewest = padded(min(student_rows, teacher_rows))
    equal = tiny.logit_kd(student=dataclasses.replace(fewest, layers=(1,)), teacher=fewest)
    student = dataclasses.replace(padded(student_rows), layers=(1,))
    recipe = tiny.logit_kd(student=student, teacher=padded(teacher_rows))
    recipe.validate()
    (value, output, (gradient, _), _), (exact, exact_output, (exact_gradient, _), _) = (
        loss_and_gradients(one, tiny_batch) for one in (recipe, equal)
    )
    np.testing.assert_allclose(value, exact, rtol=1e-6)
    for name, mean in output.metrics.items():
        np.testing.assert_allclose(mean.value(), exact_output.metrics[name].value(), rtol=1e-6)
    rows = exact_gradient["student"]["embedding"].shape[0]
    assert (gradient["student"]["embedding"][rows:] == 0).all()
    gradient["student"]["embedding"] = gradient["student"]["embedding"][:rows]
    for found, expected in zip(jax.tree.leaves(gradient), jax.tree.leaves(exact_gradient), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def without_the_last_token(folder):
    """The tiny model without `<tool>`, its last token and last row."""
    fields, tensors = tiny_tokenizer_fields(), tiny_tensors()
    for name in ("tokens", "token_type"):
        fields[f"tokenizer.ggml.{name}"] = fields[f"tokenizer.ggml.{name}"][:-1]
    tensors["token_embd.weight"] = tensors["token_embd.weight"][:-1]
    path = write_tiny_gguf(folder / "tiny.gguf", fields=fields, tensors=tensors)
    return Pretrained(path=str(convert(path, folder / "model")))


def test_a_token_that_the_teacher_lacks_is_refused_where_a_text_holds_it(tiny, tmp_path):
    recipe = tiny.logit_kd(teacher=without_the_last_token(tmp_path))
    recipe.validate()
    assert next(iter(recipe.batches("train", 0))).labels.max() < 264
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "the", "response": "he"}\n{"prompt": "a <tool>", "response": "he"}\n')
    text = dataclasses.replace(tiny.text, source=Jsonl(train=str(rows)))
    with pytest.raises(
        ValueError,
        match=r"must be among the 264 that student and teacher share, got 264 \('<tool>'\) in .* train split",
    ):
        dataclasses.replace(recipe, data=text).batches("train", 0)


def test_smollm2_and_a_copy_of_it_share_their_vocabulary(tiny, smollm2_folder):
    student, teacher = Pretrained(path=str(smollm2_folder), layers=(0,)), Pretrained(path=f"{smollm2_folder}/")
    tiny.logit_kd(student=student, teacher=teacher).validate()
    relation = vocabulary.relation(student, teacher)
    assert (relation.kind, relation.shared, relation.common_prefix_size) == ("identical", 49_152, 49_152)


def test_rows_longer_than_the_model_was_made_for_are_refused(tiny):
    text = dataclasses.replace(tiny.text, length=129)
    for refused in (tiny.sft(data=text), tiny.logit_kd(data=text), tiny.cache(data=text)):
        with pytest.raises(ValueError, match=r"data\.length must be at most the 128 positions of the model, got 129"):
            refused.validate()


def test_a_rate_out_of_range_is_refused(tiny):
    with pytest.raises(ValueError, match=r"kd_rate must be in \(0, 1\], got 1\.5"):
        tiny.logit_kd(kd_rate=1.5).validate()


def test_any_divergence_compares(tiny, tiny_batch):
    """The Jensen-Shannon divergence is bounded by log 2, which the forward KL of these models is not."""
    value, forward_kl = (
        loss_alone(tiny.logit_kd(kd_rate=1.0, divergence=divergence), tiny_batch)[0]
        for divergence in (JensenShannon(), ForwardKL(temperature=1.0))
    )
    assert 0 < value < np.log(2) and value < forward_kl
