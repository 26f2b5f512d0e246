"""Draw an opening of the hinged box: four moments, and contacts and their deviation over time, of three predictions.

python -m benchmarks.hands.plot_contacts docs/_static/box_contacts.webp
"""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from benchmarks.hands import contacts
from benchmarks.hands.contacts import BOX, SHOWN, SMOOTHED, Bodies
from jaxkd.data.images.hand_scenes.box_opening import CONTACT_DISTANCE, STAGES, BoxOpening, draw_opening
from jaxkd.data.images.hand_scenes.hinged_box import BoxMesh, box_mesh
from jaxkd.data.images.hand_scenes.mesh import HandMesh, load_hand
from jaxkd.geometry.cameras import Pinhole
from jaxkd.metrics.hand_pose.motion import FRAME_SECONDS
from jaxkd.rendering import Light, render, skin_albedo, vertex_normals

SEED = 0
PREDICTIONS = {
    "truth": ("#202020", "truth"),
    "hand late": ("#b2182b", f"hand {contacts.LAG} frames late"),
    contacts.noise_name(SHOWN): ("#d9a441", f"noise of {SHOWN:g} mm"),
    SMOOTHED: ("#2166ac", f"noise of {SHOWN:g} mm, smoothed"),
}
"""Colour and label of each prediction that is drawn."""
IMAGES = {"truth": "truth", "hand late": f"hand {contacts.LAG} frames late"}
"""Predictions that are rendered, and the labels of their rows."""
MOMENTS = (16, 27, 46, 68)
"""Frames that are rendered: one of each stage."""
HEIGHT, WIDTH = 240, 300
EYE, TARGET = (0.38, 0.11, 0.59), (-0.03, 0.065, 0.16)
"""Place of the camera and what it looks at, in metres, in the frame of the box."""
FOCAL = 360.0
CARDBOARD, LID = (0.30, 0.20, 0.12), (0.46, 0.33, 0.20)
"""Linear albedo of the box and of its lid."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Curves:
    """Contacts and their deviation in each frame, for one prediction."""

    touching: Int[np.ndarray, " f"]
    """Vertices of the hand within 3 mm of the box."""
    deviation_mm: Float[np.ndarray, " f"]
    """CDev; NaN where nothing touches in truth."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write an image file, and print what it shows."""
    parser = argparse.ArgumentParser(description="Draw contacts over time of a hand that opens a box.")
    parser.add_argument("to", type=Path, help="image to write, in a format that its ending names")
    given = parser.parse_args(arguments)
    hand, mesh = load_hand("right"), box_mesh(BOX)
    opening = draw_opening(np.random.default_rng(SEED), hand, BOX)
    truth = contacts.posed(hand, mesh, opening)
    every = contacts.disturbances(hand, mesh, opening, truth, np.random.default_rng(100 + SEED))
    predictions = {name: every[name] for name in PREDICTIONS}
    found = curves(predictions, truth, mesh)
    images = {name: [photograph(hand, mesh, predictions[name], frame) for frame in MOMENTS] for name in IMAGES}
    draw(images, found, opening, given.to)
    for name, one in found.items():
        print(
            f"{name}: at most {one.touching.max()} vertices in contact, {one.touching[opening.contact].mean():.1f} on "
            f"average while the hand truly touches; CDev {np.nanmean(one.deviation_mm):.1f} mm"
        )
    print(given.to)


def curves(predictions: Mapping[str, Bodies], truth: Bodies, mesh: BoxMesh) -> dict[str, Curves]:
    """Return the contacts of each prediction by frame, and how far the true ones are apart in it."""
    touching = contacts.contacts(truth)
    found = {}
    for name, one in predictions.items():
        distances = np.asarray(contacts.closest_by_frame(one.hand, one.box)[0])
        found[name] = Curves(
            touching=(distances <= CONTACT_DISTANCE).sum(axis=1),
            deviation_mm=contacts.measured(one, truth, touching, lid=mesh.lid)["CDev"],
        )
    return found


