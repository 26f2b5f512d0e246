"""Where trajectories come from."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxkd.data.trajectories import MeasuredTrajectories, SimulatedTrajectories
from jaxkd.data.trajectories.sources import SPLITS
from jaxkd.dynamics import systems
from jaxkd.dynamics.systems import PITCHFORK
from jaxkd.runtime import configs
from tests.tiny_dynamics import CLEAN, NOISY, OSCILLATOR, double_precision

__all__ = ["double_precision"]


def write(path, records, samples=20, gap=0):
    """With a gap of 10 s before a sample of each record, if one is given."""
    lines = ["run,t [s],x [m],u"]
    lines += [
        f"r{run},{0.1 * step + 10 * (0 < gap <= step)},{run + step},{step % 3}"
        for run in range(records)
        for step in range(samples)
    ]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_simulated_records_obey_their_equations():
    given = CLEAN.trajectories("test")
    field = CLEAN.equations().vector_field()
    slopes = jax.vmap(jax.vmap(lambda y: field(0.0, y)))(given.states)
    steps = np.diff(given.states, axis=1) / np.diff(given.times, axis=1)[..., None]
    middle = (slopes[:, 1:] + slopes[:, :-1]) / 2
    assert np.max(np.abs(steps - middle)) < 2e-2, "the trapezoidal rule"
    assert str(CLEAN.equations()) == str(OSCILLATOR.equations)


def test_all_systems_survive_their_description():
    for system in systems.SYSTEMS:
        described = SimulatedTrajectories.of(system).equations().within(system.equations.terms)
        np.testing.assert_allclose(described.coefficients, system.equations.coefficients, rtol=1e-15)


def test_splits_differ_and_the_test_has_no_noise():
    states = {split: np.asarray(NOISY.trajectories(split).states) for split in SPLITS}
    assert not np.allclose(states["train"], states["validation"], atol=0.1)
    np.testing.assert_array_equal(states["test"], CLEAN.trajectories("test").states)
    clean = np.asarray(CLEAN.trajectories("train").states)
    level = (states["train"] - clean).std(axis=(0, 1)) / clean.std(axis=(0, 1))
    np.testing.assert_allclose(level, 0.01, rtol=0.3)
    assert not np.allclose(states["train"], dataclasses.replace(NOISY, seed=1).trajectories("train").states, atol=0.1)


def test_every_second_sample():
    half = SimulatedTrajectories.of(OSCILLATOR, count=3, every=2)
    np.testing.assert_allclose(half.trajectories("test").states, CLEAN.trajectories("test").states[:, ::2], atol=1e-8)
    with pytest.raises(ValueError, match="every must divide the 32 steps of a record, got 3"):
        SimulatedTrajectories.of(OSCILLATOR, every=3)


def test_a_source_is_a_config():
    for source in (NOISY, MeasuredTrajectories(paths=("a.csv",), inputs=("u",))):
        assert configs.decode(configs.encode(source)) == source


def test_measured_records_are_divided(tmp_path):
    source = MeasuredTrajectories(paths=(write(tmp_path / "a.csv", 7),), inputs=("u",), trajectory="run")
    assert source.names() == (("x",), ("u",))
    assert [len(source.records(split)) for split in SPLITS] == [5, 1, 1]
    assert source.records("test")[0].source == "a.csv, trajectory r6"
    given = source.trajectories("train")
    assert given.states.shape == (5, 20, 1)
    assert given.inputs.shape == (5, 20, 1)
    assert source.equations() is None


def test_a_trajectory_with_a_gap_is_in_one_split(tmp_path):
    path = write(tmp_path / "a.csv", 3, samples=40, gap=20)
    source = MeasuredTrajectories(paths=(path,), states=("x",), trajectory="run")
    for run, split in enumerate(SPLITS):
        name = f"a.csv, trajectory r{run}"
        assert [record.source for record in source.records(split)] == [name, f"{name}, after the gap at 1.9"]


def test_of_a_single_record_parts_of_its_time(tmp_path):
    source = MeasuredTrajectories(paths=(write(tmp_path / "a.csv", 1, samples=100),), states=("x",), time="t")
    parts = [source.records(split)[0] for split in SPLITS]
    assert [part.times.size for part in parts] == [60, 20, 20]
    assert [part.source for part in parts] == ["a.csv, train", "a.csv, validation", "a.csv, test"]
    np.testing.assert_array_equal(np.concatenate([part.states for part in parts])[:, 0], np.arange(100))


def test_a_record_that_is_too_short_to_be_divided(tmp_path):
    source = MeasuredTrajectories(paths=(write(tmp_path / "a.csv", 1, samples=50),), states=("x",), time="t")
    with pytest.raises(ValueError, match=r"paths must hold three records, or records of at least 80 samples .* got 50"):
        source.records("train")


def test_single_precision_is_refused():
    with jax.enable_x64(False), pytest.raises(TypeError, match="must be of float64"):
        dataclasses.replace(CLEAN, seed=99).trajectories("train")


def test_driven_systems_have_an_input_that_is_known():
    source = SimulatedTrajectories.of(PITCHFORK, noise=0.01, count=2)
    assert source.names() == (("x",), ("u",))
    assert str(source.equations()) == str(PITCHFORK.system.equations)
    assert configs.decode(configs.encode(source)) == source
    given = source.trajectories("test")
    slopes = jax.vmap(jax.vmap(lambda y, u: source.equations().vector_field()(0.0, y, u)))(given.states, given.inputs)
    steps = np.diff(given.states, axis=1) / np.diff(given.times, axis=1)[..., None]
    middle = (slopes[:, 1:] + slopes[:, :-1]) / 2
    assert np.max(np.abs(steps - middle)) < 2e-2, "the trapezoidal rule"
