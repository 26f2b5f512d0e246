import re

import pytest

from benchmarks.suites.published import (
    COUNTS,
    IMAGE_MODELS,
    IMAGE_TASKS,
    TEXT_MODELS,
    TEXT_TASKS,
    metrics,
    published,
    rows,
)
from jaxkd.evals.suites.transport.folder import SUM, SUM_MULTIMODAL


@pytest.mark.parametrize(
    ("expression", "tasks", "models"), [(SUM, TEXT_TASKS, TEXT_MODELS), (SUM_MULTIMODAL, IMAGE_TASKS, IMAGE_MODELS)]
)
def test_the_terms_of_the_suites_sums_add_up_to_the_published_ones(expression, tasks, models):
    for values in models.values():
        terms = metrics(tasks, values)
        assert sorted(re.findall(r"T\d+\.\w+", expression)) == sorted(terms)
        assert sum(terms.values()) == pytest.approx(values[-1], abs=0.2)


def test_all_published_rows_are_there():
    assert len(TEXT_MODELS) + len(IMAGE_MODELS) == 17


def test_counts_give_the_published_accuracies():
    found = {names: round(100 * right / asked, 2) for names, (right, asked) in COUNTS.items()}
    assert found == {("GPT-4", "T1"): 81.33, ("GPT-4", "T2"): 80.89, ("Qwen-VL-Chat", "T3"): 54.47}
    assert all(published(*names) == value for names, value in found.items())


def test_every_bar_holds():
    found = rows(True)
    assert len(found) == 5
    assert all(row.holds is not False for row in found)
