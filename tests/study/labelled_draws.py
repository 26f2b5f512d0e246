"""Draws to a few prompts, judges of them, and the stage that labels them."""

import dataclasses
import json

import numpy as np

from jaxkd.constitution.preference_labels import label
from jaxkd.data import Jsonl
from jaxkd.evals import Judge
from jaxkd.sharding import MeshShape
from jaxkd.study import PreferenceLabels

FILES = ("verdicts.jsonl", "dropped.jsonl", "labels.json", "train.jsonl")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ByQuality(Judge):
    """A judge of answers that end in a number: its logit is their difference and a bias towards the first."""

    bias: float = 0.0

    def __call__(self, questions):
        raise NotImplementedError

    def probabilities(self, questions):
        ASKED.append(list(questions))
        return [self.probability(*(text.split()[-1] for text in (one.first, one.second))) for one in questions]

    def probability(self, first, second):
        if "nothing" in (first, second):
            return None
        return np.float32(1 / (1 + np.exp(-(float(first) - float(second) + self.bias))))


ASKED = []
"""Questions of each call."""


DRAWS = [("is 1", "is 2"), ("is 3", "is 1"), ("is 5", "is 5.5"), ("is 2", " is 2\n"), ("", "is 1"), ("nothing", "is 1")]


def write(path, texts, *, prompt="the {}", prefix="p"):
    rows = [
        {"prompt": prompt.format(n), "response": text, "key": f"{prefix}{n}"}
        for n, text in enumerate(texts)
        if text != "-"
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Jsonl(train=str(path), responses="optional")


def labelling(folder):
    """Return a stage that labels `DRAWS`, written to a folder, by a judge that nobody has asked yet."""
    ASKED.clear()
    first, second = (write(folder / f"{side}.jsonl", texts) for side, texts in enumerate(zip(*DRAWS, strict=True)))
    return PreferenceLabels(
        name="labels", first=first, second=second, judge=ByQuality(bias=0.7), rows=2, mesh=MeshShape(data=1)
    )


def lines(path):
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def expected(first, second, bias=0.7):
    judge = ByQuality(bias=bias)
    return label((float(judge.probability(first, second)), float(judge.probability(second, first))))
