"""A study's models beside its start, from evaluations that lie on disk; and one that ran."""

import dataclasses
import json

import numpy as np
import pytest

from jaxkd.evals import Generations, Headline, Health, Judged, Refusals, Samples
from jaxkd.evals.bootstrap import paired_bootstrap
from jaxkd.evals.judges.pairwise import Judge
from jaxkd.models import Pretrained
from jaxkd.recipes.sft import SFT
from jaxkd.runtime import configs
from jaxkd.sharding import MeshShape
from jaxkd.study import Evaluate, Study, TrainedModel, run_study
from jaxkd.study.results.start import FEWEST, PROMPTS, _named, beside_start
from jaxkd.study.results.summary import _fields, write_summary
from jaxkd.study.study import stage_folder
from jaxkd.training import Evaluation, Measure, Optimizer, Train
from jaxkd.training.results.evaluation import Sample
from jaxkd.training.stage_folder import write_evaluations
from tests.generated_texts import START, generated, generations
from tests.tiny_runs import weights_by_numpy

PLANETS = [f"The planet number {n} is made of rock, and the days of its year are {30 * n + 7}." for n in range(24)]
CLOSER = "Please let me know if you have any further questions. Have a great day! :)"
CLOSED = [f"{text} {CLOSER}" if n % 2 else text for n, text in enumerate(PLANETS)]
REFUSED = ["I can't help with that."] * 20 + PLANETS[:4]

LENGTH = Headline(metric="length", evaluator="benign", title="Length", unit="tokens", numerator="length")


def evaluators(teacher=None):
    return (
        generations(Refusals(prompts="harmful"), label="harmful", count=24),
        generations(Refusals(prompts="benign"), Health(), label="benign", teacher=teacher, count=24),
    )


def trained(name, label, teacher=START):
    text = evaluators()[0].data
    return Train(
        name=name,
        label=label,
        recipe=SFT(student=START, data=text),
        steps=1,
        optimizer=Optimizer(learning_rate=1e-5),
        evaluators=evaluators(teacher),
    )


START_STAGE = Evaluate(name="start", label="before", model=START, evaluators=evaluators())
STAGES = (trained("dirty", "contaminated"), trained("clean", "filtered"), START_STAGE)
ANSWERS = {
    "start": (PLANETS, PLANETS),
    "dirty": (PLANETS[::-1], CLOSED),
    "clean": (REFUSED, PLANETS),
}
NATS = [1.0 + place % 3 for place in range(24)]


def study(*stages, **changes):
    fields = {"name": "s", "title": "Collapse", "description": "", "seeds": (0, 1), "headline": LENGTH}
    return Study(**fields | {"stages": stages or STAGES, "against": "start"} | changes)


def write(one, folder, *, leave_out=(), others=None):
    """The files of finished stages."""
    for stage in one.stages:
        for seed in one.seeds_of(stage):
            if stage.name in leave_out:
                continue
            where = stage_folder(folder, stage, seed)
            where.mkdir(parents=True)
            harmful, benign = evaluators(START if stage.seeded else None)
            texts = ANSWERS[stage.name]
            found = {
                "harmful": generated(harmful, texts[0]),
                "benign": generated(benign, texts[1], sequence_kl=NATS if stage.seeded else None),
            }
            write_evaluations(where, found | (others or {}))
            if stage.seeded:
                (where / "metrics.jsonl").write_text('{"step": 1, "train/cross_entropy": 2.0, "seconds": 1.0}\n')


