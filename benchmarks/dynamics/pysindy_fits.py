"""PySINDy's fits to records: its methods for both sides of y' = f(y), and STLSQ at every threshold of a grid.

PySINDy's own classes differentiate, evaluate the terms, integrate and choose.  The shortcuts here change no
coefficient: STLSQ receives the triangular factor of the rows, which determines the least squares, and one set of
features, or of an ensemble's samples, serves all thresholds.
"""

import contextlib
import importlib.util
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import sympy
from jaxtyping import Bool, Float

if TYPE_CHECKING:
    from pysindy import AxesArray, PolynomialLibrary

DEGREE = 3
"""Degree of the polynomials, which include the constant."""
THRESHOLDS = tuple(float(one) for one in np.geomspace(0.005, 2, 14))
"""Thresholds of coefficients in the units of the records, as STLSQ takes them."""
FOLDS = 8
MODELS = 20
"""Members of an ensemble: PySINDy's default."""

Sides: TypeAlias = tuple[Float[np.ndarray, "trajectories rows terms"], Float[np.ndarray, "trajectories rows states"]]
"""Terms, and the targets of their linear combinations."""
Method: TypeAlias = Callable[[Float[np.ndarray, "trajectories times states"], Float[np.ndarray, " times"]], Sides]


def require() -> None:
    """Check that PySINDy is installed.

    Raises:
        ValueError: it is not; with the command that installs it.
    """
    if importlib.util.find_spec("pysindy") is None:
        raise ValueError("This benchmark needs pysindy. Install the extra: pip install 'jaxkd-distill[pysindy]'.")


def terms(names: tuple[sympy.Symbol, ...]) -> tuple[sympy.Expr, ...]:
    """Return PySINDy's polynomials in its order, which is not that of `jaxkd.dynamics.polynomials`."""
    powers = _polynomials().fit([_axes(np.zeros((1, len(names))))]).powers_
    return tuple(sympy.Mul(*(name ** int(power) for name, power in zip(names, row, strict=True))) for row in powers)


def differences(*, order: int = 2, window: int | None = None) -> Method:
    """Slopes by finite differences, PySINDy's default.

    Args:
        order: order of accuracy.
        window: samples of the cubic Savitzky-Golay filter that smooths the states first; None: no filter.
    """

    def sides(states: np.ndarray, times: np.ndarray) -> Sides:
        import pysindy

        if window is None:
            method = pysindy.FiniteDifference(order=order)
        else:
            method = pysindy.SmoothedFiniteDifference(order=order, smoother_kws={"window_length": window})
        library = _polynomials()
        smooth, slopes = zip(*(library.calc_trajectory(method, _axes(one), times) for one in states), strict=True)
        return _stacked(library.fit_transform(list(smooth))), _stacked(slopes)

    return sides


def windows(*, half: float = 1 / 20, count: int = 100, seed: int = 0) -> Method:
    """The weak form, which differentiates no state, by `WeakPDELibrary`.

    Args:
        half: half of the length of a window, as a share of the length of a record.
        count: number of windows in a record.
        seed: seed of their positions.
    """

    def sides(states: np.ndarray, times: np.ndarray) -> Sides:
        import pysindy

        records = [_axes(one) for one in states]
        with drawn_by(seed), quiet():
            library = pysindy.WeakPDELibrary(
                function_library=_polynomials(),
                spatiotemporal_grid=times,
                K=count,
                H_xt=half * (times[-1] - times[0]),
            )
            integrals = [library.calc_trajectory(None, one, times)[1] for one in records]
            return _stacked(library.fit_transform(records)), _stacked(integrals)

    return sides


def coefficients(sides: Sides, *, ensemble_seed: int | None = None) -> Float[np.ndarray, "thresholds states terms"]:
    """Return the coefficients of STLSQ at every threshold.

    Args:
        sides: terms and targets of all trajectories.
        ensemble_seed: seed for the median of fits to rows sampled with replacement, as in
            `EnsembleOptimizer(bagging=True)`; None: one fit to all rows.
    """
    width = sides[0].shape[2]
    rows = np.concatenate(sides, axis=2)
    rows = np.reshape(rows, (-1, rows.shape[2]))
    bags: Iterable[np.ndarray] = (rows,)
    if ensemble_seed is not None:
        draws = np.random.RandomState(ensemble_seed)
        bags = (rows[draws.choice(len(rows), len(rows))] for _ in range(MODELS))
    triangles = [np.asarray(np.linalg.qr(bag, mode="r")) for bag in bags]
    return np.median([_path(one[:, :width], one[:, width:]) for one in triangles], axis=0)


def held_out(sides: Sides) -> Float[np.ndarray, "thresholds states folds"]:
    """Return the mean squared errors on the trajectories of each fold, of one fit to all rows of all others."""
    features, targets = sides
    fold = np.arange(len(features)) * FOLDS // len(features)
    errors = []
    for held in np.arange(FOLDS)[:, None] == fold:
        tables = coefficients((features[~held], targets[~held]))
        off = np.einsum("brt,cst->cbrs", features[held], tables) - targets[held]
        errors.append(np.mean(off**2, axis=(1, 2)))
    return np.stack(errors, axis=2)


def _path(
    features: Float[np.ndarray, "rows terms"], targets: Float[np.ndarray, "rows states"]
) -> Float[np.ndarray, "thresholds states terms"]:
    """Return the fits by threshold; one serves all thresholds up to its least retained coefficient in any step."""
    import pysindy
    import sklearn

    found: list[np.ndarray] = []
    least = 0.0
    with quiet(), sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        for threshold in THRESHOLDS:
            if found and threshold <= least:
                found.append(found[-1])
                continue
            fit = pysindy.STLSQ(threshold=threshold, unbias=False).fit(features, targets)
            steps = np.abs(np.stack(fit.history_[1:]))
            least = float(np.min(steps, where=steps > 0, initial=np.inf))
            found.append(_unbiased(features, targets, fit.ind_))
    return np.stack(found)


def _unbiased(
    features: Float[np.ndarray, "rows terms"],
    targets: Float[np.ndarray, "rows states"],
    chosen: Bool[np.ndarray, "states terms"],
) -> Float[np.ndarray, "states terms"]:
    """Return STLSQ's last step, the least squares of the chosen terms, in a third of its time."""
    table = np.zeros(chosen.shape)
    for row, target, own in zip(table, targets.T, chosen, strict=True):
        row[own] = np.linalg.lstsq(features[:, own], target, rcond=None)[0]
    return table


def _polynomials() -> "PolynomialLibrary":
    import pysindy

    return pysindy.PolynomialLibrary(degree=DEGREE, include_bias=True)


def _axes(states: np.ndarray) -> "AxesArray":
    import pysindy

    return pysindy.AxesArray(states, {"ax_time": 0, "ax_coord": 1})


def _stacked(records: "list[AxesArray] | tuple[AxesArray, ...]") -> np.ndarray:
    return np.stack([np.asarray(one) for one in records])


@contextlib.contextmanager
def drawn_by(seed: int) -> Iterator[None]:
    """Seed NumPy's global state, from which PySINDy samples, and restore it afterwards."""
    kept = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(kept)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress PySINDy's warnings about thresholds that leave no term, as a grid has, and about axes of its arrays."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparsity parameter is too big", category=UserWarning)
        warnings.filterwarnings("ignore", message="STLSQ did not converge", category=UserWarning)
        warnings.filterwarnings("ignore", message=r"\d axes labeled for array")
        yield
