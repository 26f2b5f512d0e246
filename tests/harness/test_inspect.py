"""The provider under the real Inspect."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import jaxkd.harness.inspect as adapter
from jaxkd.sharding import MeshShape
from jaxkd.sharding.mesh import make

pytestmark = [
    pytest.mark.slow,
    # Inspect's way of calling tenacity.
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
]

TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import example_dataset
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

@task
def theory_of_mind():
    return Task(dataset=example_dataset("theory_of_mind")[:2], solver=[generate()], scorer=includes())
"""


@pytest.fixture(scope="module")
def one_device():
    with jax.set_mesh(make(MeshShape(data=1))):
        yield


@pytest.fixture
def model(tiny_folder, one_device):
    from inspect_ai.model import get_model

    return get_model(f"jaxkd/{tiny_folder}", memoize=False)


@pytest.fixture
def calls(monkeypatch):
    """Number of prompts of each call of the sampler."""
    counts, generate = [], adapter.generate

    def counted(model, prompts, **options):
        counts.append(len(prompts))
        return generate(model, prompts, **options)

    monkeypatch.setattr(adapter, "generate", counted)
    return counts


def ask(model, texts, **options):
    """Answer several conversations at the same time."""
    from inspect_ai.model import GenerateConfig

    async def program():
        return await asyncio.gather(*(model.generate(text, config=GenerateConfig(**options)) for text in texts))

    return asyncio.run(program())


def test_requests_that_arrive_together_run_as_one_batch(model, calls):
    answers = ask(model, [f"the {number}" for number in range(12)], max_tokens=4)
    assert sum(calls) == 12
    assert len(calls) < 12
    assert ask(model, ["the 3"], max_tokens=4)[0].completion == answers[3].completion


def test_an_answer_says_what_it_used_and_why_it_ended(model):
    (full,) = ask(model, ["the he"], max_tokens=5)
    prompt = model.api.model.tokenizer.encode("<|im_start|>user\nthe he<|im_end|>\n<|im_start|>assistant\n")
    assert (full.usage.input_tokens, full.usage.output_tokens) == (len(prompt), 5)
    assert full.usage.total_tokens == len(prompt) + 5
    assert (full.stop_reason, full.model) == ("max_tokens", model.api.name)
    (long,) = ask(model, ["the he"], max_tokens=40)
    letter = next(one for one in long.completion if one.isascii() and one.isprintable())
    (cut,) = ask(model, ["the he"], max_tokens=40, stop_seqs=[letter])
    assert cut.stop_reason == "stop"
    assert cut.completion == long.completion.partition(letter)[0]
    assert cut.usage.output_tokens < 40


def test_a_prompt_that_fills_the_model_gets_no_more_than_fits(model):
    tight, none = ask(model, ["the " * 25, "the " * 80], max_tokens=100)
    assert tight.stop_reason == "model_length"
    assert 0 < tight.usage.output_tokens == 128 - tight.usage.input_tokens
    assert (none.stop_reason, none.usage.output_tokens, none.completion) == ("model_length", 0, "")


def test_options_reach_the_sampler(model, monkeypatch):
    drawn = [ask(model, ["the he"], max_tokens=8, temperature=1.0, seed=seed)[0].completion for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    first, second = ask(model, ["the he", "the he"], max_tokens=8, temperature=1.0)
    assert first.completion != second.completion
    kept, generate = {}, adapter.generate
    monkeypatch.setattr(
        adapter, "generate", lambda *given, **options: kept.update(options) or generate(*given, **options)
    )
    ask(model, ["the"], max_tokens=3, temperature=0.5, top_p=0.9, top_k=4)
    assert kept["sampling"] == adapter.Sampling(temperature=0.5, top_p=0.9, top_k=4)
    assert kept["max_new_tokens"] == 3


def test_what_the_sampler_does_not_have_is_refused(model):
    from inspect_ai.model import ChatMessageUser, ContentImage, GenerateConfig
    from inspect_ai.tool import ToolInfo

    several = GenerateConfig(logprobs=True, num_choices=2, best_of=1)
    with pytest.raises(ValueError, match="those of jaxkd.sampling.Sampling, got logprobs, num_choices. Leave them"):
        asyncio.run(model.api.generate([ChatMessageUser(content="the")], [], "auto", several))
    tool = ToolInfo(name="add", description="Adds.")
    with pytest.raises(ValueError, match=r"tools must be empty, got 1: jaxkd's models call none"):
        asyncio.run(model.api.generate([ChatMessageUser(content="the")], [tool], "auto", GenerateConfig()))
    image = ChatMessageUser(content=[ContentImage(image="a.png")])
    with pytest.raises(ValueError, match="messages must be text, got one of the role user with other content"):
        asyncio.run(model.api.generate([image], [], "auto", GenerateConfig()))


def test_a_system_message_stands_in_front_of_prompts_without_one(tiny_folder, one_device):
    from inspect_ai.model import ChatMessageSystem, ChatMessageUser, get_model

    made = get_model(f"jaxkd/{tiny_folder}", memoize=False, system="the")
    user, own = ChatMessageUser(content="he"), ChatMessageSystem(content="he he")
    decode = made.api.model.tokenizer.decode
    assert decode(made.api._prompt([user])).startswith("<|im_start|>system\nthe<|im_end|>\n<|im_start|>user")
    assert decode(made.api._prompt([own, user])).startswith("<|im_start|>system\nhe he<|im_end|>\n<|im_start|>user")
    plain = get_model(f"jaxkd/{tiny_folder}", memoize=False, template="plain")
    assert decode(plain.api._prompt([own, user])) == "he he\n\nhe\n"


def test_inspects_command_line_finds_the_provider_by_its_name(tiny_folder, tmp_path):
    (tmp_path / "task.py").write_text(TASK)
    program = [str(Path(sys.executable).with_name("inspect")), "eval", "task.py", "--model", f"jaxkd/{tiny_folder}"]
    program += ["--max-tokens", "4", "--log-format", "json", "--log-dir", "logs", "--display", "plain"]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (log,) = (tmp_path / "logs").glob("*.json")
    found = json.loads(log.read_text())
    assert found["status"] == "success"
    assert found["results"]["completed_samples"] == 2
