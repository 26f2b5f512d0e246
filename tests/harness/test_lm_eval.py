"""The adapter for lm-eval, by itself and under the real harness."""

import json
import subprocess
import sys
import types

import jax
import numpy as np
import pytest

from jaxkd.harness.lm_eval import LMEvalAdapter, harness_model, sampling
from jaxkd.sampling import Sampling
from jaxkd.sharding import MeshShape
from jaxkd.sharding.mesh import make
from tests.models import tiny

QUESTIONS = [
    {"question": f"the {number} he", "options": ["the", f"he {number}", "the the he"], "answer": number % 3}
    for number in range(4)
]
TASK = """
task: local_{kind}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: {kind}
metadata: {{version: 1}}
"""
CHOICE = """
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: options
doc_to_target: answer
metric_list: [{metric: acc}, {metric: acc_norm}]
"""
GENERATE = """
doc_to_text: "{{question}}"
doc_to_target: "{{options[0]}}"
generation_kwargs: {until: ["h"], max_gen_toks: 6, do_sample: false}
metric_list: [{metric: exact_match}]
"""
ROLLING = """
doc_to_text: ""
doc_to_target: "{{question}} the the he 1 2 3 the he"
metric_list: [{metric: word_perplexity}, {metric: bits_per_byte}]
"""


class Remembered:
    """A cache hook that keeps what it is told."""

    def __init__(self):
        self.kept = []

    def add_partial(self, kind, request, result):
        self.kept.append((kind, request, result))


@pytest.fixture(scope="module")
def one_device():
    with jax.set_mesh(make(MeshShape(data=1))):
        yield


@pytest.fixture
def adapter(tiny_folder, one_device):
    made = LMEvalAdapter(str(tiny_folder), max_length=48)
    made.cache_hook = Remembered()
    return made


def direct(model, tokens):
    """Float64 log-probabilities after each token, by a plain forward pass."""
    logits = np.asarray(tiny.logits(model.config, model.params, np.asarray([tokens])), np.float64)[0]
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def expected(model, before, after):
    found = direct(model, [*before, *after])[len(before) - 1 :]
    return sum(found[place, token] for place, token in enumerate(after))


def request(*arguments):
    return types.SimpleNamespace(args=arguments)


def test_log_probabilities_are_those_of_a_plain_forward_pass(adapter):
    before, after = adapter.tok_encode("the he"), adapter.tok_encode(" the 1")
    found = adapter._loglikelihood_tokens([(("the he", " the 1"), before, after), (None, after, before)], True)
    assert [score for score, _ in found] == pytest.approx(
        [expected(adapter.model, before, after), expected(adapter.model, after, before)], abs=1e-4
    )
    assert adapter.cache_hook.kept == [("loglikelihood", ("the he", " the 1"), found[0])]


def test_special_tokens(adapter, monkeypatch):
    assert (adapter.eot_token_id, adapter.prefix_token_id) == (2, 1)
    assert adapter.tok_encode("<|im_start|>the", add_special_tokens=None)[0] == 1
    assert adapter.tokenizer_name.endswith("__model")
    encoded = []
    monkeypatch.setattr(
        adapter.tokenizer, "encode", lambda text, add_special_tokens: encoded.append(add_special_tokens)
    )
    for text, flag in (("the", None), ("<|im_start|>the", None), ("<|im_start|>the", True), ("the", False)):
        adapter.tok_encode(text, flag)
    assert encoded == [True, False, True, False]


def test_messages_are_rendered_by_the_chat_template(adapter, monkeypatch):
    asked = [{"role": "user", "content": "the"}]
    rendered = "<|im_start|>user\nthe<|im_end|>\n"
    assert adapter.apply_chat_template(asked) == rendered + "<|im_start|>assistant\n"
    begun = [*asked, {"role": "assistant", "content": "he"}]
    assert adapter.apply_chat_template(begun, add_generation_prompt=False) == rendered + "<|im_start|>assistant\nhe"
    monkeypatch.setattr(adapter.tokenizer, "chat_template", None)
    with pytest.raises(ValueError, match="apply_chat_template must be off for a tokenizer without a chat template"):
        adapter.apply_chat_template(asked)


@pytest.mark.parametrize(
    ("batch_size", "rows"), [(None, 16), (1, 16), ("1", 16), ("auto", 16), (4, 4), ("4", 4), ("auto:4", 16)]
)
def test_the_harnesss_batch_size_is_the_number_of_rows_if_it_is_more_than_its_default(
    tiny_folder, one_device, batch_size, rows
):
    assert LMEvalAdapter(str(tiny_folder), batch_size=batch_size).rows == rows


def test_options_of_the_sampler():
    greedy = {"do_sample": False, "temperature": 0.0, "until": [], "max_gen_toks": 4}
    assert sampling(greedy) == Sampling()
    assert sampling({"do_sample": True}) == Sampling(temperature=1.0)
    given = {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "top_k": 5, "min_p": 0.1}
    assert sampling({**given, "no_repeat_ngram_size": 3}) == Sampling(
        temperature=0.7, top_p=0.9, top_k=5, min_p=0.1, no_repeat_ngram=3
    )
    with pytest.raises(ValueError, match=r"generation options must be among until, .* got num_beams, num_return"):
        sampling({**greedy, "num_return_sequences": 2, "num_beams": 4})


