"""Picture of the joints in all views of a frame."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.hands import plot_views
from configs import hands


def view(name, shift):
    bones = np.array([[[0.2, 0.5], [0.8, 0.5]], [[0.5, 0.2], [0.5, 0.8]]])
    return plot_views.ShownView(
        camera=name,
        image=np.full((24, 24, 3), 90, np.uint8),
        truth=bones,
        found={row: bones + shift * place for place, row in enumerate(plot_views.ROWS, 1)},
        notes=dict.fromkeys(plot_views.ROWS, "12.3 mm"),
    )


def test_each_row_of_crops_shows_the_truth_and_one_skeleton(tmp_path):
    plot_views.draw([[view("left", 0.05), view("right", 0.1)]], tmp_path / "views.png")
    pixels = np.asarray(Image.open(tmp_path / "views.png")).astype(int)
    thirds = np.array_split(pixels, len(plot_views.ROWS))
    wanted = [
        tuple(int(plot_views.FOUND[row][place : place + 2], 16) for place in (1, 3, 5)) for row in plot_views.ROWS
    ]
    for place, rows in enumerate(thirds):
        counts = [int((np.abs(rows - colour).sum(axis=2) < 30).sum()) for colour in wanted]
        assert int(np.argmax(counts)) == place
        assert counts[place] > 50
        assert sum(counts) - counts[place] < 20
        assert (rows == 90).all(axis=2).mean() > 0.3  # the crops


def test_a_study_that_did_not_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="must hold a finished stage. Run `python -m benchmarks hands` first"):
        plot_views.shown_frames(hands.get_config("smoke"), tmp_path)
