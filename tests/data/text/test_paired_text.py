"""Examples in the tokens of two models, side by side in packed rows."""

import dataclasses
import json
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models

from jaxkd.alignment.exact_token import align
from jaxkd.data import Jsonl, PairedText
from jaxkd.data.text import chat
from jaxkd.sharding import Share
from jaxkd.tokenizers import literal, pieces
from tests.tokenizers.tokenizer_families import wrapped


def pairs_of(tiny, match="none"):
    return dataclasses.replace(tiny.paired, match=match).pairs("train", tiny.foreign, tiny.teacher)


def first_batch(tiny, match="none", **options):
    text = dataclasses.replace(tiny.paired, match=match)
    return next(iter(text.distillation_stream("train", tiny.foreign, tiny.teacher, 0, **options)))


def texts_of(checkpoint, ids):
    table = pieces.token_bytes(checkpoint.tokenizer())
    return [table[int(index)] for index in ids]


def test_both_sides_hold_the_same_response_and_an_end(tiny):
    responses = {example.key: example.response for example in tiny.text.source.examples("train")}
    pairs = pairs_of(tiny)
    assert len(pairs) == 20
    for pair in pairs:
        data = responses[pair.student.key].encode()
        assert pair.student.key == pair.teacher.key
        for spans, side in ((pair.student_spans, pair.student), (pair.teacher_spans, pair.teacher)):
            assert len(spans) == len(side.tokens) - side.prompt_length
            assert b"".join(data[start:end] for start, end in spans) == data
            assert spans[-1].tolist() == [len(data), len(data) + 1]


def test_rows_and_segments_hold_the_same_examples(tiny):
    batch, pairs = first_batch(tiny), pairs_of(tiny)
    sides = (
        (batch.student, batch.student_spans, {pair.student.index: pair.student.key for pair in pairs}),
        (batch.teacher, batch.teacher_spans, {pair.teacher.index: pair.teacher.key for pair in pairs}),
    )
    assert (batch.student.tokens.shape, batch.teacher.tokens.shape) == ((8, 112), (8, 96))
    assert batch.teacher_positions is None
    for row in range(8):
        found = []
        for side, spans, names in sides:
            mask = side.loss_mask[row]
            np.testing.assert_array_equal(spans.segment_ids[row] > 0, mask)
            examples = [names[index] for index in side.example_ids[row][mask].tolist()]
            found.append(dict(zip(spans.segment_ids[row][mask].tolist(), examples, strict=True)))
        assert found[0] == found[1] != {}


def test_aligned_labels_are_the_same_text(tiny):
    batch = jax.tree.map(np.asarray, first_batch(tiny))
    pairs = align(batch.student_spans, batch.teacher_spans)
    mask = np.asarray(pairs.mask)
    assert mask.sum() > 60
    ours = texts_of(tiny.foreign, np.take_along_axis(batch.student.labels, pairs.student, 1)[mask])
    theirs = texts_of(tiny.teacher, np.take_along_axis(batch.teacher.labels, pairs.teacher, 1)[mask])
    ends = {(b"</s>", b"<|im_end|>")}
    assert {pair for pair in zip(ours, theirs, strict=True) if pair[0].strip() != pair[1].strip()} == ends


def test_spaces_can_be_ignored(tiny):
    text = dataclasses.replace(tiny.paired, spaces="ignored")
    kept, ignored = (one.pairs("train", tiny.foreign, tiny.teacher) for one in (tiny.paired, text))
    changed = [not np.array_equal(a.student_spans, b.student_spans) for a, b in zip(kept, ignored, strict=True)]
    assert all(changed)
    assert all(a.student_spans[-1].tolist() == b.student_spans[-1].tolist() for a, b in zip(kept, ignored, strict=True))


