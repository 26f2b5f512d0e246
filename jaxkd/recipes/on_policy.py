"""On-policy distillation: another recipe's divergence, on answers that the student writes itself."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from jaxkd import forward, replay, sharding
from jaxkd.distillation import Distillation
from jaxkd.kernels import linear_cross_entropy
from jaxkd.losses.reduce import mean_weights, reported
from jaxkd.models.language_model import LanguageModel
from jaxkd.models.pretrained import Pretrained
from jaxkd.recipe import Recipe
from jaxkd.records import LossOutput, OnPolicyBatch, Rollout, Variables
from jaxkd.replay import Replay
from jaxkd.rollouts import AS_LEARNT, Rollouts
from jaxkd.sampling import Sampling
from jaxkd.typing import Key, Params

if TYPE_CHECKING:
    import grain

    from jaxkd.data.examples import Split

CrossEntropy = Literal["data", "none"]

REPLAY = "replay"
"""Of the state: kept answers, and how often they are asked for."""

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
    fraction: float = 1.0
    """Share of the prompts that the student answers; the others keep the answers of the data in D too."""
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
        own, text = self._rollouts(), self.recipe.text
        if self.replay is None:
            asked = self._asked([text.read_by_student(example).index for example in batch], key)
            return own.rollout(self.student_model(variables), batch, key, asked=asked)
        buffers = variables.state[REPLAY]
        origin = self.replay.origin(buffers, int(variables.step), jax.random.fold_in(key, 2))
        match origin:
            case "data":
                rollout = own.assembled(batch, {})
            case "new":
                prompts = [text.read_by_student(example) for example in batch]
                answers = own.answers(self.student_model(variables), prompts, key)
                buffers = replay.added(buffers, [prompt.index for prompt in prompts], answers)
                rollout = own.assembled(batch, dict(enumerate(answers)))
            case "kept":
                drawn = replay.drawn(buffers, len(batch), jax.random.fold_in(key, 3))
                known = text.by_index("train", self.recipe.student, self.recipe.teacher)
                examples = [known[index] for index, _ in drawn]
                answers = {place: answer for place, (_, answer) in enumerate(drawn)}
                rollout = own.assembled(examples, answers, given=batch)
        chosen = {f"rollout/{name}": float(origin == name) for name in ("new", "kept")}
        return dataclasses.replace(
            rollout,
            metrics=rollout.metrics | chosen | {"rollout/phi": float(buffers["phi"])},
            state=dict(variables.state) | {REPLAY: buffers},
        )

    def validated(self, state: Params, metrics: Mapping[str, float]) -> Params:
        if self.replay is None:
            return self.recipe.validated(state, metrics)
        return dict(state) | {REPLAY: self.replay.validated(state[REPLAY], metrics)}

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
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction must be in (0, 1], got {self.fraction}. Without answers it is off-policy.")
        if self.cross_entropy not in get_args(CrossEntropy):
            choices = ", ".join(get_args(CrossEntropy))
            raise ValueError(f"cross_entropy must be one of {choices}, got {self.cross_entropy!r}.")
        self._rollouts().validate()
        if self.replay is not None:
            self.replay.validate(rows=self.recipe.text.of_student.rows)
            if self.fraction != 1:
                raise ValueError(f"fraction must be 1 with replay, whose phi decides, got {self.fraction}.")

    def abstract(self) -> Variables:
        variables = self.recipe.abstract()
        return variables.replace(state=variables.state | self._buffers(sharding.described))

    def init(self, key: Key) -> Variables:
        variables = self.recipe.init(key)
        return variables.replace(state=variables.state | self._buffers(sharding.place))

    def load_frozen(self) -> Params:
        return self.recipe.load_frozen()

    def load_student_base(self) -> Params:
        return self.recipe.load_student_base()

    def abstract_batch(self) -> OnPolicyBatch:
        """The longest that a batch can become."""
        own, rollouts = self.recipe, self._rollouts()
        longest = dataclasses.replace(own, data=own.data.reshaped(rollouts.with_room))
        return OnPolicyBatch(written=longest.abstract_batch(), given=rollouts.abstract_given())

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

    def _buffers(self, place: Callable[[Params, Params], Params]) -> Params:
        """What a schedule adds to the state, whole on every device."""
        if self.replay is None:
            return {}
        buffers = self.replay.initial(self.max_new_tokens)
        return {REPLAY: place(buffers, {name: (None,) * leaf.ndim for name, leaf in buffers.items()})}

    def _asked(self, example_ids: Sequence[int], key: Key) -> Bool[np.ndarray, " b"] | None:
        """Which prompts the student answers, each by a draw of its own; None is all."""
        if self.fraction == 1:
            return None
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.fold_in(key, 1), jnp.asarray(example_ids))
        return np.asarray(jax.vmap(jax.random.uniform)(keys) < self.fraction)
