"""Every public function of the pure layers is in the table of properties, which names tests that exist."""

import inspect
import re
import sys
from pathlib import Path

import pytest

from jaxkd import dynamics, geometry, kernels, losses, metrics, projector
from jaxkd.alignment import by_index, chunk_values, chunks, cross_model_attention, edit_distance, exact_token, greedy
from jaxkd.dynamics.derivatives import triangular
from jaxkd.dynamics.identification import least_squares
from jaxkd.geometry import cameras, rotations, views
from jaxkd.kernels.linear import minimum_edit
from jaxkd.losses import divergence, feature, preference, reduce
from jaxkd.metrics import hand_pose
from tests.properties.row import KINDS, address
from tests.properties.table import TABLE, page, shown_by

every_function = pytest.mark.parametrize("function", TABLE, ids=lambda function: function.__name__)


ALIGNMENTS = (exact_token, chunks, chunk_values, by_index, greedy, cross_model_attention, edit_distance, minimum_edit)


DYNAMICS = (dynamics, least_squares, triangular)


GEOMETRY = (geometry, cameras, rotations, views)


METRICS = (metrics, hand_pose)


@pytest.mark.parametrize(
    "module",
    [losses, divergence, feature, preference, reduce, kernels, projector, *ALIGNMENTS, *DYNAMICS, *GEOMETRY, *METRICS],
)
def test_the_table_is_complete(module):
    functions = {
        value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and not name.startswith("_") and value.__module__.startswith(module.__name__)
    }
    assert functions <= TABLE.keys()


@every_function
def test_every_function_states_its_source_and_shows_an_example(function):
    text = inspect.getdoc(function)
    assert text is not None
    for part in ("Returns:", "Source:", "eviation", "Example:\n"):
        assert part in text
    names = [name for name in inspect.signature(function).parameters if name != "temperature"]
    assert all(f"{name}:" in text for name in names if name not in ("student", "hiddens") or "Args:" in text)


@every_function
def test_every_property_is_shown_by_tests_of_that_function_or_left_out_with_a_reason(function):
    row = TABLE[function]
    assert row.shown().keys() | row.omitted().keys() == KINDS.keys()
    assert all(reason for reason in row.omitted().values())
    for tests in row.shown().values():
        assert tests
        for test in tests:
            path, name = address(test).split("::")
            assert path.startswith("tests/")
            assert Path(path).name.startswith("test_")
            assert name.startswith("test_")
            assert function.__name__ in sources(test)


def sources(test):
    """The text of a test's module and of the tables and cases that it takes from other modules of the tests."""
    text = inspect.getsource(sys.modules[test.__module__])
    taken = re.findall(r"^from (tests\.\S+) import", text, flags=re.MULTILINE)
    modules = [sys.modules[name] for name in taken]
    # `from tests.losses.feature import oracles` takes a module from a folder, which has no text.
    return "".join([text, *(inspect.getsource(module) for module in modules if module.__file__)])


def test_the_page_shows_the_table():
    assert page() in Path("docs/testing.md").read_text(), "print it with `python -m tests.properties`"


def test_the_tests_of_a_function_can_be_printed():
    text = shown_by("top_k")
    assert "hand value\n  tests/kernels/test_top_k.py::test_hand_values\n" in text
    assert "gradient: a record of a frozen teacher" in text
    with pytest.raises(ValueError, match=r"name must be one of forward_kl, .*, trust, got 'kl'"):
        shown_by("kl")
