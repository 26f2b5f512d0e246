"""The suite as a folder: `suite.yaml`, a JSONL file a task, and pictures."""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from jaxkd.evals.suites.transport.airport_questions import airport_choices, airport_statements
from jaxkd.evals.suites.transport.choices import JsonLine
from jaxkd.evals.suites.transport.drawings.road_scenes import road_occupations
from jaxkd.evals.suites.transport.regulation_questions import (
    cloze_choices,
    law_choices,
    recitations,
    regulation_statements,
)
from jaxkd.evals.suites.transport.sign_questions import sign_choices, sign_errors
from jaxkd.evals.suites.transport.sources import PACKAGED_TEXTS, Sources, read_sources
from jaxkd.evals.suites.transport.written_rows import WRITTEN, written_rows

SEED = 2401
AIRPORT_CHOICES, AIRPORT_STATEMENTS = 300, 100
CLOZES_OF_AN_ARTICLE, ARTICLES_TO_TELL, ARTICLES_TO_RECITE = 2, 10, 9
"""Most rows of an article, and of a law."""

_JUDGED = ("rouge_l", "judge4")


def _sum(answered: tuple[str, ...], written: tuple[str, ...]) -> str:
    """Return the sum of the accuracies of some tasks, and of both metrics of others."""
    terms = [f"{task}.accuracy" for task in answered] + [f"{task}.{metric}" for task in written for metric in _JUDGED]
    return f"sum({', '.join(terms)})"


SUM = _sum(("T1", "T2"), ("T4", "T5", "T6", "T9", "T10"))
"""Sum over the tasks of text."""
SUM_MULTIMODAL = _sum(("T3",), ("T4", "T6", "T7", "T8", "T9"))
"""Sum over the tasks that the protocol asks a model that sees."""
MACRO_MEAN = (
    "mean(mean(T1.accuracy, T1_tf.accuracy), mean(T2.accuracy, T2_tf.accuracy, T2_law.accuracy, T2_recite.rouge_l), "
    f"T3.accuracy, {', '.join(f'mean(T{place}.rouge_l, T{place}.judge4)' for place in range(4, 11))})"
)
"""Mean over the ten tasks, each with the mean of its metrics."""

_CHOOSE = "请从下列选项中选出唯一正确的一项，只回答选项字母。\n{question}\n{options}\n答案："
_COMPARED: Mapping[str, Any] = {"mode": "loglik", "separator": ""}
_TASKS: tuple[dict[str, Any], ...] = (
    {
        "id": "T1",
        "name": "Traffic concepts",
        "level": "memorise",
        "type": "choice",
        "mode": "loglik",
        "rotations": "all",
        "prompt": "Answer the question with the letter of the one correct option.\n{question}\n{options}\nAnswer:",
    },
    {
        "id": "T1_tf",
        "name": "Traffic concepts, statements",
        "level": "memorise",
        "type": "truefalse",
        "mode": "loglik",
        "prompt": "Is the following statement correct? Answer with true or false only.\n{question}\nAnswer:",
    },
    {
        "id": "T2",
        "name": "Traffic regulations",
        "level": "memorise",
        "type": "choice",
        "rotations": "all",
        **_COMPARED,
        "prompt": _CHOOSE,
    },
    {
        "id": "T2_tf",
        "name": "Traffic regulations, statements",
        "level": "memorise",
        "type": "truefalse",
        **_COMPARED,
        "words": ["正确", "错误"],
        "prompt": "判断下列说法是否正确，只回答“正确”或“错误”。\n{question}\n答案：",
    },
    {
        "id": "T2_law",
        "name": "Traffic regulations, the law of an article",
        "level": "memorise",
        "type": "choice",
        "rotations": "all",
        **_COMPARED,
        "prompt": _CHOOSE,
    },
    {
        "id": "T2_recite",
        "name": "Traffic regulations, recitation",
        "level": "memorise",
        "type": "generate",
        "prompt": "请接着写出下列法律条文的后文，只写条文内容。\n{question}",
        "metrics": [{"name": "rouge_l", "tokens": "char"}],
    },
    {"id": "T3", "name": "Traffic signs", "level": "memorise", "type": "choice", "mode": "generate", "prompt": _CHOOSE},
    *(
        {
            "id": task,
            "name": name,
            "level": level,
            "type": "generate",
            "prompt": f"{instruction}{{question}}",
            "metrics": [{"name": "rouge_l", "tokens": "auto"}, "judge4"],
        }
        for task, name, level, instruction in (
            ("T4", "Accident analysis", "understand", "请分析下列交通事故的原因，分别说明直接原因和间接原因。\n"),
            ("T5", "Public opinion", "understand", "请归纳下列群众意见中的主要诉求。\n"),
            ("T6", "Safety recommendation", "understand", "请根据下列情况给出交通安全建议。\n"),
            ("T7", "Traffic sign error detection", "understand", ""),
            ("T8", "Road occupation detection", "understand", ""),
            ("T9", "Emergency plan", "apply", "请针对下列突发事件制定应急处置预案。\n"),
            ("T10", "Safety education copy", "apply", "请根据给定的受众和场景撰写一段交通安全宣传文案。\n"),
        )
    ),
)
_HEADER = f"""\
# Questions after the protocol of TransportationGames (arXiv 2401.04471), whose data were never released.  This is not
# that benchmark: its published results do not compare with results here.
#
# T1 is made of {PACKAGED_TEXTS[0].requirement} (MIT) and {PACKAGED_TEXTS[2].requirement} (public domain), T2 of the
# statutes in {PACKAGED_TEXTS[1].requirement} (MIT).  The signs and scenes of T3, T7 and T8 are drawn, and
# the few rows each of T4, T5, T6, T9 and T10 were written, by this package.
"""
_DESCRIPTION = (
    "Ten transport tasks after the TransportationGames protocol, from public texts, drawings and self-written rows; "
    "not the published benchmark."
)


