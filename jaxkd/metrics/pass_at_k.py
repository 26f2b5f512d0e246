"""pass@k: the chance that at least one of k programs that a model writes passes its tests."""

import numpy as np


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """Return the unbiased estimate of pass@k for one problem, 1 - C(n - c, k) / C(n, k).

    It is the share of the subsets of k samples that hold a correct one.  Its mean over problems is the benchmark's
    pass@k; 1 - (1 - c/n)^k would be too small.

    Args:
        samples: number n of programs that were written for the problem, at least 1.
        correct: number c of those that passed.
        k: number of tries, from 1 to `samples`.

    Returns:
        A probability in [0, 1], exact to a few rounding units: the product of 1 - k/i over i from n - c + 1 to n.

    Raises:
        ValueError: no samples, more correct ones than samples, or k outside 1 to `samples`.

    Source: Chen et al. 2021, Evaluating large language models trained on code (arXiv 2107.03374), equation 1 and
    figure 3.  Deviation: none.

    Example:
        >>> round(pass_at_k(5, 2, 1), 12), round(pass_at_k(5, 2, 3), 12)
        (0.4, 0.9)
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples}. Generate a program for the problem first.")
    if not 0 <= correct <= samples:
        raise ValueError(f"correct must be from 0 to the {samples} samples, got {correct}.")
    if not 1 <= k <= samples:
        raise ValueError(f"k must be from 1 to the {samples} samples, got {k}. Generate at least k programs a problem.")
    if samples - correct < k:
        return 1.0  # the factor of i = k is 0, but those before it are large, and their product may overflow
    return float(1 - np.prod(1 - k / np.arange(samples - correct + 1, samples + 1)))
