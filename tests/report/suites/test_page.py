import dataclasses
import io

import pytest

from jaxkd.evals.suites.reading import folder
from jaxkd.evals.suites.run import SCORES, evaluate
from jaxkd.report.suites.page import write_page
from jaxkd.report.suites.rows import report_rows
from jaxkd.report.suites.terminal import print_results
from jaxkd.runtime.storage.json_lines import whole_rows
from tests.evals.suites import folders
from tests.evals.suites.respondents import Planted
from tests.evals.suites.test_run import KNOWS

LABELS = ("knows <the key>", "always A")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Results of a model that knows the key and of one that always answers A, and the answers of the first."""
    root = tmp_path_factory.mktemp("evaluated")
    suite = folder.read(folders.write(root / "small"))
    models = [dataclasses.replace(KNOWS), Planted(reply=lambda prompt: "yes", name="always A")]
    results = [evaluate(suite, model, folder=root / str(place)) for place, model in enumerate(models)]
    return results, list(whole_rows(root / "0" / SCORES))


def test_rows_have_paired_differences_and_metrics_without_a_value(evaluated):
    rows = {(row.task.id, row.title): row for row in report_rows(evaluated[0])}
    capitals = rows["capitals", "accuracy"]
    assert capitals.differences[0].estimate == pytest.approx(200 / 3)
    assert capitals.chance == pytest.approx(100 / 3)
    assert rows["summaries", "judge4"].results == (None, None)
    assert rows["summaries", "judge4"].differences == (None,)
    assert rows["summaries", "rouge_l[word]"].chance is None
    other = dataclasses.replace(evaluated[0][1], suite="other")
    with pytest.raises(ValueError, match="results must be of one suite, got those of other, small"):
        report_rows([evaluated[0][0], other])
    shorter = dataclasses.replace(evaluated[0][1], tasks=evaluated[0][1].tasks[1:], version="2")
    with pytest.raises(ValueError, match="results must have the same tasks, got those of small 1, small 2"):
        report_rows([evaluated[0][0], shorter])


def test_the_page_shows_both_models_their_differences_and_the_answers(evaluated, tmp_path):
    results, answers = evaluated
    path = tmp_path / "suite.html"
    write_page(path, results, LABELS, description="A few questions.", answers=answers, command="python -m x")
    page = path.read_text()
    for part in (
        "knows &lt;the key&gt; &minus; always A",
        "+66.7 (+66.7 to +66.7)",
        "Not distinguishable from chance: capitals (always A), facts (always A)",
        "Prefers A: 100 % of its choices: capitals (always A)",
        "partial, without summaries.judge4",
        "No distinguishable difference to always A: facts accuracy",
        'class="open" data-column="difference to always A">+50.0',
        "Asked for 3 replies of at most 8 tokens, temperature 1: programs (knows",
        "1,000 + 234 is 1,234.0, I think.",
        "← right",
        "python -m x",
    ):
        assert part in page, part
    write_page(path, results[:1], LABELS[:1], description="", answers=answers, command="")
    assert "&minus;" not in path.read_text()


def test_a_suite_that_asks_nothing_of_a_model_has_a_page(tmp_path):
    (tmp_path / "images").mkdir(parents=True)
    (tmp_path / "images" / "a.png").write_bytes(b"png")
    rows = [{**row, "images": ["images/a.png"]} for row in folders.ROWS["facts.jsonl"]]
    yaml = folders.YAML.partition("tasks:\n")[0] + "tasks:\n  - {id: facts, file: facts.jsonl, type: truefalse}\n"
    suite = folder.read(folders.write(tmp_path, yaml=yaml, rows={"facts.jsonl": rows}))
    result = evaluate(suite, dataclasses.replace(KNOWS))
    write_page(tmp_path / "page.html", [result], ["model"], description="", answers=[], command="")
    assert "2 rows skipped: the model takes no images" in (tmp_path / "page.html").read_text().replace("&#39;", "'")


def test_the_terminal_has_the_same_table(evaluated):
    file = io.StringIO()
    print_results(evaluated[0], LABELS, file=file)
    printed = file.getvalue()
    (capitals,) = [line for line in printed.splitlines() if "capitals" in line and "accuracy  " in line]
    assert "100.0 (100.0 to 100.0)" in capitals
    assert "+66.7 (+66.7 to +66.7)" in capitals
    assert "not distinguishable from chance: capitals (always A), facts (always A)\n" in printed
    assert "SUM is partial, without summaries.judge4\n" in printed
