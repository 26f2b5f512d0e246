"""Answers side by side, with the end marked that they share."""

import dataclasses
import io

from jaxkd.evals import BITS_PER_BYTE
from jaxkd.evals.language.shared_end import SharedEnd
from jaxkd.report import StageReport
from jaxkd.report.stages import by_label
from jaxkd.report.start.answers import PROMPTS_ON_TERMINAL, legend, parts, print_answers, shown
from jaxkd.training.results.evaluation import Sample
from tests.report.studies import END

LONGER = SharedEnd(words=("well", "!", *END.words), text=f"Well! {END.text}", share=0.2)


def stage(label, *texts, prompts=None, ends=None):
    prompts = [f"Ask {number}." for number in range(len(texts))] if prompts is None else prompts
    return StageReport(
        name=label,
        label=label,
        metrics={},
        samples=tuple(
            Sample(prompt=prompt, reference="", text=text) for prompt, text in zip(prompts, texts, strict=True)
        ),
        shared_ends={} if ends is None else ends,
    )


def printed(*stages):
    file = io.StringIO()
    print_answers(by_label(stages, BITS_PER_BYTE), file)
    return file.getvalue()


def test_a_text_is_divided_at_the_longest_end_that_it_has():
    text = f"Mars.\nWell! {END.text}\n"
    assert parts(text, []) == ((False, text),)
    assert parts(text, [END]) == ((False, "Mars.\nWell! "), (True, END.text), (False, "\n"))
    assert parts(text, [END, LONGER]) == ((False, "Mars.\n"), (True, f"Well! {END.text}"), (False, "\n"))
    assert parts(END.text, [END]) == ((True, END.text),)
    assert parts("Mars.", [END, LONGER]) == ((False, "Mars."),)
    for one in (text, END.text, "Mars.", f"Mars. {END.text} {END.text}"):
        assert "".join(piece for _, piece in parts(one, [END])) == one


def test_a_page_shows_a_text_without_empty_lines_around_it_and_nothing_of_a_blank_one():
    assert shown(f"\n\n  Mars. {END.text}\n", [END]) == ((False, "  Mars. "), (True, END.text))
    assert shown(" \n", [END]) == ()


def test_each_answer_is_a_line_and_shared_ends_stand_in_double_brackets():
    start = stage("start", "Mars,\nof course.", "Saturn.")
    after = stage("DPO", f"Mars. {END.text} {END.text}", "", ends={"open": END})
    lines = printed(start, after, stage("KTO", "Venus.", prompts=["Ask 1."])).splitlines()
    assert lines == [
        "",
        "Ask 0.",
        "  start  Mars, of course.",
        f"  DPO    Mars. ⟦{END.text} {END.text}⟧",
        "  KTO    not sampled",
        "",
        "Ask 1.",
        "  start  Saturn.",
        "  DPO    empty answer",
        "  KTO    Venus.",
        "",
        "DPO: 62.0 % of its answers end with “Have a great day! :)”",
    ]


def test_long_answers_keep_their_ends():
    text = "word " * 200
    (line,) = [
        line for line in printed(stage("a", f"{text}{END.text}", ends={"open": END})).splitlines() if "⟦" in line
    ]
    assert line.endswith(f"word ⟦{END.text}⟧")
    assert " … " in line
    assert len(line) < 180
    looping = f"Mars. {' '.join([END.text] * 50)}"
    (line,) = [line for line in printed(stage("a", looping, ends={"open": END})).splitlines() if "⟦" in line]
    assert line.startswith("  a  Mars. ⟦Have a great day!")
    assert line.endswith("day! :)⟧")
    assert len(line) < 180


def test_a_few_prompts_are_printed_and_nothing_steers_the_terminal():
    text = printed(stage("a", *["\x1b[31mred\x07"] * 9))
    assert text.count("Ask") == PROMPTS_ON_TERMINAL
    assert "\x1b" not in text
    assert "\ufffd[31mred\ufffd" in text
    assert printed(StageReport(name="a", label="a", metrics={})) == ""


def test_the_legend_names_the_evaluator_where_there_are_several():
    one = stage("a", "x", ends={"harmful": END, "benign": dataclasses.replace(LONGER, text="Well!\nGood bye.")})
    (model,) = by_label([one], BITS_PER_BYTE)
    assert [line for _, line in legend([model])] == [
        "62.0 % of its answers (harmful) end with “Have a great day! :)”",
        "20.0 % of its answers (benign) end with “Well! Good bye.”",
    ]
