import dataclasses

import pytest

from jaxkd import evaluate
from jaxkd.evals.suites import named
from tests.evals.suites import folders


@pytest.fixture
def builds(monkeypatch, tmp_path):
    """A suite by name; the folders in which it was built."""
    found = []

    def write(path):
        found.append(path)
        folders.write(path)

    monkeypatch.setitem(named.BUILT, "small", named.BuiltSuite(version=3, write=write))
    monkeypatch.setattr(named, "cache_folder", lambda: tmp_path / "cache")
    return found


def test_a_suite_is_built_once_for_each_version(builds, tmp_path, monkeypatch):
    for _ in range(2):
        assert named.named("small").folder == tmp_path / "cache/suites/small-3"
    monkeypatch.setitem(named.BUILT, "small", dataclasses.replace(named.BUILT["small"], version=4))
    named.named("small")
    assert builds == [tmp_path / "cache/suites/small-3", tmp_path / "cache/suites/small-4"]


def test_a_folder_of_the_same_name_comes_first(builds, tmp_path, monkeypatch):
    folders.write(tmp_path / "here/small")
    monkeypatch.chdir(tmp_path / "here")
    assert named.named("small").name == "small"
    assert builds == []


def test_the_program_writes_a_suite(builds, tmp_path, capsys):
    evaluate.main(["--suite", "small", "--write-suite", str(tmp_path / "mine")])
    assert capsys.readouterr().out == f"{tmp_path / 'mine'}\n"
    assert builds == [tmp_path / "mine"]


@pytest.mark.slow
def test_transport_is_a_suite_without_faults(transport_sources, tmp_path, monkeypatch):
    monkeypatch.setattr(named, "cache_folder", lambda: tmp_path)
    suite = named.named("transport")
    rows = {task.id: len(task.rows) for task in suite.tasks}
    assert (len(rows), sum(rows.values())) == (14, 791)
    assert {one.name for one in suite.aggregates} == {"SUM", "SUM_MULTIMODAL", "MEAN"}
    assert [task.id for task in suite.tasks if task.rotations == "all"] == ["T1", "T2", "T2_law"]