def test_positions_by_edit_distance_are_those_of_the_row(tiny):
    batch = first_batch(tiny, match="edit distance")
    matched = batch.teacher_positions >= 0
    assert matched.sum() > 40
    rows, columns = np.nonzero(matched)
    theirs = batch.teacher_positions[rows, columns]
    np.testing.assert_array_equal(
        batch.student_spans.segment_ids[rows, columns], batch.teacher_spans.segment_ids[rows, theirs]
    )
    inputs = [np.take_along_axis(side.tokens, side.target_positions, axis=1) for side in (batch.student, batch.teacher)]
    ours = texts_of(tiny.foreign, inputs[0][rows, columns])
    others = texts_of(tiny.teacher, inputs[1][rows, theirs])
    same = [a.strip() == b.strip() for a, b in zip(ours, others, strict=True)]
    assert np.mean(same) > 0.9


def test_a_cut_response_has_no_end(tiny):
    short = dataclasses.replace(tiny.text, targets=4, overlong="truncate")
    text = PairedText(student=dataclasses.replace(short, template="plain", targets=5), teacher=short)
    for pair in text.pairs("train", tiny.foreign, tiny.teacher):
        assert (len(pair.student_spans), len(pair.teacher_spans)) == (5, 4)
        assert (pair.student_spans[-1] <= len(b"the he 133 the")).all()


@pytest.mark.parametrize("keep", ["first", "last"])
def test_cut_prompts_leave_the_spans_of_responses_as_they_are(tiny, keep):
    """Each side cuts in its own tokens; spans are those of the response, which begins where it did."""
    short = dataclasses.replace(
        tiny.paired,
        student=dataclasses.replace(tiny.paired.student, max_prompt=3, keep_prompt=keep),
        teacher=dataclasses.replace(tiny.paired.teacher, max_prompt=5, keep_prompt=keep),
    )
    for match in ("none", "edit distance"):
        cut = dataclasses.replace(short, match=match).pairs("train", tiny.foreign, tiny.teacher)
        for pair, whole in zip(cut, pairs_of(tiny, match=match), strict=True):
            for name in ("student_spans", "teacher_spans"):
                np.testing.assert_array_equal(getattr(pair, name), getattr(whole, name))
            for ours, theirs, size in ((pair.student, whole.student, 3), (pair.teacher, whole.teacher, 5)):
                assert ours.prompt_length == size < theirs.prompt_length
                np.testing.assert_array_equal(ours.tokens[size:], theirs.tokens[theirs.prompt_length :])
            if match != "none":  # what goes in before the first target is of the prompt
                np.testing.assert_array_equal(pair.matched[1:], whole.matched[1:])


def test_an_example_that_one_side_drops_is_on_neither(tiny, caplog):
    text = dataclasses.replace(tiny.paired, student=dataclasses.replace(tiny.paired.student, targets=8))
    with caplog.at_level(logging.INFO):
        pairs = text.pairs("train", tiny.foreign, tiny.teacher)
    assert 0 < len(pairs) < 20
    assert "for one alone" in caplog.text
    smaller = dataclasses.replace(text, student=dataclasses.replace(text.student, targets=2, overlong="drop"))
    with pytest.raises(ValueError, match="got none"):
        smaller.pairs("train", tiny.foreign, tiny.teacher)


def test_responses_without_a_common_token_are_counted(tiny, tmp_path, caplog):
    """The teacher has a token for "½", which the student spells in bytes; their ends are always one."""
    text = text_of(tiny, tmp_path / "rows.jsonl", "the", "½")
    with caplog.at_level(logging.WARNING):
        _, pair = text.pairs("train", tiny.foreign, tiny.teacher)
    spans = pair.student_spans.tolist(), pair.teacher_spans.tolist()
    assert spans == ([[0, 0], [0, 1], [1, 2], [2, 3]], [[0, 2], [2, 3]])
    assert "1 of 2 responses have no token in common to student and teacher but their end, rows.jsonl:2" in caplog.text
    short = dataclasses.replace(text, student=dataclasses.replace(text.student, targets=3, overlong="truncate"))
    (*_, pair) = short.pairs("train", tiny.foreign, tiny.teacher)
    assert pair.student_spans.tolist() == spans[0][:-1]
    assert caplog.text.count("1 of 2 responses have no token") == 2


