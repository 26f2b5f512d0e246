"""Trajectories smoothed on the host."""

import numpy as np
from jaxtyping import Bool, Float


def savgol(
    trajectory: Float[np.ndarray, "t ..."], *, mask: Bool[np.ndarray, " t"], window: int = 9, order: int = 2
) -> Float[np.ndarray, "t ..."]:
    """Return SciPy's Savitzky-Golay filter of each run of consecutive valid frames.

    SciPy's own function spreads a NaN over the whole window and takes frames on both sides of a gap as neighbours.

    Args:
        trajectory: a value, or an array of them, for each frame, at equal intervals of time; on the host.
        mask: valid frames; the others may hold anything, NaN included.
        window: frames of the fit, odd and greater than `order`.
        order: degree of the polynomial.

    Returns:
        The filtered trajectory, float64.  Runs shorter than the window are left as they are, and invalid frames are
        NaN.

    Raises:
        ValueError: shapes that do not agree, or a window that is even or not greater than the order.

    Source: Savitzky and Golay (1964); scipy.signal.savgol_filter with mode "interp".  Deviation: gaps.

    Example:
        >>> import numpy as np
        >>> frames = np.array([1.0, 2.0, 6.0, np.nan, 7.0])
        >>> savgol(frames, mask=~np.isnan(frames), window=3, order=1).round(6).tolist()
        [0.5, 3.0, 5.5, nan, 7.0]
    """
    from scipy.signal import savgol_filter  # takes a second to import

    trajectory, mask = np.asarray(trajectory, np.float64), np.asarray(mask, bool)
    if mask.shape != trajectory.shape[:1]:
        raise ValueError(
            f"mask must hold one bool for each frame, got {mask.shape} and a trajectory {trajectory.shape}."
        )
    if window % 2 != 1 or not window > order >= 0:
        raise ValueError(f"window must be odd and greater than order, which is >= 0, got {window} and {order}.")
    smoothed = np.full_like(trajectory, np.nan)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    for start, end in edges.reshape(-1, 2):
        run = trajectory[start:end]
        smoothed[start:end] = savgol_filter(run, window, order, axis=0) if end - start >= window else run
    return smoothed
