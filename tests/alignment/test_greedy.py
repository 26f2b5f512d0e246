"""The published rule on integers against the published loop on strings."""

import dataclasses
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from benchmarks.models.greedy_loop import greedy_pairs
from jaxkd.alignment import exact_token, greedy
from jaxkd.alignment.greedy import align_greedily, prepare
from tests.alignment.tokenizations import END, GREEDY_PAIRS, by_numpy, found, spans, strings

aligned = jax.jit(align_greedily)
ROOM = 16

PIECES = ["a", "b", "ab", "ba", "Ġa", "▁a", "Ġ", "▁", "", "Ċ", "<0x0A>", "aa", "Ġab", "<s>"]


def random_strings(rng, end, most=14):
    pieces = [rng.choice(PIECES) for _ in range(rng.randrange(most))]
    return pieces + [end] * (rng.random() < 0.8)


def prepared_row(student, teacher, teacher_end=END):
    """One example, in the room that all of them have."""
    rooms = {"student_room": ROOM, "teacher_room": ROOM}
    return prepare([student], [teacher], student_end=END, teacher_end=teacher_end, **rooms)


def paired(student, teacher, teacher_end=END):
    return found(aligned(*prepared_row(student, teacher, teacher_end)), 0)


@pytest.mark.parametrize(("teacher", "student"), GREEDY_PAIRS)
def test_hand_values(teacher, student):
    expected = GREEDY_PAIRS[teacher, student]
    pairs = greedy_pairs(strings(teacher), strings(student), teacher_end=END, student_end=END)
    assert (tuple(zip(*pairs, strict=True))) == tuple(map(tuple, reversed(expected)))
    assert paired(strings(student), strings(teacher)) == expected


@pytest.mark.parametrize("teacher_end", ["</s>", "<|end▁of▁text|>"])
def test_equals_the_loop_over_strings(teacher_end):
    """Strings that collide, are empty, or are spelled alike in one family only, and ends of other lengths."""
    rng = random.Random(0)
    student = [random_strings(rng, END) for _ in range(400)]
    teacher = [random_strings(rng, teacher_end) for _ in range(400)]
    for index in range(0, 400, 3):  # the same text, cut elsewhere
        teacher[index] = [*"".join(student[index]).removesuffix(END), teacher_end]
    prepared = prepare(student, teacher, student_end=END, teacher_end=teacher_end, student_room=16, teacher_room=60)
    alignment = aligned(*prepared)
    assert alignment.mask.shape == (400, 16)
    total = 0
    for index, (ours, theirs) in enumerate(zip(student, teacher, strict=True)):
        expected = greedy_pairs(theirs, ours, teacher_end=teacher_end, student_end=END)
        total += len(expected)
        assert found(alignment, index) == ([j for _, j in expected], [i for i, _ in expected])
    assert total > 400


def test_is_symmetric_and_a_tokenization_and_itself_are_the_identity():
    rng = random.Random(1)
    student, teacher = ([random_strings(rng, END) for _ in range(400)] for _ in range(2))
    rooms = {"student_room": 16, "teacher_room": 60}
    ours, theirs, common = prepare(student, teacher, student_end=END, teacher_end=END, **rooms)
    one, other = aligned(ours, theirs, common), aligned(theirs, ours, common)
    np.testing.assert_array_equal(one.mask, other.mask)
    np.testing.assert_array_equal(one.student, other.teacher)
    np.testing.assert_array_equal(one.teacher, other.student)
    same = aligned(*prepare(student, student, student_end=END, teacher_end=END, **rooms))
    for index, pieces in enumerate(student):
        assert found(same, index) == (list(range(len(pieces))), list(range(len(pieces))))


def test_bytes_find_what_the_rule_loses_behind_a_newline():
    rule = paired(strings("llama"), strings("qwen"))
    by_bytes = found(jax.jit(exact_token.align)(spans("llama"), spans("qwen")))
    assert set(zip(*rule, strict=True)) < set(zip(*by_bytes, strict=True))
    assert by_bytes[0][-1] == 14


def test_columns_and_rows_without_tokens_change_nothing():
    narrow = aligned(*prepare([strings("gpt2")], [strings("qwen")], student_end=END, teacher_end=END))
    wide = prepare(
        [strings("gpt2"), []], [strings("qwen"), []], student_end=END, teacher_end=END, student_room=15, teacher_room=20
    )
    wider = aligned(*wide)
    assert found(wider, 0) == found(narrow, 0)
    assert found(wider, 1) == ([], [])
    other = []
    for side in (wide.student, wide.teacher):
        lengths = np.array(side.lengths)
        lengths[:, 13:] = 3
        other.append(dataclasses.replace(side, lengths=jnp.asarray(lengths)))
    assert found(aligned(*other, wide.common), 0) == found(narrow, 0)
    assert aligned(*prepare([[]], [["a"]], student_end=END, teacher_end=END)).mask.shape == (1, 0)


def test_prepare_counts_characters_without_markers():
    prepared = prepare([["▁a▁b", "é", END]], [["Ġa", "bé", "<e>"]], student_end=END, teacher_end="<e>")
    assert prepared.student.lengths.tolist() == [[2, 1, 4]]
    assert prepared.teacher.is_end.tolist() == [[False, False, True]]
    assert (prepared.common.tolist(), prepared.student.count.tolist()) == ([4], [3])


def test_room_is_for_the_longest_example_by_default():
    ours, theirs, _ = prepare([["a"], ["a", "bc", END]], [["abc", END], []], student_end=END, teacher_end=END)
    np.testing.assert_array_equal(ours.lengths, [[1, 0, 0], [1, 2, len(END)]])
    np.testing.assert_array_equal(theirs.lengths, [[3, len(END)], [0, 0]])


def test_transforms_change_nothing():
    prepared = prepare([strings("gpt2")] * 2, [strings("qwen")] * 2, student_end=END, teacher_end=END)
    expected = GREEDY_PAIRS["qwen", "gpt2"]
    assert found(align_greedily(*prepared), 1) == expected
    assert found(jax.jit(jax.vmap(align_greedily))(*prepared), 1) == expected
    assert found(aligned(*by_numpy(lambda leaf: leaf[0], prepared))) == expected


def test_eight_devices_change_nothing():
    prepared = prepare([strings("gpt2")] * 8, [strings("qwen")] * 8, student_end=END, teacher_end=END)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    placed = jax.device_put(tuple(prepared), NamedSharding(mesh, PartitionSpec("data")))
    alignment = aligned(*placed)
    assert found(alignment, 7) == GREEDY_PAIRS["qwen", "gpt2"]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="must hold the same examples, got 1 and 2. Give one list of strings"):
        prepare([["a"]], [["a"], ["b"]], student_end=END, teacher_end=END)
    with pytest.raises(ValueError, match="student_room must be at least the 2 tokens of the longest example, got 1"):
        prepare([["a", "b"]], [["a"]], student_end=END, teacher_end=END, student_room=1)
    prepared = prepare([["a"]], [["a"]], student_end=END, teacher_end=END)
    with pytest.raises(
        ValueError, match=r"must hold the same examples, got lengths of shape \(1, 1\) and \(1, 1\) and"
    ):
        align_greedily(prepared.student, prepared.teacher, jnp.zeros(2, jnp.int32))


def test_the_rule_pairs_by_the_tokens_identity_only_at_the_end():
    assert greedy.MARKERS == "▁Ġ"
    ours, theirs = ["a", END], ["a", "<|end|>"]
    assert paired(ours, theirs, "<|end|>") == ([0, 1], [0, 1])
    assert paired(ours, theirs, "<other>") == ([0], [0])
