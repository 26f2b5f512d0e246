"""The PreferenceLabels stage: two draws, a judge in both orders, and pairs to learn, whatever interrupts it."""

import dataclasses
import json
import logging
import shutil

import numpy as np
import pytest

from jaxkd import train
from jaxkd.constitution.preference_labels import both_orders, comparison_principle
from jaxkd.data import PreferenceJsonl
from jaxkd.evals import ScoringJudge
from jaxkd.models import Pretrained
from jaxkd.runtime import configs
from jaxkd.study import preference_labels_stage, run_study
from tests.study.labelled_draws import ASKED, DRAWS, FILES, ByQuality, expected, labelling, lines, write
from tests.tiny_runs import weights_by_numpy


@pytest.fixture
def stage(tmp_path):
    return labelling(tmp_path)


def test_the_more_probable_draw_is_chosen_with_its_probability_and_what_it_came_from(stage, tmp_path):
    stage.run(tmp_path / "out", seed=0, stages={})
    rows = lines(tmp_path / "out/train.jsonl")
    pairs = PreferenceJsonl(train=str(tmp_path / "out")).pairs("train")
    texts = [("is 2", "is 1"), ("is 3", "is 1"), ("is 5.5", "is 5")]
    assert [(pair.chosen, pair.rejected) for pair in pairs] == texts
    for number, (row, pair, (chosen, rejected)) in enumerate(zip(rows, pairs, texts, strict=True)):
        found = expected(*(text.split()[-1] for text in (chosen, rejected)))
        assert pair.messages == (("user", f"the {number}"),)
        assert pair.key == row["key"] == f"p{number}"
        np.testing.assert_allclose(pair.probability, found.probability, rtol=1e-12)
        assert pair.probability > 0.5
        np.testing.assert_allclose(row["order_disagreement"], found.order_disagreement, rtol=1e-12)
        assert row["principle"] == comparison_principle("eight-principles", seed=0, key=row["key"]).id
        assert row["judge"] == "ByQuality(bias=0.7)"
        assert row["seed"] == 0


def test_each_pair_is_asked_in_both_orders_by_the_principle_of_its_key(stage, tmp_path):
    dataclasses.replace(stage, sample_seed=3).run(tmp_path / "out", seed=0, stages={})
    asked = [question for call in ASKED for question in call]
    assert [len(call) for call in ASKED] == [4, 4]
    draws = {number: texts for number, texts in enumerate(DRAWS) if number in (0, 1, 2, 5)}
    assert asked == [
        question
        for number, texts in draws.items()
        for question in both_orders(
            f"the {number}",
            *texts,
            principle=comparison_principle("eight-principles", seed=3, key=f"p{number}").text,
        )
    ]


