"""The tables that a step reads are the relations of the tokenizers, in shapes that the architectures decide."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxkd.distillation.vocabulary_tables import NearestTokenTable, SharedTokenTable
from jaxkd.sharding import MeshShape
from jaxkd.sharding.mesh import make
from jaxkd.tokenizers import vocabulary, vocabulary_mapping


def described(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.sharding.is_fully_replicated), tree)


def test_shared_tokens_come_first_and_nothing_behind_them(tiny):
    relation = vocabulary.relation(tiny.foreign, tiny.teacher)
    tables = SharedTokenTable(student=tiny.foreign, teacher=tiny.teacher).load()
    for name in ("student_ids", "teacher_ids"):
        np.testing.assert_array_equal(tables[name][: relation.shared], getattr(relation, name))
        np.testing.assert_array_equal(tables[name][relation.shared :], -1)
    np.testing.assert_array_equal(tables["student_of_teacher"], relation.student_of_teacher)


def test_the_nearest_tokens_are_those_of_the_mapping(tiny):
    mapping = vocabulary_mapping.mapping(tiny.foreign, tiny.teacher)
    tables = NearestTokenTable(student=tiny.foreign, teacher=tiny.teacher).load()
    np.testing.assert_array_equal(tables["teacher_of_student"], mapping.teacher_of_student)


@pytest.mark.parametrize("table", [SharedTokenTable, NearestTokenTable])
def test_the_architectures_alone_decide_the_shapes(tiny, tmp_path, table):
    planned = {
        name: dataclasses.replace(one, path=str(tmp_path / name), architecture=one.config())
        for name, one in (("student", tiny.foreign), ("teacher", tiny.teacher))
    }
    with jax.set_mesh(make(MeshShape(data=2, fsdp=2, tensor=2))):
        found = table(**planned).abstract()
        expected = table(student=tiny.foreign, teacher=tiny.teacher).load()
    assert described(found) == described(expected)
