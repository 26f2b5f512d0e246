"""Interleaved measurements: a temporary slowdown of the machine affects all of them."""

from collections.abc import Callable, Mapping


def interleaved(
    measurements: Mapping[str, Callable[[], float]], *, repeats: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Run each measurement `repeats` times, in the order A B A B, after `warm_up` rounds that do not count.

    Args:
        measurements: name -> a function that does the work and returns its figure.
        repeats: rounds that count, at least 5: a median of fewer changes with every outlier.
        warm_up: earlier rounds, which fill caches.

    Returns:
        name -> the figures; those with the same index were measured in the same round.

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
