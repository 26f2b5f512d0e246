"""The table of the pure layers: every public function, and what shows each of its properties."""

import itertools
import string
from collections.abc import Callable, Iterator

from tests.properties.alignments import ALIGNMENTS
from tests.properties.cameras import CAMERAS, ROTATIONS, VIEWS
from tests.properties.detection import DETECTION, GEOMETRY
from tests.properties.divergences import DIVERGENCES
from tests.properties.dynamics import DYNAMICS
from tests.properties.features import FEATURES
from tests.properties.hand_pose import HAND_POSE
from tests.properties.kernels import KERNELS
from tests.properties.losses import COMPOSED, LABELS, PROBABILITIES, REDUCE, SEGMENTATION, WEAK_SUPERVISION
from tests.properties.metrics import METRICS
from tests.properties.preferences import PREFERENCES
from tests.properties.projectors import PROJECTORS
from tests.properties.row import KINDS, Row, address
from tests.properties.token_alignments import TOKEN_ALIGNMENTS

SECTIONS: dict[str, dict[Callable, Row]] = {
    "jaxkd.losses: divergences": DIVERGENCES,
    "jaxkd.losses: labels": LABELS,
    "jaxkd.losses: probabilities": PROBABILITIES,
    "jaxkd.losses: segmentation": SEGMENTATION,
    "jaxkd.losses: weak supervision": WEAK_SUPERVISION,
    "jaxkd.losses: detection": DETECTION,
    "jaxkd.losses: composed teachers": COMPOSED,
    "jaxkd.losses.reduce": REDUCE,
    "jaxkd.losses.feature": FEATURES,
    "jaxkd.losses.preference": PREFERENCES,
    "jaxkd.kernels": KERNELS,
    "jaxkd.alignment: tokens": TOKEN_ALIGNMENTS,
    "jaxkd.alignment: hidden states": ALIGNMENTS,
    "jaxkd.projector": PROJECTORS,
    "jaxkd.geometry": GEOMETRY,
    "jaxkd.geometry.cameras": CAMERAS,
    "jaxkd.geometry.rotations": ROTATIONS,
    "jaxkd.geometry.views": VIEWS,
    "jaxkd.metrics": METRICS,
    "jaxkd.metrics.hand_pose": HAND_POSE,
    "jaxkd.dynamics": DYNAMICS,
}
TABLE: dict[Callable, Row] = {function: row for section in SECTIONS.values() for function, row in section.items()}


def page() -> str:
    """The whole table in Markdown: how many tests show each property, or a letter that stands for the reason."""
    reasons = sorted({reason for row in TABLE.values() for reason in row.omitted().values()})
    letters = dict(zip(reasons, _labels(), strict=False))
    lines = []
    for title, section in SECTIONS.items():
        lines += [f"**{title}**", "", f"| | {' | '.join(KINDS.values())} |", "|---" * (len(KINDS) + 1) + "|"]
        for function, row in section.items():
            shown, omitted = row.shown(), row.omitted()
            cells = [str(len(shown[kind])) if kind in shown else f"({letters[omitted[kind]]})" for kind in KINDS]
            lines.append(f"| `{function.__name__}` | {' | '.join(cells)} |")
        lines.append("")
    lines += [f"- ({letter}) {reason}" for reason, letter in letters.items()]
    return "\n".join(lines) + "\n"


def _labels() -> Iterator[str]:
    """a to z, and then aa, ab, ..."""
    for length in itertools.count(1):
        yield from ("".join(letters) for letters in itertools.product(string.ascii_lowercase, repeat=length))


def shown_by(name: str) -> str:
    """The tests of one function by kind, as pytest takes them."""
    functions = {function.__name__: function for function in TABLE}
    if name not in functions:
        raise ValueError(f"name must be one of {', '.join(functions)}, got {name!r}.")
    row, lines = TABLE[functions[name]], []
    for kind, title in KINDS.items():
        lines.append(f"{title}: {row.omitted()[kind]}" if kind in row.omitted() else title)
        lines += [f"  {address(test)}" for test in row.shown().get(kind, ())]
    return "\n".join(lines) + "\n"
