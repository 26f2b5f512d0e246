"""Draw ShaPE's weights of drawn pairs of images, by day, by night, in heat, and where both modalities are weak.

python -m benchmarks.detection.plot_weights docs/_static/shape_weights.webp
"""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from benchmarks.detection.motorcycle import visible_weights
from jaxkd.data.images.scenes.conditions import Condition
from jaxkd.data.images.scenes.source import ThermalScenes
from jaxkd.vision.fusion import EdgeNorm

NORMS: dict[str, EdgeNorm] = {"weight, as released": "l2", "weight, no norm": "none"}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Weighed:
    """A pair of images, and the weight of the visible one at each pixel."""

    condition: str
    image: UInt8[np.ndarray, "h w 4"]
    weights: dict[str, Float[np.ndarray, "h w"]]
    """By the name of the form."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write an image file."""
    parser = argparse.ArgumentParser(description="Draw ShaPE's weights by condition.")
    parser.add_argument("to", type=Path, help="image to write, in a format that its ending names")
    given = parser.parse_args(arguments)
    pairs = weighed(ThermalScenes(train=0, validation=0, test=4 * len(get_args(Condition))))
    draw(pairs, given.to)
    for pair in pairs:
        means = ", ".join(f"{name} {weights.mean():.3f}" for name, weights in pair.weights.items())
        print(f"{pair.condition}: {means}")
    print(given.to)


def weighed(source: ThermalScenes) -> list[Weighed]:
    """Return the weights of the test image with the most objects under each condition, scaled to [-1, 1]."""
    examples = list(source.examples("test"))
    found = []
    for condition in get_args(Condition):
        example = max((one for one in examples if one.stratum == condition), key=lambda one: one.target.mask.sum())
        values = example.image[None].astype(np.float32) / 127.5 - 1
        weights = {name: visible_weights(values[..., :3], values[..., 3:], norm) for name, norm in NORMS.items()}
        found.append(Weighed(condition=condition, image=example.image, weights=weights))
    return found


def draw(pairs: Sequence[Weighed], path: Path) -> None:
    """Draw a row for each condition: both images, and the maps of weights on one scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    scale = Normalize(0.2, 0.8)
    titles = ("visible", "thermal", *NORMS)
    figure = Figure(figsize=(2.6 * len(titles) + 0.9, 1.95 * len(pairs) + 0.4), layout="constrained", dpi=80)
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(pairs), len(titles), squeeze=False)
    for row, pair in zip(axes, pairs, strict=True):
        row[0].imshow(pair.image[..., :3])
        row[1].imshow(pair.image[..., 3], cmap="inferno", vmin=0, vmax=255)
        for one, weights in zip(row[2:], pair.weights.values(), strict=True):
            one.imshow(weights, cmap="PuOr_r", norm=scale)
            one.set_xlabel(f"{weights.mean():.2f}, from {weights.min():.2f} to {weights.max():.2f}", fontsize=9)
        row[0].set_ylabel(pair.condition, fontsize=11)
        for one in row:
            one.set_xticks([])
            one.set_yticks([])
    for one, title in zip(axes[0], titles, strict=True):
        one.set_title(title, fontsize=11)
    figure.colorbar(ScalarMappable(norm=scale, cmap="PuOr_r"), ax=axes, shrink=0.6, label="weight of the visible image")
    canvas.draw()
    Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).save(path, quality=90)


if __name__ == "__main__":
    main()
