import dataclasses
import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxkd.models import decoder, huggingface
from jaxkd.models.language_model import LanguageModel
from jaxkd.models.pretrained import Pretrained
from jaxkd.sampling import PROMPT_BUCKET, generate
from jaxkd.sharding import place
from tests.models import tiny

CONFIGS = {"llama": tiny.LLAMA, "gpt2": tiny.GPT2}
PROMPTS = [[5, 9, 33], [12], [7, 7, 21, 30, 4, 11, 3]]


def language_model(config, *, eos=None, seed=0):
    """A tiny model whose tokenizer only knows which token ends a text."""
    params = jax.tree.map(jnp.asarray, tiny.random_params(config, seed))
    return LanguageModel(config=config, params=params, tokenizer=types.SimpleNamespace(eos_token_id=eos))


@pytest.fixture(scope="module", params=CONFIGS)
def model(request):
    return language_model(CONFIGS[request.param])


@pytest.fixture(scope="module")
def llama():
    return language_model(tiny.LLAMA)


def without_a_cache(model, prompt, steps):
    """Greedy decoding that reads the whole text again for every token."""
    text = list(prompt)
    for _ in range(steps):
        padded = np.zeros((1, len(prompt) + steps), np.int32)
        padded[0, : len(text)] = text
        text.append(int(tiny.logits(model.config, model.params, padded)[0, len(text) - 1].argmax()))
    return text[len(prompt) :]


def test_greedy_equals_reading_the_whole_text_again(model):
    written = generate(model, PROMPTS, max_new_tokens=8)
    assert written == [without_a_cache(model, prompt, 8) for prompt in PROMPTS]


def test_a_row_does_not_depend_on_the_rows_beside_it(llama):
    sample = functools.partial(generate, llama, max_new_tokens=8, temperature=1.0, key=jax.random.key(3))
    together = sample(PROMPTS, example_ids=[4, 8, 15])
    assert sample(PROMPTS[::-1], example_ids=[15, 8, 4]) == together[::-1]
    assert sample(PROMPTS[1:2], example_ids=[8]) == together[1:2]
    assert sample(PROMPTS, example_ids=[4, 8, 15], rows=2) == together


def test_the_key_and_the_example_decide_the_sample(llama):
    sample = functools.partial(generate, llama, [[5, 9, 33]] * 2, max_new_tokens=12, temperature=1.5)
    first = sample(key=jax.random.key(0))
    assert sample(key=jax.random.key(0)) == first
    assert sample(key=jax.random.key(1)) != first
    assert first[0] != first[1], "by default each prompt is an example of its own"
    same = sample(key=jax.random.key(0), example_ids=[6, 6])
    assert same[0] == same[1]


def test_samples_follow_the_softmax_at_the_temperature(llama):
    rows, temperature = 4096, 2.0
    prompt = [5, 9, 33]
    written = generate(
        llama, [prompt] * rows, max_new_tokens=2, temperature=temperature, key=jax.random.key(0), rows=rows
    )
    for column in range(2):
        # The second token has one distribution only where the first is the same: the commonest one.
        commonest = np.bincount([text[0] for text in written]).argmax()
        texts = [text for text in written if column == 0 or text[0] == commonest]
        context = np.array([prompt + texts[0][:column]], np.int32)
        probs = np.asarray(jax.nn.softmax(tiny.logits(llama.config, llama.params, context)[0, -1] / temperature))
        counts = np.bincount([text[column] for text in texts], minlength=40)
        # Five standard deviations of a binomial, cell by cell.
        spread = np.sqrt(len(texts) * probs * (1 - probs)) + 1
        assert (np.abs(counts - len(texts) * probs) < 5 * spread).all()


def test_a_low_temperature_is_greedy(llama):
    greedy = generate(llama, PROMPTS, max_new_tokens=6)
    assert generate(llama, PROMPTS, max_new_tokens=6, temperature=1e-4, key=jax.random.key(0)) == greedy


