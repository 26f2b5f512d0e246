"""Lists of prompts in, texts out; and against transformers."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxkd.models import LanguageModel, Pretrained
from jaxkd.models.checkpoints import huggingface
from jaxkd.models.transformer import decoder
from jaxkd.sampling import GREEDY, Finish, Mixture, Sampling, generate, sample
from jaxkd.sharding import shard
from jaxkd.tokenizers import loading
from tests.assets import tiny_tokenizer_fields
from tests.models import tiny
from tests.sampling.cases import PROMPTS, language_model


@pytest.fixture(scope="module")
def llama():
    return language_model(tiny.LLAMA)


@pytest.fixture(scope="module")
def speller():
    """A model whose tokenizer spells its tokens."""
    tokenizer = loading.from_gguf(tiny_tokenizer_fields())
    config = dataclasses.replace(tiny.LLAMA, vocab_size=len(tokenizer) + 7)
    return LanguageModel(
        config=config, params=jax.tree.map(jnp.asarray, tiny.random_params(config)), tokenizer=tokenizer
    )


def test_texts_come_back_in_the_order_of_their_prompts(llama):
    random = np.random.default_rng(0)
    prompts = [random.integers(3, 40, length).tolist() for length in (3, 20, 1, 17)]
    draw = functools.partial(
        generate, llama, max_new_tokens=4, sampling=Sampling(temperature=1.0), key=jax.random.key(3)
    )
    together = draw(prompts)
    for text, same in zip(draw(prompts, rows=2), together, strict=True):
        assert text.tokens == same.tokens
        np.testing.assert_allclose(text.log_probs, same.log_probs, atol=1e-5)
    assert draw(prompts[2:], example_ids=[2, 3])[0].tokens == together[2].tokens


def test_few_shapes_are_compiled(llama):
    random, before = np.random.default_rng(0), sample._cache_size()
    for count in (1, 2, 3, 5, 7):
        prompts = [[5] * length for length in random.integers(1, 25, count)]
        generate(llama, prompts, max_new_tokens=4, rows=2, sampling=Sampling(temperature=1.0), key=jax.random.key(3))
    assert sample._cache_size() - before <= 4, "1 or 2 rows of 16 or 24 columns"


def test_the_tokenizers_end_token_ends_a_text_unless_others_are_given(llama):
    (full,) = generate(llama, PROMPTS[:1], max_new_tokens=8)
    assert (len(full.tokens), full.finish) == (8, Finish.LENGTH)
    stopping = language_model(tiny.LLAMA, eos=full.tokens[2])
    cut = full.tokens.index(full.tokens[2]) + 1
    (text,) = generate(stopping, PROMPTS[:1], max_new_tokens=8)
    assert (text.tokens, text.finish) == (full.tokens[:cut], Finish.END_TOKEN)
    assert len(text.log_probs) == len(text.sampling_log_probs) == cut
    assert generate(stopping, PROMPTS[:1], max_new_tokens=8, end_tokens=())[0].tokens == full.tokens
    (given,) = generate(llama, PROMPTS[:1], max_new_tokens=8, end_tokens=iter([full.tokens[2]]))
    assert (given.tokens, given.finish) == (text.tokens, text.finish)


def test_a_stop_string_is_left_out_of_the_text_and_kept_in_the_tokens(speller):
    draw = functools.partial(
        generate, speller, [[5, 9, 33]], max_new_tokens=24, sampling=Sampling(temperature=1.0), key=jax.random.key(1)
    )
    (full,) = draw(end_tokens=())
    plain = [
        place_ for place_, token in enumerate(full.tokens) if 0x21 <= ord(speller.tokenizer.decode([token])[0]) < 0x7F
    ]
    start = next(place_ for place_ in plain if place_ >= 4 and place_ + 1 in plain)
    stop = speller.tokenizer.decode(list(full.tokens[start : start + 2]))
    (text,) = draw(end_tokens=(), stop=["not there", stop])
    assert text.finish == Finish.STOP_STRING
    assert text.tokens == full.tokens[: len(text.tokens)]
    whole = speller.tokenizer.decode(list(text.tokens), skip_special_tokens=True)
    assert whole.index(stop) == len(text.text)
    assert stop not in text.text


def test_no_prompt_gives_no_text(llama):
    assert generate(llama, [], max_new_tokens=4) == []


def test_rows_are_split_over_the_mesh(llama):
    expected = generate(llama, PROMPTS, max_new_tokens=8)
    mesh = jax.make_mesh((2, 2, 2), ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3)
    with jax.set_mesh(mesh):
        placed = shard(tiny.random_params(llama.config), decoder.logical_axes(llama.config))
        sharded = generate(dataclasses.replace(llama, params=placed), PROMPTS, max_new_tokens=8)
    assert [text.tokens for text in sharded] == [text.tokens for text in expected]


def test_a_prompt_may_fill_all_positions_but_those_of_the_text(llama):
    long = tiny.random_tokens(llama.config, 1, 60)[0].tolist()
    assert len(generate(llama, [long], max_new_tokens=4)[0].tokens) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts": [[5], []]}, "prompts must not be empty, prompt 1 is. Start it with the model's bos token"),
        ({"max_new_tokens": 0}, "max_new_tokens and rows must be at least 1, got 0 and 32"),
        ({"rows": 0}, "max_new_tokens and rows must be at least 1, got 4 and 0"),
        ({"sampling": Sampling(temperature=0.7)}, "key must be given to sample at temperature 0.7"),
        ({"example_ids": [1, 2]}, "example_ids must name each prompt, got 2 for 1 prompts"),
        ({"end_tokens": [2, 40]}, r"end_tokens must be ids of the model's 40 tokens, got \[40\]. Take them from"),
        (
            {"max_new_tokens": 60, "prompts": [[5] * 5]},
            "prompt 0 must leave room for max_new_tokens=60 .*it to 4",
        ),
        ({"stop": [""]}, "stop must hold strings that are not empty"),
    ],
)
def test_impossible_requests_are_refused(speller, llama, changes, message):
    model = speller if "stop" in changes else llama
    with pytest.raises(ValueError, match=message):
        generate(model, **({"prompts": [[5]], "max_new_tokens": 4} | changes))


def test_a_prompt_must_leave_room_in_both_models_of_a_mixture(llama):
    short = Mixture(config=dataclasses.replace(llama.config, max_positions=8), params=llama.params, share=0.5)
    with pytest.raises(ValueError, match="max_new_tokens=4 in the model's 8 positions, got 5 tokens. Shorten it to 4"):
        generate(llama, [[5] * 5], max_new_tokens=4, mixture=short)


def test_stop_strings_need_a_tokenizer_that_can_be_read(llama):
    with pytest.raises(TypeError, match="tokenizer must run on the tokenizers library"):
        generate(llama, [[5]], max_new_tokens=4, stop=["x"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sampling", "options"),
    [
        *((name, GREEDY, {}) for name in tiny.NAMES),
        (
            "llama",
            Sampling(repetition_penalty=1.3, no_repeat_ngram=2),
            {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2},
        ),
    ],
    ids=[*tiny.NAMES, "without repetition"],
)
def test_greedy_equals_transformers(name, sampling, options, tmp_path):
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    folder = tiny.write_golden(name, tmp_path)
    config = tiny.golden_config(name)
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    model = dataclasses.replace(
        language_model(config, eos=2), params=jax.tree.map(jnp.asarray, huggingface.load(folder, config))
    )
    written = generate(model, PROMPTS, max_new_tokens=20, sampling=sampling)
    for prompt, text in zip(PROMPTS, written, strict=True):
        output = theirs.generate(torch.tensor([prompt]), max_new_tokens=20, do_sample=False, pad_token_id=0, **options)
        assert list(text.tokens) == output[0, len(prompt) :].tolist()


@pytest.mark.slow
def test_smollm2_knows_the_capital_of_france(smollm2_folder):
    source = Pretrained(path=str(smollm2_folder))
    tokenizer = source.tokenizer()
    model = LanguageModel(config=source.config(), params=source.load(), tokenizer=tokenizer)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}], add_generation_prompt=True
    )["input_ids"]
    (ended,) = generate(model, [prompt], max_new_tokens=16)
    assert tokenizer.decode(ended.tokens) == "The capital of France is Paris.<|im_end|>"
    (stopped,) = generate(model, [prompt], max_new_tokens=16, stop=["ance is P"])
    assert (stopped.text, stopped.finish) == ("The capital of Fr", Finish.STOP_STRING)
