"""Every config file: it loads in both sizes without a file of a model, and its JSON is the same study."""

from pathlib import Path

import pytest

from jaxkd import config
from jaxkd.train import load_study

CONFIGS = sorted(Path("configs").glob("*.py"))


@pytest.mark.parametrize("size", ["full", "smoke"])
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_loads_and_round_trips(path, size):
    study = load_study(path)(size)
    assert config.decode(config.encode(study)) == study
    assert study.name == path.stem or (study.name, path.stem) == ("between_vocabularies_mistral_v1", path.stem)
    assert f"configs/{path.name}" in path.read_text() or path.stem == "quickstart"
