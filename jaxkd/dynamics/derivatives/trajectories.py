"""Measured trajectories as validated arrays of one shape."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Bool, Float, Int

from jaxkd.dynamics.derivatives.fourier_fit import FourierFit, fourier_fit


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Trajectories:
    """Measured trajectories, padded to one length with finite values."""

    states: Float[Array, "trajectories times states"]
    times: Float[Array, "trajectories times"]
    """Sample times, increasing."""
    inputs: Float[Array, "trajectories times inputs"] | None
    lengths: Int[np.ndarray, " trajectories"]

    @property
    def there(self) -> Bool[np.ndarray, "trajectories times"]:
        """Mask of the measured samples."""
        return np.arange(self.times.shape[1])[None] < self.lengths[:, None]


@jax.jit
def curves(
    states: Float[Array, "trajectories times states"],
    times: Float[Array, "trajectories times"],
    there: Bool[Array, "trajectories times"],
) -> FourierFit:
    """Fit curves to the samples of each trajectory."""
    return jax.vmap(lambda samples, times, there: fourier_fit(samples, times, mask=there))(states, times, there)


def trajectories(
    states: Float[Array, "trajectories times states"],
    times: Float[Array, "*trajectories times"],
    inputs: Float[Array, "trajectories times inputs"] | None,
    lengths: Sequence[int] | None,
    *,
    names: tuple[sympy.Symbol, ...],
    input_names: tuple[sympy.Symbol, ...],
) -> Trajectories:
    """Validate and pad measured trajectories.

    Raises:
        ValueError: mismatched arrays, times that do not increase, or non-finite samples.
    """
    sizes = np.full(states.shape[0], states.shape[1]) if lengths is None else np.asarray(lengths)
    _require_shapes(states, names, sizes, "states")
    states = _filled(states, sizes)
    _require_finite(states, names, "states")
    if inputs is not None:
        _require_shapes(inputs, input_names, sizes, "inputs")
        inputs = _filled(inputs, sizes)
        _require_finite(inputs, input_names, "inputs")
    times = _going_on(jnp.broadcast_to(times, states.shape[:2]), sizes)
    _require_increasing(times)
    return Trajectories(states=states, times=times, inputs=inputs, lengths=sizes)


def _filled(values: Float[Array, "trajectories times columns"], lengths: Int[np.ndarray, " trajectories"]) -> Array:
    """Repeat the last sample after a record's end."""
    last = np.minimum(np.arange(values.shape[1])[None], lengths[:, None] - 1)
    return jnp.take_along_axis(values, last[:, :, None], axis=1)


def _going_on(times: Float[Array, "trajectories times"], lengths: Int[np.ndarray, " trajectories"]) -> Array:
    """Continue times after a record's end at its mean step."""
    place = np.arange(times.shape[1])[None]
    end = np.take_along_axis(np.asarray(times), lengths[:, None] - 1, axis=1)
    step = (end - np.asarray(times)[:, :1]) / (lengths[:, None] - 1)
    return jnp.where(place < lengths[:, None], times, end + (place - lengths[:, None] + 1) * step)


def _require_shapes(
    values: Array, names: tuple[sympy.Symbol, ...], lengths: Int[np.ndarray, " trajectories"], what: str
) -> None:
    if values.ndim != 3 or values.shape[2] != len(names):
        raise ValueError(
            f"{what} must be [trajectories, times, {len(names)}] for the names {names}, got {values.shape}."
        )
    if lengths.shape != values.shape[:1] or np.any(lengths < 2) or np.any(lengths > values.shape[1]):
        raise ValueError(
            f"lengths must be one a trajectory, from 2 to the {values.shape[1]} samples that there are of {what}, got "
            f"{lengths.tolist()}."
        )


def _require_increasing(times: Float[Array, "trajectories times"]) -> None:
    moments = np.asarray(times)
    wrong = np.argwhere(~(np.diff(moments, axis=1) > 0))
    if wrong.size:
        trajectory, first = wrong[0]
        before, after = moments[trajectory, first : first + 2]
        raise ValueError(
            f"times must increase, got {after} at sample {first + 1} of trajectory {trajectory} after {before}, and "
            f"{len(wrong) - 1} more. Sort the samples by time, and keep one of each."
        )


def _require_finite(values: Array, names: tuple[sympy.Symbol, ...], what: str) -> None:
    missing = np.argwhere(~np.isfinite(np.asarray(values)))
    if missing.size:
        trajectory, time, channel = missing[0]
        raise ValueError(
            f"{what} must be finite, got {values[trajectory, time, channel]} for {names[channel]} of trajectory "
            f"{trajectory} at sample {time}, and {len(missing) - 1} more. Leave those samples out."
        )
