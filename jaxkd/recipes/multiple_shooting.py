"""MultipleShooting: a vector field trained through the solver, on pieces whose learnt starts must join up."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxkd import sharding
from jaxkd.data.trajectories.sources import TrajectorySource
from jaxkd.records import LossOutput, Mean, Rollout, Variables
from jaxkd.typing import Key
from jaxkd.vector_fields.field import Field, Network
from jaxkd.vector_fields.segments import SegmentBatch, SegmentRecipe
from jaxkd.vector_fields.shooting import FixedSteps, Integrator, forecasts

STARTS = "starts"


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class JoinedBatch:
    """Pieces of trajectories, with their indices."""

    segments: SegmentBatch
    piece: Int[Array, " b"]
    """Row of `starts` that belongs to each piece; the next row belongs to the following piece."""
    has_next: Bool[Array, " b"]
    """Whether the following piece belongs to the same record."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultipleShooting(SegmentRecipe):
    """loss = mean of (forecast - measured)^2 + continuity * mean of (end - start of the next)^2, over deviation^2.

    Each record is cut into pieces of one length; the remainder after the last whole piece is unused.  The starts are
    trained with the field, initialised on the curve through the samples: no forecast starts from a noisy sample, and
    `continuity` controls how closely the pieces of a record join into one trajectory.

    Source: Bock & Plitt 1984 (doi 10.1016/S1474-6670(17)61205-9), with the penalty in place of the constraint as in
    Turan & Jaschke 2021 (arXiv 2109.06786).  Deviation: none known to us.
    """

    field: Field = Network()
    """Vector field f to learn.  Default: a neural network."""
    horizon: int = 10
    """Length of a piece, in sampling intervals."""
    continuity: float = 1.0
    """Weight of the gaps between pieces, >= 0."""
    integrator: Integrator = FixedSteps()
    """Solver of the forecasts."""

    def validate(self) -> None:
        super().validate()
        if self.horizon < 1:
            raise ValueError(f"horizon must be at least 1, got {self.horizon}.")
        if not self.continuity >= 0:
            raise ValueError(f"continuity must be at least 0, got {self.continuity}.")
        self.require_segments(self.horizon, "horizon")

    def abstract(self) -> Variables:
        field = super().abstract()
        shape = (len(_pieces(self.data, self.horizon)[0]), len(self.data.names()[0]))
        starts = sharding.with_shardings({STARTS: jax.ShapeDtypeStruct(shape, jnp.float64)})
        return field.replace(params=field.params | starts)

    def init(self, key: Key) -> Variables:
        field = super().init(key)
        record, start, _ = _pieces(self.data, self.horizon)
        _, (smooth, _) = self.training_estimates()
        starts = sharding.shard({STARTS: jnp.asarray(smooth[record, start]) / self.deviation(field)[None]})
        return field.replace(params=field.params | starts)

    def loss(self, variables: Variables, batch: JoinedBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        del key
        deviation, starts = self.deviation(variables), variables.params[STARTS]
        states, reached = forecasts(
            self.model(variables), self.integrator, deviation, starts[batch.piece], batch.segments
        )
        off = jnp.where(reached[:, None, None], states - batch.segments.measured / deviation[None, None], 0.0)
        square = jnp.mean(off**2, axis=(1, 2))
        after = starts[jnp.minimum(batch.piece + 1, len(starts) - 1)]
        joined = (batch.has_next & reached)[:, None]
        gap = jnp.mean(jnp.where(joined, states[:, -1] - after, 0.0) ** 2, axis=1)
        count = jnp.asarray(square.size, off.dtype)
        return LossOutput(
            loss=jnp.sum(square + self.continuity * gap) / counts["segments"],
            state=variables.state,
            metrics={
                name: Mean(total=jax.lax.stop_gradient(jnp.sum(jnp.sqrt(values))), count=count)
                for name, values in (("segment_error", square), ("gap", gap), ("diverged", 1.0 - reached))
            },
        )

    def abstract_batch(self) -> JoinedBatch:
        segments = self.abstract_segments(self.horizon)
        return _joined(segments, *(jax.ShapeDtypeStruct((self.rows,), kind) for kind in (jnp.int32, jnp.bool_)))

    def rollout(self, variables: Variables, batch: Float[np.ndarray, " rows"], key: Key) -> Rollout:
        """Gather the pieces that numbers in [0, 1) select."""
        del variables, key
        record, start, has_next = _pieces(self.data, self.horizon)
        piece = np.floor(batch * len(record)).astype(np.int32)
        return Rollout(batch=_joined(self.segments(record[piece], start[piece], self.horizon), piece, has_next[piece]))


def _joined(segments: SegmentBatch, piece: Any, has_next: Any) -> JoinedBatch:
    """Build a batch of NumPy arrays, or of shapes."""
    return JoinedBatch(segments=segments, piece=piece, has_next=has_next)


@functools.lru_cache(maxsize=8)
def _pieces(data: TrajectorySource, horizon: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return record, first sample and whether another piece of the record follows, for pieces laid end to end."""
    pairs = [
        (record, start, start + 2 * horizon < length)
        for record, length in enumerate(data.trajectories("train").lengths.tolist())
        for start in range(0, length - horizon, horizon)
    ]
    record, start, has_next = np.array(pairs, int).reshape(-1, 3).T
    return record, start, has_next.astype(bool)
