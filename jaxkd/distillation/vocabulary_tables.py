"""Integer tables between two vocabularies among the frozen variables, with shapes set by the architectures.

So a step is planned without tokenizers, and the tables are arguments of the compiled step, not constants in it.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxkd import sharding
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.tokenizers import vocabulary, vocabulary_mapping
from jaxkd.typing import Params

SHARED, NEAREST = "shared_tokens", "nearest_tokens"
"""Names of the tables among the frozen parts."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SharedTokenTable:
    """Tokens that two checkpoints share: `jaxkd.tokenizers.vocabulary.relation`, as a frozen part of a recipe."""

    student: Pretrained
    teacher: Pretrained

    def abstract(self) -> Params:
        """Shapes, dtypes and shardings of what `load` returns; reads no tokenizer."""
        ours, theirs = self.student.config().vocab_size, self.teacher.config().vocab_size
        most = min(ours, theirs)
        return _abstract(student_ids=most, teacher_ids=most, student_of_teacher=theirs)

    def load(self) -> Params:
        """Load token ids as int32, sharded under the ambient mesh.

        Returns:
            `student_ids` and `teacher_ids`, pair by pair, padded with -1, and `student_of_teacher`, for each row of
            the teacher's head, -1 if the student has no such token.
        """
        relation = vocabulary.relation(self.student, self.teacher)
        room = min(relation.student_size, relation.teacher_size) - relation.shared
        ids = {"student_ids": relation.student_ids, "teacher_ids": relation.teacher_ids}
        padded = {name: np.pad(value, (0, room), constant_values=-1) for name, value in ids.items()}
        return sharding.shard(padded | {"student_of_teacher": relation.student_of_teacher})


@dataclasses.dataclass(frozen=True, kw_only=True)
class NearestTokenTable:
    """Nearest tokens by edit distance: `jaxkd.tokenizers.vocabulary_mapping.mapping`, as a frozen part of a recipe."""

    student: Pretrained
    teacher: Pretrained

    def abstract(self) -> Params:
        """Shapes, dtypes and shardings of what `load` returns; reads no tokenizer."""
        return _abstract(teacher_of_student=self.student.config().vocab_size)

    def load(self) -> Params:
        """Load token ids as int32, sharded under the ambient mesh.

        Returns:
            `teacher_of_student`, for each row of the student's head, -1 if no token maps to it.
        """
        mapping = vocabulary_mapping.mapping(self.student, self.teacher)
        return sharding.shard({"teacher_of_student": mapping.teacher_of_student})


def _abstract(**sizes: int) -> Params:
    return sharding.with_shardings({key: jax.ShapeDtypeStruct((size,), jnp.int32) for key, size in sizes.items()})
