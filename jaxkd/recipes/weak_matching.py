"""WeakMatching: a vector field fitted by its integrals against windows, without derivatives of noisy data."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxkd.dynamics.derivatives.weak_form import weak_form
from jaxkd.records import LossOutput, Mean, Rollout, Variables
from jaxkd.typing import Key
from jaxkd.vector_fields.field import Field, Network
from jaxkd.vector_fields.recipe import FIELD, SCALES
from jaxkd.vector_fields.segments import SegmentBatch, SegmentRecipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeakMatching(SegmentRecipe):
    """loss = mean over windows and states of (int w f(y, u) + int w' y)^2 / (deviation int w)^2.

    w is the window of `weak_form`, and deviation that of the state's slopes, so the loss has the unit of `FNODE`'s.
    The field is evaluated at smoothed states, since a nonlinear function of noisy ones is biased; the measured states
    enter unchanged.

    Source: the weak form of Messenger & Bortz (arXiv 2005.04339) as the loss of a network, as in VF-NODE (Zhao et al.,
    ICLR 2025), whose test functions are sines.  Deviation: windows in place of sines.
    """

    field: Field = Network()
    """Vector field f to learn.  Default: a neural network."""
    window: int = 9
    """Number of samples in a window, odd and at least 5."""

    def validate(self) -> None:
        super().validate()
        if self.window < 5 or self.window % 2 == 0:
            raise ValueError(f"window must be odd and at least 5, got {self.window}.")
        self.require_segments(self.window - 1, "window - 1")

    def loss(self, variables: Variables, batch: SegmentBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        del key
        params, scales = variables.params[FIELD], variables.frozen[SCALES]

        def off(times: Array, smooth: Array, measured: Array, inputs: Array | None) -> Float[Array, " states"]:
            points = smooth if inputs is None else jnp.concatenate([smooth, inputs], axis=1)
            slopes = jax.vmap(lambda point: self.field.slopes(params, scales, point))(points)
            ones = jnp.ones_like(times)[:, None]
            left, right = weak_form(jnp.concatenate([slopes, ones], axis=1), measured, times, window=self.window)
            return (left[0, :-1] - right[0]) / (left[0, -1] * scales["slope"])

        square = jnp.mean(jax.vmap(off)(batch.times, batch.smooth, batch.measured, batch.inputs) ** 2, axis=1)
        count = jnp.asarray(square.size, square.dtype)
        return LossOutput(
            loss=jnp.sum(square) / counts["segments"],
            state=variables.state,
            metrics={"slope_error": Mean(total=jax.lax.stop_gradient(jnp.sum(jnp.sqrt(square))), count=count)},
        )

    def abstract_batch(self) -> SegmentBatch:
        return self.abstract_segments(self.window - 1)

    def rollout(self, variables: Variables, batch: Float[np.ndarray, " rows"], key: Key) -> Rollout:
        """Gather the windows that numbers in [0, 1) select."""
        del variables, key
        return Rollout(batch=self.drawn_segments(batch, self.window - 1))
