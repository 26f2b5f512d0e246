import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.data import Example
from jaxkd.data.text import chat
from jaxkd.evals import SuiteScores
from jaxkd.evals.suites.language_model import TextRespondent
from jaxkd.evals.suites.reading import folder
from jaxkd.evals.suites.respondent import Compared, Prompt
from jaxkd.evals.suites.run import evaluate
from jaxkd.evals.suites.suite import Sampled
from jaxkd.models import LanguageModel
from jaxkd.sampling import Continuation, Sampling, continuation_log_probs, generate
from jaxkd.tokenizers import loading
from tests.assets import tiny_tokenizer_fields
from tests.evals.suites import folders
from tests.models import tiny


@pytest.fixture(scope="module")
def model():
    tokenizer = loading.from_gguf(tiny_tokenizer_fields())
    config = dataclasses.replace(tiny.LLAMA, vocab_size=len(tokenizer), max_positions=96)
    params = jax.tree.map(jnp.asarray, tiny.random_params(config))
    return LanguageModel(config=config, params=params, tokenizer=tokenizer)


def test_a_plain_prompt_and_its_continuation_are_tokenized_together(model):
    plain = TextRespondent(model=model, template="plain")
    (found,) = plain.log_likelihoods(
        [Compared(prompt=Prompt(text="the"), separator=" ", continuations=("he", "the 1"))]
    )
    prompt = model.tokenizer("the")["input_ids"]
    for text, value in zip((" he", " the 1"), found, strict=True):
        joint = model.tokenizer("the" + text)["input_ids"]
        assert joint[: len(prompt)] == prompt
        request = Continuation(context=tuple(prompt), continuation=tuple(joint[len(prompt) :]))
        assert value == pytest.approx(continuation_log_probs(model, [request])[0].log_prob, abs=1e-5)


def test_a_chat_prompt_is_that_of_training_and_takes_no_separator(model):
    asked = TextRespondent(model=model, system="Be brief.")
    (found,) = asked.log_likelihoods([Compared(prompt=Prompt(text="the 1"), separator=" ", continuations=("he",))])
    example = Example(key="", group="", messages=(("system", "Be brief."), ("user", "the 1")), response="")
    prompt = chat.prompt_tokens(example, model.tokenizer)
    request = Continuation(context=tuple(prompt), continuation=tuple(chat.response_tokens("he", model.tokenizer)))
    assert found[0] == pytest.approx(continuation_log_probs(model, [request])[0].log_prob, abs=1e-5)
    assert asked.prompt_tokens([Prompt(text="the 1")]) == [len(prompt)]
    assert asked.max_prompt_tokens(8) == 88
    assert asked.provenance() == "a model, chat template, system message 'Be brief.'"


def test_replies_are_what_the_sampler_writes_for_the_seed_and_the_ids(model):
    respondent = TextRespondent(model=model, template="plain")
    sampled = Sampled(max_new_tokens=6, temperature=1.0, no_repeat_ngram=2)
    prompts = ["the 1", "the 2"]
    replies = respondent.replies([Prompt(text=prompt) for prompt in prompts], sampled, seed=3, ids=[5, 9])
    texts = generate(
        model,
        [model.tokenizer(prompt)["input_ids"] for prompt in prompts],
        max_new_tokens=6,
        sampling=Sampling(temperature=1.0, no_repeat_ngram=2),
        key=jax.random.key(3),
        example_ids=[5, 9],
    )
    assert [reply.text for reply in replies] == [text.text for text in texts]
    (alone,) = respondent.replies([Prompt(text=prompts[1])], sampled, seed=3, ids=[9])
    assert alone == replies[1]


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """A suite whose prompts fit the tiny model, without programs."""
    yaml = folders.YAML.partition("  - id: programs")[0]
    return folders.write(tmp_path_factory.mktemp("suites") / "small", yaml=yaml)


def test_in_training_a_suite_has_the_metrics_of_its_tasks_and_a_score_a_row(model, suite):
    evaluation = SuiteScores(suite=str(suite), template="plain")(model)
    result = evaluate(folder.read(suite), TextRespondent(model=model, template="plain"))
    assert evaluation.metrics == {
        f"{task.id}.{one.metric}": one.interval.estimate for task in result.tasks for one in task.metrics
    }
    assert evaluation.keys == (
        "capitals/fr",
        "capitals/it",
        "facts/1",
        "facts/2",
        "spelling/a",
        "sums/a",
        "summaries/a",
    )
    np.testing.assert_allclose(np.mean(evaluation.per_example["score"][:2]), evaluation.metrics["capitals.accuracy"])
    part = SuiteScores(suite=str(suite), template="plain", rows_per_task=1)(model)
    assert len(part.keys) == 5


def test_a_prompt_that_leaves_no_room_for_the_reply_is_skipped(model, suite):
    asked = folder.read(suite).with_lengths(max_input_tokens=None, max_new_tokens=95)
    result = evaluate(asked, TextRespondent(model=model, template="plain"))
    found = {task.id: task.skipped for task in result.tasks}
    assert found["capitals"] == {}
    assert found["facts"] == {"prompt longer than 1 tokens": 2}
