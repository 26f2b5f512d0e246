"""Generations of a model, evaluated by a teacher and by their text."""

import dataclasses
import functools
import logging
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxkd.data.text.chat import Answer
from jaxkd.data.text.packed_text import PackedText
from jaxkd.data.text.paired_text import PairedText
from jaxkd.distillation import forward
from jaxkd.evals.language.generation_metric import GENERATIONS, Generation, GenerationMetric
from jaxkd.evals.language.samples import readable
from jaxkd.kernels import linear_divergence, linear_log_probs
from jaxkd.losses import ReverseKL
from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.on_policy.rollouts import AS_LEARNT, Rollouts
from jaxkd.records import Hiddens, PairedBatch, TokenBatch
from jaxkd.runtime.progress import progress
from jaxkd.sampling import Sampling
from jaxkd.sampling.degeneration import degeneration
from jaxkd.sharding import constrain, mesh
from jaxkd.tokenizers import vocabulary
from jaxkd.training.evaluator import Column, Evaluator, Measure
from jaxkd.training.results.evaluation import Evaluation, Sample
from jaxkd.typing import Params, Split

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generations(Evaluator):
    """Answers that a model samples for some prompts, evaluated by a teacher and by their text.

    The teacher's metrics are what on-policy distillation minimises; with the initial model of preference training as
    `teacher`, they measure how far the model has moved.  Metrics on the answers of the data do not cover the
    prefixes that a model generates itself.

    Raises:
        ValueError: a count that is not a multiple of the rows of a batch, rows below 1, or two metrics of one name.

    Source: inferred; the KL is that of Agarwal et al., GKD (arXiv 2306.13649), section 3, and of Gu et al., MiniLLM
    (arXiv 2306.08543).  Deviation: none.
    """

    student: Pretrained
    """Checkpoint with the evaluated model's tokenizer."""
    teacher: Pretrained | None
    """Teacher, loaded beside the evaluated model; None evaluates the text alone."""
    data: PackedText | PairedText
    """Prompts; what is written is read in batches of its rows.  They need no response, unless two tokenizers read
    them."""
    count: int
    """Number of prompts, a multiple of those rows."""
    rows: int | None = None
    """Number of prompts that are answered at a time: more are faster, and need more memory for keys and values.  None:
    the rows of `data`, in batches of which the answers are read."""
    split: Split = "test"
    max_new_tokens: int = 256
    sampling: Sampling = AS_LEARNT
    samples_per_prompt: int = 1
    """Number of answers to each prompt."""
    seed: int = 0
    """Random seed of the samples."""
    metrics: tuple[GenerationMetric, ...] = ()
    """Metrics of the texts: `CodeCheck`, `Health`, `Judged`, `Refusals`, `RougeL`, or your own."""
    label: str = GENERATIONS
    """Name of the evaluation, if a model has several, such as of harmful and of benign prompts."""

    def __post_init__(self) -> None:
        rows = self.data.student_text.rows
        if self.count < 1 or self.count % rows:
            raise ValueError(f"count must be a multiple of the {rows} rows of a batch, got {self.count}.")
        if self.rows is not None and self.rows < 1:
            raise ValueError(f"rows must be at least 1, or None for those of data, got {self.rows}.")
        if self.samples_per_prompt < 1:
            raise ValueError(f"samples_per_prompt must be at least 1, got {self.samples_per_prompt}.")
        names = [metric.name for metric in self.metrics]
        if len(set(names)) < len(names):
            raise ValueError(f"metrics must have different names, got {', '.join(names)}.")

    @property
    def name(self) -> str:
        return self.label

    def columns(self) -> tuple[Column, ...]:
        return tuple(
            dataclasses.replace(one, metric=f"{metric.name}/{one.metric}")
            for metric in self.metrics
            for one in metric.columns()
        )

    def measures(self) -> tuple[Measure, ...]:
        """Return those of the metrics; with a teacher, KL(model || teacher) over whole answers; and their length."""
        distance = Measure(
            metric="sequence_kl",
            name="KL to",
            better=None,
            numerator="sequence_kl",
            unit="nats per answer",
            reference=self.teacher,
            at_reference=None if self.teacher is None else 0.0,
        )
        length = Measure(metric="length", name="length", better=None, numerator="length", unit="tokens")
        of_texts = [_prefixed(one, metric.name) for metric in self.metrics for one in metric.measures()]
        return (*of_texts, *((distance,) if self.teacher is not None else ()), length)

    def findings(self, evaluation: Evaluation, start: Evaluation) -> dict[str, str] | None:
        """Return those of the metrics, by the metrics' names in the evaluation; None if none looks for any."""
        found = {metric.name: metric.findings(evaluation, start) for metric in self.metrics}
        looked_for = {prefix: lines for prefix, lines in found.items() if lines is not None}
        lines = {f"{prefix}/{name}": line for prefix, of in looked_for.items() for name, line in of.items()}
        return lines if looked_for else None

    def __call__(self, model: LanguageModel) -> Evaluation:
        """Sample the answers and compute the metrics.

        Returns:
            Metrics `length` in tokens, `ended` and `repeated`, as `degeneration` has them; `entropy`, the
            model's own nats per token, whose expectation is its entropy if it samples from its own distribution;
            with a teacher `teacher_nats`, the teacher's cross entropy of the answers per token of its own, and within
            one vocabulary `reverse_kl`, KL(model || teacher) in nats per token, and `sequence_kl`, the same in nats
            per answer.  Names from `metrics` are prefixed by the metric's name.  Columns `ended`, `length`,
            `sequence_kl` if there is one, and those of `metrics`; the texts as samples.

        Raises:
            ValueError: a count above the number of prompts.
        """
        rollouts = self._rollouts()
        rollouts.validate()
        prompts = self._prompts(rollouts.teacher)
        if self.count > len(prompts):
            raise ValueError(
                f"count must be at most the {len(prompts)} prompts of the {self.split} split, got {self.count}."
            )
        read, together = self._reader(), self.rows or self.data.student_text.rows
        asked, written = self.samples_per_prompt * prompts[: self.count], list[Answer]()
        with progress(len(asked), self.name) as bar:
            for draw in range(self.samples_per_prompt):
                key = jax.random.key(self.seed)
                key = jax.random.fold_in(key, draw) if draw else key
                for start in range(0, self.count, together):
                    examples = prompts[start : min(start + together, self.count)]
                    written += rollouts.generated(model, examples, key).values()
                    bar.update(len(written))
        sums: dict[str, Float[np.ndarray, " n"]] = {}
        with progress(len(asked), f"{self.name}, read") as bar:
            for number, places in enumerate(self._by_length(asked, written), start=1):
                answers = dict(enumerate(written[place] for place in places))
                batch = rollouts.assembled([asked[place] for place in places], answers).batch.on_policy
                for name, column in read(model, batch).items():
                    sums.setdefault(name, np.empty(len(asked)))[places] = column
                bar.update(number * len(places))
        return self._evaluation(model, [self.data.read_by_student(example).key for example in asked], written, sums)

    def _by_length(self, asked: list[Any], written: list[Answer]) -> Int[np.ndarray, "batches rows"]:
        """Group the answers that are read together by length, so that few columns are padding."""
        prompts = [self.data.read_by_student(example).prompt_length for example in asked]
        lengths = [prompt + len(answer.tokens) for prompt, answer in zip(prompts, written, strict=True)]
        return np.argsort(lengths, kind="stable").reshape(-1, self.data.student_text.rows)

    def _prompts(self, teacher: Pretrained) -> list[Any]:
        """Return what is asked; of two tokenizations, examples with a response, which both read."""
        if isinstance(self.data, PackedText):
            return self.data.prompts(self.split, self.student.tokenizer())
        return list(self.data.by_index(self.split, self.student, teacher).values())

    def _evaluation(
        self, model: LanguageModel, asked: list[str], written: list[Answer], sums: dict[str, Float[np.ndarray, " n"]]
    ) -> Evaluation:
        """Metrics and columns of the answers to the examples with these keys."""
        metrics = degeneration([answer.tokens for answer in written], [answer.ended for answer in written])
        metrics["entropy"] = float(sums["own_nats"].sum() / sums["own_tokens"].sum())
        columns = {
            "ended": tuple(float(answer.ended) for answer in written),
            "length": tuple(float(len(answer.tokens)) for answer in written),
        }
        if self.teacher is not None:
            metrics["teacher_nats"] = float(sums["teacher_nats"].sum() / sums["teacher_tokens"].sum())
            _log.info("generations: %.3g nats per token of %s", metrics["teacher_nats"], self.teacher.provenance())
        if "sequence_kl" in sums:
            metrics["reverse_kl"] = float(sums["sequence_kl"].sum() / sums["own_tokens"].sum())
            metrics["sequence_kl"] = float(sums["sequence_kl"].mean())
            columns["sequence_kl"] = tuple(sums["sequence_kl"].tolist())
        examples = {example.key: example for example in self.data.student_text.source.examples(self.split)}
        answers = [
            Generation(example=examples[key], text=_text(model, answer), ended=answer.ended)
            for key, answer in zip(asked, written, strict=True)
        ]
        for metric in self.metrics:
            found = metric(answers)
            metrics |= {f"{metric.name}/{name}": value for name, value in found.metrics.items()}
            columns |= {f"{metric.name}/{name}": column for name, column in found.per_example.items()}
        return Evaluation(
            metrics=metrics,
            keys=tuple(asked),
            per_example=columns,
            samples=tuple(
                Sample(prompt=readable(answer.example), reference=answer.example.response, text=answer.text)
                for answer in answers
            ),
        )

    def _reader(self) -> Callable[[LanguageModel, TokenBatch | PairedBatch], dict[str, list[float]]]:
        """Function that computes sums over each answer of a batch, with the teacher loaded once."""
        shared, config, params = None, None, {}
        if self.teacher is not None:
            config = self.teacher.config()
            params = self.teacher.load_sharded()
            if isinstance(self.data, PackedText):
                shared = vocabulary.common_prefix_size(self.student, self.teacher)

        def read(model: LanguageModel, batch: TokenBatch | PairedBatch) -> dict[str, list[float]]:
            sums = jax.device_get(_sums(model.config, model.params, config, params, mesh.on_ambient(batch), shared))
            return {name: np.asarray(column, np.float64).tolist() for name, column in sums.items()}

        return read

    def _rollouts(self) -> Rollouts:
        return Rollouts(
            text=self.data,
            student=self.student,
            # Without a teacher, nobody else reads the answers.
            teacher=self.student if self.teacher is None else self.teacher,
            max_new_tokens=self.max_new_tokens,
            sampling=self.sampling,
            learn_off_policy=False,
        )


