"""`python -m benchmarks.dynamics.plot_dynamics`: draw what `identify` finds in noisy data of prey and predators.

Writes `docs/_static/dynamics.svg`.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.losses.plot_losses_memory import save
from jaxkd.dynamics import Identified, bootstrap, identify, polynomials, solve, systems
from jaxkd.dynamics.identification import library
from jaxkd.report.ink import INK, MUTED, PAPER, RULE
from jaxkd.report.svg import PALETTE
from jaxkd.runtime.program import run_program

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DRAWING = Path(__file__).parents[2] / "docs" / "_static" / "dynamics.svg"
SYSTEM = systems.LOTKA_VOLTERRA
LEVEL = 0.1
"""Noise, as a share of each state's standard deviation."""
REPLICATES = 60
START = (4.0, 1.0)
"""Initial state of the forecast."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """Contents of the drawing, in the system's units."""

    times: np.ndarray
    clean: np.ndarray
    """First trajectory, [times, states]."""
    measured: np.ndarray
    identified: Identified
    truth: np.ndarray
    """Forecast of the true equations."""
    forecasts: np.ndarray
    """Forecasts of the equations from resampled blocks, [replicates, times, states]."""


def found(replicates: int = REPLICATES) -> Found:
    """Measure, identify and forecast."""
    states, noise, draws = jax.random.split(jax.random.key(0), 3)
    clean, times, names = SYSTEM.trajectories(states, 16), SYSTEM.times(), SYSTEM.equations.states
    measured = systems.with_noise(clean, noise, level=LEVEL)
    identified = identify(measured, times, names=names, terms=polynomials(names, degree=3))
    tables = bootstrap(identified.fit, draws, replicates=replicates).coefficients
    start = jnp.array(START)

    values = library.values(identified.equations.terms, names)

    @jax.jit
    def forecast(table: jax.Array) -> jax.Array:
        return solve(lambda t, y, table: values(y) @ table, start, times, table).states

    true = SYSTEM.equations.within(identified.equations.terms).coefficients
    return Found(
        times=np.asarray(times),
        clean=np.asarray(clean[0]),
        measured=np.asarray(measured[0]),
        identified=identified,
        truth=np.asarray(forecast(jnp.asarray(true))),
        forecasts=np.asarray(jax.vmap(forecast)(tables)),
    )


def draw(shown: Found) -> "Figure":
    """Draw samples and curve, the slope of both states, and a forecast with its band."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(7.6, 2.9), facecolor=PAPER)
    axes = drawing.subplots(1, 3)
    drawing.subplots_adjust(left=0.05, right=0.985, bottom=0.17, top=0.82, wspace=0.24)
    curve = jax.tree.map(lambda leaf: leaf[0], shown.identified.curves)
    smooth, slope = (np.asarray(curve.at(jnp.asarray(shown.times), derivative=order)) for order in (0, 1))
    exact = np.asarray(SYSTEM.slopes(jnp.asarray(shown.clean)))
    low, high = np.quantile(shown.forecasts, [0.05, 0.95], axis=0)
    for state, (color, name) in enumerate(zip(PALETTE[:2], ("prey", "predators"), strict=True)):
        axes[0].plot(shown.times, shown.measured[:, state], ".", color=color, markersize=3.5)
        axes[0].plot(shown.times, smooth[:, state], color=color, linewidth=1.3, label=name)
        axes[1].plot(shown.times, exact[:, state], color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
        axes[1].plot(shown.times, slope[:, state], color=color, linewidth=1.5)
        axes[2].fill_between(shown.times, low[:, state], high[:, state], color=color, linewidth=1.2)
        axes[2].plot(shown.times, shown.truth[:, state], color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
    titles = (f"Samples with {LEVEL:.0%} noise", "Their derivatives", "Forecast, another start")
    for one, title in zip(axes, titles, strict=True):
        _plain(one, title)
    axes[0].set_ylim(top=1.22 * np.max(shown.measured))
    axes[0].legend(frameon=False, fontsize=8, labelcolor="linecolor", handlelength=0, loc="upper right", ncols=2)
    return drawing


def _plain(axes: "Axes", title: str) -> None:
    axes.set_facecolor(PAPER)
    axes.set_title(title, loc="left", fontsize=9.5, color=INK, pad=8)
    axes.set_xlabel("time", color=MUTED, loc="right", labelpad=2, fontsize=8)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=4, labelcolor=MUTED, labelsize=8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(RULE)


def main() -> None:
    """Draw, in float64."""
    with jax.enable_x64(True):
        run_program(lambda: save(draw(found()), DRAWING))


if __name__ == "__main__":
    main()
