"""Several teachers of one student, each with its own method and vocabulary."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxkd.distillation.student_params import PROJECTORS
from jaxkd.distillation.student_recipe import ANSWER_TOKENS
from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.records import LossOutput, Rollout, Variables
from jaxkd.runtime.trained_params import STUDENT
from jaxkd.sharding import WHOLE, Share
from jaxkd.training.recipe import Batch, Count, Curve, Recipe
from jaxkd.typing import Key, Params, Split

if TYPE_CHECKING:
    import grain


_APART = "teachers"
"""Name in the frozen variables of the parts that each method reads, by the method's number."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeveralTeachers(Recipe):
    """loss = sum_i w_i * loss_i / sum_i w_i, over the methods i, each with its own teacher and rows.

    All train one student, from one checkpoint.  Distributions over different vocabularies cannot be averaged token by
    token, but losses can: so each method may be of any kind, on-policy too.

    Source: inferred; with `LogitKD`, the forward KL and one vocabulary it distils the average of the teachers'
    distributions (You et al., Learning from Multiple Teacher Networks, KDD 2017, section 3.2), up to an entropy, if all
    of them read the same rows.  Deviation: each reads its own rows, equally many in each step.
    """

    recipes: tuple[Recipe, ...]
    """Methods that train one student, with batches of equally many rows."""
    weights: tuple[float, ...] = ()
    """Weights w, one above 0 for each method; equal if not given."""

    def loss(self, variables: Variables, batch: Batch, counts: dict[str, Array], key: Key) -> LossOutput:
        total, state, metrics = jnp.zeros(()), {}, {}
        for place, (name, recipe, weight) in enumerate(self._members()):
            own_counts = {count: value for prefixed, value in counts.items() if (count := _own(prefixed, name))}
            output = recipe.loss(_seen(variables, name), batch[name], own_counts, jax.random.fold_in(key, place))
            total += weight * output.loss
            state[name] = output.state
            metrics |= {f"{name}/{metric}": value for metric, value in output.metrics.items()}
        return LossOutput(loss=total, state=state, metrics=metrics)

    def rollout(self, variables: Variables, batch: dict[str, Any], key: Key) -> Rollout:
        batches, metrics, state = {}, {}, dict(variables.rollout_state)
        for place, (name, recipe, _) in enumerate(self._members()):
            made = recipe.rollout(_seen(variables, name), batch[name], jax.random.fold_in(key, place))
            batches[name] = made.batch
            state[name] = state[name] if made.rollout_state is None else made.rollout_state
            metrics |= {f"{name}/{metric}": value for metric, value in made.metrics.items()}
        return Rollout(batch=batches, metrics=metrics, rollout_state=state)

    def validated(self, rollout_state: Params, metrics: Mapping[str, float]) -> Params:
        return {name: recipe.validated(rollout_state[name], metrics) for name, recipe, _ in self._members()}

    def counts(self, batch: Batch) -> dict[str, Array]:
        """Return each method's counts under its number, and all targets together."""
        counts = {}
        for name, recipe, _ in self._members():
            counts |= {f"{name}/{count}": value for count, value in recipe.counts(batch[name]).items()}
        targets = [value for count, value in counts.items() if count.endswith("/targets")]
        return counts | {"targets": sum(targets[1:], targets[0])}

    @property
    def counted(self) -> Count:
        return ANSWER_TOKENS

    def curves(self) -> tuple[Curve, ...]:
        """Return the methods' curves, of which each is titled by its name: that begins with the method's number."""
        return tuple(
            Curve(metric=f"{name}/{one.metric}", unit=one.unit)
            for name, recipe, _ in self._members()
            for one in recipe.curves()
        )

    def prepare(self, variables: Variables) -> Params:
        return {name: recipe.prepare(_seen(variables, name)) for name, recipe, _ in self._members()}

    def validate(self) -> None:
        if len(self.recipes) < 2:
            raise ValueError(
                f"recipes must be at least two, got {len(self.recipes)}. Train a single one without SeveralTeachers."
            )
        if self.weights and len(self.weights) != len(self.recipes):
            raise ValueError(
                f"weights must be one for each of the {len(self.recipes)} recipes, or none, got {self.weights}."
            )
        if not all(weight > 0 for weight in self.weights):
            raise ValueError(f"weights must be above 0, got {self.weights}. Leave out recipes of weight 0.")
        for recipe in self.recipes:
            recipe.validate()
        trained = [jax.tree.map(lambda leaf: leaf.shape, _shared(recipe.abstract().params)) for recipe in self.recipes]
        students = [getattr(recipe, STUDENT, None) for recipe in self.recipes]
        if any(student != students[0] for student in students) or any(tree != trained[0] for tree in trained):
            raise ValueError(
                f"recipes must train one student, whole or by the same adapters, got {students}, of which they train "
                f"{[', '.join(tree) for tree in trained]}."
            )
        rows = [jax.tree.leaves(recipe.abstract_batch())[0].shape[0] for recipe in self.recipes]
        if len(set(rows)) > 1:
            raise ValueError(f"recipes must have batches of equally many rows, got {rows}. Set `rows` of their data.")

    def abstract(self) -> Variables:
        return _joined({name: recipe.abstract() for name, recipe, _ in self._members()})

    def init(self, key: Key) -> Variables:
        keys = jax.random.split(key, len(self.recipes))
        return _joined({name: recipe.init(one) for (name, recipe, _), one in zip(self._members(), keys, strict=True)})

    def load_frozen(self) -> Params:
        return _joined_frozen({name: recipe.load_frozen() for name, recipe, _ in self._members()})

    def load_base(self) -> Params:
        return self.recipes[0].load_base()

    def abstract_batch(self) -> dict[str, Batch]:
        return {name: recipe.abstract_batch() for name, recipe, _ in self._members()}

    def batches(self, split: Split, seed: int, *, share: Share = WHOLE) -> "grain.IterDataset":
        import grain

        names = [name for name, _, _ in self._members()]
        streams = [recipe.batches(split, seed, share=share) for recipe in self.recipes]
        return grain.experimental.ZipIterDataset(streams).map(lambda batches: dict(zip(names, batches, strict=True)))

    def model(self, variables: Variables) -> LanguageModel:
        return self.recipes[0].model(variables)

    def provenance(self) -> str:
        return "; ".join(f"{name}: {recipe.provenance()}" for name, recipe, _ in self._members())

    def _members(self) -> Iterator[tuple[str, Recipe, float]]:
        weights = self.weights or (1.0,) * len(self.recipes)
        for place, (recipe, weight) in enumerate(zip(self.recipes, weights, strict=True)):
            yield str(place), recipe, weight / sum(weights)


