"""Speed of byte spans and token alignment, and share of paired tokens: the standard library in ten vocabularies."""

import ast
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import environment
from benchmarks.methods import packaged_tokenizers
from benchmarks.methods.packaged_tokenizers import Encoder
from benchmarks.models.greedy_loop import greedy_pairs
from benchmarks.row import Bar, Benchmark, Measured, Row
from benchmarks.timing import interleaved

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from jaxkd.alignment.greedy import Prepared
    from jaxkd.records import Alignment, TokenSpans
    from jaxkd.tokenizers.byte_spans import Spans

RESPONSES = 1000
REPEATS = 5
PASSES = 10
"""Passes of the device over all responses in one measurement: a single one takes as long as a thread's wake-up."""
BUCKETS = 4
"""Number of shapes, and so of compiled programs, for responses of different lengths."""

SPEED = Bar(relation=">=", limit=20)
"""Bound on the seconds of the loop over strings, in plain Python, over those of the alignment of ready spans."""

SPANS_SPEED = Bar(relation=">=", limit=50_000)
"""Bound on the tokens per second whose byte spans are read on one core."""

LOOP = "loop over strings, Python"
"""Name of the loop in the rows of `speed`."""

Make = Callable[[], Encoder]

TIMED: tuple[tuple[Make, Make], ...] = (
    (packaged_tokenizers.qwen, packaged_tokenizers.gpt2),
    (packaged_tokenizers.smollm2, packaged_tokenizers.mistral_v1),
)
"""Pairs (teacher, student) whose alignment is timed, on code."""

PAIRS: tuple[tuple[Make, Make], ...] = (
    *TIMED,
    (packaged_tokenizers.qwen, packaged_tokenizers.mistral_v1),
    (packaged_tokenizers.mistral_v3, packaged_tokenizers.gpt2),
    (packaged_tokenizers.llama3, packaged_tokenizers.qwen),
    (packaged_tokenizers.llama3, packaged_tokenizers.smollm2),
    (packaged_tokenizers.deepseek, packaged_tokenizers.smollm2),
    (packaged_tokenizers.claude, packaged_tokenizers.smollm2),
    (packaged_tokenizers.j2, packaged_tokenizers.mistral_v1),
    (packaged_tokenizers.smollm2, packaged_tokenizers.rwkv),
)
"""Pairs (teacher, student) whose tokens are paired and counted, on code and on prose."""

