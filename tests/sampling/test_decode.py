"""The compiled sampler: what it writes, when it stops, and what it does not depend on."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxkd.models import decoder
from jaxkd.models.key_value_cache import init_cache
from jaxkd.sampling import GREEDY, Finish, Mixture, Sampling, decode, pad, sample, stop_table
from jaxkd.sharding import place
from tests.models import tiny
from tests.sampling.cases import CONFIGS, PROMPTS, language_model, log_softmax, next_logits

EVERYTHING = Sampling(temperature=1.3, top_k=20, top_p=0.95, min_p=0.01, repetition_penalty=1.2, no_repeat_ngram=3)
IDS = [4, 8, 15]

adjusted = jax.jit(decode.adjusted, static_argnames="sampling")


@pytest.fixture(scope="module", params=CONFIGS)
def model(request):
    return language_model(CONFIGS[request.param])


@pytest.fixture(scope="module")
def llama():
    return language_model(tiny.LLAMA)


def write(
    model, prompts=PROMPTS, *, new=8, sampling=GREEDY, seed=3, length=None, rows=None, example_ids=None, **others
):
    padded = pad(prompts, example_ids=example_ids, length=length, rows=rows)
    key = jax.random.key(seed)
    generated = sample(model.config, model.params, padded, key, max_new_tokens=new, sampling=sampling, **others)
    return jax.device_get(generated)


def texts(generated):
    return [row[:length].tolist() for row, length in zip(generated.tokens, generated.lengths, strict=True)]


def test_greedy_equals_reading_the_whole_text_again(model):
    for prompt, text in zip(PROMPTS, texts(write(model)), strict=True):
        expected = list(prompt)
        for _ in range(8):
            expected.append(int(next_logits(model, expected, len(prompt) + 8)[-1].argmax()))
        assert text == expected[len(prompt) :]


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=0.7), EVERYTHING], ids=["greedy", "warm", "all"])
def test_both_log_probabilities_are_those_of_the_whole_text(model, sampling):
    generated = write(model, sampling=sampling)
    for row, (prompt, text) in enumerate(zip(PROMPTS, texts(generated), strict=True)):
        logits = next_logits(model, [*prompt, *text], len(prompt) + 8)[len(prompt) - 1 : -1]
        expected = log_softmax(logits)[np.arange(8), text]
        np.testing.assert_allclose(generated.log_probs[row], expected, atol=1e-5)
        if sampling.temperature == 0:
            np.testing.assert_array_equal(generated.sampling_log_probs[row], 0)
            continue
        columns = jnp.asarray([[*prompt, *text] + [0] * (7 - len(prompt))])
        for at, token in enumerate(text):
            end = len(prompt) + at
            row_logits = jnp.asarray(logits[at : at + 1], jnp.float32)
            drawn_from = adjusted(row_logits, columns, jnp.arange(15)[None] < end, jnp.int32(end), sampling=sampling)
            expected = log_softmax(np.asarray(drawn_from, np.float64))[0, token]
            np.testing.assert_allclose(generated.sampling_log_probs[row, at], expected, atol=2e-5)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=2.0),
        Sampling(temperature=1.5, top_k=5),
        Sampling(temperature=1.5, top_p=0.7),
        Sampling(temperature=1.5, min_p=0.1),
    ],
    ids=["temperature", "top_k", "top_p", "min_p"],
)
def test_samples_follow_the_distribution(llama, sampling):
    """Five standard deviations of a binomial for each token: right samplers fail with 1 of 10,000 keys."""
    rows, prompt = 4096, [5, 9, 33]
    generated = write(llama, [prompt] * rows, new=2, sampling=sampling, seed=0)
    for column in range(2):
        # The second token has one distribution only where the first is the same: the commonest one.
        commonest = np.bincount(generated.tokens[:, 0]).argmax()
        chosen = generated.tokens[:, 0] == commonest if column else np.ones(rows, bool)
        context = [*prompt, *[int(commonest)] * column]
        logits = jnp.asarray(next_logits(llama, context, 4)[-1:], jnp.float32)
        none = jnp.zeros((1, 1), jnp.int32)
        drawn_from = adjusted(logits, none, none.astype(bool), jnp.int32(1), sampling=sampling)
        probs = np.exp(log_softmax(np.asarray(drawn_from, np.float64)))[0]
        counts = np.bincount(generated.tokens[chosen, column], minlength=40)
        count = chosen.sum()
        assert (np.abs(counts - count * probs) <= 5 * np.sqrt(count * probs * (1 - probs))).all()


def test_a_draw_is_that_of_jax(llama):
    prompt, ids = PROMPTS[0], np.arange(64)
    generated = write(llama, [prompt] * len(ids), new=1, sampling=Sampling(temperature=1.5, top_k=12), example_ids=ids)
    logits = jnp.asarray(next_logits(llama, prompt, len(prompt) + 1)[-1], jnp.float32)
    drawn_from = jnp.where(logits >= jnp.sort(logits)[-12], logits / 1.5, -jnp.inf)
    keys = jax.vmap(lambda row: jax.random.fold_in(jax.random.fold_in(jax.random.key(3), row), 0))(ids)
    expected = jax.vmap(jax.random.categorical, in_axes=(0, None))(keys, drawn_from)
    np.testing.assert_array_equal(generated.tokens[:, 0], expected)


@pytest.mark.parametrize("share", [0.0, 1.0], ids=["alone", "the other"])
def test_a_mixture_at_its_ends_is_one_of_its_models(llama, share):
    other = language_model(tiny.GPT2)
    mixture = Mixture(config=other.config, params=other.params, share=share)
    go = functools.partial(write, sampling=Sampling(temperature=1.0), example_ids=IDS, end_tokens=(2, 11))
    found, expected = go(llama, mixture=mixture), go(other if share else llama)
    for name in ("tokens", "lengths", "finish"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    np.testing.assert_allclose(found.sampling_log_probs, expected.sampling_log_probs, atol=1e-5)


def test_a_mixture_is_of_the_tokens_that_both_heads_have_and_the_mesh_changes_nothing(llama):
    config = dataclasses.replace(tiny.LLAMA, depth=1, vocab_size=48, tokens=40)
    other = language_model(config)
    go = functools.partial(write, new=8, rows=8, example_ids=IDS, sampling=Sampling(temperature=1.5))
    alone = go(llama, mixture=Mixture(config=config, params=other.params, share=0.3))
    for row, (prompt, text) in enumerate(zip(PROMPTS, texts(alone), strict=False)):
        own, theirs = (
            next_logits(model, [*prompt, *text], len(prompt) + 8)[len(prompt) - 1 : -1, :40] for model in (llama, other)
        )
        places = np.arange(8), text
        np.testing.assert_allclose(alone.log_probs[row], log_softmax(own)[places], atol=1e-5)
        mixed = 0.7 * np.exp(log_softmax(own / 1.5)) + 0.3 * np.exp(log_softmax(theirs / 1.5))
        np.testing.assert_allclose(alone.sampling_log_probs[row], np.log(mixed[places]), atol=1e-5)
    mesh = jax.make_mesh((2, 2, 2), ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3)
    with jax.set_mesh(mesh):
        own, theirs = (place(model.params, decoder.logical_axes(model.config)) for model in (llama, other))
        mixture = Mixture(config=config, params=theirs, share=0.3)
        sharded = go(dataclasses.replace(llama, params=own), mixture=mixture)
    np.testing.assert_array_equal(sharded.tokens, alone.tokens)
    np.testing.assert_allclose(sharded.sampling_log_probs, alone.sampling_log_probs, atol=1e-5)


def test_a_share_is_a_probability(llama):
    with pytest.raises(ValueError, match=r"share must be in \[0, 1\], got 1.5"):
        Mixture(config=llama.config, params=llama.params, share=1.5)


def test_the_key_and_the_example_decide_the_sample(llama):
    draw = functools.partial(write, llama, [[5, 9, 33]] * 2, sampling=Sampling(temperature=1.5), new=12)
    first = texts(draw(seed=0))
    assert texts(draw(seed=0)) == first
    assert texts(draw(seed=1)) != first
    assert first[0] != first[1], "by default each prompt is an example of its own"
    same = texts(draw(seed=0, example_ids=[6, 6]))
    assert same[0] == same[1]


def test_a_row_depends_on_nothing_beside_it(model):
    sampling = Sampling(temperature=1.0) if model.config.position == "learned" else EVERYTHING
    together = write(model, sampling=sampling, example_ids=IDS)
    for order in ([2, 0, 1], [1], [1, 0]):
        for length in (7, 20):
            other = write(
                model,
                [PROMPTS[row] for row in order],
                sampling=sampling,
                example_ids=[IDS[row] for row in order],
                length=length,
                rows=4,
            )
            assert texts(other)[: len(order)] == [texts(together)[row] for row in order]
            for name in ("log_probs", "sampling_log_probs"):
                ours, theirs = getattr(other, name)[: len(order)], getattr(together, name)[order]
                np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "sampling"),
    [((8, 1, 1), EVERYTHING), ((1, 8, 1), EVERYTHING), ((2, 2, 2), EVERYTHING), ((1, 2, 4), GREEDY)],
    ids=str,
)
def test_the_mesh_changes_nothing(llama, shape, sampling):
    table = stop_table({7: b"no"}, ["no"], vocab_size=40)
    go = functools.partial(write, sampling=sampling, rows=8, example_ids=IDS, end_tokens=(2, 11), stop=table)
    alone = go(llama)
    mesh = jax.make_mesh(shape, ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3)
    with jax.set_mesh(mesh):
        placed = place(llama.params, decoder.logical_axes(llama.config))
        sharded = go(dataclasses.replace(llama, params=placed))
    for name in ("tokens", "lengths", "finish"):
        np.testing.assert_array_equal(getattr(sharded, name), getattr(alone, name))
    for name in ("log_probs", "sampling_log_probs"):
        np.testing.assert_allclose(getattr(sharded, name), getattr(alone, name), atol=1e-5)


def test_nothing_follows_the_end_and_the_other_rows_go_on(llama):
    full = write(llama)
    end = full.tokens[0, 2]
    stopped = write(llama, end_tokens=(int(end),))
    for row, text in enumerate(full.tokens.tolist()):
        length = text.index(end) + 1 if end in text else 8
        assert stopped.lengths[row] == length
        assert stopped.finish[row] == (Finish.END_TOKEN if end in text else Finish.LENGTH)
        assert stopped.tokens[row].tolist() == text[:length] + [0] * (8 - length)
        np.testing.assert_array_equal(stopped.log_probs[row, length:], 0)
        np.testing.assert_allclose(stopped.log_probs[row, :length], full.log_probs[row, :length], atol=1e-6)
    assert set(stopped.finish.tolist()) == {Finish.END_TOKEN, Finish.LENGTH}, "the case must have both"
    np.testing.assert_array_equal(stopped.mask, np.arange(8)[None] < stopped.lengths[:, None])


def test_any_of_several_end_tokens_ends_a_text(llama):
    full = write(llama).tokens
    ends = (int(full[0, 1]), int(full[2, 3]))
    for text, whole in zip(texts(write(llama, end_tokens=ends)), full.tolist(), strict=True):
        assert text == whole[: min((whole.index(end) + 1 for end in ends if end in whole), default=8)]


def test_the_end_can_be_all_there_is_and_can_never_come(llama):
    only = write(llama, end_tokens=tuple(range(40)))
    assert only.lengths.tolist() == [1, 1, 1]
    assert only.finish.tolist() == [Finish.END_TOKEN] * 3
    never = write(llama)
    assert never.lengths.tolist() == [8, 8, 8]
    assert never.finish.tolist() == [Finish.LENGTH] * 3
    assert texts(write(llama, new=1)) == [text[:1] for text in texts(never)]


def test_a_string_ends_a_text_across_tokens(llama):
    full = write(llama).tokens.tolist()
    spelled = {token: b"<%d>" % token for token in range(40)}
    tail = f"{full[0][1]}><{full[0][2]}"
    stopped = write(llama, stop=stop_table(spelled, [tail], vocab_size=40))
    for row, whole in enumerate(full):
        ends = [place for place in range(1, 8) if f"{whole[place - 1]}><{whole[place]}".endswith(tail)]
        length = ends[0] + 1 if ends else 8
        assert texts(stopped)[row] == whole[:length]
        assert stopped.finish[row] == (Finish.STOP_STRING if ends else Finish.LENGTH)
    assert stopped.finish[0] == Finish.STOP_STRING


def test_an_end_token_is_named_before_a_string_that_it_completes(llama):
    first = int(write(llama).tokens[0, 0])
    table = stop_table({first: b"x"}, ["x"], vocab_size=40)
    assert write(llama, PROMPTS[:1], stop=table, end_tokens=(first,)).finish.tolist() == [Finish.END_TOKEN]
    assert write(llama, PROMPTS[:1], stop=table).finish.tolist() == [Finish.STOP_STRING]


def test_a_row_without_a_prompt_gets_no_text(llama):
    filled = write(llama, [PROMPTS[0], [], PROMPTS[2]], sampling=EVERYTHING)
    assert filled.finish.tolist() == [Finish.LENGTH, Finish.NO_PROMPT, Finish.LENGTH]
    assert filled.lengths.tolist() == [8, 0, 8]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(filled))
    np.testing.assert_array_equal(filled.log_probs[1], 0)
    assert write(llama, [[], []]).lengths.tolist() == [0, 0]


def test_the_loop_ends_when_every_row_has(llama, monkeypatch):
    read = []

    def counted(*arguments, **keywords):
        jax.debug.callback(lambda: read.append(1))
        return extend(*arguments, **keywords)

    extend = decode.extend
    monkeypatch.setattr(decode, "extend", counted)
    first = texts(write(llama, new=13))
    jax.effects_barrier()
    assert len(read) == 13, "the prompt, and every token but the last"
    read.clear()
    ends = tuple({text[2] for text in first})
    lengths = write(llama, new=13, end_tokens=ends).lengths
    jax.effects_barrier()
    sample.clear_cache()
    assert len(read) == lengths.max() <= 3


def test_a_cache_that_grows_changes_nothing(llama, monkeypatch):
    whole = write(llama, new=30, sampling=EVERYTHING)
    made = []
    monkeypatch.setattr(decode, "init_cache", lambda *arguments: made.append(arguments[2]) or init_cache(*arguments))
    monkeypatch.setattr(decode, "SHORTEST_STAGE", 4)
    sample.clear_cache()
    staged = write(llama, new=30, sampling=EVERYTHING)
    sample.clear_cache()
    assert made == [9, 18, 36], "seven columns of prompt, and all tokens but the last"
    np.testing.assert_array_equal(staged.tokens, whole.tokens)
    np.testing.assert_allclose(staged.log_probs, whole.log_probs, atol=1e-5)


def test_it_compiles_inside_a_compiled_function_and_has_no_gradient(llama):
    prompts = pad(PROMPTS)

    @functools.partial(jax.jit, static_argnames="config")
    def scored(config, params, key):
        generated = sample(config, params, prompts, key, max_new_tokens=4, sampling=Sampling(temperature=1.0))
        return (generated.log_probs + generated.sampling_log_probs).sum(), generated.tokens

    value, gradient = jax.value_and_grad(lambda params: scored(llama.config, params, jax.random.key(3))[0])(
        llama.params
    )
    assert np.isfinite(value)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(gradient))
    _, tokens = scored(llama.config, llama.params, jax.random.key(3))
    np.testing.assert_array_equal(tokens, write(llama, new=4, sampling=Sampling(temperature=1.0)).tokens)


def test_bfloat16_parameters_give_float32_probabilities(llama):
    half = dataclasses.replace(llama, params=jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), llama.params))
    generated = write(half, sampling=Sampling(temperature=1.0, top_p=0.9))
    assert generated.log_probs.dtype == generated.sampling_log_probs.dtype == np.float32
    assert (generated.log_probs < 0).all()
    assert (generated.sampling_log_probs <= 0).all()


def test_dropout_is_off(llama):
    wet = dataclasses.replace(llama, config=dataclasses.replace(llama.config, dropout=0.9))
    assert texts(write(wet)) == texts(write(llama))


def test_there_must_be_a_token_to_write(llama):
    with pytest.raises(ValueError, match="max_new_tokens must be at least 1, got 0"):
        write(llama, new=0)
