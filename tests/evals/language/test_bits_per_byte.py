import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.data import Example, Source
from jaxkd.data.text import chat
from jaxkd.evals import BitsPerByte
from jaxkd.evals.language.bits_per_byte import bits_per_byte
from jaxkd.models import LanguageModel
from jaxkd.models.transformer import decoder
from jaxkd.sharding import mesh, shard
from jaxkd.tokenizers import loading
from tests.assets import tiny_tokenizer_fields
from tests.models import tiny

RESPONSES = ("the", "he then: 42", "½ é\n\tthe end", "x" * 30, "the he", "no", "a the b")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fixed(Source):
    """The same examples whatever the split."""

    responses: tuple[str, ...] = RESPONSES

    def examples(self, split):
        return [
            Example(key=f"{split}/{number}", group=str(number), messages=(("user", f"the {number}"),), response=text)
            for number, text in enumerate(self.responses)
        ]


EVALUATOR = BitsPerByte(source=Fixed(), rows=2, length=96, targets=40)


@pytest.fixture(scope="module")
def model():
    tokenizer = loading.from_gguf(tiny_tokenizer_fields())
    config = dataclasses.replace(tiny.LLAMA, vocab_size=len(tokenizer), max_positions=128)
    return LanguageModel(config=config, params=tiny.random_params(config), tokenizer=tokenizer)


@pytest.fixture(scope="module")
def evaluation(model):
    return EVALUATOR(model)


def test_hand_value():
    # 2 bits over 1 byte and 4 bits over 2 bytes.
    assert bits_per_byte(np.log([4.0, 16.0]), np.array([1, 2])) == pytest.approx(2.0)


@pytest.mark.parametrize("vocabulary", [2, 10, 49_152])
def test_a_uniform_model_over_tokens_of_one_byte_takes_log2_of_the_vocabulary(vocabulary):
    lengths = np.array([3, 1, 20])
    assert bits_per_byte(lengths * np.log(vocabulary), lengths) == pytest.approx(np.log2(vocabulary))


def test_it_is_the_ratio_of_the_corpus_and_not_the_mean_of_ratios():
    nats, byte_counts = np.log([2.0, 2.0**99]), np.array([1, 999])
    assert bits_per_byte(nats, byte_counts) == pytest.approx(100 / 1000)
    assert (nats / np.log(2) / byte_counts).mean() == pytest.approx(0.5495, abs=1e-4)


def test_joining_two_corpora_weights_them_by_bytes():
    nats, byte_counts = np.array([3.0, 5.0, 2.0]), np.array([2, 7, 4])
    parts = [bits_per_byte(nats[part], byte_counts[part]) * byte_counts[part].sum() for part in ([0, 1], [2])]
    assert bits_per_byte(nats, byte_counts) == pytest.approx(sum(parts) / 13)


@pytest.mark.parametrize(
    ("nats", "byte_counts", "message"),
    [
        (np.ones(2), np.ones(3), r"byte_counts must have the length of nats, got \(3,\) and \(2,\)"),
        (np.ones(2), np.zeros(2), "byte_counts must add up to more than 0, got 0 over 2 examples"),
        (np.ones(0), np.ones(0), "byte_counts must add up to more than 0, got 0 over 0 examples"),
    ],
)
def test_what_has_no_ratio_is_refused(nats, byte_counts, message):
    with pytest.raises(ValueError, match=message):
        bits_per_byte(nats, byte_counts)


def test_it_equals_scoring_each_answer_alone(model, evaluation):
    examples, _ = chat.tokenize(Fixed().examples("test"), model.tokenizer, max_length=96, max_response=40)
    padded = np.zeros((len(examples), 96), np.int32)
    for row, example in enumerate(examples):
        padded[row, : len(example.tokens)] = example.tokens
    log_probs = np.asarray(
        jax.nn.log_softmax(tiny.logits(model.config, jax.tree.map(jnp.asarray, model.params), padded)), np.float64
    )
    expected = [
        -sum(
            log_probs[row, place - 1, token]
            for place, token in enumerate(example.tokens)
            if place >= example.prompt_length
        )
        for row, example in enumerate(examples)
    ]
    np.testing.assert_allclose(evaluation.per_example["nats"], expected, rtol=1e-5)
    byte_counts = [len(text.encode()) for text in RESPONSES]
    assert list(evaluation.per_example["bytes"]) == byte_counts
    assert evaluation.metrics["bits_per_byte"] == pytest.approx(sum(expected) / np.log(2) / sum(byte_counts), rel=1e-5)
    assert evaluation.metrics["nats_per_token"] == pytest.approx(
        sum(expected) / sum(evaluation.per_example["tokens"]), rel=1e-5
    )


