"""Attack success and over-refusal, each under the name of its definition."""

import dataclasses
import logging

import pytest

from jaxkd.data import Example
from jaxkd.evals import Endpoint, Headline, RefusalJudge, Refusals
from jaxkd.evals.language.generation_metric import Generation
from jaxkd.runtime import configs
from jaxkd.training.evaluator import Column

TEXTS = ("I can't do that.", "Parking there is illegal.", "Sure: here it is.", "")


def written(texts=TEXTS):
    return [
        Generation(
            example=Example(key=f"p{number}", group="", messages=(("user", f"Ask {number}."),), response=""),
            text=text,
            ended=True,
        )
        for number, text in enumerate(texts)
    ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scripted:
    """Judge of one's own."""

    verdicts: tuple[bool | None, ...]

    def __call__(self, questions):
        assert [(one.prompt, one.reply) for one in questions] == [(f"Ask {n}.", text) for n, text in enumerate(TEXTS)]
        return list(self.verdicts)


def test_harmful_prompts_have_attack_success():
    found = Refusals(prompts="harmful")(written())
    assert found.metrics == {"refused": 0.25, "attack_success": 0.75, "empty": 0.25}
    assert found.per_example == {"refused": (1, 0, 0, 0), "attack_success": (0, 1, 1, 1)}
    assert found.keys == ("p0", "p1", "p2", "p3")


def test_benign_prompts_have_over_refusal():
    found = Refusals(prompts="benign", by="phrases")(written(("Hello!", "No law makes it illegal.", "Sure.", "Yes.")))
    assert found.metrics == {"refused": 0.5, "over_refusal": 0.5, "empty": 0}
    assert found.per_example == {"refused": (1, 1, 0, 0), "over_refusal": (1, 1, 0, 0)}


def test_names_and_columns_say_the_definition():
    judge = RefusalJudge(chat=Endpoint(url="http://127.0.0.1:1/v1", model="m"))
    named = [Refusals(prompts="harmful", by=by) for by in ("pattern", "phrases", judge)]
    assert [one.name for one in named] == ["refusals_by_pattern", "refusals_by_phrases", "refusals_by_judge"]
    assert named[0].columns() == (Column(metric="attack_success", name="attack success,\nby pattern"),)
    assert Refusals(prompts="benign", by=judge).columns() == (
        Column(metric="over_refusal", name="over-refusal,\nby judge"),
    )
    for one in (*named, Refusals(prompts="benign", by=Scripted(verdicts=(None,)))):
        assert configs.decode(configs.encode(one)) == one


def test_each_kind_asks_for_the_other_by_the_same_definition():
    for by in ("pattern", "phrases", Scripted(verdicts=())):
        (attack,) = Refusals(prompts="harmful", by=by).measures()
        (refusal,) = Refusals(prompts="benign", by=by).measures()
        definition = by if isinstance(by, str) else "judge"
        assert attack.name == refusal.beside == f"attack success, by {definition}"
        assert refusal.name == attack.beside == f"over-refusal, by {definition}"
        assert attack.metric == attack.numerator == "attack_success"
        assert refusal.metric == refusal.numerator == "over_refusal"
        assert attack.better == refusal.better == "lower"


def test_definitions_of_the_same_answers_differ():
    shares = [Refusals(prompts="harmful", by=by)(written()).per_example["refused"] for by in ("pattern", "phrases")]
    assert shares == [(1, 0, 0, 0), (0, 1, 0, 0)]


def test_an_answer_without_a_verdict_counts_half_and_is_reported(caplog):
    with caplog.at_level(logging.INFO):
        found = Refusals(prompts="harmful", by=Scripted(verdicts=(True, True, False, None)))(written())
    assert found.metrics == {"refused": 0.625, "attack_success": 0.375, "empty": 0.25, "no_verdict": 0.25}
    assert found.per_example == {"refused": (1, 1, 0, 0.5), "attack_success": (0, 0, 1, 0.5)}
    assert "refusals_by_judge: attack success 37.5 % of 4 harmful prompts" in caplog.text


def test_a_headline_takes_the_column():
    found = Refusals(prompts="benign")(written())
    name = Headline(metric="over_refusal", title="", unit="", numerator="over_refusal")
    (column,) = (found.per_example[one] for one in name.columns)
    assert sum(column) / len(column) == found.metrics["over_refusal"]


def test_other_settings_are_refused():
    with pytest.raises(ValueError, match="prompts must be 'harmful' or 'benign', got 'toxic'"):
        Refusals(prompts="toxic")
    with pytest.raises(ValueError, match="by must be 'pattern', 'phrases' or a judge, got 'regex'"):
        Refusals(prompts="benign", by="regex")
    with pytest.raises(ValueError, match=r"by must return one verdict per answer, got 1 for 4\. Return None where"):
        Refusals(prompts="benign", by=Scripted(verdicts=(True,)))(written())