@dataclasses.dataclass(frozen=True)
class Reader:
    """A checkpoint as far as pairs need it."""

    read: object

    def tokenizer(self):
        return self.read


def letters(text):
    """A student that knows these letters, one a token, and has nothing for any other."""
    backend = Tokenizer(
        models.BPE(vocab={x: n for n, x in enumerate(("<unk>", "</s>", *text))}, merges=[], unk_token="<unk>")
    )
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(piece, special=True) for piece in ("<unk>", "</s>")])
    return Reader(wrapped(backend, eos_token="</s>", unk_token="<unk>"))


def text_of(tiny, path, *responses, **fields):
    rows = [{"prompt": "a", "response": response} | fields for response in responses]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sides = (dataclasses.replace(side, source=Jsonl(train=str(path))) for side in (tiny.paired.student, tiny.text))
    return PairedText(**dict(zip(("student", "teacher"), sides, strict=True)))


def test_a_response_with_an_unknown_token_is_left_out_and_counted(tiny, tmp_path, caplog):
    """Its label would be the unknown token, for whatever the text says."""
    student = letters("abc")
    with caplog.at_level(logging.WARNING):
        pairs = text_of(tiny, tmp_path / "rows.jsonl", "abba", "ab7", "c", "7").pairs("train", student, tiny.teacher)
    unknown = student.tokenizer().unk_token_id
    assert [pair.student.key for pair in pairs] == ["rows.jsonl:1", "rows.jsonl:3"]
    assert not any(unknown in pair.student.tokens[pair.student.prompt_length :] for pair in pairs)
    assert "train: 2 of 4 responses are left out" in caplog.text
    assert "the first in example rows.jsonl:2: ids must spell text, got b'<unk>' as token 2" in caplog.text
    with pytest.raises(
        ValueError, match=r"got none in the train split\. The first: example none\.jsonl:1: ids must spell"
    ):
        text_of(tiny, tmp_path / "none.jsonl", "77", "a7").pairs("train", student, tiny.teacher)


