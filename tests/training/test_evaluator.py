"""Evaluators of one model."""

import pytest

from jaxkd.study.evaluate_stage import Evaluate
from jaxkd.training.evaluator import Evaluator, Measure, ModelSource, check_names


class Named(Evaluator):
    def __init__(self, name):
        self._name = name

    @property
    def name(self):
        return self._name

    def __call__(self, model):
        raise NotImplementedError


class Model(ModelSource):
    def validate(self):
        pass

    def provenance(self):
        return "none"

    def load_model(self):
        raise NotImplementedError


def test_results_of_one_name_would_replace_each_other():
    check_names(())
    check_names((Named("harmful"), Named("benign")))
    with pytest.raises(ValueError, match=r"must have different names, got a, b, a\. Give those of one kind different"):
        check_names((Named("a"), Named("b"), Named("a")))


def test_a_stage_with_two_evaluators_of_one_name_does_not_start():
    Evaluate(name="sft", model=Model(), evaluators=(Named("a"), Named("b"))).validate()
    with pytest.raises(ValueError, match="evaluators of one model must have different names, got a, a"):
        Evaluate(name="sft", model=Model(), evaluators=(Named("a"), Named("a"))).validate()


def test_an_evaluator_compares_nothing_unless_it_says_so():
    assert Named("a").measures() == Named("a").columns() == ()
    assert Named("a").findings(None, None) is None


def test_measures_that_cannot_be_read_are_refused():
    with pytest.raises(ValueError, match=r"better must be 'lower', 'higher' or None, got 'more' for passed\."):
        Measure(metric="passed", name="passed", better="more")
    with pytest.raises(
        ValueError, match=r"at_reference must come with a reference, got 0 alone for kl\. Name the model"
    ):
        Measure(metric="kl", name="KL to", better=None, at_reference=0.0)
