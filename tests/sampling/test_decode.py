"""The compiled sampler: what it writes, when it stops, and what it does not depend on."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxkd.models.transformer import decoder
from jaxkd.models.transformer.key_value_cache import init_cache
from jaxkd.sampling import GREEDY, Finish, Mixture, Sampling, decode, pad, sample, stop_table
from jaxkd.sharding import shard
from tests.models import tiny
from tests.sampling.cases import CONFIGS, PROMPTS, language_model, log_softmax, next_logits

EVERYTHING = Sampling(temperature=1.3, top_k=20, top_p=0.95, min_p=0.01, repetition_penalty=1.2, no_repeat_ngram=3)
WARM = Sampling(temperature=1.5)
CUT = Sampling(temperature=1.5, top_k=12)
ENDS = (2, 11)
IDS = [4, 8, 15]
BLANK = np.zeros((1, 15), np.int32)
"""Columns of prompt and text without either."""

adjusted = jax.jit(decode.adjusted, static_argnames="sampling")


@pytest.fixture(scope="module", params=CONFIGS)
def model(request):
    return language_model(CONFIGS[request.param])


@pytest.fixture(scope="module")
def llama():
    return language_model(tiny.LLAMA)


def write(
    model,
    prompts=PROMPTS,
    *,
    new=8,
    sampling=GREEDY,
    seed=3,
    length=7,
    rows=8,
    example_ids=None,
    end_tokens=(),
    **others,
):
    """Sample after the prompts.  Few shapes are compiled: rows are padded, and the padding is removed again."""
    padded = pad(prompts, example_ids=example_ids, length=length, rows=rows)
    options = {"max_new_tokens": new, "sampling": sampling, "end_tokens": end_tokens}
    generated = sample(model.config, model.params, padded, jax.random.key(seed), **options, **others)
    return jax.tree.map(lambda leaf: leaf[: len(prompts)], jax.device_get(generated))


def distribution(logits, sampling, columns=BLANK, end=0):
    """Log-probabilities that a token is drawn from, after the first `end` of the columns."""
    row = logits[None].astype(np.float32)
    found = adjusted(row, columns, np.arange(15)[None] < end, np.int32(end), sampling=sampling)
    return log_softmax(np.asarray(found, np.float64))[0]


def placed(config):
    """The parameters of the tiny model on the ambient mesh."""
    return shard(tiny.random_params(config), decoder.logical_axes(config))


def texts(generated):
    return [row[:length].tolist() for row, length in zip(generated.tokens, generated.lengths, strict=True)]


@pytest.fixture(scope="module")
def greedy(llama):
    """Greedy generations of the model without end tokens."""
    return write(llama)


@pytest.fixture(scope="module")
def ended(llama, greedy):
    """Two tokens that it writes, and what it writes where they end a text."""
    ends = int(greedy.tokens[0, 1]), int(greedy.tokens[2, 3])
    return ends, write(llama, end_tokens=ends)


@pytest.fixture(scope="module")
def spelled(greedy):
    """A string that two tokens of the first text complete, all tokens' spellings, and the table that finds it."""
    spellings = {token: b"<%d>" % token for token in range(40)}
    tail = f"{greedy.tokens[0, 1]}><{greedy.tokens[0, 2]}"
    return tail, stop_table(spellings, [tail], vocab_size=40)


def test_greedy_equals_reading_the_whole_text_again(model):
    generated = write(model)
    for row, prompt in enumerate(PROMPTS):
        text, log_probs = list(prompt), []
        for _ in range(8):
            log_probs.append(log_softmax(next_logits(model, text)[-1]))
            text.append(int(log_probs[-1].argmax()))
        assert generated.tokens[row].tolist() == text[len(prompt) :]
        np.testing.assert_allclose(generated.log_probs[row], np.max(log_probs, axis=1), atol=1e-5)
        np.testing.assert_array_equal(generated.sampling_log_probs[row], 0)