MODES = ("byte spans", "without leading space", "greedy rule")
"""Columns of the table of shares."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tokens:
    """Texts in one vocabulary, each followed by the end of the response."""

    name: str
    end: str | None
    """String of the end of a sequence; None if tokens are bytes and have no strings."""
    strings: list[list[str]]
    spans: "list[Spans]"
    words: "list[Spans]"
    """`spans` without leading spaces."""


def measure(quick: bool) -> Measured:
    """Measure speed, then shares; quick: 100 responses, and only the first pair."""
    texts = corpus(100 if quick else RESPONSES)
    pairs = PAIRS[:1] if quick else PAIRS
    encoders = {make: make() for make in dict.fromkeys(make for pair in pairs for make in pair)}
    rows = []
    for kind, of_kind in texts.items():
        tokens = {make: tokenize(encoder, of_kind) for make, encoder in encoders.items()}
        for encoder in encoders.values():
            if encoder.tokenizer is not None:
                rows.append(spans_speed(kind, encoder.name, encoder.tokenizer, of_kind))
        for teacher, student in TIMED[: len(pairs)] if kind == "code" else ():
            rows += speed(tokens[student], tokens[teacher])
        for teacher, student in pairs:
            rows += shares(kind, tokens[student], tokens[teacher])
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="alignment",
    summary="byte spans per second, time to align 1,000 responses in two vocabularies, and the share of paired tokens",
    measure=measure,
)


def corpus(limit: int) -> dict[str, list[str]]:
    """Return functions of the standard library: their bodies, which are code, and their docstrings, which are prose."""
    from jaxkd.data import StandardLibrary
    from jaxkd.data.examples import subset
    from jaxkd.data.text.standard_library import INSTRUCTION

    examples = subset(StandardLibrary().all_examples(), limit)
    heads = [ast.parse(example.messages[-1][1].removeprefix(INSTRUCTION)).body[0] for example in examples]
    prose = [
        ast.get_docstring(head) or "" for head in heads if isinstance(head, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return {"code": [example.response for example in examples], "prose": prose}


def tokenize(encoder: Encoder, texts: Sequence[str]) -> Tokens:
    """Return the texts in one vocabulary."""
    from jaxkd.tokenizers import byte_spans

    encoded = [encoder.encode(text) for text in texts]
    spans = [byte_spans.with_end(spans, text) for (_, spans), text in zip(encoded, texts, strict=True)]
    words = [byte_spans.without_leading_space(one, text) for one, text in zip(spans, texts, strict=True)]
    strings = [] if encoder.end is None else [[*strings, encoder.end] for strings, _ in encoded]
    return Tokens(name=encoder.name, end=encoder.end, strings=strings, spans=spans, words=words)


def buckets(student: Tokens, teacher: Tokens) -> list[list[int]]:
    """Return the indices of the texts in groups, each of texts up to twice as long as in the previous one."""
    longest = np.array([max(map(len, sides)) for sides in zip(student.spans, teacher.spans, strict=True)])
    limits = np.ceil(longest.max() / 2.0 ** np.arange(BUCKETS - 1, 0, -1))
    group = np.searchsorted(limits, longest)
    return [np.flatnonzero(group == number).tolist() for number in np.unique(group)]


def padded(spans: "Sequence[Spans]") -> "TokenSpans":
    """Return one row per text, on the device."""
    import jax.numpy as jnp

    from jaxkd.records import TokenSpans

    room = max(map(len, spans))
    filled = np.zeros((3, len(spans), room), np.int32)
    for row, one in enumerate(spans):
        filled[:2, row, : len(one)] = one.T
        filled[2, row, : len(one)] = 1
    starts, ends, segment_ids = map(jnp.asarray, filled)
    return TokenSpans(starts=starts, ends=ends, segment_ids=segment_ids)


def speed(student: Tokens, teacher: Tokens) -> Iterator[Row]:
    """Yield the milliseconds to align all responses, and how many times as long as the device the loop takes.

    The loop over strings, byte spans and the greedy rule on integers are timed in turn, `REPEATS` times; a ratio is one
    of the same round.  Spans and integers are ready on the device, and compilation is not timed.

    Args:
        student: responses in the student's vocabulary, which must have strings.
        teacher: the same responses in the teacher's, which must have strings.

    Raises:
        ValueError: the greedy rule on the device finds other pairs than the loop.
    """
    import jax

    from jaxkd.alignment import exact_token, greedy

    groups = buckets(student, teacher)
    spans = [tuple(padded([side.spans[index] for index in group]) for side in (student, teacher)) for group in groups]
    rule = [prepared(student, teacher, group) for group in groups]
    by_bytes, by_rule = jax.jit(exact_token.align), jax.jit(greedy.align_greedily)

    def loop() -> list[list[tuple[int, int]]]:
        return [
            greedy_pairs(theirs, ours, teacher_end=str(teacher.end), student_end=str(student.end))
            for theirs, ours in zip(teacher.strings, student.strings, strict=True)
        ]

    expected = sum(map(len, loop()))
    found = sum(_count(by_rule(*one)) for one in rule)
    if found != expected:
        raise ValueError(
            f"the greedy rule must find the {expected} pairs of the loop, got {found} for {teacher.name} to "
            f"{student.name}."
        )
    seconds = interleaved(
        {
            LOOP: lambda: _seconds(loop),
            "byte spans": lambda: _seconds(lambda: [by_bytes(*one) for one in spans * PASSES]) / PASSES,
            "greedy rule on integers": lambda: _seconds(lambda: [by_rule(*one) for one in rule * PASSES]) / PASSES,
        },
        repeats=REPEATS,
    )
    label = f"{len(student.spans)} responses, {teacher.name} to {student.name}"
    for name, samples in seconds.items():
        yield Row.median(f"{label}: {name}", [1e3 * sample for sample in samples], "ms")
    loops = seconds.pop(LOOP)
    for name, samples in seconds.items():
        faster = [slow / fast for slow, fast in zip(loops, samples, strict=True)]
        yield Row.median(f"{label}: loop / {name}", faster, "x", bar=SPEED if name == "byte spans" else None)


def spans_speed(kind: str, name: str, tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str]) -> Row:
    """Return the tokens per second whose byte spans are read from texts that are already encoded."""
    from jaxkd.tokenizers import byte_spans

    encoded = [(tokenizer(text, add_special_tokens=False)["input_ids"], text) for text in texts]
    count = sum(len(ids) for ids, _ in encoded)
    figure = f"{kind}, {name}: tokens with byte spans"

    def read() -> "list[Spans]":
        return [byte_spans.spans(tokenizer, ids, text) for ids, text in encoded]

    seconds = interleaved({figure: lambda: _seconds(read)}, repeats=REPEATS)[figure]
    return Row.median(figure, [count / one for one in seconds], "tokens/s", bar=SPANS_SPEED)


def prepared(student: Tokens, teacher: Tokens, group: Sequence[int]) -> "Prepared":
    """Return the inputs of the greedy rule for the texts of a bucket."""
    from jaxkd.alignment import greedy

    return greedy.prepare(
        [student.strings[index] for index in group],
        [teacher.strings[index] for index in group],
        student_end=str(student.end),
        teacher_end=str(teacher.end),
    )


def shares(kind: str, student: Tokens, teacher: Tokens) -> Iterator[Row]:
    """Yield the number of pairs over the student's tokens, ends included, by each rule."""
    from jaxkd.alignment import exact_token, greedy

    groups = buckets(student, teacher)
    total = sum(map(len, student.spans))

    def by_bytes(which: str) -> int:
        rows = (
            [padded([getattr(side, which)[index] for index in group]) for side in (student, teacher)]
            for group in groups
        )
        return sum(_count(_jitted(exact_token.align)(*sides)) for sides in rows)

    found = [by_bytes("spans"), by_bytes("words")]
    if student.strings and teacher.strings:
        rule = _jitted(greedy.align_greedily)
        found.append(sum(_count(rule(*prepared(student, teacher, group))) for group in groups))
    for mode, pairs in zip(MODES, found, strict=False):
        yield Row(figure=figure(kind, teacher.name, student.name, mode), value=pairs / total, unit="of the tokens")


def figure(kind: str, teacher: str, student: str, mode: str) -> str:
    """Return the name of a row of shares."""
    return f"{kind}, {teacher} to {student}: {mode}"


@functools.cache
def _jitted(function: Callable[..., "Alignment"]) -> Callable[..., "Alignment"]:
    import jax

    return jax.jit(function)


def _count(alignment: "Alignment") -> int:
    return int(alignment.mask.sum())


def _seconds(work: Callable[[], object]) -> float:
    """Return the seconds until all results are ready."""
    import jax

    start = time.perf_counter()
    jax.block_until_ready(work())
    return time.perf_counter() - start
