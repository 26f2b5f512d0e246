"""Interface through which the training loop runs a method."""

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
class Curve:
    """Name under which a report draws a metric that a method logs."""

    metric: str
    """Name in `LossOutput.metrics` or `Rollout.metrics`."""
    title: str = ""
    """Title of the curve; empty: the metric's name, and a place behind the curves that have a title."""
    unit: str = ""
    """Unit of the values; empty if there is none to state."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Count:
    """Unit in which a method's speed and its data are measured, such as tokens or images.

    Raises:
        ValueError: a word that cannot be a part of a metric's name.
    """

    name: str
    """Name in `Recipe.counts`."""
    word: str
    """Plural noun: the log has `WORD_per_second`, the progress bar WORD/s."""
    column: str
    """Head of the column of a study's table that has the sum over a run; a line break where it may take two lines."""

    def __post_init__(self) -> None:
        if not self.word.isidentifier():
            raise ValueError(f"word must be one word, letters without spaces, got {self.word!r}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(abc.ABC):
    """Training method: its fields are the hyper-parameters of the paper, its methods are pure.

    The loop calls them in this order: `validate`, `abstract`, then `init` (or, on resume, `load_frozen`), `batches`,
    and for each optimizer step `rollout` on the host, `counts` over the whole accumulation window, `prepare` once, and
    `loss` for each micro-batch; `validated` after each validation.
    """

    def validate(self) -> None:
        """Reject what cannot work, before anything long starts.  Default: accept.

        Raises:
            ValueError: an invalid field; the message gives its name, its valid values and the fix.
        """

    @abc.abstractmethod
    def abstract(self) -> Variables:
        """Return shapes, dtypes and shardings of all variables under the ambient mesh; loads no weights."""

    @abc.abstractmethod
    def init(self, key: Key) -> Variables:
        """Return all variables at step 0, sharded under the ambient mesh."""

    @abc.abstractmethod
    def load_frozen(self) -> Params:
        """Return `init(key).frozen` alone, which a resumed run needs besides its checkpoint."""

    def load_base(self) -> Params:
        """Return the part of `load_frozen()` that `model` reads: the base of adapters.  Default: nothing."""
        return {}

    def origins(self) -> dict[str, str]:
        """Return hashes of models that a later recipe may check, stored in the run's folder.  Default: none."""
        return {}

    @abc.abstractmethod
    def abstract_batch(self) -> Batch:
        """Return shapes and dtypes of one global batch, used by a dry run."""

    @abc.abstractmethod
    def batches(self, split: Split, seed: int, *, share: Share = WHOLE) -> "grain.IterDataset":
        """Return a share of the rows of an endless stream of global batches, as NumPy arrays.

        Global batch i depends on `split` and `seed` only, never on the number of processes, and
        the iterator's state can be written as JSON.
        """

    def rollout(self, variables: Variables, batch: Any, key: Key) -> Rollout:
        """Turn an element of `batches` into the batch of a step, on the host.  Default: the element, unchanged.

        It is a pure function of its arguments, so that a resumed run repeats the same step.

        Args:
            variables: variables before the step, in the compute dtype.
            batch: element of the stream.
            key: random key of this step, the same on every process.
        """
        del variables, key
        return Rollout(batch=batch)

    def validated(self, rollout_state: Params, metrics: Mapping[str, float]) -> Params:
        """Return `Variables.rollout_state` after a validation, which may change the rest of a run.  Default: unchanged.

        Args:
            rollout_state: state after the last rollout.
            metrics: metrics of the evaluators, by name.
        """
        del metrics
        return rollout_state

    def reads_whole_batches(self) -> bool:
        """Whether the loss of a batch is not the sum of its micro-batches', as with batch statistics.  Default: no."""
        return False

    @abc.abstractmethod
    def counts(self, batch: Batch) -> dict[str, Array]:
        """Return denominators that depend on the data alone.  The loop sums them over the accumulation window."""

    @property
    def counted(self) -> Count | None:
        """Count of `counts` by which speed and data are measured; None: by none.  Default: None."""
        return None

    def curves(self) -> tuple[Curve, ...]:
        """Return names of metrics for a report, in the order of their curves.  Default: none.

        It may name metrics that a method does not log; one that it logs and does not name is titled by its name.
        """
        return ()

    def prepare(self, variables: Variables) -> Params:
        """Return quantities derived from the variables once per optimizer step, gradient-stopped."""
        del variables
        return {}

    @abc.abstractmethod
    def loss(self, variables: Variables, batch: Batch, counts: dict[str, Array], key: Key) -> LossOutput:
        """Return the objective on one micro-batch, already divided by `counts`.

        The loop differentiates with respect to `variables.params` and adds the gradients.
        """

    @abc.abstractmethod
    def model(self, variables: Variables) -> Any:
        """Return the trained model as evaluators take it: a `LanguageModel`, a `VectorField`, ..."""

    @abc.abstractmethod
    def provenance(self) -> str:
        """Return one line that names the models actually used."""
