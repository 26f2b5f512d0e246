import dataclasses
import re

import pytest

from jaxkd import train
from jaxkd.command_line.options import options
from jaxkd.losses import ForwardKL


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    size: int = 3
    """Size of the thing. More of it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer(Inner):
    max_items: int | None = None
    inner: Inner | None = None
    each: tuple[Inner, ...] = (Inner(), Inner(size=4))
    divergence: ForwardKL = ForwardKL(temperature=2.0)


def test_options_are_the_leaves_with_their_values_and_first_sentences():
    found = {one.name: one for one in options(Outer())}
    assert list(found) == [
        "size", "max-items", "each.0.size", "each.1.size", "divergence.temperature", "divergence.gradient-to",
    ]  # fmt: skip
    assert found["size"].doc == found["each.1.size"].doc == "Size of the thing"
    assert found["each.1.size"].value == 4
    assert found["divergence.temperature"].value == 2.0
    assert found["divergence.temperature"].leaf == "temperature"


@pytest.mark.parametrize("config", ["quickstart", "snode_pitchfork"])
def test_options_are_those_that_the_command_line_accepts(config, capsys):
    path = f"configs/{config}.py"
    with pytest.raises(SystemExit):
        train.parse(["--config", path, "--help-all"])
    listed = set(re.findall(r"^\W+--(\w[\w.-]+)", capsys.readouterr().out, re.M))
    stages = train.load_study(train.Path(path))("full").stages
    own = {one.name for one in options(train.Command())}
    assert own | {f"{stage.name}.{one.name}".replace("_", "-") for stage in stages for one in options(stage)} == listed
