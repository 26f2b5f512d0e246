"""Segments of trajectories, of one length, for methods that learn from more than a point at a time."""

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxkd.data.trajectories import samples
from jaxkd.data.trajectories.sources import TrajectorySource
from jaxkd.records import Variables
from jaxkd.sharding import WHOLE, Share
from jaxkd.typing import Split
from jaxkd.vector_fields.recipe import SCALES, FieldRecipe

if TYPE_CHECKING:
    import grain


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class SegmentBatch:
    """Batch of segments of trajectories."""

    times: Float[Array, "b samples"]
    smooth: Float[Array, "b samples states"]
    """States as the estimator returns them."""
    measured: Float[Array, "b samples states"]
    inputs: Float[Array, "b samples inputs"] | None
    phase: int = dataclasses.field(metadata={"static": True})
    """Phase of the curriculum; each phase has its own program."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SegmentRecipe(FieldRecipe):
    """Recipe that learns a field from segments of the records, sampled anew at each step.

    A method adds `rollout`, `abstract_batch` and `loss`.
    """

    def counts(self, batch: Any) -> dict[str, Array]:
        return {"segments": jnp.asarray(jax.tree.leaves(batch)[0].shape[0], jnp.float64)}

    def batches(self, split: Split, seed: int, *, share: Share = WHOLE) -> "grain.IterDataset":
        del split  # the rollout reads the training split
        return samples.uniform(self.rows, seed, share=share)

    def deviation(self, variables: Variables) -> Float[Array, " states"]:
        """Return the standard deviation of each state over the training data."""
        return variables.frozen[SCALES]["deviation"][: len(self.data.names()[0])]

    def require_segments(self, horizon: int, name: str) -> None:
        """Reject segments that are too long for every record.

        Args:
            horizon: samples from a segment's first to its last.
            name: name of the field that sets the horizon.

        Raises:
            ValueError: no record is long enough.
        """
        if not _segments(self.data, horizon).size:
            most = int(self.data.trajectories("train").lengths.max()) - 1
            raise ValueError(f"{name} must be at most {most} for the longest record of the data, got {horizon}.")

    def drawn_segments(self, numbers: Float[np.ndarray, " rows"], horizon: int, *, phase: int = 0) -> SegmentBatch:
        """Return the segments of a horizon that numbers in [0, 1) select."""
        every = _segments(self.data, horizon)
        record, start = every[np.floor(numbers * len(every)).astype(int)].T
        return self.segments(record, start, horizon, phase=phase)

    def segments(
        self, record: Int[np.ndarray, " rows"], start: Int[np.ndarray, " rows"], horizon: int, *, phase: int = 0
    ) -> SegmentBatch:
        """Return segments as NumPy arrays, from their first samples on."""
        positions = record[:, None], start[:, None] + np.arange(horizon + 1)[None]
        given, (smooth, _) = self.training_estimates()
        arrays: dict[str, Any] = {
            "times": np.asarray(given.times)[positions],
            "smooth": smooth[positions],
            "measured": np.asarray(given.states)[positions],
            "inputs": None if given.inputs is None else np.asarray(given.inputs)[positions],
        }
        return SegmentBatch(**arrays, phase=phase)

    def abstract_segments(self, horizon: int, *, phase: int = 0) -> SegmentBatch:
        """Return shapes and dtypes of `segments`."""
        states, inputs = map(len, self.data.names())

        def shaped(*shape: int) -> Any:
            return jax.ShapeDtypeStruct((self.rows, horizon + 1, *shape), jnp.float64)

        return SegmentBatch(
            times=shaped(),
            smooth=shaped(states),
            measured=shaped(states),
            inputs=shaped(inputs) if inputs else None,
            phase=phase,
        )


@functools.lru_cache(maxsize=32)
def _segments(data: TrajectorySource, horizon: int) -> Int[np.ndarray, "segments 2"]:
    """Return record and first sample of all segments of a horizon."""
    lengths = data.trajectories("train").lengths
    pairs = [(record, start) for record, length in enumerate(lengths) for start in range(int(length) - horizon)]
    return np.array(pairs, int).reshape(-1, 2)