def test_dropped_pairs_have_their_reasons_and_the_report_counts_them(stage, tmp_path, caplog):
    more = ["is 1"] * 6 + ["is 4"]
    stage = dataclasses.replace(stage, first=write(tmp_path / "0.jsonl", [one for one, _ in DRAWS] + ["-", "is 9"]))
    stage = dataclasses.replace(stage, second=write(tmp_path / "1.jsonl", [one for _, one in DRAWS] + more[6:]))
    with caplog.at_level(logging.INFO):
        dataclasses.replace(stage, margin=0.2).run(tmp_path / "out", seed=0, stages={})
    dropped = {row["key"]: row for row in lines(tmp_path / "out/dropped.jsonl")}
    reasons = {"p2": "undecided", "p3": "equal", "p4": "empty", "p5": "no_verdict", "p6": "unpaired", "p7": "unpaired"}
    assert {key: row["reason"] for key, row in dropped.items()} == reasons
    assert (dropped["p6"]["first"], dropped["p6"]["second"]) == (None, "is 4")
    assert (dropped["p7"]["first"], dropped["p7"]["second"]) == ("is 9", None)
    assert dropped["p5"]["probabilities"] == [None, None]
    assert dropped["p2"]["prompt"] == [{"role": "user", "content": "the 2"}]
    report = json.loads((tmp_path / "out/labels.json").read_text())
    counts = {"unpaired": 2, "empty": 1, "equal": 1, "no_verdict": 1, "undecided": 1}
    assert (report["pairs"], report["kept"], report["dropped"]) == (8, 2, counts)
    labels = [expected(*pair) for pair in (("1", "2"), ("3", "1"), ("5", "5.5"))]
    judged = report["judged"]
    assert (judged["pairs"], judged["verdicts"], judged["both_orders"]) == (4, 6, 3)
    for name in ("position_bias", "order_disagreement", "consistent"):
        np.testing.assert_allclose(judged[name], np.mean([getattr(one, name) for one in labels]), rtol=1e-12)
    assert judged["no_verdict_share"] == 0.25
    assert sum(report["principles"].values()) == 2
    assert (report["judge"], report["constitution"], report["margin"], report["seed"]) == (
        "ByQuality(bias=0.7)",
        "eight-principles",
        0.2,
        0,
    )
    assert report["clamp"] is None
    assert "undecided: 1 of 8 pairs" in caplog.text
    assert "2 of 8 pairs are kept" in caplog.text
    assert f"position bias {judged['position_bias']:+.2f}" in caplog.text
    assert f"both orders agree on {judged['consistent']:.1%} of 3 pairs" in caplog.text


@pytest.mark.parametrize(("margin", "kept"), [(0.0, 3), (0.11, 3), (0.13, 2), (0.25, 1), (0.4, 0)])
def test_the_margin_counts(stage, tmp_path, margin, kept):
    """Without a bias, probabilities are sigmoids of 1, 2 and 0.5: .731, .881 and .622."""
    stage = dataclasses.replace(stage, judge=ByQuality(), margin=margin)
    if kept:
        stage.run(tmp_path / "out", seed=0, stages={})
    else:
        with pytest.raises(ValueError, match="got none of 6: empty 1, equal 1, no_verdict 1, undecided 3"):
            stage.run(tmp_path / "out", seed=0, stages={})
    report = json.loads((tmp_path / "out/labels.json").read_text())
    assert (report["kept"], report["dropped"]["undecided"]) == (kept, 3 - kept)


def test_labels_are_clamped_after_the_mean_of_both_orders(stage, tmp_path):
    """With a biased judge too, both of whose orders are beyond the clamp; the margin is that of the label before."""
    stage = dataclasses.replace(stage, judge=ByQuality(bias=3.0), clamp=0.4, margin=0.04)
    stage.run(tmp_path / "out", seed=0, stages={})
    found = {row["key"]: row["pref_prob"] for row in lines(tmp_path / "out/train.jsonl")}
    whole = {"p0": expected("2", "1", 3.0).probability, "p1": expected("3", "1", 3.0).probability}
    assert found == {"p0": whole["p0"], "p1": 0.6}
    assert 0.54 < whole["p0"] < 0.6 < whole["p1"]


def test_exchanged_sources_write_the_same_pairs(stage, tmp_path):
    stage.run(tmp_path / "out", seed=0, stages={})
    swapped = dataclasses.replace(stage, first=stage.second, second=stage.first)
    swapped.run(tmp_path / "swapped", seed=0, stages={})
    assert (tmp_path / "out/train.jsonl").read_bytes() == (tmp_path / "swapped/train.jsonl").read_bytes()


def test_a_rerun_writes_the_same_bytes_and_a_finished_stage_is_left_alone(stage, tmp_path, caplog):
    for folder in ("first", "second"):
        stage.run(tmp_path / folder, seed=0, stages={})
    for name in FILES:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    ASKED.clear()
    with caplog.at_level(logging.INFO):
        stage.run(tmp_path / "first", seed=1, stages={})
    assert ASKED == []
    assert "is finished: nothing to do" in caplog.text
    with pytest.raises(ValueError, match=r"belongs to a run with another config .* margin: 0.0 -> 0.1"):
        dataclasses.replace(stage, margin=0.1).run(tmp_path / "first", seed=0, stages={})


