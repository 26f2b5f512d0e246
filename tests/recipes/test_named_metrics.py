"""Names that recipes give to what they log, and the word for what their steps count."""

import pytest

from jaxkd.recipes.alm import ALM
from jaxkd.recipes.feature_kd import FeatureKD
from jaxkd.recipes.fnode import FNODE
from jaxkd.recipes.on_policy import OnPolicy
from jaxkd.recipes.several_teachers import SeveralTeachers
from jaxkd.training.recipe import Count
from jaxkd.vector_fields import Network
from tests.tiny_dynamics import NOISY

NATS = "nats a token"


def named(recipe):
    return {curve.metric: (curve.title, curve.unit) for curve in recipe.curves()}


def test_methods_of_language_share_their_names_and_their_order(tiny):
    for recipe in (tiny.logit_kd(), tiny.sft(), tiny.dskd()):
        assert [curve.title for curve in recipe.curves() if curve.title] == [
            "Cross entropy",
            "Divergence from the teacher",
            "Divergence in the student's space",
            "Divergence in the teacher's space",
            "Accuracy",
            "Aligned positions",
        ]
        assert named(recipe)["cross_entropy"] == ("Cross entropy", NATS)
        assert named(recipe)["t2s_cross_entropy"] == ("", NATS)


@pytest.mark.parametrize(
    ("method", "metric"), [(ALM, "chunk_divergence"), (FeatureKD, "attention_divergence")], ids=lambda one: str(one)
)
def test_a_method_names_what_it_logs_besides(tiny, method, metric):
    fields = {"student": tiny.student, "teacher": tiny.teacher}
    recipe = tiny.cross(method) if method is ALM else method(**fields, data=tiny.text)
    assert named(recipe) == named(tiny.logit_kd()) | {metric: ("", NATS)}


def test_a_method_that_wraps_others_has_their_names(tiny):
    inner = tiny.cross(ALM)
    on_policy, several = OnPolicy(recipe=inner), SeveralTeachers(recipes=(inner, tiny.logit_kd()))
    assert named(on_policy) == named(inner) | {"on_policy_cross_entropy": ("", NATS)}
    assert named(several)["0/chunk_divergence"] == ("", NATS)
    assert named(several)["1/accuracy"] == ("", "share of the labels")
    assert "1/chunk_divergence" not in named(several)
    tokens = Count(name="targets", word="tokens", column="answer tokens\ntrained on")
    assert {one.counted for one in (inner, on_policy, several, tiny.sft())} == {tokens}


def test_methods_of_dynamics_name_their_errors_and_count_nothing():
    recipe = FNODE(data=NOISY, field=Network(width=4, depth=1))
    assert named(recipe) == {
        "slope_error": ("Error of the rates of change", "share of their standard deviation"),
        "segment_error": ("Error of short forecasts", "share of the standard deviation"),
    }
    assert recipe.counted is None
