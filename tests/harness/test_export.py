"""Exported suites: what is written, and that the real harness gives the numbers of this package's own."""

import json

import jax
import numpy as np
import pytest
import yaml

from jaxkd import evaluate
from jaxkd.evals.suites.language_model import TextRespondent
from jaxkd.evals.suites.reading import folder
from jaxkd.evals.suites.replies import answers
from jaxkd.evals.suites.run import evaluate as evaluate_suite
from jaxkd.harness.export import export_suite
from jaxkd.harness.exported_scores import process_results
from jaxkd.harness.lm_eval import harness_model
from jaxkd.harness.opened import open_model
from jaxkd.sharding import MeshShape
from jaxkd.sharding.mesh import make
from tests.evals.suites import folders

YAML = folders.YAML.replace("    rotations: all\n", "    rotations: all\n    continuations: texts\n")


@pytest.fixture
def suite(tmp_path):
    return folder.read(folders.write(tmp_path / "small", yaml=YAML))


def _task(path):
    return yaml.safe_load(path.read_text().replace("!function ", ""))


def test_compared_options_are_the_harnesss_own_multiple_choice(suite, tmp_path):
    left_out = export_suite(suite, tmp_path / "tasks")
    assert left_out == {"programs": "3 replies to a question"}
    task = _task(tmp_path / "tasks/capitals.yaml")
    assert (task["task"], task["output_type"], task["target_delimiter"]) == ("small_capitals", "multiple_choice", " ")
    assert task["metric_list"] == [{"metric": "acc"}, {"metric": "acc_norm"}]
    documents = [json.loads(line) for line in (tmp_path / "tasks/capitals.jsonl").read_text().splitlines()]
    assert len(documents) == 6
    assert [one["continuations"][one["gold"]] for one in documents] == ["Paris"] * 3 + ["Rome"] * 3
    assert documents[1]["prompt"].startswith("Capital of France?\nA. Nice\nB. Paris\n")


def test_replies_are_scored_by_this_package(suite, tmp_path):
    export_suite(suite, tmp_path / "tasks")
    task = _task(tmp_path / "tasks/summaries.yaml")
    assert task["process_results"] == "suite_scores.process_results"
    assert [one["metric"] for one in task["metric_list"]] == ["rouge_l"]
    assert task["generation_kwargs"] == {"until": [], "max_gen_toks": 8, "do_sample": False}
    for name, reply, expected in (
        ("summaries", "hello world", {"rouge_l": 1.0}),
        ("sums", "It is 1,234.", {"exact_match": 1.0}),
        ("facts", "No.", {"accuracy": 0.0}),
    ):
        (document, *_) = map(json.loads, (tmp_path / f"tasks/{name}.jsonl").read_text().splitlines())
        assert process_results(document, [reply]) == expected


def test_tasks_with_images_and_tasks_for_a_judge_are_left_out(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.png").write_bytes(b"png")
    rows = [{**row, "images": ["images/a.png"]} for row in folders.ROWS["facts.jsonl"]]
    text = folders.YAML.replace("[{name: rouge_l, tokens: word}, judge4]", "[judge4]").partition("aggregates:")[0]
    suite = folder.read(folders.write(tmp_path, yaml=text, facts=rows))
    found = export_suite(suite, tmp_path / "tasks")
    assert found == {"facts": "images", "summaries": "a judge", "programs": "3 replies to a question"}


def test_the_program_writes_them_and_shows_the_command(suite, tmp_path, capsys):
    options = ["--suite", str(suite.folder), "--write-harness-tasks", str(tmp_path / "tasks")]
    evaluate.main(options)
    printed = capsys.readouterr().out
    assert "left out: programs (3 replies to a question)\n" in printed
    assert "--tasks small_capitals,small_facts,small_spelling,small_sums,small_summaries\n" in printed
    with pytest.raises(SystemExit):
        evaluate.main(options[2:])
    assert "--suite must name the suite that is written as tasks, got none." in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_the_real_harness_gives_the_numbers_of_this_packages_own(tiny_folder, tmp_path, monkeypatch):
    lm_eval = pytest.importorskip("lm_eval")
    tasks = pytest.importorskip("lm_eval.tasks")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    suite = folder.read(folders.write(tmp_path / "small", yaml=YAML))
    left_out = export_suite(suite, tmp_path / "tasks")
    with jax.set_mesh(make(MeshShape(data=1))):
        opened = open_model(str(tiny_folder), template="plain")
        respondent = TextRespondent(model=opened.model, template="plain")
        ours = {
            f"{task.id}.{metric.metric}": metric.interval.estimate / 100
            for task in evaluate_suite(suite, respondent).tasks
            for metric in task.metrics
        }
        answered, _ = answers(suite, respondent, folder=None)
        found = lm_eval.simple_evaluate(
            model=harness_model()(path=str(tiny_folder)),
            tasks=[f"small_{task.id}" for task in suite.tasks if task.id not in left_out],
            task_manager=tasks.TaskManager(include_path=str(tmp_path / "tasks"), include_defaults=False),
            bootstrap_iters=0,
            log_samples=True,
        )
    names = {"capitals.accuracy": "acc", "capitals.accuracy_per_character": "acc_norm"}
    for name, value in ours.items():
        task, _, metric = name.partition(".")
        if task not in left_out:
            theirs = found["results"][f"small_{task}"][f"{names.get(name, metric)},none"]
            assert value == pytest.approx(theirs, abs=1e-6), name
    samples = {one["doc"]["key"]: one for rows in found["samples"].values() for one in rows}
    for one in answered:
        if one.question.task.id in left_out:
            continue
        responses = samples[one.question.key]["filtered_resps"]
        if one.log_likelihoods:
            np.testing.assert_allclose(one.log_likelihoods, [score for score, _ in responses], atol=1e-4)
        else:
            assert [one.text] == responses
