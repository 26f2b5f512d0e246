"""A row of the table: the tests of one public function."""

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path

KINDS = {
    "hand": "hand value",
    "law": "law",
    "oracle": "float64 oracle",
    "mask": "mask",
    "gradient": "gradient",
    "numerics": "numerics",
    "transforms": "transforms",
}
"""Field of a row to the name of its column."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Omitted:
    """No test of this kind, and why."""

    because: str


Shown = tuple[Callable, ...] | Omitted
"""The tests that show a property."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """For each kind of test what shows it."""

    hand: Shown
    law: Shown
    oracle: Shown
    mask: Shown
    gradient: Shown
    numerics: Shown
    transforms: Shown

    def shown(self) -> dict[str, tuple[Callable, ...]]:
        """The tests by kind, omissions left out."""
        kinds = {kind: getattr(self, kind) for kind in KINDS}
        return {kind: tests for kind, tests in kinds.items() if not isinstance(tests, Omitted)}

    def omitted(self) -> dict[str, str]:
        """The reasons by kind."""
        kinds = {kind: getattr(self, kind) for kind in KINDS}
        return {kind: reason.because for kind, reason in kinds.items() if isinstance(reason, Omitted)}


def address(test: Callable) -> str:
    """Pytest's address of a test function: `tests/losses/test_reduce.py::test_hand_values`."""
    path = Path(inspect.getsourcefile(test) or "").resolve().relative_to(Path.cwd())
    return f"{path}::{test.__name__}"
