"""Packing of tokenized examples into batches of rows, as a stream that resumes exactly.

Examples are packed whole, first fit, under two budgets per row: `length` tokens and `targets` target
positions.  The second is the cost of the prediction head, and is far smaller than the first if
prompts are long.  Every process computes the same global stream, then takes its own rows, and only
those rows read the teacher's cache.  So the data order does not depend on the number of processes,
and the iterator's state is the same few integers on all of them.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from jaxkd.data.text.chat import Tokenized
from jaxkd.records import TokenBatch
from jaxkd.sharding import WHOLE, Share

if TYPE_CHECKING:
    import grain

Teacher = Callable[[int], Float[np.ndarray, "k d"]]
"""Function from `Tokenized.index` to the teacher's final hidden states at the example's targets."""

_BINS = 16
"""Number of open rows: more pack tighter and mix epochs more."""


def train_batches(
    tokenized: Sequence[Tokenized],
    *,
    rows: int,
    length: int,
    targets: int,
    seed: int,
    teacher: Teacher | None = None,
    share: Share = WHOLE,
) -> "grain.IterDataset":
    """Return a share of the rows of an endless stream of `TokenBatch`es of NumPy arrays.

    Each epoch is a new permutation, set by `seed`.  No example is lost between epochs: the last rows
    of one hold the first examples of the next.  `iter(...)` has `set_state()` and `get_state()`, whose
    result can be written as JSON and is equal on all processes.

    Args:
        tokenized: the examples; none may exceed a row.
        rows: rows of a global batch.
        length: tokens per row.
        targets: target positions per row.
        seed: random seed of the order.
        teacher: source of `TokenBatch.teacher`.
        share: share of the rows of each global batch.

    Raises:
        ValueError: no examples, an example that exceeds a row, rows that the processes do not divide.
    """
    import grain

    _validate(tokenized, rows, length, targets)
    mine = share.rows(rows)
    stream = shuffled_rows(
        grain.MapDataset.source(tokenized), features, budgets={"tokens": length, "targets": targets}, seed=seed
    )
    return stream.batch(rows, drop_remainder=True).map(_Assemble(mine, teacher))


def example_batches(examples: Sequence[Any], *, rows: int, seed: int) -> "grain.IterDataset":
    """Return an endless stream of tuples of examples, for all processes, in a new order each epoch.

    Args:
        examples: examples of any type.
        rows: rows of a global batch.
        seed: random seed of the order.

    Raises:
        ValueError: no examples, or fewer than one row.
    """
    import grain

    if not examples or rows < 1:
        raise ValueError(f"examples and rows must be at least 1, got {len(examples)} and {rows}.")
    return _in_memory(_shuffled(grain.MapDataset.source(examples), seed)).batch(rows, batch_fn=tuple)


def evaluation_batches(
    tokenized: Sequence[Tokenized],
    *,
    rows: int,
    length: int,
    targets: int,
    teacher: Teacher | None = None,
    pack: bool = True,
    share: Share = WHOLE,
) -> "grain.IterDataset":
    """Return a share of the rows of batches that hold each example once, padded with empty rows.

    Args:
        tokenized: the examples; none may exceed a row.
        rows: rows of a global batch.
        length: tokens per row.
        targets: target positions per row.
        teacher: source of `TokenBatch.teacher`.
        pack: several examples per row; False gives each its own row, in the given order.
        share: share of the rows of each global batch.

    Raises:
        ValueError: no examples, an example that exceeds a row, rows that the processes do not divide.
    """
    import grain

    _validate(tokenized, rows, length, targets)
    mine = share.rows(rows)
    budgets = {"tokens": length, "targets": targets}
    stream = each_once(grain.MapDataset.source(tokenized), features, budgets=budgets, rows=rows, pack=pack)
    return stream.map(_Assemble(mine, teacher))


def each_once(
    examples: "grain.MapDataset",
    features: Callable[[Any], dict[str, np.ndarray]],
    *,
    budgets: Mapping[str, int],
    rows: int,
    pack: bool = True,
) -> "grain.IterDataset":
    """Return global batches of packed rows that hold each example once, padded with empty rows.

    Args:
        examples: examples of any type.
        features: function from an example to its packed arrays, by name.
        budgets: length of each array in a row, by name.
        rows: rows of a batch.
        pack: several examples per row; False gives each its own row, in the given order.
    """
    packed = _pack(examples.map(features), budgets=budgets, examples_per_row=None if pack else 1)
    return packed.batch(rows, drop_remainder=False).map(_AddEmptyRows(rows))


def shuffled_rows(
    examples: "grain.MapDataset",
    features: Callable[[Any], dict[str, np.ndarray]],
    *,
    budgets: Mapping[str, int],
    seed: int,
) -> "grain.IterDataset":
    """Return an endless stream of packed rows, with a new order each epoch.

    Args:
        examples: examples of any type.
        features: function from an example to its packed arrays, by name.
        budgets: length of each array in a row, by name.
        seed: random seed of the order.

    Raises:
        ValueError: a negative seed.
    """
    _, row_seed = _seeds(seed)
    return _pack(_shuffled(examples, seed).map(features), budgets=budgets, seed=row_seed)


def _shuffled(examples: "grain.MapDataset", seed: int) -> "grain.MapDataset":
    """Repeat examples endlessly, in a new order each epoch."""
    return examples.shuffle(seed=_seeds(seed)[0]).repeat()


def _seeds(seed: int) -> tuple[int, int]:
    """Return seeds for the order of examples and of rows.

    Grain adds the epoch to the seed of its shuffle, so neighbouring seeds would give shifted copies of the same
    sequence of epochs.
    """
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}.")
    order, rows = np.random.SeedSequence(seed).generate_state(2)
    return int(order), int(rows)


def _in_memory(examples: "grain.MapDataset") -> "grain.IterDataset":
    import grain

    # Grain's default reading starts 16 threads, which cost ten times the work itself when the
    # examples are in memory.
    return examples.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))


def _pack(
    examples: "grain.MapDataset",
    *,
    budgets: Mapping[str, int],
    seed: int | None = None,
    examples_per_row: int | None = None,
) -> "grain.IterDataset":
    import grain

    return grain.experimental.FirstFitPackIterDataset(
        _in_memory(examples),
        length_struct=dict(budgets),
        num_packing_bins=_BINS,
        # First fit fills early rows better than late ones; shuffling evens batches out.
        shuffle_bins=seed is not None,
        seed=seed or 0,
        max_sequences_per_bin=examples_per_row,
    )


def features(example: Tokenized) -> dict[str, np.ndarray]:
    """Return the packed arrays of an example: its tokens, and each target's position, label and example."""
    positions = np.arange(example.prompt_length - 1, len(example.tokens) - 1, dtype=np.int32)
    labels = example.tokens[example.prompt_length :]
    targets = table(position=positions, label=labels, example_id=np.full_like(positions, example.index))
    return {"tokens": example.tokens, "targets": targets}


