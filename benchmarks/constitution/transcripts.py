"""Print transcripts of the study of critics as Markdown: `python -m benchmarks.constitution.transcripts`.

The same functions under both critics, whole, with the flaws that the program finds, and what hygiene made of either.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.constitution.conversations import Conversation, conversations
from benchmarks.worker import ROOT
from configs import constitutional_ai
from jaxkd.constitution import last_answer_flaws
from jaxkd.data.examples import subset
from jaxkd.runtime.storage.json_lines import whole_rows
from jaxkd.study.clean_stage import DROPPED
from jaxkd.study.study import stage_folder

FUNCTIONS = 5
"""Number of functions, each under either critic."""


def markdown(workdir: Path) -> Iterator[str]:
    """Yield the transcripts of the first seed, a text each."""
    study = constitutional_ai.get_config()
    folders = {stage.name: stage_folder(workdir, stage, study.seeds[0]) for stage in study.stages}
    by_critic = {
        name: {one.key: one for one in conversations(folders[f"revision_{name}"])} for name in ("self", "program")
    }
    keys = sorted(set.intersection(*(set(found) for found in by_critic.values())))
    chosen = {one.key for one in subset([by_critic["self"][key] for key in keys], FUNCTIONS)}
    for key in sorted(chosen):
        for name, found in by_critic.items():
            dropped = {row["key"]: row["reasons"] for row in whole_rows(folders[f"clean_{name}"] / DROPPED)}
            yield _transcript(found[key], name, dropped.get(key, []))


def _transcript(found: Conversation, critic: str, reasons: list[str]) -> str:
    outcome = f"dropped: {_listed(reasons)}" if reasons else "kept"
    turns = {
        "Prompt": found.prompt,
        f"Answer ({_flaws(found.prompt, found.initial)})": found.initial,
        f"Request for a critique, by the principle `{found.principle}`": found.example.messages[-3][1],
        "Critique": found.critique,
        "Request for a revision": found.example.messages[-1][1],
        f"Revision ({_flaws(found.prompt, found.revision)})": found.revision + ("" if found.ended else " [cut]"),
    }
    texts = "\n\n".join(f"{name}:\n\n{_fenced(text)}" for name, text in turns.items())
    return f"## `{found.key}`, critic: {critic} ({outcome})\n\n{texts}\n"


def _flaws(prompt: str, body: str) -> str:
    return _listed(last_answer_flaws((("user", prompt), ("assistant", body)))) or "no flaw"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _fenced(text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"


if __name__ == "__main__":
    sys.stdout.write("\n".join(markdown(ROOT / "runs" / "constitutional_ai")))
