import json
import logging

import pytest

from jaxkd.study.results.usage import Usage


@pytest.mark.parametrize("content", ["", '{"kd/0": {"seco', "[1]", '{"kd/0": 3}', '{"kd/0": {}}'])
def test_a_damaged_file_costs_its_figures_and_no_stage(tmp_path, caplog, content):
    (tmp_path / "usage.json").write_text(content)
    with caplog.at_level(logging.WARNING):
        usage = Usage(tmp_path)
        assert (usage.seconds(), usage.peak_memory_gb()) == (0.0, 0.0)
    assert f"{tmp_path / 'usage.json'}" in caplog.text
    with usage.measure("kd/0"):
        pass
    assert json.loads((tmp_path / "usage.json").read_text())["kd/0"]["peak_memory_gb"] > 0


def test_stages_that_other_processes_measure_meanwhile_are_kept(tmp_path):
    first, second = Usage(tmp_path), Usage(tmp_path)
    for usage, name in ((first, "a"), (second, "b"), (first, "a")):
        with usage.measure(name):
            pass
    assert Usage(tmp_path).stages.keys() == {"a", "b"}
