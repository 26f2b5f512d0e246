"""Tokenizations to align: one that can be checked by hand, and random rows of packed texts."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np

from jaxkd.records import TokenSpans

TEXT = "Utilizing 2023 tokenizers.\n\nLine two"
END = "</s>"

# As the vocabularies spell them: two of bytes, and the one that Mistral and TinyLLaMA share on this text.
STRINGS = {
    "qwen": ["Util", "izing", "Ġ", "2", "0", "2", "3", "Ġtoken", "izers", ".ĊĊ", "Line", "Ġtwo"],
    "gpt2": ["Ut", "il", "izing", "Ġ20", "23", "Ġtoken", "izers", ".", "Ċ", "Ċ", "Line", "Ġtwo"],
    "llama": ["▁Util", "izing", "▁", "2", "0", "2", "3", "▁token", "izers", ".", "<0x0A>", "<0x0A>", "Line", "▁two"],
}
"""Spellings of the tokens of `TEXT`; an end follows."""

BYTE_PAIRS = {
    ("qwen", "gpt2"): ([2, 5, 6, 10, 11, 12], [1, 7, 8, 10, 11, 12]),
    ("qwen", "llama"): ([*range(9), 12, 13, 14], [*range(9), 10, 11, 12]),
    ("llama", "llama"): ([*range(15)], [*range(15)]),
}
"""(teacher, student) -> places of the student's and of the teacher's tokens that stand for the same bytes."""

GREEDY_PAIRS = BYTE_PAIRS | {("qwen", "llama"): ([*range(9)], [*range(9)])}
"""The same by the published rule: a newline that is spelled differently ends it."""


def strings(name):
    """The token strings of `TEXT` and the end."""
    return [*STRINGS[name], END]


def spans(name):
    """The spans of the same tokens, written down from their spelling."""
    texts = [s.replace("Ġ", " ").replace("▁", " ").replace("Ċ", "\n").replace("<0x0A>", "\n") for s in STRINGS[name]]
    texts[0] = texts[0].removeprefix(" ")  # SentencePiece's first space is not in the text
    ends = np.cumsum([len(text.encode()) for text in texts])
    assert ends[-1] == len(TEXT)
    ends = np.append(ends, len(TEXT) + 1)
    return row(np.stack([np.append(0, ends[:-1]), ends], axis=-1), np.ones(len(ends)))


def row(pairs, segment_ids):
    starts, ends = np.asarray(pairs, np.int32).reshape(-1, 2).T
    return TokenSpans(
        starts=jnp.asarray(starts), ends=jnp.asarray(ends), segment_ids=jnp.asarray(segment_ids, jnp.int32)
    )


def random_row(rng, lengths, room):
    """Texts of these many bytes, each cut into tokens at random, with all that can stand between them."""
    tokens = []
    for segment, length in enumerate(lengths, start=1):
        if rng.random() < 0.5:
            tokens.append((0, 0, segment))  # a beginning of sequence, on this side only
        cuts = np.unique(np.append(rng.choice(length, size=rng.integers(0, length), replace=False), [0, length]))
        of_text = [(start, end, segment) for start, end in itertools.pairwise(cuts)]
        if rng.random() < 0.3:
            of_text = of_text[: rng.integers(1, len(of_text) + 1)]  # cut
        else:
            of_text.append((length, length + 1, segment))
        if rng.random() < 0.3:
            place = rng.integers(0, len(of_text))
            del of_text[place]  # bytes that no token stands for
        tokens += of_text
    tokens = tokens[:room] + [(9, 11, 0)] * (room - len(tokens))  # no tokens, whatever they hold
    array = np.array(tokens, np.int32)
    return row(array[:, :2], array[:, 2])


def random_rows(seed, rows=6, student_room=24, teacher_room=20):
    """Two sides of a batch of packed texts."""
    rng = np.random.default_rng(seed)
    sides = ([], [])
    for _ in range(rows):
        lengths = rng.integers(3, 9, size=rng.integers(0, 4))
        for side, room in zip(sides, (student_room, teacher_room), strict=True):
            side.append(random_row(rng, lengths, room))
    return tuple(stack(side) for side in sides)


def by_numpy(function, *sides):
    """The spans whose arrays are `function` of those of `sides`, computed without a program."""
    return jax.tree.map(lambda *leaves: jnp.asarray(function(*map(np.asarray, leaves))), *sides)


def stack(rows):
    return by_numpy(lambda *leaves: np.stack(leaves), *rows)


def triples(side):
    """(segment, start, end) of a row's tokens, None where a token stands for no text."""
    arrays = (np.asarray(side.segment_ids), np.asarray(side.starts), np.asarray(side.ends))
    return [
        (segment, start, end) if segment > 0 and start < end else None
        for segment, start, end in zip(*(array.tolist() for array in arrays), strict=True)
    ]


def one_row(batch, index):
    return by_numpy(lambda leaf: leaf[index], batch)


def padded(side, width):
    """More columns, with numbers in them that must not matter."""
    grow = [(0, 0)] * (side.starts.ndim - 1) + [(0, width)]
    wider = by_numpy(lambda leaf: np.pad(leaf, grow, constant_values=2**31 - 1), side)
    return dataclasses.replace(wider, segment_ids=jnp.asarray(np.pad(side.segment_ids, grow)))


def found(alignment, index=()):
    """The pairs of one row, the only one or that of `index`, as two lists."""
    mask = np.asarray(alignment.mask)[index]
    return tuple(np.asarray(side)[index][mask].tolist() for side in (alignment.student, alignment.teacher))