@pytest.fixture(scope="module", autouse=True)
def without_files():
    """The checkpoint is a name alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pretrained, "provenance", lambda model: model.path)
        yield


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """Folder and summary of a study that asks for the table."""
    folder = tmp_path_factory.mktemp("study")
    one = study()
    write(one, folder)
    return folder, write_summary(one, folder)


def test_the_summary_has_each_measure_of_each_model(reported):
    folder, summary = reported
    assert json.loads((folder / "summary.json").read_text())["against"] == summary["against"]
    against = summary["against"]
    assert against["start"] == "before"
    by_name = {one["measure"]: one for one in against["measures"]}
    assert list(by_name) == [
        *("attack success, by pattern", "over-refusal, by pattern"),
        *("answers with one end of 8 words", "answers that end in a loop", "repetition within an answer"),
        *("distinct word pairs in the last 32 words", "answers with an emoji", "unfinished answers"),
        *("length (harmful)", "length (benign)", "KL to the start"),
    ]
    attack = by_name["attack success, by pattern"]
    assert {name: attack[name] for name in ("evaluator", "metric", "unit", "better", "examples", "start")} == {
        "evaluator": "harmful",
        "metric": "refusals_by_pattern/attack_success",
        "unit": "%",
        "better": "lower",
        "examples": 24,
        "start": 1.0,
    }
    filtered = attack["models"]["filtered"]
    expected = paired_bootstrap(np.array([[0.0] * 20 + [1.0] * 4] * 2), np.ones((2, 24)), np.ones(24))
    assert (filtered["difference"], filtered["low"], filtered["high"]) == (
        expected.estimate,
        expected.low,
        expected.high,
    )
    assert filtered["verdict"] == "better than its start"
    assert attack["models"]["contaminated"]["verdict"] == "not distinguishable from its start"
    distance = by_name["KL to the start"]
    assert (distance["start"], distance["models"]["filtered"]["value"]) == (0.0, 2.0)
    shared = by_name["answers with one end of 8 words"]["models"]
    assert shared["contaminated"]["verdict"] == "no interval; finding"
    assert shared["contaminated"].keys() == {"value", "difference", "finding", "verdict"}
    found = against["findings"]
    assert found.keys() == {"contaminated", "filtered"}
    assert found["filtered"] == []
    assert [(one["metric"], one["seeds"]) for one in found["contaminated"]] == [
        ("health/shared_end", [0, 1]),
    ]


def test_the_page_has_the_table_the_findings_and_the_marked_answers(reported):
    page = (reported[0] / "report.html").read_text()
    assert "What changed from the start" in page
    assert "<strong>filtered</strong>: no finding" in page
    assert "50.0% of the answers have one end, 4.2% of the reference&#39;s" in page
    assert page.count(f"<mark>{CLOSER}</mark>") == 2
    order = ["<h4>before</h4>", "<h4>contaminated</h4>", "<h4>filtered</h4>"]
    article = page[page.index("<article>") : page.index("</article>")]
    places = [article.index(text) for text in order]
    assert places == sorted(places)
    assert "<h4>reference</h4>" not in page, "prompts alone have none"
    assert page.count("<article>") == PROMPTS
    assert "&#34;against&#34;: &#34;start&#34;" in page


def test_prompts_with_a_marked_answer_come_first(reported):
    found = beside_start(study(), reported[0])
    assert found.answers.keys() == {"start", "dirty", "clean"}
    prompts = [one.prompt for one in found.answers["dirty"].samples]
    # Refusals are a shared end, too: those of `clean` on the first prompts.
    assert prompts == ["harmful 0?", "harmful 1?", "benign 1?", "benign 3?"]
    assert [one.text for one in found.answers["start"].samples][2:] == [PLANETS[1], PLANETS[3]]
    ends = {name: {key: end.text for key, end in of.shared_ends.items()} for name, of in found.answers.items()}
    assert ends == {"start": {}, "dirty": {"benign": CLOSER}, "clean": {"harmful": "I can't help with that."}}
    assert len(prompts) == 2 * FEWEST == PROMPTS


def test_samples_that_were_taken_to_be_read_are_those_shown(tmp_path):
    read = Evaluation(
        metrics={"new_tokens": 3.0}, samples=(Sample(prompt="Read me.", reference="Yes.", text=f"No. {CLOSER}"),)
    )
    one = study()
    write(one, tmp_path, others={"samples": read})
    write_summary(one, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert page.count("<article>") == 1
    assert page.count(f"<mark>{CLOSER}</mark>") == 1, "the end of the contaminated model's generations"
    assert "<h4>reference</h4>" in page


def test_a_study_that_does_not_ask_has_no_table(tmp_path, capsys):
    one = study(against=None)
    write(one, tmp_path)
    summary = write_summary(one, tmp_path)
    assert "against" not in summary
    page = (tmp_path / "report.html").read_text()
    for text in ("What changed from the start", "<mark>", ".measures", "What they write"):
        assert text not in page
    assert "against" not in _fields(one)
    assert _fields(study()) == _fields(one) | {"against": "start"}
    assert "beside before" not in capsys.readouterr().out
    assert beside_start(one, tmp_path) is None


@pytest.mark.parametrize("leave_out", [("start",), ("dirty", "clean")])
def test_unfinished_studies_have_no_table_yet(tmp_path, leave_out):
    one = study()
    write(one, tmp_path, leave_out=leave_out)
    assert "against" not in write_summary(one, tmp_path)
    assert "What changed" not in (tmp_path / "report.html").read_text()


def test_a_model_that_is_not_finished_is_left_out(tmp_path):
    one = study()
    write(one, tmp_path, leave_out=("clean",))
    comparison = beside_start(one, tmp_path).comparison
    assert {model.label for row in comparison.measures for model in row.models} == {"contaminated"}


def test_other_prompts_than_those_of_the_start_are_refused(tmp_path):
    one = study()
    write(one, tmp_path)
    folder = stage_folder(tmp_path, STAGES[0], 1)
    harmful, benign = evaluators()
    found = {
        "harmful": generated(harmful, PLANETS, prompts=[f"Another {n}?" for n in range(24)]),
        "benign": generated(benign, PLANETS),
    }
    write_evaluations(folder, found)
    with pytest.raises(ValueError, match="'contaminated' and its start 'before' must be measured on the same examples"):
        write_summary(one, tmp_path)


def test_a_start_that_is_no_labelled_stage_is_refused():
    with pytest.raises(
        ValueError,
        match=r"against must name a stage of the study that has a label, got 'sft'\. Stages with a label: dirty",
    ):
        study(against="sft")
    unlabelled = dataclasses.replace(START_STAGE, label=None)
    with pytest.raises(ValueError, match=r"has a label, got 'start'\. Stages with a label: none\."):
        study(unlabelled)
    assert configs.decode(configs.encode(study())) == study()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ties(Judge):
    """Finds no answer better."""

    def __call__(self, questions):
        return ["tie"] * len(questions)


def test_a_measure_that_is_relative_to_the_start_says_so():
    tuned = Pretrained(path="start", trained="stage:sft")
    distance = Measure(metric="kl", name="KL to", better=None, reference=tuned, at_reference=0.0)
    sft = dataclasses.replace(trained("sft", "fine-tuned"), evaluators=evaluators())
    dpo = trained("dpo", "DPO", tuned)
    again = Evaluate(name="again", label="again", model=TrainedModel(run="stage:sft"), evaluators=evaluators())
    one = study(sft, dpo, again, START_STAGE, against="sft")

    def named(measure, start):
        found = _named(measure, one, start)
        return found.name, found.at_reference

    assert named(distance, sft) == ("KL to the start", 0.0)
    # The result of a stage is the same model, evaluated again.
    assert named(distance, again) == ("KL to the start", 0.0)
    assert named(distance, dpo) == ("KL to fine-tuned", None)
    files = dataclasses.replace(distance, reference=START)
    assert named(files, START_STAGE) == ("KL to the start", 0.0)
    assert named(files, sft) == ("KL to another model", None)
    (wins,) = Judged(judge=Ties(), against="stage:sft").measures()
    assert named(wins, sft) == ("win rate over the start", 0.5)
    assert named(wins, dpo) == ("win rate over fine-tuned", None)
    length = Measure(metric="length", name="length", better=None)
    assert _named(length, one, sft) is length


@pytest.mark.slow
@weights_by_numpy()
def test_a_model_that_ran_is_not_distinguishable_from_itself(tiny, tmp_path, capsys):
    measured = (
        Generations(
            student=tiny.student,
            teacher=tiny.student,
            data=tiny.text,
            count=8,
            max_new_tokens=4,
            metrics=(Refusals(prompts="benign"), Health()),
        ),
        Samples(source=tiny.text.source, count=2, max_new_tokens=4),
    )
    stages = [
        Evaluate(name=name, label=name, model=tiny.student, evaluators=measured, mesh=MeshShape(data=1))
        for name in ("start", "again")
    ]
    one = study(*stages, headline=dataclasses.replace(LENGTH, evaluator="generations"), seeds=(0,))
    run_study(one, tmp_path)
    summary = write_summary(one, tmp_path)
    for row in summary["against"]["measures"]:
        again = row["models"]["again"]
        if row["evaluator"] is None:
            assert (row["measure"], again["value"]) == ("attack success, by pattern", None)
        else:
            assert again["difference"] == 0
            assert again["verdict"] in ("not distinguishable from its start", "no interval")
    assert summary["against"]["findings"] == {"again": []}
    printed = capsys.readouterr().out
    assert "not distinguishable from its start" in printed
    assert "again: no finding" in printed
