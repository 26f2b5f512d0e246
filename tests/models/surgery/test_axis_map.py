import dataclasses

import pytest

from jaxkd.models.surgery.axis_map import axis_map
from tests.models import tiny


@pytest.mark.parametrize("width", [16, 4, 6])
def test_a_size_is_told_from_another_of_the_same_length(width):
    """head_dim is 6 and there are 4 heads: lengths alone would mix them up with the width."""
    config = dataclasses.replace(tiny.LLAMA, width=width, query_key_norm=True)
    axes = axis_map(config, width=2 * width)
    attention = axes["blocks"]["attention"]
    assert attention["query"]["kernel"] == (1,)
    assert attention["output"]["kernel"] == (3,)
    assert attention["query_norm"]["scale"] == ()
    assert axes["blocks"]["mlp_norm"]["scale"] == (1,)
    assert axes["final_norm"]["scale"] == (0,)
    assert axes["embedding"] == (1,)


def test_every_parameter_of_a_family_is_reached():
    axes = axis_map(tiny.GPT2, width=32)
    assert axes["positions"] == (1,)
    assert axes["blocks"]["attention"]["output"] == {"kernel": (3,), "bias": (1,)}
    assert axes["blocks"]["mlp"]["down"] == {"kernel": (2,), "bias": (1,)}
    assert axes["blocks"]["mlp_norm"] == {"scale": (1,), "bias": (1,)}
    axes = axis_map(tiny.GPT2, mlp_width=48)["blocks"]["mlp"]
    assert axes == {"up": {"kernel": (2,), "bias": (1,)}, "down": {"kernel": (1,), "bias": ()}}
