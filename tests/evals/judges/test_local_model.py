"""A checkpoint that replies, a few conversations at a time, and that judges pairs.

All prompts have one padded length, and two run at a time: the sampler is compiled twice, greedy and not.
"""

import json
import shutil

import pytest

from jaxkd.data import Example
from jaxkd.data.text import chat
from jaxkd.evals import LocalModel, ModelJudge
from jaxkd.evals.judges import local_model
from jaxkd.evals.judges.pairwise import Question
from jaxkd.models import Pretrained
from jaxkd.models.checkpoints.language_model import language_model
from jaxkd.runtime import configs
from jaxkd.sampling import generate
from tests.tiny_runs import weights_by_numpy

CONVERSATIONS = [(("user", f"{word} {'1234567890' * 28}"),) for word in ("the", "he", "a", "b")]


@pytest.fixture(scope="module")
def model(tiny_folder, tmp_path_factory):
    """The tiny model, with room for the prompt of a judge."""
    folder = shutil.copytree(tiny_folder, tmp_path_factory.mktemp("judge") / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 384}))
    return Pretrained(path=str(folder))


@pytest.fixture(autouse=True)
def two_at_a_time(monkeypatch):
    monkeypatch.setattr(local_model, "_AT_A_TIME", 2)
    with weights_by_numpy():
        yield


def test_replies_are_those_of_generate_and_arrive_in_order(model, capsys):
    loaded = language_model(model)
    prompts = [
        chat.prompt_tokens(Example(key="", group="", messages=messages, response=""), loaded.tokenizer, "chat")
        for messages in CONVERSATIONS
    ]
    expected = [text.text for text in generate(loaded, prompts, max_new_tokens=2, rows=2)]
    arrived = []
    replies = LocalModel(model=model)(CONVERSATIONS, max_new_tokens=2, received=lambda *reply: arrived.append(reply))
    assert replies == expected
    assert arrived == list(enumerate(expected))
    assert "replies 4/4" in capsys.readouterr().err


def test_samples_of_one_conversation_differ_from_batch_to_batch(model):
    replies = LocalModel(model=model, template="plain")(CONVERSATIONS[:1] * 4, max_new_tokens=2, temperature=1.0)
    assert replies[:2] != replies[2:]


def test_a_judge_gives_verdicts(model):
    """A model of two layers gives worthless ones, but it gives them."""
    judge = ModelJudge(chat=LocalModel(model=model), max_new_tokens=2)
    verdicts = judge([Question(prompt="he", first="the", second="he")] * 2)
    assert len(verdicts) == 2
    assert len(set(verdicts)) == 1


def test_nothing_is_loaded_for_no_conversation():
    assert LocalModel(model=Pretrained(path="nowhere"))([], max_new_tokens=4) == []


def test_its_provenance_is_that_of_the_checkpoint(model):
    found = LocalModel(model=model)
    assert found.provenance() == f"{model.provenance()}, chat template"
    assert configs.decode(configs.encode(found)) == found


def test_a_conversation_that_is_too_long_is_told(model):
    with pytest.raises(ValueError, match="must leave room for max_new_tokens=4"):
        LocalModel(model=model)([(("user", "the " * 2000),)], max_new_tokens=4)