def test_a_row_stops_after_the_end_token_and_the_others_go_on(llama):
    full = generate(llama, PROMPTS, max_new_tokens=8)
    eos = full[0][2]
    stopping = dataclasses.replace(llama, tokenizer=types.SimpleNamespace(eos_token_id=eos))
    expected = [text[: text.index(eos) + 1] if eos in text else text for text in full]
    assert generate(stopping, PROMPTS, max_new_tokens=8) == expected
    assert len(expected[0]) <= 3
    assert any(eos not in text for text in expected), "the case must have a row that goes on"


def test_the_end_token_can_come_first_and_one_token_can_be_enough(llama):
    first = generate(llama, PROMPTS[:1], max_new_tokens=1)
    assert len(first[0]) == 1
    stopping = dataclasses.replace(llama, tokenizer=types.SimpleNamespace(eos_token_id=first[0][0]))
    assert generate(stopping, PROMPTS[:1], max_new_tokens=8) == first


def test_the_prompt_bucket_changes_nothing(model):
    long = tiny.random_tokens(model.config, 1, PROMPT_BUCKET + 1)[0].tolist()
    assert generate(model, [PROMPTS[0], long], max_new_tokens=4)[0] == generate(model, PROMPTS[:1], max_new_tokens=4)[0]
    assert generate(model, [long], max_new_tokens=4) == [without_a_cache(model, long, 4)]


def test_no_prompt_gives_no_text(llama):
    assert generate(llama, [], max_new_tokens=4) == []


def test_sharded_generation_equals_one_device(model):
    expected = generate(model, PROMPTS, max_new_tokens=6)
    mesh = jax.make_mesh((2, 2, 2), ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3)
    with jax.set_mesh(mesh):
        placed = place(model.params, decoder.logical_axes(model.config))
        assert generate(dataclasses.replace(model, params=placed), PROMPTS, max_new_tokens=6) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts": [[5], []]}, "prompts must not be empty, prompt 1 is"),
        ({"max_new_tokens": 0}, "max_new_tokens and rows must be at least 1, got 0 and 32"),
        ({"rows": 0}, "max_new_tokens and rows must be at least 1, got 4 and 0"),
        ({"temperature": -1.0}, "temperature must be at least 0, got -1.0"),
        ({"temperature": 0.7}, "key must be given to sample at temperature 0.7"),
        ({"example_ids": [1, 2]}, "example_ids must name each prompt, got 2 for 1 prompts"),
        (
            {"max_new_tokens": 60, "prompts": [[5] * 5]},
            "prompt 0 must leave room for max_new_tokens=60 .*it to 4",
        ),
    ],
)
def test_impossible_requests_are_refused(llama, changes, message):
    with pytest.raises(ValueError, match=message):
        generate(llama, **({"prompts": [[5]], "max_new_tokens": 4} | changes))


@pytest.mark.oracle
@pytest.mark.parametrize("name", tiny.NAMES)
def test_greedy_equals_transformers(name, tmp_path):
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    folder = tiny.write_golden(name, tmp_path)
    config = tiny.golden_config(name)
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    model = LanguageModel(
        config=config,
        params=jax.tree.map(jnp.asarray, huggingface.load(folder, config)),
        tokenizer=types.SimpleNamespace(eos_token_id=2),
    )
    for prompt, written in zip(PROMPTS, generate(model, PROMPTS, max_new_tokens=20), strict=True):
        output = theirs.generate(torch.tensor([prompt]), max_new_tokens=20, do_sample=False, pad_token_id=0)
        assert written == output[0, len(prompt) :].tolist()


@pytest.mark.slow
def test_smollm2_knows_the_capital_of_france(smollm2_folder):
    source = Pretrained(path=str(smollm2_folder))
    tokenizer = source.tokenizer()
    model = LanguageModel(config=source.config(), params=source.load(), tokenizer=tokenizer)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}], add_generation_prompt=True
    )["input_ids"]
    (written,) = generate(model, [prompt], max_new_tokens=16)
    assert tokenizer.decode(written) == "The capital of France is Paris.<|im_end|>"
