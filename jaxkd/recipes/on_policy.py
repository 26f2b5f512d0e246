"""On-policy distillation: another recipe's divergence, on answers that the student writes itself."""

import dataclasses
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from jaxkd import forward
from jaxkd import mesh as meshes
from jaxkd.data import chat, packing
from jaxkd.data.chat import Answer, Tokenized
from jaxkd.data.pairs import PairedText
from jaxkd.data.text import PackedText
from jaxkd.distillation import Distillation
from jaxkd.generation_health import health
from jaxkd.kernels import linear_cross_entropy
from jaxkd.losses.reduce import mean_weights, reported
from jaxkd.models.language_model import LanguageModel
from jaxkd.recipe import Recipe
from jaxkd.records import LossOutput, OnPolicyBatch, Rollout, TokenBatch, Variables
from jaxkd.sampling import Finish, Sampling, bucket, generate
from jaxkd.typing import Key, Params

if TYPE_CHECKING:
    import grain

    from jaxkd.data.examples import Split

CrossEntropy = Literal["data", "none"]

AS_LEARNT = Sampling(temperature=1.0)
"""From the student's own distribution, nothing left out."""

_OF_WRITTEN = {"cross_entropy": "written_cross_entropy", "accuracy": "written_accuracy"}

_LONGEST = 2**20
"""Tokens of a row: no model has as many positions."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnPolicy(Recipe):
    """loss = (1 - kd_rate) * CE(label, q) on the answers of the data + kd_rate * D on those of the student.

    D is what `recipe` adds to its cross entropy.  Before each step the student answers `data.rows` prompts as it is
    then, a teacher of another vocabulary reads what was written in its own tokens, and both see it once.  Samples get
    no gradient.  The cross entropy of an answer with itself has the expected gradient 0, so there is none.

    Source: Agarwal et al., GKD (arXiv 2306.13649), algorithm 1, whose lambda is `fraction`; the two terms are those of
    DSKDv2 (arXiv 2504.11426) on-policy, as songmzhang/DSKDv2@5025279 has them.  Deviation: `fraction` decides prompt by
    prompt, where both decide once a batch.
    """

    recipe: Distillation
    """With with a live teacher: `LogitKD`, `DSKDv2ETA` and so on."""
    max_new_tokens: int = 256
    """Of an answer; one that has so many has no end to learn."""
    sampling: Sampling = AS_LEARNT
    fraction: float = 1.0
    """Share of the prompts that the student answers; the others keep the answers of the data in D too."""
    cross_entropy: CrossEntropy = "data"
    """"none" leaves out the first term, and D has weight 1."""
    stop_repeated: float | None = None
    """Mean share of repeated 4-grams in a batch's answers above which the run stops: the student has collapsed."""

    def loss(self, variables: Variables, batch: OnPolicyBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        written = self._divergence_alone().loss(variables, batch.written, counts, key)
        metrics = {_OF_WRITTEN.get(name, name): mean for name, mean in written.metrics.items()}
        if batch.given is None:
            return dataclasses.replace(written, metrics=metrics)
        given, rate = batch.given, self.recipe.kd_rate
        model = self.recipe.student_model(variables)
        hiddens = forward.hiddens(
            model.config, model.params, given, key=jax.random.fold_in(key, 1), remat=self.recipe.remat
        )
        weights = mean_weights(given.loss_mask, counts["given"])
        nats = linear_cross_entropy(hiddens, given.labels, weights=(1 - rate) * weights)
        metrics |= {
            "cross_entropy": reported(nats.cross_entropy, given.loss_mask),
            "accuracy": reported((nats.argmax == given.labels).astype(jnp.float32), given.loss_mask),
        }
        return LossOutput(loss=nats.total + rate * written.loss, state=written.state, metrics=metrics)

    def rollout(self, variables: Variables, batch: tuple[Any, ...], key: Key) -> Rollout:
        """The student's answers to a global batch of examples, and this process's rows of it."""
        start, own = time.perf_counter(), self.recipe
        mine = packing.share(len(batch), jax.process_index(), jax.process_count())
        prompts = [own.text.read_by_student(example) for example in batch]
        asked = np.flatnonzero(self._is_asked([prompt.index for prompt in prompts], key)).tolist()
        answers = self._answers(variables, [prompts[place] for place in asked], key)
        written = list(batch)
        for place, answer in zip(asked, answers, strict=True):
            if mine.start <= place < mine.stop:
                written[place] = own.text.answered(batch[place], answer, own.student, own.teacher)
        found = health([answer.tokens for answer in answers], [answer.ended for answer in answers])
        self._require_text(found)
        metrics = {**found, "share": len(asked) / len(batch)}
        ready = OnPolicyBatch(written=_rows(own.text, written[mine]), given=self._given(batch[mine]))
        metrics["seconds"] = time.perf_counter() - start
        return Rollout(batch=ready, metrics={f"rollout/{name}": value for name, value in metrics.items()})

    def counts(self, batch: OnPolicyBatch) -> dict[str, Array]:
        given = {} if batch.given is None else {"given": jnp.sum(batch.given.loss_mask)}
        return {**self.recipe.counts(batch.written), **given}

    def prepare(self, variables: Variables) -> Params:
        return self.recipe.prepare(variables)

    def validate(self) -> None:
        if not isinstance(self.recipe, Distillation):
            raise ValueError(f"recipe must be a distillation, got {type(self.recipe).__name__}, which has no teacher.")
        if self.recipe.teacher_cache is not None:
            raise ValueError(
                f"recipe.teacher_cache must be None on-policy, got {self.recipe.teacher_cache!r}. A cache holds what "
                "the teacher makes of the answers of the data."
            )
        self.recipe.validate()
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction must be in (0, 1], got {self.fraction}. Without answers it is off-policy.")
        if self.cross_entropy not in get_args(CrossEntropy):
            choices = ", ".join(get_args(CrossEntropy))
            raise ValueError(f"cross_entropy must be one of {choices}, got {self.cross_entropy!r}.")
        room = self.recipe.student.config().max_positions - self.recipe.text.of_student.length
        if not 1 <= self.max_new_tokens <= room:
            raise ValueError(
                f"max_new_tokens must be between 1 and {room}, what the student's positions leave beside the length of "
                f"its rows, got {self.max_new_tokens}."
            )

    def abstract(self) -> Variables:
        return self.recipe.abstract()

    def init(self, key: Key) -> Variables:
        return self.recipe.init(key)

    def load_frozen(self) -> Params:
        return self.recipe.load_frozen()

    def load_student_base(self) -> Params:
        return self.recipe.load_student_base()

    def abstract_batch(self) -> OnPolicyBatch:
        """The longest that a batch can become."""
        own = self.recipe
        longest = dataclasses.replace(own, data=own.data.reshaped(self._with_room))
        given = None if self.cross_entropy == "none" else own.text.of_student.abstract_batch()
        return OnPolicyBatch(written=longest.abstract_batch(), given=given)

    def batches(
        self, split: "Split", seed: int, *, process_index: int = 0, process_count: int = 1
    ) -> "grain.IterDataset":
        """Examples, not arrays, of all processes' rows: every process takes part in every answer."""
        del process_index, process_count
        return self.recipe.text.example_stream(split, self.recipe.student, self.recipe.teacher, seed)

    def student_model(self, variables: Variables) -> LanguageModel:
        return self.recipe.student_model(variables)

    def provenance(self) -> str:
        return f"{self.recipe.provenance()}; answers of the student"

    def _divergence_alone(self) -> Distillation:
        return dataclasses.replace(self.recipe, kd_rate=1.0)

    def _is_asked(self, example_ids: Sequence[int], key: Key) -> Bool[np.ndarray, " b"]:
        """Which prompts the student answers: each by a draw of its own."""
        if self.fraction == 1:
            return np.ones(len(example_ids), bool)
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.fold_in(key, 1), jnp.asarray(example_ids))
        return np.asarray(jax.vmap(jax.random.uniform)(keys) < self.fraction)

    def _answers(self, variables: Variables, asked: Sequence[Tokenized], key: Key) -> list[Answer]:
        if not asked:
            return []
        model = self.recipe.student_model(variables)
        end = chat.end_of_turn(model.tokenizer, self.recipe.text.of_student.template)
        texts = generate(
            model,
            [example.tokens[: example.prompt_length].tolist() for example in asked],
            max_new_tokens=self.max_new_tokens,
            sampling=self.sampling,
            end_tokens={end, *model.end_tokens},
            key=key,
            example_ids=[example.index for example in asked],
            rows=len(asked),
        )
        return [Answer(tokens=text.tokens, ended=text.finish != Finish.LENGTH) for text in texts]

    def _given(self, examples: Sequence[Any]) -> TokenBatch | None:
        if self.cross_entropy == "none":
            return None
        text = self.recipe.text
        return _rows(text.of_student, [text.read_by_student(example) for example in examples])

    def _with_room(self, text: PackedText) -> PackedText:
        """The text with rows for the longest prompt and the longest answer."""
        return dataclasses.replace(
            text,
            length=bucket(text.length + self.max_new_tokens, limit=_LONGEST),
            targets=bucket(max(text.targets, self.max_new_tokens), limit=_LONGEST),
        )

    def _require_text(self, found: dict[str, float]) -> None:
        if self.stop_repeated is not None and found["repeated"] > self.stop_repeated:
            raise FloatingPointError(
                f"the share of repeated 4-grams in the student's answers must be at most stop_repeated="
                f"{self.stop_repeated}, got {found['repeated']:.3f}. The last checkpoint is from before: lower "
                "learning_rate, sample at temperature 1, or weigh the answers of the data more, and run again."
            )


def _rows(text: PackedText | PairedText, examples: Any) -> Any:
    """One example a row, in arrays of few lengths: each length compiles a step."""
    longest = meshes.over_processes(text.lengths(examples))
    return text.batch_of(examples, {name: bucket(length, limit=_LONGEST) for name, length in longest.items()})
