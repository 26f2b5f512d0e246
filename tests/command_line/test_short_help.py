import pytest

from jaxkd import train
from jaxkd.command_line.short_help import MOST, short_help


def shown(config):
    stages = train.load_study(train.Path(f"configs/{config}.py"))("full").stages
    return short_help("python -m x", "What it does.", (), stages).splitlines()


def test_options_of_several_stages_are_listed_once_with_their_values():
    lines = shown("quickstart")
    assert "of the training stages, where NAME is one of sft, kd:" in lines
    assert ["--NAME.steps", "36"] in [line.split()[:2] for line in lines]
    assert any(line.startswith("  --kd.recipe.divergence.temperature   1.0              Temperature") for line in lines)
    assert "Other stages: teacher_cache, teacher, untouched." in lines


def test_values_that_differ_are_named_or_said_to_differ():
    lines = [line.split()[:4] for line in shown("snode_pitchfork")]
    assert ["--NAME.recipe.rows", "256", "or", "64"] in lines
    assert ["--NAME.optimizer.learning-rate", "differs"] in [line[:2] for line in lines]


def test_a_single_training_stage_has_its_name(tiny):
    lines = short_help("x", "", (), (tiny.train(),)).splitlines()
    assert any(line.startswith("  --kd.steps ") for line in lines)
    assert not any("--NAME" in line for line in lines)


@pytest.mark.parametrize("config", ["align_distil", "gpt2_from_qwen"])
def test_more_than_a_screen_is_left_to_the_whole_list(config):
    lines = shown(config)
    assert sum(line.startswith("  --") for line in lines) == MOST
    assert any("more options of the methods are not listed here." in line for line in lines)
    assert all(len(line) <= 120 for line in lines)
