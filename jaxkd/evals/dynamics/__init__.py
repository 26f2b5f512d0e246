"""Evaluators of learnt dynamics."""

from jaxkd.evals.dynamics.field_error import FieldError as FieldError
from jaxkd.evals.dynamics.rollout_error import RolloutError as RolloutError
