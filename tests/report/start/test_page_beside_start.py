"""The page of a study that sets its models beside their start."""

import dataclasses

from tests.report.studies import AGAINST, END, samples, study
from tests.report.test_page import parse, write


def marked_study():
    """SFT ends its answer as many do."""
    return [
        dataclasses.replace(stage, samples=samples(f"yes {END.text}"), shared_ends={"open": END})
        if stage.label == "SFT"
        else stage
        for stage in study()
    ]


def test_models_beside_their_start_have_a_table_and_marked_answers(tmp_path):
    beside = write(tmp_path, marked_study(), against=AGAINST)
    parser = parse(beside)
    text = " ".join(" ".join(parser.text).split())
    for part in (
        "attack success %, n = 100 untouched start 91.2 SFT 12.5 −78.7 (−84.0 to −71.2) better than its start",
        "distilled 94.3 +3.1 (−0.4 to 6.6) not distinguishable from its start",
        "one end %, n = 100 untouched start 1.0 SFT 62.0 +61.0 no interval; finding",
        "over-refusal % untouched start – not measured SFT – – distilled – –",
        "Findings beside untouched SFT seed 0, 1: 62.0% have one end distilled : no finding",
        "SFT: 62.0 % of its answers end with “Have a great day! :)”",
        "yes Have a great day! :)",
    ):
        assert part in text
    # More than colour: a class for the weight, and words.
    assert beside.count('<tr class="clear">') == 3
    assert beside.count('<tr class="open">') == 5
    assert beside.count('<tr class="start">') == 4
    assert ".measures .clear td:last-child { font-weight: 700; }" in beside
    # On a narrow screen, too, each cell has a name.
    assert beside.count('<table class="measures stacked">') == 1
    assert beside.count("<td>") == 0
    assert "<pre>yes <mark>Have a great day! :)</mark></pre>" in beside
    article = beside[beside.index("<article>") : beside.index("</article>")]
    places = [article.index(f"<h4>{name}</h4>") for name in ("reference", "untouched", "teacher", "SFT", "distilled")]
    assert places == sorted(places)
    assert {"script", "link"}.isdisjoint(parser.tags)
    # All of that is the study's that asks.
    for part in ("What changed from the start", "<mark>", ".measures", "marked answer"):
        assert part in beside
        assert part not in write(tmp_path)


def test_sets_without_references_have_none_beside_their_start(tmp_path):
    stages = [
        dataclasses.replace(stage, samples=tuple(dataclasses.replace(one, reference="") for one in stage.samples))
        for stage in study()
    ]
    assert "<h4>reference</h4>" not in write(tmp_path, stages, against=AGAINST)
    assert "<h4>reference</h4>" in write(tmp_path, stages)


def test_a_start_that_has_no_row_of_its_own_is_named_all_the_same(tmp_path):
    stages = [stage for stage in study() if stage.label != "untouched"]
    beside = write(tmp_path, stages, against=AGAINST)
    parse(beside)
    assert '<td data-column="model"><span>untouched <span class="note">start</span></span></td>' in beside
    assert "no finding" not in write(tmp_path, against=dataclasses.replace(AGAINST, findings=(), searched=()))


def test_text_beside_a_start_is_escaped(tmp_path):
    evil = "<script>x</script>"
    row = dataclasses.replace(AGAINST.measures[0], name=evil)
    finding = dataclasses.replace(AGAINST.findings[0], text=evil)
    against = dataclasses.replace(AGAINST, start=evil, measures=(row,), findings=(finding,))
    stages = [dataclasses.replace(stage, shared_ends={evil: dataclasses.replace(END, text=evil)}) for stage in study()]
    assert "script" not in parse(write(tmp_path, stages, against=against)).tags