# Under the harness itself.


@pytest.fixture
def model(tiny_folder, one_device):
    made = harness_model()(path=str(tiny_folder), max_length=48)
    made.cache_hook = Remembered()
    return made


@pytest.fixture
def tasks(tmp_path):
    """A folder of three tasks over the questions."""
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
    bodies = {"multiple_choice": CHOICE, "generate_until": GENERATE, "loglikelihood_rolling": ROLLING}
    for kind, body in bodies.items():
        (tmp_path / f"{kind}.yaml").write_text(TASK.format(kind=kind, file=file) + body)
    return tmp_path


@pytest.mark.slow
def test_the_three_kinds_of_tasks_under_the_harness(model, tasks):
    import lm_eval
    from lm_eval.tasks import TaskManager

    names = ["local_multiple_choice", "local_generate_until", "local_loglikelihood_rolling"]
    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    found = lm_eval.simple_evaluate(
        model=model, tasks=names, task_manager=manager, bootstrap_iters=0, log_samples=True, random_seed=0
    )
    for row, sample in zip(QUESTIONS, found["samples"][names[0]], strict=True):
        context = model.tok_encode(f"Question: {row['question']}\nAnswer:")
        for option, (log_prob, _) in zip(row["options"], sample["filtered_resps"], strict=True):
            assert float(log_prob) == pytest.approx(
                expected(model.model, context, model.tok_encode(" " + option)), abs=1e-4
            )
    texts = [sample["resps"][0][0] for sample in found["samples"][names[1]]]
    assert all("h" not in text for text in texts)
    for row, sample in zip(QUESTIONS, found["samples"][names[2]], strict=True):
        text = model.tok_encode(f"{row['question']} the the he 1 2 3 the he")
        (total,) = sample["resps"][0]
        assert float(total) == pytest.approx(expected(model.model, [model.prefix_token_id], text), abs=1e-4)


@pytest.mark.slow
def test_what_was_asked_before_comes_from_the_harnesss_cache(model, tasks, tmp_path):
    import lm_eval
    from lm_eval.tasks import TaskManager

    kinds = ["multiple_choice", "generate_until", "loglikelihood_rolling"]

    def evaluate():
        manager = TaskManager(include_path=str(tasks), include_defaults=False)
        found = lm_eval.simple_evaluate(
            model=model,
            tasks=[f"local_{kind}" for kind in kinds],
            task_manager=manager,
            bootstrap_iters=0,
            use_cache=str(tmp_path / "answers"),
        )
        return {kind: found["results"][f"local_{kind}"] for kind in kinds}

    first = evaluate()
    model.model = None  # asked again, it would fail
    assert evaluate() == first


@pytest.mark.slow
def test_texts_end_before_their_stop_strings_and_do_not_depend_on_their_batch(model):
    options = {"until": ["h"], "max_gen_toks": 6, "do_sample": True, "temperature": 1.0}
    requests = [request(text, options) for text in ("the he", "1 2 3", "", "the " * 80)]
    requests.insert(1, request("the", {"until": [""], "max_gen_toks": 3}))
    together = model.generate_until(requests, disable_tqdm=True)
    assert not any("h" in text for place, text in enumerate(together) if place != 1)
    model.rows = 1
    assert model.generate_until(requests, disable_tqdm=True) == together
    assert [kind for kind, *_ in model.cache_hook.kept] == ["generate_until"] * 10
    with pytest.raises(ValueError, match="max_gen_toks must leave room for a context in max_length=48, got 48"):
        model.generate_until([request("the", {"max_gen_toks": 48})], disable_tqdm=True)


@pytest.mark.slow
def test_reasoning_is_cut_off_before_stop_strings_apply(tiny_folder, one_device, monkeypatch):
    made = harness_model()(path=str(tiny_folder), think_end_token="</think>")
    asked = {}

    def generate(model, prompts, **options):
        asked.update(options)
        return [types.SimpleNamespace(text="a\n\nb</think> c\n\nd")] * len(prompts)

    monkeypatch.setattr("jaxkd.harness.lm_eval.generate", generate)
    assert made.generate_until([request("the", {"until": ["\n\n"], "max_gen_toks": 9})], disable_tqdm=True) == ["c"]
    assert asked["stop"] == ()


@pytest.mark.slow
def test_the_command_line_writes_the_results(tiny_folder, tasks, tmp_path):
    arguments = ["run", "--model", "jaxkd", "--model_args", f"path={tiny_folder},max_length=64", "--limit", "2"]
    arguments += ["--tasks", "local_multiple_choice,local_generate_until", "--include_path", str(tasks)]
    arguments += ["--apply_chat_template", "--output_path", str(tmp_path / "out"), "--log_samples"]
    program = [sys.executable, "-c", "from jaxkd.harness.lm_eval import main; main()", *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (results,) = (tmp_path / "out").rglob("results_*.json")
    found = json.loads(results.read_text())
    assert found["results"]["local_multiple_choice"].keys() >= {"acc,none", "acc_norm,none"}
    assert found["n-samples"]["local_generate_until"]["effective"] == 2
    (samples,) = (tmp_path / "out").rglob("samples_local_multiple_choice*.jsonl")
    first = json.loads(samples.read_text().splitlines()[0])
    assert first["arguments"]["gen_args_0"]["arg_0"].startswith("<|im_start|>user\n")