def photograph(hand: HandMesh, mesh: BoxMesh, bodies: Bodies, frame: int) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image of hand and box in a frame, before a plain background."""
    shown = np.concatenate([bodies.hand[frame], bodies.box[frame]])
    faces = np.concatenate([np.asarray(hand.faces), mesh.faces + len(hand.vertices)])
    skin = np.asarray(skin_albedo(jnp.asarray(hand.vertices), tone=0.25, key=jax.random.key(0)))
    box = np.where(mesh.lid[:, None], LID, CARDBOARD)
    camera = Pinhole(focal=jnp.full(2, FOCAL), centre=jnp.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2]))
    vertices = jnp.asarray((shown - EYE) @ _looking(np.array(EYE), np.array(TARGET)).T, jnp.float32)
    light = Light(
        direction=jnp.array([0.3, -1.0, -0.9]),
        colour=jnp.full(3, 0.75),
        ambient=jnp.full(3, 0.35),
        specular=jnp.array(0.05),
        shininess=jnp.array(10.0),
    )
    seen = render(
        vertices,
        jnp.asarray(faces),
        jnp.asarray(np.concatenate([skin, box]), jnp.float32),
        project=camera.project,
        light=light,
        background=jnp.full((HEIGHT, WIDTH, 3), 238, jnp.uint8),
        normals=vertex_normals(vertices, jnp.asarray(faces)),
        samples=4,
    )
    return np.asarray(seen.image)


def draw(
    images: Mapping[str, Sequence[UInt8[np.ndarray, "h w 3"]]],
    found: Mapping[str, Curves],
    opening: BoxOpening,
    path: Path,
) -> None:
    """Draw the rows of images over the two curves, which share an axis of time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = len(images)
    figure = Figure(figsize=(10.4, 2.05 * rows + 3.9), layout="constrained", dpi=90)
    canvas = FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows + 2, len(MOMENTS), height_ratios=[2.05] * rows + [1.9, 1.9])
    for row, (name, shown) in enumerate(images.items()):
        for column, (image, frame) in enumerate(zip(shown, MOMENTS, strict=True)):
            axes = figure.add_subplot(grid[row, column])
            axes.imshow(image)
            axes.set_xticks([])
            axes.set_yticks([])
            if row == 0:
                stage = STAGES[opening.stage[frame]]
                axes.set_title(f"{stage}, {frame * FRAME_SECONDS:.2f} s", fontsize=10)
            if column == 0:
                axes.set_ylabel(IMAGES[name], fontsize=10)
    seconds = FRAME_SECONDS * np.arange(len(opening.hinge))
    counts = figure.add_subplot(grid[rows, :])
    apart = figure.add_subplot(grid[rows + 1, :], sharex=counts)
    for name, one in found.items():
        colour, label = PREDICTIONS[name]
        counts.plot(seconds, one.touching, color=colour, lw=1.6, label=label)
        apart.plot(seconds, one.deviation_mm, color=colour, lw=1.6)
    held = seconds[opening.contact]
    for axes in (counts, apart):
        axes.axvspan(held[0], held[-1], color="#000000", alpha=0.06, lw=0)
        for frame in MOMENTS:
            axes.axvline(seconds[frame], color="#888888", lw=0.7, ls=":")
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(seconds[0], seconds[-1])
        axes.set_ylim(bottom=0)
    counts.set_ylabel("vertices within 3 mm", fontsize=9)
    counts.tick_params(labelbottom=False)
    counts.legend(fontsize=9, frameon=False, loc="upper left")
    apart.set_ylabel("CDev of the true\ncontacts, mm", fontsize=9)
    apart.set_xlabel("seconds; grey: the hand touches the lid in truth", fontsize=9)
    canvas.draw()
    Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).save(path, quality=90)


def _looking(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the rotation into the coordinates of an upright camera: rows are its right, its down and its forward."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0, 1, 0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


if __name__ == "__main__":
    main()
