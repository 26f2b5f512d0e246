"""The config that the page on preferences shows: it is parsed and run."""

import json
from pathlib import Path

import pytest

from jaxkd import train
from jaxkd.data import PreferenceJsonl
from jaxkd.runtime import configs
from tests.docs.pages import on_one_device, on_the_tiny_model, shown_file


def shown(tiny, tiny_preferences, tmp_path):
    text = on_the_tiny_model(shown_file("docs/preferences.md", "configs/preferences.py"), tiny)
    here = tiny_preferences.source
    for split, path in (("train", here.train), ("validation", here.validation), ("test", here.test)):
        text = text.replace(getattr(tiny.text.source, split), path)
    text = text.replace("length=1024, targets=512", "length=96, targets=36")
    text = text.replace("length=512, targets=256", "length=48, targets=18")
    path = tmp_path / "preferences.py"
    path.write_text(text)
    return path


@pytest.mark.slow
def test_the_shown_config_runs_on_the_tiny_model(tiny, tiny_preferences, tmp_path):
    path = shown(tiny, tiny_preferences, tmp_path)
    _, study = train.parse(["--config", str(path), "--dpo.recipe.objective.beta", "0.2"])
    assert study.stages[1].recipe.objective.beta == 0.2
    configs.save(tmp_path / "study.json", study)
    assert configs.load(tmp_path / "study.json") == study
    here = ["--size", "smoke", "--workdir", str(tmp_path / "run"), *on_one_device(path)]
    train.main(["--config", str(path), *here])
    folder = tmp_path / "run"
    for stage in ("dpo", "reverse_dpo", "align_distil"):
        (path,) = (folder / stage).glob("*/evaluation.json")
        metrics = json.loads(path.read_text())["preference_accuracy"]["metrics"]
        assert metrics["pairs"] == 13
        assert 0 <= metrics["reward_accuracy"] <= 1
    assert Path(folder / "report.html").exists()


def test_the_shown_rows_are_read(tmp_path):
    rows = Path("docs/preferences.md").read_text().split("```json\n")[1].split("```")[0]
    (tmp_path / "pairs.jsonl").write_text(rows)
    pairs = PreferenceJsonl(train=str(tmp_path / "pairs.jsonl")).pairs("train")
    assert {(pair.messages, pair.chosen, pair.rejected) for pair in pairs} == {
        ((("user", "Name a planet."),), "Mars.", "The Sun.")
    }
