"""Print the models of a stored study beside its start, a measure a row, as Markdown.

python -m benchmarks.studies.start_table benchmarks/results/collapse.json
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.studies import kept_study

PERCENT = "%"
_MINUS = str.maketrans("-", "\N{MINUS SIGN}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and what was found wrong with each model."""
    parser = argparse.ArgumentParser(description="The table of a study whose models stand beside its start.")
    parser.add_argument("kept", type=Path, help="benchmarks/results/STUDY.json")
    print(markdown(json.loads(parser.parse_args(arguments).kept.read_text(encoding="utf-8"))))


def markdown(kept: Mapping[str, Any]) -> str:
    """Format the values, with the 95 % interval of the difference from the start in parentheses where there is one.

    Args:
        kept: study that `keep_study` wrote.
    """
    against = kept["summary"]["against"]
    models = list(dict.fromkeys(model for one in against["measures"] for model in one["models"]))
    cells = [
        [f"{one['measure']} ({one['unit']}, n = {one['examples']:,})", _value(one["start"], one["unit"])]
        + [_cell(one["models"].get(model, {}), one["unit"]) for model in models]
        for one in against["measures"]
    ]
    table = kept_study.markdown(["", *(f"`{name}`" for name in (against["start"], *models))], cells)
    return "\n".join([table, "", *(_found(label, lines) for label, lines in against["findings"].items())])


def _found(label: str, lines: Sequence[Mapping[str, Any]]) -> str:
    seeds = [f"{one['text']} (seed {', '.join(map(str, one['seeds']))})" for one in lines]
    return f"- `{label}`: {'; '.join(seeds) or 'no finding'}"


def _cell(model: Mapping[str, Any], unit: str) -> str:
    value = _value(model.get("value"), unit)
    if "low" not in model:
        return value
    return f"{value} ({' to '.join(_signed(model[end], unit) for end in ('low', 'high'))})"


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return kept_study.NOTHING
    return f"{100 * value:.1f}" if unit == PERCENT else f"{value:.3g}"


def _signed(value: float, unit: str) -> str:
    return (f"{100 * value:+.1f}" if unit == PERCENT else f"{value:+.2g}").translate(_MINUS)


if __name__ == "__main__":
    main()
