"""Evaluators of one model."""

import pytest

from jaxkd.training.evaluator import Evaluator, check_names


class Named(Evaluator):
    def __init__(self, name):
        self._name = name

    @property
    def name(self):
        return self._name

    def __call__(self, model):
        raise NotImplementedError


def test_results_of_one_name_would_replace_each_other():
    check_names(())
    check_names((Named("harmful"), Named("benign")))
    with pytest.raises(ValueError, match=r"must have different names, got a, b, a\. Give those of one kind different"):
        check_names((Named("a"), Named("b"), Named("a")))