def write_suite(folder: Path) -> None:
    """Write the suite into a folder: the same bytes every time, with the same version of Matplotlib.

    Args:
        folder: folder to make, or one whose files of the same names are replaced.

    Raises:
        ConnectionError: a package that the questions come from is neither in the cache nor to be had.

    Source: tasks, prompts and aggregates: arXiv 2401.04471, sections on tasks and metrics; questions: our own.
    """
    write_questions(folder, read_sources())


def write_questions(folder: Path, sources: Sources) -> None:
    """Write the suite that `sources` give."""
    rows, pictures = _questions(sources)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    # The file that makes a folder a suite goes first and comes back last: half a suite is never read.
    described = folder / "suite.yaml"
    described.unlink(missing_ok=True)
    for name, picture in pictures.items():
        (folder / "images" / name).write_bytes(picture)
    for task, lines in rows.items():
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / _file(task)).write_bytes(text.encode())
    described.write_bytes(_yaml().encode())


def _questions(sources: Sources) -> tuple[dict[str, list[JsonLine]], dict[str, bytes]]:
    def seeded(task: str) -> random.Random:
        # One generator a task: another number of rows in one of them leaves the others as they are.
        return random.Random(f"{SEED} {task}")

    signs, sign_pictures = sign_choices(seeded("T3"))
    errors, error_pictures = sign_errors(seeded("T7"))
    roads, road_pictures = road_occupations(seeded("T8"))
    rows = {
        "T1": airport_choices(sources, count=AIRPORT_CHOICES, rng=seeded("T1")),
        "T1_tf": airport_statements(sources, count=AIRPORT_STATEMENTS, rng=seeded("T1_tf")),
        "T2": cloze_choices(sources.articles, most=CLOZES_OF_AN_ARTICLE, rng=seeded("T2")),
        "T2_tf": regulation_statements(sources.articles, rng=seeded("T2_tf")),
        "T2_law": law_choices(sources.articles, most=ARTICLES_TO_TELL, rng=seeded("T2_law")),
        "T2_recite": recitations(sources.articles, most=ARTICLES_TO_RECITE, rng=seeded("T2_recite")),
        "T3": signs,
        "T7": errors,
        "T8": roads,
    } | {task: written_rows(task) for task in WRITTEN}
    return rows, {**sign_pictures, **error_pictures, **road_pictures}


def _file(task: str) -> str:
    return f"{task.lower()}.jsonl"


def _yaml() -> str:
    suite = {
        "name": "transport",
        "version": 1,
        "description": _DESCRIPTION,
        "defaults": {"max_input_tokens": 2048, "max_new_tokens": 1024, "temperature": 0.0},
        "tasks": [{"id": task["id"], "file": _file(task["id"]), **task} for task in _TASKS],
        "aggregates": {"SUM": SUM, "SUM_MULTIMODAL": SUM_MULTIMODAL, "MEAN": MACRO_MEAN},
    }
    return _HEADER + yaml.dump(suite, Dumper=_BlockDumper, sort_keys=False, allow_unicode=True, width=1000)


class _BlockDumper(yaml.SafeDumper):
    """YAML that keeps the lines of a text."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_BlockDumper.add_representer(str, _text)
