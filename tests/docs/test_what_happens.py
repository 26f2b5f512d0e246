"""The table of inputs and messages in the guide is what happens."""

from pathlib import Path

from tests.what_happens import page


def test_the_guide_shows_what_happens():
    text = Path("docs/own_model_and_data.md").read_text()
    assert page() in text, "print it with `python -m tests.what_happens`"
