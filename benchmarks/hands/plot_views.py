"""Draw joints in all four views of two test frames beside the truth: the teacher's, fused ones, and the student's.

python -m benchmarks hands
python -m benchmarks.hands.plot_views docs/_static/hands_views.webp
"""

import argparse
import base64
import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import jax
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from benchmarks.hands.one_view import EVALUATION
from benchmarks.worker import ROOT
from configs import hands
from jaxkd.records.hands import MEDIAPIPE
from jaxkd.study import Study
from jaxkd.study.cache_hands_stage import CacheHands
from jaxkd.study.study import stage_folder
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.training.results.picture import Line, Overlay
from jaxkd.training.stage_folder import read_evaluations
from jaxkd.vision.hands.taught_examples import hand_identity
from jaxkd.vision.hands.teacher_views import fused_labels, read_teacher_views

Skeleton: TypeAlias = Float[np.ndarray, "bones 2 2"]
"""Ends of the bones, in sides of the crop."""

ROWS = {"teacher": "teacher, this view", "triangulated": "teacher, four views", "fused": "student, this view"}
"""Label of each row."""
TRUTH, FOUND = "#f5f5f5", {"teacher": "#ff9f1c", "triangulated": "#2ec4b6", "fused": "#ff4fa3"}
"""Colours of the true bones, and of those of each row."""
SHOWN = 2
"""Frames."""
INCHES = 1.7
"""Side of a crop."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ShownView:
    """One crop, the skeletons in it, and the errors of their joints."""

    camera: str
    image: UInt8[np.ndarray, "h w 3"]
    truth: Skeleton
    found: Mapping[str, Skeleton]
    notes: Mapping[str, str]
    """A few words on each skeleton, such as its error."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write an image file."""
    parser = argparse.ArgumentParser(description="Draw joints in all four views beside the truth.")
    parser.add_argument("to", type=Path, help="image to write, in a format that its ending names")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "hands", help="folder of the finished study")
    given = parser.parse_args(arguments)
    draw(shown_frames(hands.get_config(), given.runs), given.to)
    print(given.to)


def shown_frames(study: Study, workdir: Path) -> list[list[ShownView]]:
    """Return the views of the frames that the study keeps pictures of.

    Args:
        study: study of one view that learns from four.
        workdir: its folder.

    Raises:
        FileNotFoundError: the study is not finished there.
    """
    stages = {stage.name: stage for stage in study.stages}
    evaluations = {
        name: _evaluation(stage_folder(workdir, stages[name], study.seeds[0])) for name in ("teacher", "fused")
    }
    cached = next(stage for stage in study.stages if isinstance(stage, CacheHands) and stage.split == "test")
    views = len(cached.data.views)
    folder = stage_folder(workdir, cached, study.seeds[0])
    found = read_teacher_views(folder, hand_identity(cached.data, "test"), views=views)
    fused = fused_labels(found, "triangulated", side=1)
    examples = cached.data.examples("test")
    keys = evaluations["teacher"].keys
    student = {picture.key: picture for picture in evaluations["fused"].pictures}
    frames: dict[int, list[ShownView]] = {}
    for picture in sorted(evaluations["teacher"].pictures, key=lambda picture: keys.index(picture.key)):
        place, other = keys.index(picture.key), student[picture.key]
        frame, view = divmod(place, views)
        label = jax.tree.map(lambda leaf, at=(frame, view): leaf[at], fused)
        apart = np.linalg.norm(label.points - examples[place].target.points, axis=-1)
        shown = ShownView(
            camera=picture.group,
            image=np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.png))).convert("RGB")),
            truth=_skeleton(picture.truth, picture.width),
            found={
                "teacher": _skeleton(picture.found, picture.width),
                "triangulated": label.pixels[np.array(MEDIAPIPE.bones)] + 0.5,
                "fused": _skeleton(other.found, other.width),
            },
            notes={
                "teacher": picture.note,
                "triangulated": f"{1000 * apart.mean():.1f} mm",
                "fused": other.note,
            },
        )
        frames.setdefault(frame, []).append(shown)
    return list(frames.values())[:SHOWN]


def draw(frames: Sequence[Sequence[ShownView]], path: Path) -> None:
    """Draw a block of rows for each frame, and a column for each view."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    rows, columns = len(ROWS) * len(frames), len(frames[0])
    figure = Figure(figsize=(INCHES * columns + 0.4, INCHES * rows + 0.3), layout="constrained", dpi=110)
    canvas = FigureCanvasAgg(figure)
    for row in range(rows):
        views, name = frames[row // len(ROWS)], list(ROWS)[row % len(ROWS)]
        for column, view in enumerate(views):
            axes = figure.add_subplot(rows, columns, row * columns + column + 1)
            axes.imshow(view.image, extent=(0, 1, 1, 0))
            axes.add_collection(LineCollection(list(view.truth), colors=TRUTH, linewidths=1.0))
            axes.add_collection(LineCollection(list(view.found[name]), colors=FOUND[name], linewidths=1.8))
            axes.set_xlim(0, 1)
            axes.set_ylim(1, 0)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_xlabel(view.notes[name], fontsize=8, labelpad=1)
            if row == 0:
                axes.set_title(view.camera, fontsize=9)
            if column == 0:
                axes.set_ylabel(ROWS[name], fontsize=9)
    canvas.draw()
    Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).save(path, quality=88)


def _evaluation(folder: Path) -> Evaluation:
    found = read_evaluations(folder)
    if found is None:
        raise FileNotFoundError(f"{folder} must hold a finished stage. Run `python -m benchmarks hands` first.")
    return found[EVALUATION]


def _skeleton(overlay: Overlay, side: int) -> Skeleton:
    lines: tuple[Line, ...] = overlay.lines
    return np.array(lines) / side


if __name__ == "__main__":
    main()
