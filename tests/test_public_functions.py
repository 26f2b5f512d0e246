"""One table of the pure layers' public functions; a name that is missing from it fails."""

import inspect

import pytest

from jaxkd import kernels, losses
from jaxkd.losses import reduce

PUBLIC = {
    losses.forward_kl: "tests/losses/divergence/test_kl.py",
    losses.reverse_kl: "tests/losses/divergence/test_kl.py",
    losses.symmetric_kl: "tests/losses/divergence/test_kl.py",
    losses.jensen_shannon: "tests/losses/divergence/test_mixture.py",
    losses.skew_forward_kl: "tests/losses/divergence/test_mixture.py",
    losses.skew_reverse_kl: "tests/losses/divergence/test_mixture.py",
    losses.total_variation: "tests/losses/divergence/test_distance.py",
    losses.wasserstein_sorted: "tests/losses/divergence/test_distance.py",
    losses.alpha_beta: "tests/losses/divergence/test_alpha_beta.py",
    losses.adaptive_kl: "tests/losses/divergence/test_adaptive.py",
    losses.cross_entropy: "tests/losses/test_language.py",
    losses.masked_mean: "tests/losses/test_reduce.py",
    reduce.mean_weights: "tests/losses/test_reduce.py",
    reduce.masked_sum: "tests/losses/test_reduce.py",
    reduce.reported: "tests/losses/test_reduce.py",
    kernels.head_logits: "tests/kernels/test_linear_divergence.py",
    kernels.linear_divergence: "tests/kernels/test_linear_divergence.py",
    kernels.linear_cross_entropy: "tests/kernels/test_linear_divergence.py",
}


@pytest.mark.parametrize("module", [losses, kernels, reduce])
def test_the_table_is_complete(module):
    functions = {
        value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and not name.startswith("_") and value.__module__.startswith("jaxkd.")
    }
    assert functions <= PUBLIC.keys()


@pytest.mark.parametrize("function", PUBLIC, ids=lambda function: function.__name__)
def test_every_function_states_its_source_and_shows_an_example(function):
    text = inspect.getdoc(function)
    assert text is not None
    for part in ("Returns:", "Source:", "eviation", "Example:\n"):
        assert part in text
    names = [name for name in inspect.signature(function).parameters if name != "temperature"]
    assert all(f"{name}:" in text for name in names if name not in ("student", "hiddens") or "Args:" in text)


@pytest.mark.parametrize(("function", "path"), PUBLIC.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_every_function_is_tested_where_the_table_says(function, path):
    from pathlib import Path

    assert f"{function.__name__}(" in Path(path).read_text()
