import pytest

from jaxkd.command_line.suggestions import suggestions

NAMES = [
    "config",
    "seeds",
    "sft.optimizer.learning-rate",
    "sft.evaluators.1.sampling.temperature",
    "sft.evaluators.1.seed",
    "kd.recipe.remat",
    "kd.recipe.data.template",
    "kd.recipe.data.rows",
    "kd.recipe.divergence.temperature",
    "kd.optimizer.learning-rate",
    "kd.evaluators.1.sampling.temperature",
]


@pytest.mark.parametrize(
    ("mistyped", "expected"),
    [
        ("recipe.temprature", ("kd.recipe.divergence.temperature",)),
        ("kd.recipe.temprature", ("kd.recipe.divergence.temperature",)),
        ("kd.recipe.row", ("kd.recipe.data.rows",)),
        ("kd.learning_rat", ("kd.optimizer.learning-rate",)),
        ("learning_rat", ("kd.optimizer.learning-rate", "sft.optimizer.learning-rate")),
        ("confg", ("config",)),
        ("nothing-like-it", ()),
    ],
)
def test_the_last_part_decides_and_then_the_parts_in_front(mistyped, expected):
    assert suggestions(mistyped, NAMES) == expected


def test_a_short_path_comes_before_a_better_fit_deep_in_the_tree():
    assert suggestions("seed", NAMES)[0] == "seeds"