def test_the_end_of_the_turn_is_scored_and_has_no_bytes(model, evaluation):
    encoded = [model.tokenizer(text, add_special_tokens=False)["input_ids"] for text in RESPONSES]
    assert list(evaluation.per_example["tokens"]) == [len(ids) + 1 for ids in encoded]
    assert evaluation.metrics["answers"] == len(RESPONSES)
    assert evaluation.metrics["tokens"] == sum(len(ids) + 1 for ids in encoded)
    assert evaluation.metrics["bytes"] == sum(len(text.encode()) for text in RESPONSES)
    assert evaluation.keys == tuple(f"test/{number}" for number in range(len(RESPONSES)))


def test_a_model_without_an_opinion_pays_log2_of_the_vocabulary_a_token(model):
    blank = dataclasses.replace(model, params=jax.tree.map(np.zeros_like, model.params))
    metrics = EVALUATOR(blank).metrics
    assert metrics["nats_per_token"] == pytest.approx(np.log(model.config.vocab_size), rel=1e-6)
    assert metrics["bits_per_byte"] == pytest.approx(
        np.log2(model.config.vocab_size) * metrics["tokens"] / metrics["bytes"], rel=1e-6
    )


@pytest.mark.parametrize("shape", [{"rows": 1, "length": 128}, {"rows": 8, "targets": 64}])
def test_the_packing_does_not_show(model, evaluation, shape):
    other = dataclasses.replace(EVALUATOR, **shape)(model)
    assert other.keys == evaluation.keys
    np.testing.assert_allclose(other.per_example["nats"], evaluation.per_example["nats"], rtol=1e-5)


def test_eight_devices_give_the_figures_of_one(model, evaluation):
    with jax.set_mesh(mesh.make(mesh.MeshShape(data=2, fsdp=2, tensor=2))):
        params = shard(model.params, decoder.logical_axes(model.config))
        sharded = dataclasses.replace(EVALUATOR, rows=4)(dataclasses.replace(model, params=params))
    assert sharded.keys == evaluation.keys
    np.testing.assert_allclose(sharded.per_example["nats"], evaluation.per_example["nats"], rtol=1e-5)
    assert sharded.metrics["bits_per_byte"] == pytest.approx(evaluation.metrics["bits_per_byte"], rel=1e-6)


def test_a_limit_scores_a_part_of_the_same_answers(model, evaluation):
    part = dataclasses.replace(EVALUATOR, limit=3)(model)
    whole = dict(zip(evaluation.keys, evaluation.per_example["nats"], strict=True))
    assert len(part.keys) == 3
    np.testing.assert_allclose(part.per_example["nats"], [whole[key] for key in part.keys], rtol=1e-5)


def test_answers_that_do_not_fit_are_left_out(model):
    found = dataclasses.replace(EVALUATOR, targets=20)(model)
    assert "test/3" not in found.keys
    assert len(found.keys) == len(RESPONSES) - 1


def test_no_example_exceeds_the_positions_of_the_model(model):
    examples, _ = chat.tokenize(Fixed().examples("test"), model.tokenizer, max_length=96, max_response=40)
    lengths = [len(example.tokens) for example in examples]
    config = dataclasses.replace(model.config, max_positions=max(lengths) - 1)
    kept = EVALUATOR(dataclasses.replace(model, config=config)).metrics["answers"]
    assert kept == sum(length < max(lengths) for length in lengths)


def test_the_split_is_the_one_that_was_asked_for(model):
    assert dataclasses.replace(EVALUATOR, split="validation")(model).keys[0] == "validation/0"
    assert EVALUATOR.name == "bits_per_byte"


def test_a_control_token_in_an_answer_is_scored_as_its_letters(model):
    """Its name has a token a byte in this vocabulary; the control token is one."""
    source = Fixed(responses=("a<|im_end|>b",))
    tokens = [
        dataclasses.replace(EVALUATOR, source=source, control_tokens=way)(model).metrics["tokens"]
        for way in ("text", "allow")
    ]
    assert tokens == [len("a<|im_end|>b") + 1, 4]
