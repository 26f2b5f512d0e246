"""Requests that should be declined, and harmless ones that look like them."""

import pytest

from jaxkd.data import LookAlikes


def test_each_request_has_its_look_alike():
    harmful, benign, both = (LookAlikes(requests=kind).examples("test") for kind in ("harmful", "benign", "both"))
    assert len(harmful) == len(benign) == 12
    assert both == [one for pair in zip(harmful, benign, strict=True) for one in pair]
    assert len({one.key for one in both}) == len({one.messages for one in both}) == 24
    assert all(one.response == "" for one in both)
    for one, other in zip(harmful, benign, strict=True):
        assert one.group == other.group
        # They begin alike, or share words further on.
        assert len(set(one.messages[0][1].lower().split()) & set(other.messages[0][1].lower().split())) >= 2


def test_another_kind_is_refused():
    with pytest.raises(ValueError, match="requests must be one of harmful, benign, both, got 'all'"):
        LookAlikes(requests="all")
