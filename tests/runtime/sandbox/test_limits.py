import pytest

from jaxkd.runtime.sandbox import Limits


@pytest.mark.parametrize("name", ["seconds", "memory_mib", "processes", "output_bytes", "file_bytes"])
def test_a_limit_is_positive(name):
    with pytest.raises(ValueError, match=f"{name} must be .*positive.*, got 0. Leave it out for"):
        Limits(**{name: 0})


def test_a_count_is_an_integer():
    with pytest.raises(ValueError, match="cpu_seconds must be a positive integer, got 0.5"):
        Limits(cpu_seconds=0.5)  # pyright: ignore[reportArgumentType]
    assert Limits(seconds=0.5).seconds == 0.5
