"""Measurements side by side: what slows the machine down for a while slows all of them."""

from collections.abc import Callable, Mapping


def interleaved(
    measurements: Mapping[str, Callable[[], float]], *, repeats: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Each measurement `repeats` times, in the order A B A B, after `warm_up` rounds that do not count.

    Args:
        measurements: name -> a function that does the work and returns its figure.
        repeats: rounds that count, at least 5: a median of fewer moves with every outlier.
        warm_up: rounds before them, which fill caches.

    Returns:
        name -> the figures; those of one index were measured in the same round.

    Raises:
        ValueError: fewer than 5 repeats.
    """
    if repeats < 5:
        raise ValueError(f"repeats must be >= 5, got {repeats}: a median of fewer says little.")
    figures: dict[str, list[float]] = {name: [] for name in measurements}
    for number in range(warm_up + repeats):
        for name, measure in measurements.items():
            figure = measure()
            if number >= warm_up:
                figures[name].append(figure)
    return figures
