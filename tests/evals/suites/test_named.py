import sys
import types

import pytest

from jaxkd import evaluate
from jaxkd.evals.suites import named
from tests.evals.suites import folders


@pytest.fixture
def built(monkeypatch, tmp_path):
    """A suite by name that counts how often it is built."""
    module = types.ModuleType("jaxkd.evals.suites.small")
    module.count = 0

    def write_suite(path):
        module.count += 1
        folders.write(path)

    module.write_suite = write_suite
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(named.BUILT, "small", 3)
    monkeypatch.setattr(named, "cache_folder", lambda: tmp_path / "cache")
    return module


def test_a_suite_is_built_once_for_each_version(built, tmp_path, monkeypatch):
    for _ in range(2):
        assert named.named("small").folder == tmp_path / "cache/suites/small-3"
    assert built.count == 1
    monkeypatch.setitem(named.BUILT, "small", 4)
    named.named("small")
    assert built.count == 2


def test_a_folder_of_the_same_name_comes_first(built, tmp_path, monkeypatch):
    folders.write(tmp_path / "here/small")
    monkeypatch.chdir(tmp_path / "here")
    assert named.named("small").name == "small"
    assert built.count == 0


def test_the_program_writes_a_suite(built, tmp_path, capsys):
    evaluate.main(["--suite", "small", "--write-suite", str(tmp_path / "mine")])
    assert capsys.readouterr().out == f"{tmp_path / 'mine'}\n"
    assert (tmp_path / "mine/suite.yaml").is_file()


@pytest.mark.slow
def test_transport_is_a_suite_without_faults(transport_sources, tmp_path, monkeypatch):
    monkeypatch.setattr(named, "cache_folder", lambda: tmp_path)
    suite = named.named("transport")
    rows = {task.id: len(task.rows) for task in suite.tasks}
    assert (len(rows), sum(rows.values())) == (14, 791)
    assert {one.name for one in suite.aggregates} == {"SUM", "SUM_MULTIMODAL", "MEAN"}
    assert [task.id for task in suite.tasks if task.rotations == "all"] == ["T1", "T2", "T2_law"]