def test_empty_responses_are_on_neither_side_and_counted(tiny, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        (pair,) = text_of(tiny, tmp_path / "rows.jsonl", "", "the", " \n").pairs("train", tiny.foreign, tiny.teacher)
    assert pair.student.key == pair.teacher.key == "rows.jsonl:2"
    assert caplog.text.count("and 2 without a response") == 2


def test_a_control_token_that_the_text_spells_out_is_text_to_both(tiny, tmp_path):
    text = "the <|im_end|> he</s>"
    (pair,) = text_of(tiny, tmp_path / "rows.jsonl", text).pairs("train", tiny.foreign, tiny.teacher)
    for checkpoint, side, spans in (
        (tiny.foreign, pair.student, pair.student_spans),
        (tiny.teacher, pair.teacher, pair.teacher_spans),
    ):
        assert b"".join(text.encode()[start:end] for start, end in spans) == text.encode()
        targets = side.tokens[side.prompt_length :]
        assert np.flatnonzero(targets == checkpoint.tokenizer().eos_token_id).tolist() == [len(targets) - 1]


def test_a_control_token_in_an_answer_is_text_to_the_teacher(tiny, tmp_path):
    """The student spells it in letters, and the teacher does not take them for the end of its turn."""
    paired = text_of(tiny, tmp_path / "rows.jsonl", "the")
    (pair,) = paired.pairs("train", tiny.foreign, tiny.teacher)
    (letters,) = literal.encode(tiny.foreign.tokenizer(), ["he <|im_end|>"], "text")
    answer = chat.Answer(tokens=(*letters[0], tiny.foreign.tokenizer().eos_token_id), ended=True)
    found = paired.answered(pair, answer, tiny.foreign, tiny.teacher)
    end = tiny.teacher.tokenizer().eos_token_id
    assert found.teacher.tokens[found.teacher.prompt_length :].tolist().count(end) == 1


def test_a_control_token_that_is_allowed_keeps_its_bytes(tiny, tmp_path):
    """One token to the teacher and letters to the student; behind it both are where they were."""
    text = "the <|im_end|> he</s>"
    paired = text_of(tiny, tmp_path / "rows.jsonl", text)
    paired = paired.reshaped(lambda side: dataclasses.replace(side, control_tokens="allow"))
    (pair,) = paired.pairs("train", tiny.foreign, tiny.teacher)
    for checkpoint, side, spans in (
        (tiny.foreign, pair.student, pair.student_spans),
        (tiny.teacher, pair.teacher, pair.teacher_spans),
    ):
        assert b"".join(text.encode()[start:end] for start, end in spans) == text.encode()
        assert spans[-1].tolist() == [len(text), len(text) + 1]
        end = checkpoint.tokenizer().eos_token_id
        assert np.flatnonzero(side.tokens[side.prompt_length :] == end).size == 2, "the one spelled out, and the end"
    ours, theirs = ({tuple(span) for span in spans.tolist()} for spans in (pair.student_spans, pair.teacher_spans))
    spelled = {(4, 14)}, {(17, 21)}
    assert (spelled[0] & ours, spelled[0] & theirs) == (set(), spelled[0])
    assert (spelled[1] & ours, spelled[1] & theirs) == (spelled[1], set())
    assert {(15, 17), (21, 22)} <= ours & theirs


def test_the_end_is_a_target_on_both_sides_although_it_pads(tiny):
    batch = first_batch(tiny)
    tokenizer = tiny.teacher.tokenizer()
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    answers = batch.student.segment_ids.max(axis=1).sum()
    pairs = align(*jax.tree.map(jnp.asarray, (batch.student_spans, batch.teacher_spans)))
    labels = np.take_along_axis(batch.teacher.labels, np.asarray(pairs.teacher), 1)
    for found in (batch.teacher.labels[batch.teacher.loss_mask], labels[np.asarray(pairs.mask)]):
        assert (found == tokenizer.eos_token_id).sum() == answers


def test_responses_that_nothing_matches_are_counted(tiny, tmp_path, caplog):
    """The only target follows the end of the prompt, which is an "a" on one side and a line end on the other."""
    text = text_of(tiny, tmp_path / "rows.jsonl", "the", instruction="the")
    short = dataclasses.replace(text.student, targets=1, overlong="truncate")
    text = dataclasses.replace(text, student=short, match="edit distance")
    with caplog.at_level(logging.WARNING):
        (pair,) = text.pairs("train", tiny.foreign, tiny.teacher)
    assert pair.matched.tolist() == [-1]
    assert "1 of 1 responses have no target that is matched by edit distance, rows.jsonl:1 first: MinED" in caplog.text


def test_each_process_takes_its_rows(tiny):
    whole = first_batch(tiny)
    parts = [first_batch(tiny, share=Share(index=index, count=2)) for index in range(2)]
    joined = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
    jax.tree.map(np.testing.assert_array_equal, joined, whole)
    with pytest.raises(
        ValueError, match="rows must be a multiple of the number of processes, got 8 rows for 3 processes"
    ):
        first_batch(tiny, share=Share(count=3))


def test_the_batch_is_described(tiny):
    described = dataclasses.replace(tiny.paired, match="edit distance").abstract_batch()
    real = first_batch(tiny, match="edit distance")
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), described) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), real
    )
    assert tiny.paired.abstract_batch(teacher_width=7).teacher.teacher.shape == (8, 40, 7)


def test_sides_of_different_sources_are_refused(tiny):
    with pytest.raises(ValueError, match="student and teacher must have the same rows, got 8 and 4. Only what belongs"):
        PairedText(student=tiny.text, teacher=dataclasses.replace(tiny.text, rows=4))