@pytest.mark.parametrize(
    ("name", "sampling", "ends"),
    [
        ("llama", WARM, ENDS),
        ("gpt2", WARM, ENDS),
        ("llama", EVERYTHING, ()),
        pytest.param("gpt2", EVERYTHING, (), marks=pytest.mark.slow),
    ],
    ids=["llama-warm", "gpt2-warm", "llama-all", "gpt2-all"],
)
def test_both_log_probabilities_are_those_of_the_whole_text(name, sampling, ends):
    model = language_model(CONFIGS[name])
    generated = write(model, sampling=sampling, end_tokens=ends)
    for row, (prompt, text) in enumerate(zip(PROMPTS, texts(generated), strict=True)):
        logits = next_logits(model, [*prompt, *text])[len(prompt) - 1 : -1]
        expected = log_softmax(logits)[np.arange(len(text)), text]
        np.testing.assert_allclose(generated.log_probs[row, : len(text)], expected, atol=1e-5)
        columns = BLANK.copy()
        columns[0, : len(prompt) + len(text)] = [*prompt, *text]
        for at, token in enumerate(text):
            drawn_from = distribution(logits[at], sampling, columns, len(prompt) + at)
            np.testing.assert_allclose(generated.sampling_log_probs[row, at], drawn_from[token], atol=2e-5)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=2.0),
        CUT,
        pytest.param(Sampling(temperature=1.5, top_p=0.7), marks=pytest.mark.slow),
        pytest.param(Sampling(temperature=1.5, min_p=0.1), marks=pytest.mark.slow),
    ],
    ids=["temperature", "top_k", "top_p", "min_p"],
)
def test_samples_follow_the_distribution(llama, sampling):
    """Five standard deviations of a binomial for each token: right samplers fail with 1 of 10,000 keys."""
    rows, prompt = 4096, [5, 9, 33]
    generated = write(llama, [prompt] * rows, new=2, sampling=sampling, seed=0, rows=rows)
    for column in range(2):
        # The second token has one distribution only where the first is the same: the commonest one.
        commonest = np.bincount(generated.tokens[:, 0]).argmax()
        chosen = generated.tokens[:, 0] == commonest if column else np.ones(rows, bool)
        probs = np.exp(distribution(next_logits(llama, [*prompt, *[int(commonest)] * column])[-1], sampling))
        counts = np.bincount(generated.tokens[chosen, column], minlength=40)
        count = chosen.sum()
        assert (np.abs(counts - count * probs) <= 5 * np.sqrt(count * probs * (1 - probs))).all()


def test_a_draw_is_that_of_jax(llama):
    prompt, ids = PROMPTS[0], np.arange(4096)
    generated = write(llama, [prompt] * 4096, new=2, sampling=CUT, example_ids=ids, rows=4096)
    logits = next_logits(llama, prompt)[-1].astype(np.float32)
    drawn_from = jnp.asarray(np.where(np.isneginf(distribution(logits, CUT)), -np.inf, logits / np.float32(1.5)))

    @jax.jit
    @jax.vmap
    def drawn(row):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(3), row), 0)
        return jax.random.categorical(key, drawn_from)

    np.testing.assert_array_equal(generated.tokens[:, 0], drawn(ids))


