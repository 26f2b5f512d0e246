"""Tables between two vocabularies among the frozen variables: integers, whose shapes the architectures decide.

So a step is planned without tokenizers, and what they say is data of the compiled step, not a part of it.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxkd import sharding
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.tokenizers import vocabulary, vocabulary_mapping
from jaxkd.typing import Params

SHARED, NEAREST = "shared_tokens", "nearest_tokens"


def abstract_shared(student: Pretrained, teacher: Pretrained) -> Params:
    """Shapes, dtypes and shardings of what `load_shared` returns."""
    ours, theirs = student.config().vocab_size, teacher.config().vocab_size
    most = min(ours, theirs)
    return _described(SHARED, student_ids=most, teacher_ids=most, student_of_teacher=theirs)


def load_shared(student: Pretrained, teacher: Pretrained) -> Params:
    """The tokens that two checkpoints share: `jaxkd.tokenizers.vocabulary.between`, placed under the ambient mesh.

    Returns:
        Below "shared_tokens": `student_ids` and `teacher_ids`, pair by pair, -1 behind the last one, and
        `student_of_teacher`, for each row of the teacher's head, -1 where the student has no such token.
    """
    relation = vocabulary.between(student, teacher)
    room = min(relation.student_size, relation.teacher_size) - relation.shared
    ids = {"student_ids": relation.student_ids, "teacher_ids": relation.teacher_ids}
    padded = {name: np.pad(value, (0, room), constant_values=-1) for name, value in ids.items()}
    return _placed(SHARED, **padded, student_of_teacher=relation.student_of_teacher)


def abstract_nearest(student: Pretrained) -> Params:
    """Shapes, dtypes and shardings of what `load_nearest` returns."""
    return _described(NEAREST, teacher_of_student=student.config().vocab_size)


def load_nearest(student: Pretrained, teacher: Pretrained) -> Params:
    """The nearest tokens by edit distance (`vocabulary_mapping.between`), placed under the ambient mesh.

    Returns:
        Below "nearest_tokens": `teacher_of_student`, for each row of the student's head, -1 where no token leads to it.
    """
    mapping = vocabulary_mapping.between(student, teacher)
    return _placed(NEAREST, teacher_of_student=mapping.teacher_of_student)


def _described(name: str, **sizes: int) -> Params:
    tree = {key: jax.ShapeDtypeStruct((size,), jnp.int32) for key, size in sizes.items()}
    return {name: sharding.described(tree)}


def _placed(name: str, **tables: np.ndarray) -> Params:
    return {name: sharding.place(tables)}
