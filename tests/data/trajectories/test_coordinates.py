"""Logarithms and delay coordinates of measured states."""

import numpy as np
import pytest

from jaxkd.data.trajectories.coordinates import delayed, logarithms
from jaxkd.data.trajectories.measurements import Measurements, Record


def measured(*sizes, states=("x", "y"), units=None, step=0.1):
    records = tuple(
        Record(
            source=f"record {number}",
            times=step * np.arange(size),
            states=1.0 + np.arange(2.0 * size).reshape(size, 2),
            inputs=np.arange(1.0 * size)[:, None],
        )
        for number, size in enumerate(sizes)
    )
    return Measurements(time="t", states=states, inputs=("u",), units=units or {}, records=records, warnings=())


def test_logarithms_replace_values_and_labels_and_no_names():
    found = logarithms(measured(20), ["y"])
    assert (found.states, found.labels, found.logarithms) == (("x", "y"), ("x", "log y"), ("y",))
    before, after = measured(20).records[0].states, found.records[0].states
    np.testing.assert_array_equal(after[:, 0], before[:, 0])
    np.testing.assert_allclose(after[:, 1], np.log(before[:, 1]))


def test_delays_are_samples_of_the_same_record():
    found = delayed(measured(30, 40, units={"x": "m", "t": "s"}), count=2, delay=0.3)
    assert found.states == ("x", "y", "x_delay1", "y_delay1", "x_delay2", "y_delay2")
    assert found.units == {"x": "m", "t": "s", "x_delay1": "m", "x_delay2": "m"}
    assert (found.delay, found.overlap) == (0.3, 6)
    for record, whole in zip(found.records, measured(30, 40).records, strict=True):
        assert record.times[0] == whole.times[6]
        np.testing.assert_array_equal(record.inputs, whole.inputs[6:])
        for number in range(3):
            kept = whole.states[6 - 3 * number : len(whole.states) - 3 * number]
            np.testing.assert_array_equal(record.states[:, 2 * number : 2 * number + 2], kept)


def test_the_logarithm_of_a_state_is_that_of_its_delays():
    found = logarithms(delayed(measured(30), count=1, delay=0.1), ["y"])
    assert found.labels == ("x", "log y", "x_delay1", "log y_delay1")
    np.testing.assert_allclose(found.records[0].states[1:, 3], found.records[0].states[:-1, 1])


def test_records_that_delays_leave_too_short_are_left_out():
    found = delayed(measured(40, 20), count=1, delay=1.0)
    assert [record.source for record in found.records] == ["record 0"]
    assert found.warnings == ("1 of 2 records left out: delays leave them < 16 samples.",)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (
            measured(30),
            {"count": 2, "delay": 1.2},
            "delays must leave a record of at least 9 samples, got 2 of 1.2, which leave 6 of 30 samples in record 0. "
            "Take fewer or shorter ones, or measure longer.",
        ),
        (
            measured(30),
            {"count": 1, "delay": 0.25},
            "delay must be a whole number of steps, got 0.25 with a step of 0.1 in record 0. Take 0.2.",
        ),
        (measured(30), {"count": 0, "delay": 1.0}, "delays must be at least 1 and delay > 0, got 0 and 1. Give both."),
        (
            measured(30, states=("x", "x_delay1")),
            {"count": 1, "delay": 0.1},
            "columns must not have names of delay coordinates, got 'x_delay1'. Rename it.",
        ),
    ],
)
def test_refusals(given, options, message):
    with pytest.raises(ValueError) as raised:
        delayed(given, **options)
    assert str(raised.value) == message


def test_uneven_samples_have_no_delays():
    given = measured(30)
    given.records[0].times[7] += 0.03
    with pytest.raises(ValueError) as raised:
        delayed(given, count=1, delay=0.1)
    assert str(raised.value) == (
        "record 0: samples must be evenly spaced for --delays, got steps from 0.07 to 0.13. Resample the record, or "
        "try --order 2."
    )


def test_an_oscillator_seen_in_one_coordinate_closes_with_one_delay():
    """The oscillator is x'' = -x - 0.2 x', whose rates are s = -0.1 +- i w: a + b exp(-s delay) = s."""
    times, rate, delay = 0.1 * np.arange(60), np.sqrt(0.99), 0.8
    rotation = np.exp((-0.1 + 1j * rate) * times)
    given = measured(60, states=("x", "slope"))
    given.records[0].states[:] = np.stack([rotation.real, ((-0.1 + 1j * rate) * rotation).real], axis=1)
    states = delayed(given, count=1, delay=delay).records[0].states
    b = -rate / (np.exp(0.1 * delay) * np.sin(rate * delay))
    a = -0.1 - b * np.exp(0.1 * delay) * np.cos(rate * delay)
    np.testing.assert_allclose(states[:, 1], a * states[:, 0] + b * states[:, 2], atol=1e-12)
