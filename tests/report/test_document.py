import pytest
from jinja2 import UndefinedError

from jaxkd.report import document


def test_a_page_that_cannot_be_rendered_leaves_the_one_before(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("before")
    with pytest.raises(UndefinedError, match="'pictures' is undefined"):
        document.write(path, "study.html.jinja", title="a study")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