def test_an_interrupted_stage_asks_for_the_rest_and_writes_the_same_bytes(stage, tmp_path, monkeypatch):
    stage.run(tmp_path / "whole", seed=0, stages={})
    ASKED.clear()
    probabilities = ByQuality.probabilities

    def interrupted(judge, questions):
        if len(ASKED) == 1:
            raise KeyboardInterrupt
        return probabilities(judge, questions)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(ByQuality, "probabilities", interrupted)
        stage.run(tmp_path / "parts", seed=0, stages={})
    assert not (tmp_path / "parts/train.jsonl").exists()
    assert len(lines(tmp_path / "parts/verdicts.jsonl")) == 2
    with (tmp_path / "parts/verdicts.jsonl").open("a") as file:
        file.write('{"key": "p')
    ASKED.clear()
    stage.run(tmp_path / "parts", seed=0, stages={})
    assert [len(call) for call in ASKED] == [4]
    for name in FILES:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("last", FILES[1:])
def test_an_interrupted_writing_leaves_no_pairs_and_is_repeated(stage, tmp_path, monkeypatch, last):
    stage.run(tmp_path / "whole", seed=0, stages={})

    def interrupted(write):
        def until_last(path, content):
            if path.name == last:
                raise KeyboardInterrupt
            write(path, content)

        return until_last

    with monkeypatch.context() as patched:
        for name in ("write_text", "write_json"):
            patched.setattr(preference_labels_stage, name, interrupted(getattr(preference_labels_stage, name)))
        with pytest.raises(KeyboardInterrupt):
            stage.run(tmp_path / "parts", seed=0, stages={})
    assert not (tmp_path / "parts/train.jsonl").exists()
    ASKED.clear()
    stage.run(tmp_path / "parts", seed=0, stages={})
    assert ASKED == []
    for name in FILES:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_it_says_what_it_is(stage):
    stage.validate()
    assert configs.decode(configs.encode(stage)) == stage
    assert configs.encode(stage)["type"] == "jaxkd.study:PreferenceLabels"
    assert stage.provenance() == "labels: ByQuality(bias=0.7)"
    assert stage.plan().description == "PreferenceLabels"


def test_a_study_labels_the_draws_of_earlier_stages_by_a_models_log_probabilities(tiny_folder, stage, tmp_path):
    """A model of two layers gives worthless labels, but it gives them, and its options are on the command line."""
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 640}))
    judge = ScoringJudge(model=Pretrained(path=str(folder)))
    texts = [["he the", "the"], ["the he", "he he"]]
    sources = [write(tmp_path / f"{side}.jsonl", found) for side, found in enumerate(texts)]
    config = tmp_path / "labels.py"
    config.write_text(
        "from jaxkd.data import Jsonl\nfrom jaxkd.evals import ScoringJudge\nfrom jaxkd.models import Pretrained\n"
        "from jaxkd.sharding import MeshShape\nfrom jaxkd.study import PreferenceLabels, Study\n\n"
        "def get_config(size='full'):\n"
        f"    stage = PreferenceLabels(name='labels', first={sources[0]!r}, second={sources[1]!r}, judge={judge!r})\n"
        "    return Study(name='t', title='t', description='t', stages=(stage,))\n"
    )
    options = ["--labels.judge.template", "plain", "--labels.clamp", "0.4", "--labels.mesh.data", "1"]
    _, study = train.parse(["--config", str(config), *options])
    (found,) = study.stages
    assert found.judge == dataclasses.replace(judge, template="plain")
    with weights_by_numpy():
        run_study(study, tmp_path / "study")
    pairs = PreferenceJsonl(train=str(tmp_path / "study/labels")).pairs("train")
    assert 1 <= len(pairs) <= 2
    assert all(0.5 < pair.probability <= 0.6 for pair in pairs)