def table(**columns: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    """Join columns of one length into a structured array, packed as one.

    Example:
        >>> rows = table(position=np.array([3, 4]), label=np.array([7, 9]))
        >>> rows["label"].tolist()
        [7, 9]
    """
    length = len(next(iter(columns.values())))
    rows = np.zeros(length, [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        rows[name] = column
    return rows


def widened(rows: Shaped[np.ndarray, " n"], **columns: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    """Add columns to a `table`."""
    return table(**{name: rows[name] for name in rows.dtype.names or ()}, **columns)


def longest(examples: Sequence[Mapping[str, np.ndarray]]) -> dict[str, int]:
    """Return the longest length of each array: the minimum budgets of `one_a_row`."""
    return {name: max(len(example[name]) for example in examples) for name in examples[0]}


def one_a_row(examples: Sequence[Mapping[str, np.ndarray]], *, budgets: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Pack `features` with one example per row, in the given order.

    Args:
        examples: arrays of each example, by name; at least one example.
        budgets: length of each array in a row, by name.

    Raises:
        ValueError: an array that is longer than its budget.
    """
    packed = {}
    for name, budget in budgets.items():
        arrays = [example[name] for example in examples]
        sizes = np.array([len(array) for array in arrays])
        if sizes.max() > budget:
            raise ValueError(f"budgets[{name!r}] must hold the longest example, got {budget} for {sizes.max()}.")
        packed[name] = np.stack(
            [np.pad(array, [(0, budget - len(array))] + [(0, 0)] * (array.ndim - 1)) for array in arrays]
        )
        columns = np.arange(budget, dtype=np.int32)[None]
        filled = columns < sizes[:, None]
        packed[f"{name}_segment_ids"] = filled.astype(np.int32)
        packed[f"{name}_positions"] = np.where(filled, columns, 0)
    return packed


@dataclasses.dataclass(frozen=True)
class _AddEmptyRows:
    rows: int

    def __call__(self, packed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        missing = self.rows - len(packed["tokens"])
        return {name: np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1)) for name, array in packed.items()}


@dataclasses.dataclass(frozen=True)
class _Assemble:
    rows: slice
    teacher: Teacher | None

    def __call__(self, packed: Mapping[str, np.ndarray]) -> TokenBatch:
        return assembled({name: array[self.rows] for name, array in packed.items()}, self.teacher)


def assembled(packed: Mapping[str, np.ndarray], teacher: Teacher | None = None) -> TokenBatch:
    """Build a batch from packed `features`, with the teacher's hidden states if `teacher` is given."""
    segments, target_segments = packed["tokens_segment_ids"], packed["targets_segment_ids"]
    mask = target_segments > 0
    starts = segment_starts(segments, packed["tokens_positions"])
    targets = packed["targets"]
    positions = targets["position"] + np.take_along_axis(starts, target_segments, axis=1)
    example_ids = np.where(mask, targets["example_id"], -1).astype(np.int32)
    # NumPy arrays instead of JAX arrays: the loop moves them to the devices.
    fields: dict[str, Any] = {
        "tokens": packed["tokens"].astype(np.int32),
        "positions": packed["tokens_positions"],
        "segment_ids": segments,
        "target_positions": positions.astype(np.int32),
        "labels": targets["label"].astype(np.int32),
        "loss_mask": mask,
        "example_ids": example_ids,
    }
    if teacher is not None:
        fields["teacher"] = _teacher_rows(teacher, example_ids, target_segments)
    return TokenBatch(**fields)


def segment_starts(segments: Int[np.ndarray, "b t"], positions: Int[np.ndarray, "b t"]) -> Int[np.ndarray, "b s"]:
    """Return the column at which each segment begins; 0 for segment 0, the padding."""
    starts = np.zeros((len(segments), segments.max(initial=0) + 1), np.int32)
    row, column = np.nonzero((positions == 0) & (segments > 0))
    starts[row, segments[row, column]] = column
    return starts


def _teacher_rows(
    teacher: Teacher, example_ids: Int[np.ndarray, "b k"], segments: Int[np.ndarray, "b k"]
) -> Float[np.ndarray, "b k d"]:
    """Return the teacher's hidden states at the targets of rows; 0 without a target.

    Raises:
        ValueError: the teacher returns more or fewer positions than the example has targets.
    """
    # A process's share of the last evaluation batch can be empty, and still needs the width.
    present = example_ids[example_ids >= 0]
    like = np.asarray(teacher(int(present[0]) if present.size else 0))
    filled = np.zeros((*example_ids.shape, like.shape[-1]), like.dtype)
    for row in range(len(example_ids)):
        for segment in range(1, segments[row].max(initial=0) + 1):
            (columns,) = np.nonzero(segments[row] == segment)
            index = int(example_ids[row, columns[0]])
            hiddens = np.asarray(teacher(index))
            if len(hiddens) != len(columns):
                raise ValueError(
                    f"teacher must return one row for each target of an example, got {len(hiddens)} rows for example "
                    f"{index}, which has {len(columns)} targets. The cache was written from other data: write it again."
                )
            filled[row, columns] = hiddens
    return filled


def _validate(tokenized: Sequence[Tokenized], rows: int, length: int, targets: int) -> None:
    if not tokenized:
        raise ValueError("tokenized must hold at least one example, got none.")
    for name, value in {"rows": rows, "length": length, "targets": targets}.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")
    for example in tokenized:
        count = len(example.tokens) - example.prompt_length
        if len(example.tokens) > length or count > targets:
            raise ValueError(
                f"tokenized must fit into rows of {length} tokens and {targets} targets, got {len(example.tokens)} "
                f"tokens and {count} targets in {example.key!r}. Raise length or targets, or tokenize with max_length "
                f"and max_response of a row."
            )
        if example.prompt_length < 1 or count < 1:
            raise ValueError(
                f"tokenized must have at least one prompt token and one target each, got {example.prompt_length} and "
                f"{count} in {example.key!r}."
            )
