"""What a method must say for the one training loop to run it."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from jaxtyping import Array

from jaxkd.records import LossOutput, Rollout, Variables
from jaxkd.sharding import WHOLE, Share
from jaxkd.typing import Key, Params, Split

if TYPE_CHECKING:
    import grain


Batch: TypeAlias = Any
"""A pytree of arrays whose first axis is rows: `TokenBatch`, `PairedBatch` for two tokenizers, `SlopeBatch`, ..."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(abc.ABC):
    """A method: its fields are the hyper-parameters of the paper, its methods are pure.

    The order in which the loop calls them: `validate`, `abstract`, then `init` (or, on resume,
    `load_frozen`), `batches`, and for each optimizer step `rollout` on the host, `counts` over the whole
    accumulation window, `prepare` once, and `loss` for each micro-batch; `validated` where a step is due for it.
    """

    def validate(self) -> None:
        """Refuse what cannot work, before anything long starts.  Default: nothing to refuse.

        Raises:
            ValueError: naming the field, what it must be, and the fix.
        """

    @abc.abstractmethod
    def abstract(self) -> Variables:
        """Shapes, dtypes and shardings of all variables under the ambient mesh; loads no weights."""

    @abc.abstractmethod
    def init(self, key: Key) -> Variables:
        """All variables at step 0, placed under the ambient mesh."""

    @abc.abstractmethod
    def load_frozen(self) -> Params:
        """`init(key).frozen` alone: what a resumed run needs besides its checkpoint."""

    def load_base(self) -> Params:
        """The part of `load_frozen()` that `model` reads: what adapters stand beside.  Default: nothing."""
        return {}

    def origins(self) -> dict[str, str]:
        """Hashes of models that a later recipe may ask after, kept in the run's folder.  Default: none."""
        return {}

    @abc.abstractmethod
    def abstract_batch(self) -> Batch:
        """Shapes and dtypes of one global batch: what a dry run plans with."""

    @abc.abstractmethod
    def batches(self, split: Split, seed: int, *, share: Share = WHOLE) -> "grain.IterDataset":
        """A share of the rows of an endless stream of global batches, as NumPy arrays.

        Global batch i depends on `split` and `seed` only, never on the number of processes, and
        the iterator's state can be written as JSON.
        """

    def rollout(self, variables: Variables, batch: Any, key: Key) -> Rollout:
        """What a step learns from, made of what `batches` yields, by host code.  Default: the batch as it is.

        A pure function of its arguments, so that a resumed run makes the same step.

        Args:
            variables: before the step, in the precision of the computation.
            batch: from the stream.
            key: of this step, on every process the same.
        """
        del variables, key
        return Rollout(batch=batch)

    def validated(self, rollout_state: Params, metrics: Mapping[str, float]) -> Params:
        """`Variables.rollout_state` after a validation, which may change how a run goes on.  Default: as it is.

        Args:
            rollout_state: as the rollout before left it.
            metrics: of the evaluators, by their names.
        """
        del metrics
        return rollout_state

    @abc.abstractmethod
    def counts(self, batch: Batch) -> dict[str, Array]:
        """Denominators that the data alone decide.  The loop adds them over the whole window."""

    def prepare(self, variables: Variables) -> Params:
        """What must be derived from the variables once per optimizer step, gradient-stopped."""
        del variables
        return {}

    @abc.abstractmethod
    def loss(self, variables: Variables, batch: Batch, counts: dict[str, Array], key: Key) -> LossOutput:
        """The objective on one micro-batch, already divided by `counts`.

        The loop differentiates with respect to `variables.params` and adds the gradients.
        """

    @abc.abstractmethod
    def model(self, variables: Variables) -> Any:
        """What is trained, as evaluators take it: a `LanguageModel`, or a `VectorField`."""

    @abc.abstractmethod
    def provenance(self) -> str:
        """One line: what the models really were."""