@pytest.mark.parametrize("share", [0.0, 1.0], ids=["alone", "the other"])
def test_a_mixture_at_its_ends_is_one_of_its_models(llama, share):
    other = language_model(tiny.GPT2)
    mixture = Mixture(config=other.config, params=other.params, share=share)
    go = functools.partial(write, sampling=WARM, end_tokens=ENDS)
    found, expected = go(llama, mixture=mixture), go(other if share else llama)
    for name in ("tokens", "lengths", "finish"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    np.testing.assert_allclose(found.sampling_log_probs, expected.sampling_log_probs, atol=1e-5)


def test_a_mixture_is_of_the_tokens_that_both_heads_have_and_the_mesh_changes_nothing(llama):
    config = dataclasses.replace(tiny.LLAMA, depth=1, vocab_size=48, tokens=40)
    other = language_model(config)
    go = functools.partial(write, sampling=WARM)
    alone = go(llama, mixture=Mixture(config=config, params=other.params, share=0.3))
    for row, (prompt, text) in enumerate(zip(PROMPTS, texts(alone), strict=True)):
        own, theirs = (next_logits(model, [*prompt, *text])[len(prompt) - 1 : -1, :40] for model in (llama, other))
        places = np.arange(8), text
        np.testing.assert_allclose(alone.log_probs[row], log_softmax(own)[places], atol=1e-5)
        mixed = 0.7 * np.exp(log_softmax(own / 1.5)) + 0.3 * np.exp(log_softmax(theirs / 1.5))
        np.testing.assert_allclose(alone.sampling_log_probs[row], np.log(mixed[places]), atol=1e-5)
    mesh = jax.make_mesh((2, 2, 2), ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3)
    with jax.set_mesh(mesh):
        own, theirs = (placed(model.config) for model in (llama, other))
        mixture = Mixture(config=config, params=theirs, share=0.3)
        sharded = go(dataclasses.replace(llama, params=own), mixture=mixture)
    np.testing.assert_array_equal(sharded.tokens, alone.tokens)
    np.testing.assert_allclose(sharded.sampling_log_probs, alone.sampling_log_probs, atol=1e-5)


def test_a_share_is_a_probability(llama):
    with pytest.raises(ValueError, match=r"share must be in \[0, 1\], got 1.5"):
        Mixture(config=llama.config, params=llama.params, share=1.5)


def test_the_key_and_the_example_decide_the_sample(llama):
    draw = functools.partial(write, llama, [[5, 9, 33]] * 2, sampling=WARM, end_tokens=ENDS)
    first = texts(draw(seed=0))
    assert texts(draw(seed=0)) == first
    assert texts(draw(seed=1)) != first
    assert first[0] != first[1], "by default each prompt is an example of its own"
    same = texts(draw(seed=0, example_ids=[6, 6]))
    assert same[0] == same[1]


@pytest.mark.parametrize(("name", "sampling", "ends"), [("llama", EVERYTHING, ()), ("gpt2", WARM, ENDS)])
def test_a_row_depends_on_nothing_beside_it(name, sampling, ends):
    draw = functools.partial(write, language_model(CONFIGS[name]), sampling=sampling, end_tokens=ends)
    together = draw(example_ids=IDS)
    for order in ([2, 0, 1], [1], [1, 0]):
        for length in (7, 20):
            other = draw([PROMPTS[row] for row in order], example_ids=[IDS[row] for row in order], length=length)
            assert texts(other) == [texts(together)[row] for row in order]
            for field in ("log_probs", "sampling_log_probs"):
                np.testing.assert_allclose(getattr(other, field), getattr(together, field)[order], atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "sampling"),
    [
        ((2, 2, 2), EVERYTHING),
        ((1, 2, 4), GREEDY),
        pytest.param((8, 1, 1), EVERYTHING, marks=pytest.mark.slow),
        pytest.param((1, 8, 1), EVERYTHING, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_mesh_changes_nothing(llama, shape, sampling):
    table = stop_table({7: b"no"}, ["no"], vocab_size=40)
    go = functools.partial(write, sampling=sampling, example_ids=IDS, end_tokens=ENDS, stop=table)
    alone = go(llama)
    mesh = jax.make_mesh(shape, ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3)
    with jax.set_mesh(mesh):
        sharded = go(dataclasses.replace(llama, params=placed(llama.config)))
    for name in ("tokens", "lengths", "finish"):
        np.testing.assert_array_equal(getattr(sharded, name), getattr(alone, name))
    for name in ("log_probs", "sampling_log_probs"):
        np.testing.assert_allclose(getattr(sharded, name), getattr(alone, name), atol=1e-5)


def test_nothing_follows_the_end_and_the_other_rows_go_on(greedy, ended):
    ends, stopped = ended
    for row, text in enumerate(greedy.tokens.tolist()):
        length = min((text.index(end) + 1 for end in ends if end in text), default=8)
        assert stopped.lengths[row] == length
        assert stopped.finish[row] == (Finish.LENGTH if set(text).isdisjoint(ends) else Finish.END_TOKEN)
        assert stopped.tokens[row].tolist() == text[:length] + [0] * (8 - length)
        np.testing.assert_array_equal(stopped.log_probs[row, length:], 0)
        np.testing.assert_allclose(stopped.log_probs[row, :length], greedy.log_probs[row, :length], atol=1e-6)
    assert set(stopped.finish.tolist()) == {Finish.END_TOKEN, Finish.LENGTH}, "the case must have both"
    np.testing.assert_array_equal(stopped.mask, np.arange(8)[None] < stopped.lengths[:, None])


def test_any_of_several_end_tokens_ends_a_text(ended):
    ends, stopped = ended
    assert {text[-1] for text in texts(stopped)} >= set(ends)


def test_the_end_can_be_all_there_is_and_can_never_come(llama, greedy):
    only = write(llama, end_tokens=tuple(range(40)))
    assert only.lengths.tolist() == [1, 1, 1]
    assert only.finish.tolist() == [Finish.END_TOKEN] * 3
    assert greedy.lengths.tolist() == [8, 8, 8]
    assert greedy.finish.tolist() == [Finish.LENGTH] * 3
    assert texts(write(llama, new=1)) == [text[:1] for text in texts(greedy)]


def test_a_string_ends_a_text_across_tokens(llama, greedy, spelled):
    tail, table = spelled
    stopped = write(llama, stop=table)
    for row, whole in enumerate(greedy.tokens.tolist()):
        ends = [place for place in range(1, 8) if f"{whole[place - 1]}><{whole[place]}".endswith(tail)]
        length = ends[0] + 1 if ends else 8
        assert texts(stopped)[row] == whole[:length]
        assert stopped.finish[row] == (Finish.STOP_STRING if ends else Finish.LENGTH)
    assert stopped.finish[0] == Finish.STOP_STRING


def test_an_end_token_is_named_before_a_string_that_it_completes(llama, greedy, spelled):
    _, table = spelled
    end = int(greedy.tokens[0, 2])
    stopped = write(llama, PROMPTS[:1], stop=table, end_tokens=(end,))
    assert texts(stopped) == [greedy.tokens[0, :3].tolist()], "not before the string is complete"
    assert stopped.finish.tolist() == [Finish.END_TOKEN]


def test_a_row_without_a_prompt_gets_no_text(llama):
    filled = write(llama, [PROMPTS[0], [], PROMPTS[2]], sampling=EVERYTHING)
    assert filled.finish.tolist() == [Finish.LENGTH, Finish.NO_PROMPT, Finish.LENGTH]
    assert filled.lengths.tolist() == [8, 0, 8]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(filled))
    np.testing.assert_array_equal(filled.log_probs[1], 0)
    assert write(llama, [[], []]).lengths.tolist() == [0, 0]


def test_it_compiles_inside_a_compiled_function_and_has_no_gradient(llama):
    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def scored(params, prompts, key):
        generated = sample(llama.config, params, prompts, key, max_new_tokens=8, sampling=WARM, end_tokens=ENDS)
        return (generated.log_probs + generated.sampling_log_probs).sum(), generated.tokens

    (value, tokens), gradient = scored(llama.params, pad(PROMPTS, rows=8), jax.random.key(3))
    assert np.isfinite(value)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(jax.device_get(gradient)))
    np.testing.assert_array_equal(tokens[:3], write(llama, sampling=WARM, end_tokens=ENDS).tokens)


def test_bfloat16_parameters_give_float32_probabilities(llama):
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), tiny.random_params(llama.config))
    generated = write(dataclasses.replace(llama, params=params), sampling=Sampling(temperature=1.0, top_p=0.9))
    assert generated.log_probs.dtype == generated.sampling_log_probs.dtype == np.float32
    assert (generated.log_probs < 0).all()
    assert (generated.sampling_log_probs <= 0).all()


