import dataclasses
import re

import pytest

from jaxkd.evals import BITS_PER_BYTE
from jaxkd.report import StageReport
from jaxkd.report.stages import by_label
from jaxkd.report.vision import picture_cards
from jaxkd.training.results.picture import Overlay, PictureLayer
from tests.report.studies import DOT_PNG, picture
from tests.report.test_page import parse, write

SQUARE = Overlay(outlines=(((2.0, 1.0), (8.0, 1.0), (8.0, 7.0)),), boxes=((0.0, 0.5, 4.25, 3.0),))
JOINTS = Overlay(points=((1.0, 2.0), (3.5, 4.0)))
SKELETON = Overlay(lines=(((1.0, 2.0), (3.5, 4.0)), ((3.5, 4.0), (5.0, 4.25), (-0.04, 9.0))))


def stage(label, *pictures, seed=0):
    return StageReport(
        name=label, label=label, metrics={"bits_per_byte": 1.0}, history=[{"step": 1}], pictures=pictures, seed=seed
    )


STAGES = (
    stage("large", picture("a", group="mild", found=SQUARE, note="Dice .87"), picture("b", group="severe")),
    stage("small"),
    stage("small", picture("b", group="severe", found=JOINTS), picture("c", group="mild"), seed=1),
    stage("blind"),
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write(tmp_path_factory.mktemp("report"), STAGES, comparisons=[])


def test_pictures_stand_in_their_groups_with_a_card_for_each_model_that_has_any():
    groups = picture_cards.groups(by_label(STAGES, BITS_PER_BYTE))
    assert [(group.name, [row.picture.key for row in group.rows]) for group in groups] == [
        ("mild", ["a", "c"]),
        ("severe", ["b"]),
    ]
    cards = {row.picture.key: row.cards for group in groups for row in group.rows}
    assert {key: [card.model.label for card in row] for key, row in cards.items()} == {
        key: ["large", "small"] for key in "abc"
    }
    assert [card.found is None for key in "abc" for card in cards[key]] == [False, True, False, False, True, False]
    assert len({row.id for group in groups for row in group.rows}) == 3


def resized(width, height, **changes):
    return dataclasses.replace(picture("a", **changes), width=width, height=height)


def test_a_picture_that_models_read_in_other_sizes_is_one_and_what_they_found_is_drawn_in_its_own():
    twice = Overlay(
        outlines=(((4.0, 2.0), (16.0, 2.0), (16.0, 14.0)),),
        boxes=((0.0, 1.0, 8.5, 6.0),),
        points=((2.0, 4.0),),
        lines=(((2.0, 4.0), (7.0, 8.0)),),
    )
    once = dataclasses.replace(SQUARE, points=((1.0, 2.0),), lines=(((1.0, 2.0), (3.5, 4.0)),))
    stages = [stage("one", picture("a", found=once)), stage("two", resized(20, 16, found=twice))]
    ((row,),) = [group.rows for group in picture_cards.groups(by_label(stages, BITS_PER_BYTE))]
    assert row.picture.width == 10
    assert [card.found for card in row.cards] == 2 * [picture_cards.drawing(once)]


def test_pictures_of_one_key_and_other_shapes_are_two():
    stages = [stage("one", picture("a")), stage("two", resized(20, 10))]
    (group,) = picture_cards.groups(by_label(stages, BITS_PER_BYTE))
    assert [(row.picture.width, [card.found is None for card in row.cards]) for row in group.rows] == [
        (10, [False, True]),
        (20, [True, False]),
    ]


def test_no_more_pictures_of_a_group_are_drawn_than_a_reader_takes_in(tmp_path):
    many = [picture(f"{group} {number}", group=group) for group in ("mild", "severe") for number in range(7)]
    (mild, severe) = picture_cards.groups(by_label([stage("a", *many)], BITS_PER_BYTE))
    assert (mild.pictures, len(mild.rows), severe.rows[-1].picture.key) == (7, 6, "severe 5")
    page = write(tmp_path, [stage("a", *many)], comparisons=[])
    assert page.count("The first 6 of 7 pictures.") == 2
    assert page.count("<image ") == 12


def test_shapes_are_paths_in_the_pictures_pixels():
    assert picture_cards.drawing(SQUARE).lines == "M2 1L8 1L8 7ZM0 0.5H4.2V3H0Z"
    assert picture_cards.drawing(SQUARE).dots == ""
    assert picture_cards.drawing(JOINTS) == picture_cards.Drawing(lines="", bones="", dots="M1 2h0M3.5 4h0")
    assert picture_cards.drawing(SKELETON).bones == "M1 2L3.5 4M3.5 4L5 4.2L0 9"
    assert picture_cards.drawing(SKELETON).lines == picture_cards.drawing(SKELETON).dots == ""
    assert picture_cards.drawing(Overlay(points=((123456.7, -0.04),))).dots == "M123457 0h0"


def test_an_image_is_in_the_page_once_and_used_by_each_card(page):
    assert page.count(DOT_PNG) == 3
    ids = re.findall(r'<g id="(picture-\d+)">', page)
    assert ids == ["picture-0", "picture-1", "picture-2"]
    # The truth and two models, less those without a picture.
    assert [page.count(f'<use href="#{one}"/>') for one in ids] == [2, 2, 3]
    assert [page.count(f'<use href="#{one}-truth"/>') for one in ids] == [2, 2, 3]
    parser = parse(page)
    assert len(set(parser.ids)) == len(parser.ids)
    assert "script" not in parser.tags


def test_every_drawing_is_described_and_every_card_named(page):
    said = re.findall(r'<svg viewBox="0 0 10 8" role="img" aria-label="([^"]+)"', page)
    assert said == [
        "a, mild: the truth, 1 outline",
        "a, mild: large, 1 outline, 1 box; Dice .87",
        "c, mild: the truth, 1 outline",
        "c, mild: small, nothing",
        "b, severe: the truth, 1 outline",
        "b, severe: large, nothing",
        "b, severe: small, 2 points",
    ]
    text = " ".join(" ".join(parse(page).text).split())
    assert "What they see Dashed lines and rings are the truth; lines and dots in a model's colour are what" in text
    assert "mild a truth large Dice .87 no picture small c truth no picture large small severe b truth" in text


def test_a_skeleton_is_lines_of_the_truth_and_of_what_was_found(tmp_path):
    shown = dataclasses.replace(picture("a", found=SKELETON, note="12.3 mm"), truth=Overlay(lines=SKELETON.lines[:1]))
    page = write(tmp_path, [stage("one", shown)], comparisons=[])
    assert re.findall(r'<path class="(\w+ \w+)" d="([^"]+)"', page) == [
        ("bone under", "M1 2L3.5 4"),
        ("bone truth", "M1 2L3.5 4"),
        ("bone under", "M1 2L3.5 4M3.5 4L5 4.2L0 9"),
        ("bone found", "M1 2L3.5 4M3.5 4L5 4.2L0 9"),
    ]
    assert 'aria-label="a: the truth, 1 line"' in page
    assert 'aria-label="a: one, 2 lines; 12.3 mm"' in page
    assert "--wide: 1.2" in page


def test_the_styles_of_pictures_are_on_pages_that_have_any(page, tmp_path):
    assert ".line.truth" in page
    assert "auto-fill" in page, "cards wrap on a narrow screen"
    assert ".line.truth" not in write(tmp_path, [stage("blind")], comparisons=[])


FOUND = Overlay(boxes=((1.0, 2.0, 5.0, 4.0), (6.0, -1.0, 12.0, 3.0)), labels=("person .93", "<car> .41"))


def test_words_stand_above_their_boxes_and_within_the_picture():
    # Half of the picture's width decides at which edge they begin; those of the first box are on top.
    assert picture_cards.labels(FOUND, width=10, height=8) == (
        picture_cards.Label(text="<car> .41", start=0.0, above=100.0, from_right=True),
        picture_cards.Label(text="person .93", start=10.0, above=75.0, from_right=False),
    )
    assert picture_cards.labels(SQUARE, width=10, height=8) == ()


def test_labels_are_drawn_as_text_and_read_aloud_once(tmp_path):
    page = write(tmp_path, [stage("a", picture("b", found=FOUND, note="1 of 2 found"))], comparisons=[])
    assert re.findall(r'<span class="word" aria-hidden="true" style="([^"]+)">([^<]+)</span>', page) == [
        ("right: 0.0%; max-width: 100.0%; --above: 100.0%", "&lt;car&gt; .41"),
        ("left: 10.0%; max-width: 90.0%; --above: 75.0%", "person .93"),
    ]
    said = 'aria-label="b: a, 2 boxes (person .93, &lt;car&gt; .41); 1 of 2 found"'
    assert page.count(said) == 1
    assert "--wide: 1.5" in page
    assert "<text" not in "".join(re.findall(r'<figure class="row">.*?</figure>', page, flags=re.DOTALL))


def test_layers_are_shown_beside_the_picture_with_its_overlays(tmp_path):
    other = DOT_PNG[:-8] + "AAAAAAA="
    both = dataclasses.replace(picture("b", found=FOUND), layers=(PictureLayer(name="thermal", png=other),))
    page = write(tmp_path, [stage("a", both), stage("blind", picture("c"))], comparisons=[])
    assert (page.count(DOT_PNG), page.count(other)) == (2, 1)
    assert "b; beside it: thermal" in page
    row = re.findall(r'<figure class="row">.*?</figure>', page, flags=re.DOTALL)[0]
    # The truth and one model; the other has no picture, of the shape of both side by side.
    for one in ("picture-0", "picture-0-1"):
        assert row.count(f'<g id="{one}">') == 1
        assert row.count(f'<use href="#{one}"/>') == 2
    assert row.count('<use href="#picture-0-truth"/>') == 4
    assert row.count('class="line found"') == 2
    assert row.count('role="img"') == 2
    assert "aspect-ratio: 20 / 8" in row
    assert row.count("person .93</span>") == 1, "words would hide what the layer shows"
    assert '--layers: 2"' in row
    assert "--wide: 3.0" in row
    assert len(set(parse(page).ids)) == len(parse(page).ids)