def _joined(members: dict[str, Variables]) -> Variables:
    """Join the variables of all methods: one student, and the rest by the methods' numbers."""
    first = next(iter(members.values()))
    projectors = {
        name: variables.params[PROJECTORS] for name, variables in members.items() if PROJECTORS in variables.params
    }
    return Variables(
        params=_shared(first.params) | ({PROJECTORS: projectors} if projectors else {}),
        state={name: variables.state for name, variables in members.items()},
        rollout_state={name: variables.rollout_state for name, variables in members.items()},
        frozen=_joined_frozen({name: variables.frozen for name, variables in members.items()}),
    )


def _joined_frozen(members: dict[str, Params]) -> Params:
    base = {key: tree for key, tree in next(iter(members.values())).items() if key == STUDENT}
    apart = {name: {key: tree for key, tree in frozen.items() if key != STUDENT} for name, frozen in members.items()}
    return base | {_APART: apart}


def _seen(variables: Variables, name: str) -> Variables:
    """Return the variables as the method `name` sees them."""
    projectors = variables.params.get(PROJECTORS, {}).get(name)
    base = {key: tree for key, tree in variables.frozen.items() if key != _APART}
    return variables.replace(
        params=_shared(variables.params) | ({} if projectors is None else {PROJECTORS: projectors}),
        state=variables.state[name],
        rollout_state=variables.rollout_state.get(name, {}),
        frozen=base | variables.frozen[_APART][name],
        derived=variables.derived.get(name, {}),
    )


def _shared(params: Params) -> Params:
    """Return the student's parameters or adapters."""
    return {group: tree for group, tree in params.items() if group != PROJECTORS}


def _own(prefixed: str, name: str) -> str | None:
    """Return a method's name of a count, without its number; None if the count is another's."""
    number, _, count = prefixed.partition("/")
    return count if number == name and count else None