def _prefixed(measure: Measure, prefix: str) -> Measure:
    """Name a measure's metric and columns as the evaluation of the generations does."""
    return dataclasses.replace(
        measure,
        metric=f"{prefix}/{measure.metric}",
        numerator=measure.numerator and f"{prefix}/{measure.numerator}",
        denominator=measure.denominator and f"{prefix}/{measure.denominator}",
    )


@functools.partial(jax.jit, static_argnums=(0, 2, 5))
def _sums(
    config: DecoderConfig,
    params: Params,
    teacher_config: DecoderConfig | None,
    teacher: Params,
    batch: TokenBatch | PairedBatch,
    shared: int | None,
) -> dict[str, Float[Array, " b"]]:
    """Sums over the tokens of each answer, one per row; `shared` is the size of the common vocabulary, if any."""
    own, read = (batch.student, batch.teacher) if isinstance(batch, PairedBatch) else (batch, batch)
    ours = forward.hiddens(config, params, own)
    sums = {"own_nats": _nats(ours, own), "own_tokens": _of_rows(jnp.ones(own.labels.shape), own)}
    if teacher_config is None:
        return sums
    theirs = forward.teacher(teacher_config, teacher, read)
    sums |= {"teacher_nats": _nats(theirs, read), "teacher_tokens": _of_rows(jnp.ones(read.labels.shape), read)}
    if isinstance(batch, PairedBatch) or shared is None:
        return sums
    found = linear_divergence(
        forward.truncate_vocabulary(ours, shared),
        forward.truncate_vocabulary(theirs, shared),
        weights=batch.loss_mask.astype(jnp.float32),
        divergence=ReverseKL(),
    )
    return sums | {"sequence_kl": _of_rows(found.divergence, batch)}


def _nats(hiddens: Hiddens, batch: TokenBatch) -> Float[Array, " b"]:
    return _of_rows(-linear_log_probs(hiddens, batch.labels, mask=batch.loss_mask).values, batch)


def _of_rows(values: Float[Array, "b k"], batch: TokenBatch) -> Float[Array, " b"]:
    """Sum each row, replicated on every process."""
    return constrain(jnp.sum(jnp.where(batch.loss_mask, values, 0), axis=-1), None)


def _text(model: LanguageModel, answer: Answer) -> str:
    # Cleaning up would remove spaces from code.
    return str(model.tokenizer.decode(answer.tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))