def test_dropout_is_off(llama, greedy):
    wet = dataclasses.replace(llama, config=dataclasses.replace(llama.config, dropout=0.9))
    assert texts(write(wet)) == texts(greedy)


def test_there_must_be_a_token_to_write(llama):
    with pytest.raises(ValueError, match="max_new_tokens must be at least 1, got 0"):
        write(llama, new=0)


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
    whole = write(llama, new=30, sampling=WARM)
    made = []
    monkeypatch.setattr(decode, "init_cache", lambda *arguments: made.append(arguments[2]) or init_cache(*arguments))
    monkeypatch.setattr(decode, "SHORTEST_STAGE", 4)
    sample.clear_cache()
    staged = write(llama, new=30, sampling=WARM)
    sample.clear_cache()
    assert made == [9, 18, 36], "seven columns of prompt, and all tokens but the last"
    np.testing.assert_array_equal(staged.tokens, whole.tokens)
    np.testing.assert_allclose(staged.log_probs, whole.log_probs, atol=1e-5)


def test_the_last_rows_go_on_in_less_of_the_batch_and_nothing_changes(llama, monkeypatch):
    prompts = [[5, 9, row] for row in range(8)]
    draw = functools.partial(write, llama, prompts, new=30, sampling=WARM, end_tokens=ENDS)
    whole, rows = draw(), []
    extend = decode.extend

    def counted(config, params, cache, tokens, **keywords):
        jax.debug.callback(lambda: rows.append(len(tokens)))
        return extend(config, params, cache, tokens, **keywords)

    monkeypatch.setattr(decode, "extend", counted)
    monkeypatch.setattr(decode, "LEAST_HALVED", 4)
    monkeypatch.setattr(decode, "SHORTEST_STAGE", 4)
    sample.clear_cache()
    halved = draw()
    jax.effects_barrier()
    sample.clear_cache()
    for name in ("tokens", "lengths", "finish"):
        np.testing.assert_array_equal(getattr(halved, name), getattr(whole, name))
    for name in ("log_probs", "sampling_log_probs"):
        np.testing.assert_allclose(getattr(halved, name), getattr(whole, name), atol=1e-5)
    running = [(whole.lengths > written).sum() for written in range(1, whole.lengths.max())]
    assert rows == [8, *(next(size for size in (2, 4, 8) if size >= number) for number in running)]
    assert set(rows) == {8, 4, 2}, "the case must have all three"
