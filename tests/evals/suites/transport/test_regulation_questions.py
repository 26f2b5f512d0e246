import random
from collections import Counter

import pytest

from jaxkd.evals.suites.transport.quantities import quantities
from jaxkd.evals.suites.transport.regulation_questions import (
    BLANK,
    LONGEST_PASSAGE,
    cloze_choices,
    law_choices,
    passages,
    recitations,
    regulation_statements,
)
from tests.tiny_transport import tiny_sources


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_sources(tmp_path_factory.mktemp("laws")).articles


def texts(articles):
    """Text of an article in one line, by law and number."""
    return {(article.law, article.number): article.text.replace("\n", "") for article in articles}


def key(row):
    return row["meta"]["law"], row["meta"]["article"]


def check_clozes(articles, rows):
    found = texts(articles)
    for row in rows:
        _, passage = row["question"].split("\n")
        assert passage.count(BLANK) == 1
        for place, option in enumerate(row["options"]):
            assert (passage.replace(BLANK, option) in found[key(row)]) is (place == row["answer"])
        assert not any(option in passage for option in row["options"])
        kinds = {quantities(option)[0].kind for option in row["options"]}
        assert len(kinds) == 1 and len(set(row["options"])) == 4


def check_statements(articles, rows):
    found = texts(articles)
    for row in rows:
        passage = row["question"].partition("，")[2]
        assert (passage in found[key(row)]) is row["answer"]
    counts = Counter(row["answer"] for row in rows)
    assert abs(counts[True] - counts[False]) <= 1


def check_laws(articles, rows):
    for row in rows:
        text = row["question"].partition("\n")[2]
        laws = {article.law for article in articles if article.text == text}
        assert [option for option in row["options"] if any(f"国{law}》" in option for law in laws)] == [
            row["options"][row["answer"]]
        ]
        assert not any(article.law in text for article in articles)


def check_recitations(articles, rows):
    found = {(article.law, article.number): article.text for article in articles}
    for row in rows:
        first = row["question"].partition("：")[2]
        assert first and row["reference"]
        assert (first + row["reference"]).replace("\n", "") == found[key(row)].replace("\n", "")


def test_clozes(tiny):
    rows = cloze_choices(tiny, most=2, rng=random.Random(0))
    check_clozes(tiny, rows)
    # Two of the second article, one each of the third and the fourth.
    assert Counter(row["meta"]["article"] for row in rows) == {"第二条": 14, "第三条": 7, "第四条": 7}
    assert Counter(row["answer"] for row in rows) == dict.fromkeys(range(4), 7)


def test_statements(tiny):
    rows = regulation_statements(tiny, rng=random.Random(0))
    check_statements(tiny, rows)
    assert len(rows) == 21


def test_laws(tiny):
    """Only the fifth article differs from law to law and does not name its law's subject, as the fourth does."""
    rows = law_choices(tiny, most=5, rng=random.Random(0))
    check_laws(tiny, rows)
    assert {row["meta"]["article"] for row in rows} == {"第五条"}


def test_recitations(tiny):
    rows = recitations(tiny, most=2, rng=random.Random(0))
    check_recitations(tiny, rows)
    assert set(Counter(row["meta"]["law"] for row in rows).values()) == {2}


def test_a_sentence_with_a_colon_keeps_its_list():
    text = "有下列行为之一的，处二百元罚款：\n（一）甲；\n（二）乙。\n情节严重的，处五百元以上罚款。短句。"
    assert passages(text) == ["有下列行为之一的，处二百元罚款：（一）甲；（二）乙。", "情节严重的，处五百元以上罚款。"]


def test_a_list_that_is_too_long_is_cut_between_its_items():
    items = [f"（{sign}）{'长' * 120}；" for sign in "一二三"]
    (passage,) = passages("\n".join(["有下列行为之一的，处二百元罚款：", *items]))
    assert passage.endswith(items[1]) and len(passage) <= LONGEST_PASSAGE


@pytest.mark.slow
def test_real_statutes(transport_sources):
    articles = transport_sources.articles
    clozes = cloze_choices(articles, most=2, rng=random.Random(0))
    check_clozes(articles, clozes)
    statements = regulation_statements(articles, rng=random.Random(0))
    check_statements(articles, statements)
    laws = law_choices(articles, most=10, rng=random.Random(0))
    check_laws(articles, laws)
    recited = recitations(articles, most=9, rng=random.Random(0))
    check_recitations(articles, recited)
    assert [len(rows) for rows in (clozes, statements, laws, recited)] == [111, 80, 29, 63]
