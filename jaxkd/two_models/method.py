"""Choice of a method by the vocabularies of student and teacher, and its recipe with default settings."""

from typing import Literal

from jaxkd.data import PackedText, PairedText
from jaxkd.distillation.recipe import Distillation
from jaxkd.models import Pretrained
from jaxkd.models.transformer.lora import LoRA
from jaxkd.recipes.dskdv2 import DSKDv2
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.logit_kd import LogitKD
from jaxkd.recipes.mined import MinED
from jaxkd.recipes.uld import ULD
from jaxkd.tokenizers import vocabulary

Method = Literal["auto", "logit_kd", "dskdv2", "dskdv2_eta", "mined", "uld"]

PACKED: dict[str, type[LogitKD | DSKDv2]] = {"logit_kd": LogitKD, "dskdv2": DSKDv2}
"""Methods for one vocabulary."""
PAIRED: dict[str, type[DSKDv2ETA | MinED | ULD]] = {"dskdv2_eta": DSKDv2ETA, "mined": MinED, "uld": ULD}
"""Methods for any two vocabularies."""


def chosen(method: Method, student: Pretrained, teacher: Pretrained) -> tuple[str, str]:
    """Return the name of the method to use, and a sentence that says why.

    "auto" is `logit_kd` for one vocabulary, `dskdv2_eta` for two with tokens in common, and `uld` for two without.
    """
    relation = vocabulary.relation(student, teacher)
    if method != "auto":
        return method, f"method {method}, as asked for. {relation}"
    different = "dskdv2_eta" if relation.shared else "uld"
    name = "logit_kd" if relation.common_prefix_size else different
    return name, f"method {name}, by the vocabularies: {relation}"


def recipe(
    method: str,
    *,
    student: Pretrained,
    teacher: Pretrained,
    data: PackedText,
    teacher_data: PackedText,
    lora: LoRA | None,
) -> Distillation:
    """Return the recipe of a method.

    Args:
        method: name of a method, not "auto".
        student: checkpoint to train.
        teacher: checkpoint to learn from.
        data: text as the student reads it.
        teacher_data: text as a teacher of another vocabulary reads it.
        lora: adapters to train; None trains the whole student.
    """
    if method in PACKED:
        return PACKED[method](student=student, teacher=teacher, data=data, lora=lora)
    pair = PairedText(student=data, teacher=teacher_data)
    return PAIRED[method](student=student, teacher=teacher, data=pair, lora=lora)
