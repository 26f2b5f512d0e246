import dataclasses
import re

import pytest

from jaxkd.evals.suites.reading import folder
from tests.evals.suites import folders
from tests.evals.suites.folders import ROWS, YAML


def test_a_suite_of_every_type(tmp_path):
    suite = folder.read(folders.write(tmp_path / "small"))
    assert (suite.name, suite.version, len(suite.tasks)) == ("small", "1", 6)
    capitals, facts, spelling, sums, summaries, programs = suite.tasks
    assert [row.answer for row in capitals.rows] == [0, 1]
    assert capitals.rows[1].options == ("Milan", "Rome", "Turin")
    assert capitals.chance == pytest.approx(100 / 3)
    assert [(row.id, row.answer) for row in facts.rows] == [("1", 0), ("2", 1)]
    assert (facts.chance, facts.words) == (50.0, ("yes", "no"))
    assert spelling.rows[0].references == ("tac", "TAC")
    assert sums.prompt == "{question}"
    assert [metric.title for metric in summaries.metrics] == ["rouge_l", "judge4"]
    assert [metric.title for metric in programs.metrics] == ["pass@1", "pass@2"]
    assert programs.sampled.replies == 3
    assert programs.sampled.max_input_tokens == 64
    assert str(programs.sampled) == "3 replies of at most 8 tokens, temperature 1"
    dskd = dataclasses.replace(programs.sampled, replies=5, no_repeat_ngram=6, max_new_tokens=1024)
    assert str(dskd) == "5 replies of at most 1,024 tokens, temperature 1, no sequence of 6 tokens twice"
    assert str(sums.sampled) == "a reply of at most 8 tokens, the most probable tokens"
    assert [one.name for one in suite.aggregates] == ["SUM", "MEAN"]


def test_the_fingerprint_is_that_of_all_files(tmp_path):
    first = folder.read(folders.write(tmp_path / "a")).fingerprint
    assert folder.read(folders.write(tmp_path / "b")).fingerprint == first
    changed = [{**ROWS["facts.jsonl"][0], "question": "Water is dry."}]
    assert folder.read(folders.write(tmp_path / "b", facts=changed)).fingerprint != first


def test_a_mark_in_front_and_windows_line_ends_are_read(tmp_path):
    lines = b"\xef\xbb\xbf" + b'{"id": 1, "question": "Water is wet.", "answer": true}\r\n\r\n'
    suite = folder.read(folders.write(tmp_path, yaml="\ufeff" + YAML.replace("\n", "\r\n"), facts=lines))
    assert suite.tasks[1].rows[0].question == "Water is wet."


_CHOICE = ROWS["capitals.jsonl"][0]


