"""On-policy distillation: another recipe's divergence, on answers that the student writes itself."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from jaxkd import sharding
from jaxkd.data.text.chat import Answer
from jaxkd.distillation import forward
from jaxkd.distillation.label_loss import label_loss
from jaxkd.distillation.recipe import Distillation
from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.on_policy import replay_buffer, rounds
from jaxkd.on_policy.replay import Replay
from jaxkd.on_policy.rollouts import AS_LEARNT, Rollouts
from jaxkd.on_policy.rounds import Turn
from jaxkd.on_policy.schedule import Ramp
from jaxkd.records import LossOutput, OnPolicyBatch, Rollout, Variables
from jaxkd.sampling import Sampling
from jaxkd.sharding import WHOLE, Share
from jaxkd.training.recipe import Recipe
from jaxkd.typing import Key, Params, Split

if TYPE_CHECKING:
    import grain


CrossEntropy = Literal["data", "none"]

REPLAY = "replay"
"""Of what is kept: answers, and how often they are asked for."""

ROUND = "round"
"""Of what is kept: the answers of the round that is under way."""

_OF_WRITTEN = {"cross_entropy": "written_cross_entropy", "accuracy": "written_accuracy"}


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
    """With a live teacher: `LogitKD`, `DSKDv2ETA` and so on."""
    max_new_tokens: int = 256
    """Of an answer; one that has so many has no end to learn."""
    sampling: Sampling = AS_LEARNT
    every: int = 1
    """Steps between rollouts: the student answers the prompts of so many batches at once, each of which is learnt from
    in its turn.  An answer is at most `every - 1` steps old."""
    fraction: float | Ramp = 1.0
    """Share of the prompts that the student answers, in (0, 1], or how it changes over the run; the others keep the
    answers of the data in D too."""
    cross_entropy: CrossEntropy = "data"
    """"none" leaves out the first term, and D has weight 1."""
    replay: Replay | None = None
    """Learn from answers of the data, new ones and kept ones by DistiLLM's schedule; None writes in each step."""
    stop_repeated: float | None = None
    """Mean share of repeated 4-grams in a batch's answers above which the run stops: the student has collapsed."""

    @property
    def student(self) -> Pretrained:
        """Whose answers they are."""
        return self.recipe.student

    def loss(self, variables: Variables, batch: OnPolicyBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        written = self._divergence_alone().loss(variables, batch.written, counts, key)
        metrics = {_OF_WRITTEN.get(name, name): mean for name, mean in written.metrics.items()}
        if batch.given is None:
            return dataclasses.replace(written, metrics=metrics)
        given, rate = batch.given, self.recipe.kd_rate
        model = self.recipe.model(variables)
        hiddens = forward.hiddens(
            model.config, model.params, given, key=jax.random.fold_in(key, 1), remat=self.recipe.remat
        )
        gold = label_loss(hiddens, given, rate=1 - rate, count=counts["given"])
        loss = gold.total + rate * written.loss
        return LossOutput(loss=loss, state=written.state, metrics=metrics | gold.metrics)

    def rollout(self, variables: Variables, batch: tuple[Any, ...] | Turn, key: Key) -> Rollout:
        """The student's answers to a global batch of examples, and this process's rows of it."""
        if isinstance(batch, Turn):
            return self._in_a_round(variables, batch, key)
        if self.replay is not None:
            return self._replayed(self.replay, variables, batch, key)
        asked = self._asked(batch, int(variables.step), key)
        return self._rollouts().rollout(self.model(variables), batch, key, asked=asked)

    def _in_a_round(self, variables: Variables, turn: Turn, key: Key) -> Rollout:
        """A step's part of what its round has written; the first writes."""
        kept = variables.kept[ROUND] if turn.number else self._round(variables, turn.round, key)
        rollout = self._rollouts().assembled(turn.examples, rounds.answers(kept, turn))
        return dataclasses.replace(
            rollout,
            metrics=rollout.metrics | {"rollout/age": float(turn.number)},
            kept={ROUND: kept},
        )

    def _round(self, variables: Variables, examples: Sequence[Any], key: Key) -> Params:
        """Answers to the prompts of all steps of a round, without a token where none is asked for."""
        asked = self._asked(examples, int(variables.step), key)
        written = self._rollouts().written(self.model(variables), examples, key, asked=asked)
        answers = [written.get(place, Answer(tokens=(), ended=False)) for place in range(len(examples))]
        return replay_buffer.added(self._empty_round(), self._ids(examples), answers)

    def _replayed(self, schedule: Replay, variables: Variables, batch: tuple[Any, ...], key: Key) -> Rollout:
        """Of the data, written now, or kept, as a schedule decides."""
        own, text, buffers = self._rollouts(), self.recipe.text, variables.kept[REPLAY]
        origin = schedule.origin(buffers, int(variables.step), jax.random.fold_in(key, 2))
        match origin:
            case "data":
                rollout = own.assembled(batch, {})
            case "new":
                written = own.written(self.model(variables), batch, key)
                buffers = replay_buffer.added(buffers, self._ids(batch), list(written.values()))
                rollout = own.assembled(batch, written)
            case "kept":
                drawn = replay_buffer.drawn(buffers, len(batch), jax.random.fold_in(key, 3))
                known = text.by_index("train", self.recipe.student, self.recipe.teacher)
                examples = [known[index] for index, _ in drawn]
                answers = {place: answer for place, (_, answer) in enumerate(drawn)}
                rollout = own.assembled(examples, answers, given=batch)
        chosen = {f"rollout/{name}": float(origin == name) for name in ("new", "kept")}
        return dataclasses.replace(
            rollout,
            metrics=rollout.metrics | chosen | {"rollout/phi": float(buffers["phi"])},
            kept={REPLAY: buffers},
        )

    def validated(self, kept: Params, metrics: Mapping[str, float]) -> Params:
        return kept if self.replay is None else {REPLAY: self.replay.validated(kept[REPLAY], metrics)}

    def counts(self, batch: OnPolicyBatch) -> dict[str, Array]:
        given = {} if batch.given is None else {"given": jnp.sum(batch.given.loss_mask)}
        return {**self.recipe.counts(batch.written), **given}

    def prepare(self, variables: Variables) -> Params:
        return self.recipe.prepare(variables)

    def validate(self) -> None:
        if not isinstance(self.recipe, Distillation):
            raise ValueError(f"recipe must be a distillation, got {type(self.recipe).__name__}, which has no teacher.")
        if type(self.recipe).rollout is not Recipe.rollout:
            raise ValueError(
                f"recipe must learn from answers that it is given, got {type(self.recipe).__name__}, which draws its "
                "own. Train it as it is."
            )
        if self.recipe.teacher_cache is not None:
            raise ValueError(
                f"recipe.teacher_cache must be None on-policy, got {self.recipe.teacher_cache!r}. A cache holds what "
                "the teacher makes of the answers of the data."
            )
        self.recipe.validate()
        self._require_fraction()
        if self.cross_entropy not in get_args(CrossEntropy):
            choices = ", ".join(get_args(CrossEntropy))
            raise ValueError(f"cross_entropy must be one of {choices}, got {self.cross_entropy!r}.")
        if self.every < 1:
            raise ValueError(f"every must be at least 1 step, got {self.every}.")
        self._rollouts().validate()
        if self.replay is not None:
            self.replay.validate(rows=self.recipe.text.of_student.rows)
            for name, value in (("fraction", self.fraction), ("every", self.every)):
                if value != 1:
                    raise ValueError(f"{name} must be 1 with replay, whose schedule decides, got {value}.")

    def abstract(self) -> Variables:
        return self.recipe.abstract().replace(kept=sharding.described(self._kept()))

    def init(self, key: Key) -> Variables:
        return self.recipe.init(key).replace(kept=sharding.place(self._kept()))

    def load_frozen(self) -> Params:
        return self.recipe.load_frozen()

    def load_base(self) -> Params:
        return self.recipe.load_base()

    def abstract_batch(self) -> OnPolicyBatch:
        """The longest that a batch can become."""
        own, rollouts = self.recipe, self._rollouts()
        longest = dataclasses.replace(own, data=own.data.reshaped(rollouts.with_room))
        return OnPolicyBatch(written=longest.abstract_batch(), given=rollouts.abstract_given())

    def batches(self, split: Split, seed: int, *, share: Share = WHOLE) -> "grain.IterDataset":
        """Examples, not arrays, of all processes' rows: every process takes part in every answer."""
        del share
        batches = self.recipe.text.example_stream(split, self.recipe.student, self.recipe.teacher, seed)
        return batches if self.every == 1 else rounds.turns(batches, self.every)

    def model(self, variables: Variables) -> LanguageModel:
        return self.recipe.model(variables)

    def provenance(self) -> str:
        return f"{self.recipe.provenance()}; answers of the student"

    def _require_fraction(self) -> None:
        match self.fraction:
            case Ramp(start=start, end=end, steps=steps):
                shares = (start, end)
                if steps < 1:
                    raise ValueError(f"fraction.steps must be at least 1, got {steps}.")
            case share:
                shares = (share,)
        if not all(0 <= share <= 1 for share in shares) or not any(shares):
            raise ValueError(f"fraction must be in (0, 1], got {self.fraction}. Without answers it is off-policy.")

    def _divergence_alone(self) -> Distillation:
        return dataclasses.replace(self.recipe, kd_rate=1.0)

    def _rollouts(self) -> Rollouts:
        return Rollouts(
            text=self.recipe.text,
            student=self.recipe.student,
            teacher=self.recipe.teacher,
            max_new_tokens=self.max_new_tokens,
            sampling=self.sampling,
            learn_given=self.cross_entropy == "data",
            stop_repeated=self.stop_repeated,
        )

    def _kept(self) -> Params:
        """Before the first step."""
        buffers = {}
        if self.every > 1:
            buffers[ROUND] = self._empty_round()
        if self.replay is not None:
            buffers[REPLAY] = self.replay.initial(self.max_new_tokens)
        return buffers

    def _empty_round(self) -> Params:
        rows = self.every * self.recipe.text.of_student.rows
        return replay_buffer.empty(rows, max_new_tokens=self.max_new_tokens)

    def _asked(self, examples: Sequence[Any], step: int, key: Key) -> Bool[np.ndarray, " b"] | None:
        """Which prompts the student answers, each by a draw of its own; None is all."""
        fraction = self.fraction.at(step) if isinstance(self.fraction, Ramp) else self.fraction
        if fraction == 1:
            return None
        ids = jnp.asarray(self._ids(examples))
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.fold_in(key, 1), ids)
        return np.asarray(jax.vmap(jax.random.uniform)(keys) < fraction)

    def _ids(self, examples: Sequence[Any]) -> list[int]:
        return [self.recipe.text.read_by_student(example).index for example in examples]
