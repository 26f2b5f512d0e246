"""Double precision, which derivatives of noisy data and regressions on near-collinear terms need."""

from jaxtyping import Array
from numpy import float64


def require_float64(**arrays: Array) -> None:
    """Reject arrays that are not float64, by name.

    Raises:
        TypeError: an array is not float64; the message says how to enable double precision.
    """
    for name, array in arrays.items():
        if array.dtype != float64:
            raise TypeError(
                f"{name} must be of float64, got {array.dtype}. Start JAX in double precision, with JAX_ENABLE_X64=1 "
                "or jax.config.update('jax_enable_x64', True), and convert the data after that."
            )