@pytest.mark.parametrize(
    ("file", "rows", "line", "text"),
    [
        ("capitals", [_CHOICE, _CHOICE], 2, "\"id\" must be unique, got 'fr', which line 1 has too"),
        ("capitals", [{**_CHOICE, "answer": None}], 1, '"answer" must be one of the letters A, B, C or an index'),
        ("capitals", [{**_CHOICE, "answer": "D"}], 1, "from 0 to 2, got 'D'"),
        ("capitals", [{**_CHOICE, "answer": 3}], 1, "from 0 to 2, got 3"),
        ("capitals", [{**_CHOICE, "options": ["Paris", "Lyon", "Paris "]}], 1, "must differ, got 'Paris ' as A and C"),
        ("capitals", [{**_CHOICE, "options": ["Paris"]}], 1, "must be a list of 2 to 26 strings, got 1"),
        ("capitals", [{**_CHOICE, "options": {"A": "x", "C": "y"}}], 1, "must have the keys A, B in order, got A, C"),
        (
            "capitals",
            [{**_CHOICE, "images": ["images/map.png"]}],
            1,
            "must be files of the suite, got 'images/map.png'",
        ),
        ("capitals", [{**_CHOICE, "images": ["../map.png"]}], 1, "must lie in the folder of the suite"),
        ("capitals", [{**_CHOICE, "images": "map.png"}], 1, '"images" must be a list of paths, got a string'),
        ("capitals", [{**_CHOICE, "anwser": "A"}], 1, "must have fields among answer, id, images, meta, options"),
        ("capitals", [{**_CHOICE, "id": " "}], 1, '"id" must name the row, got an empty string'),
        ("facts", [{"id": 1, "question": "x", "answer": "true"}], 1, "\"answer\" must be true or false, got 'true'"),
        ("spelling", [{"id": 1, "question": "x"}], 1, '"reference" must be a string, got null'),
        ("spelling", [{"id": 1, "question": "x", "reference": []}], 1, '"reference" must be a text or a list'),
        (
            "sums",
            [{"id": 1, "question": "x", "reference": "none"}],
            1,
            "must end in a number in a math task, got 'none'",
        ),
        ("programs", [{"id": 1, "question": "x", "test": "assert ("}], 1, '"test" must be Python, got'),
        ("facts", "", 1, "the file must hold at least one row, got an empty file"),
        ("facts", '{"id": 1}\n{"id"\n', 2, "a row must be JSON"),
        ("facts", '{"id": 1}'.encode("utf-16"), 1, "must be JSON lines, got UTF-16"),
    ],
)
def test_faults_of_rows_have_their_file_and_line(tmp_path, file, rows, line, text):
    with pytest.raises(ValueError, match="must be a suite without faults") as error:
        folder.read(folders.write(tmp_path, **{file: rows}))
    assert f"{tmp_path / file}.jsonl, line {line}: " in str(error.value)
    assert text in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("version: 1", "version: 1\nname: twice", "name must stand once, got it in line 1 too"),
        ("version: 1", "verion: 1", "verion must be one of name, version.*Did you mean version"),
        ("type: exact", "type: exactly", "type must be one of choice, truefalse.*, got 'exactly'"),
        ("mode: loglik", "mode: likelihood", "mode must be one of generate, loglik, got 'likelihood'"),
        ("type: exact", "type: exact\n    mode: loglik", "mode must be generate for type exact, got loglik"),
        ('words: ["yes", "no"]', "words: [yes, no]", r"words must be a list of texts.*\[True, False\]\. Quote them"),
        ('words: ["yes", "no"]', 'words: ["yes", "yes"]', "words must be two different texts"),
        ("file: sums.jsonl", "file: sum.jsonl", "file must be a file in the folder of suite.yaml, got sum.jsonl"),
        ("id: sums", "id: two sums", "id must consist of letters, digits, _ and -, got 'two sums'"),
        ("id: sums", "id: spelling", "the ids of tasks must differ, got spelling twice"),
        ("yes or no?", "{answer}?", "prompt must use {question}, and of fields only {question}"),
        ("yes or no?", "{yes or no?", "prompt must be a template"),
        ("judge4]", "bleu]", "name must be one of rouge_l, judge4, got 'bleu'"),
        ("judge4]", "rouge_l]", "metrics must differ, got rouge_l twice"),
        ("mode: loglik", "mode: generate", "accuracy_per_character must come with mode loglik"),
        ("replies: 3", "replies: 1", "k must be at most the number of replies, got 2 and 1"),
        ("temperature: 1.0", "temperature: 0", "temperature must be above 0 for 3 replies, got 0"),
        ("max_new_tokens: 8", "max_new_tokens: 0", "max_new_tokens must be a whole number of at least 1, got 0"),
        ("max_new_tokens: 8", "max_new_tokens: 8, tempe: 1", "tempe must be one of max_input_tokens"),
        ("facts.accuracy,", "facts.acuracy,", "SUM must name metrics of the tasks, got facts.acuracy; there are"),
        ('MEAN: "mean(', 'MEAN: "max(', "an aggregate must consist of sum"),
        ("name: small", "name: ", "name must be a text, got nothing"),
        ("defaults: {max_input_tokens: 64, max_new_tokens: 8}", "defaults: 3", "defaults must be a mapping, got 3"),
    ],
)
def test_faults_of_the_yaml_have_their_line(tmp_path, old, new, text):
    assert YAML.count(old) == 1
    with pytest.raises(ValueError, match=re.compile(text.replace("{question}", r"\{question\}"), re.DOTALL)) as error:
        folder.read(folders.write(tmp_path, yaml=YAML.replace(old, new)))
    line = YAML[: YAML.index(old)].count("\n") + 1
    named = int(re.search(r"suite\.yaml, line (\d+): ", str(error.value)).group(1))
    assert named == line + {
        "type: exact\n    mode: loglik": 1,
        "version: 1\nname: twice": 1,
        "replies: 1": 2,
        "mode: generate": 3,
    }.get(new, 0)


@pytest.mark.parametrize(
    ("contents", "text"),
    [
        (b"tasks: [", "the file must be YAML, got"),
        (b"- a\n- b\n", "the file must hold a mapping, got list"),
        ("name: x".encode("utf-16"), "the file must be UTF-8, got UTF-16"),
        (b"name: \xff", "the file must be UTF-8, got an invalid byte"),
        (b"", "the file must hold a mapping"),
        (b"name: x\nversion: 1\ntasks: []\n", "tasks must be a list of at least one mapping"),
        (b"name: x\nversion: 1\ntasks: [1]\n", "tasks must be a list of mappings, got 1 in it"),
    ],
)
def test_a_yaml_of_another_kind(tmp_path, contents, text):
    (tmp_path / "suite.yaml").write_bytes(contents)
    with pytest.raises(ValueError, match=text):
        folder.read(tmp_path)


def test_all_faults_are_listed_at_once(tmp_path):
    folders.write(tmp_path, yaml=YAML.replace("type: exact", "type: exactly"), facts=[{"id": 1}] * 30)
    with pytest.raises(ValueError, match="got 31") as error:
        folder.read(tmp_path)
    assert "... and 11 more" in str(error.value)
    assert str(error.value).splitlines()[1].startswith(f"{tmp_path / 'suite.yaml'}, line 24: type must be one of")


def test_a_folder_without_a_suite(tmp_path):
    with pytest.raises(FileNotFoundError, match="suite must be a folder with suite.yaml"):
        folder.read(tmp_path)
