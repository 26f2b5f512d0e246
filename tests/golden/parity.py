"""How far our logits are from those of transformers, for each golden checkpoint, as a table in Markdown.

    python -m tests.golden.parity

It reads the committed files, so it needs no torch.
"""

import functools
import sys
import tempfile
from pathlib import Path

import numpy as np

from jaxkd.models import DecoderConfig
from jaxkd.models.checkpoints import huggingface
from jaxkd.typing import Params
from tests.golden.regenerate import CASES, FAR
from tests.models import tiny


@functools.cache
def _params(name: str) -> Params:
    with tempfile.TemporaryDirectory() as folder:
        return huggingface.load(tiny.write_golden(name, Path(folder)), tiny.golden_config(name))


def differences(name: str, config: DecoderConfig | None = None) -> dict[str, float]:
    """Largest absolute difference in each kind of row that the file has, by the positions of the row.

    Args:
        name: of a golden checkpoint.
        config: another architecture for the same weights; None is the checkpoint's own.
    """
    golden, params = tiny.golden(name), _params(name)
    tokens, expected = golden["tokens"], golden["logits"]
    positions = np.tile(np.arange(tokens.shape[1]), (len(tokens), 1))
    if "far_logits" in golden:
        tokens = np.concatenate([tokens, tokens[:1]])
        positions = np.concatenate([positions, FAR])
        expected = np.concatenate([expected, golden["far_logits"]])
    tokens, positions = tokens.astype(np.int32), positions.astype(np.int32)
    ours = tiny.logits(config or tiny.golden_config(name), params, tokens, positions, np.ones_like(tokens))
    rows = np.abs(ours - expected).max(axis=(1, 2))
    largest: dict[str, float] = {}
    for last, row in zip(positions[:, -1], rows, strict=True):
        largest[f"0 to {last}"] = max(largest.get(f"0 to {last}", 0.0), float(row))
    return largest


def main() -> None:
    """Print the table."""
    columns = ("0 to 11", f"0 to {FAR.max()}")
    sys.stdout.write(f"| checkpoint | `model_type` | {' | '.join(columns)} |\n|---|---|---|---|\n")
    for name in tiny.NAMES:
        found = differences(name)
        cells = [f"{found[column]:.1e}" if column in found else "" for column in columns]
        sys.stdout.write(f"| `{name}` | `{CASES[name]['model_type']}` | {' | '.join(cells)} |\n")


if __name__ == "__main__":
    main()
