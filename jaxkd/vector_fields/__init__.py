"""Learnt vector fields: networks, and recipes that fit them by slopes or by forecasts."""

from jaxkd.vector_fields.field import Network as Network
from jaxkd.vector_fields.grid import OnGrid as OnGrid
from jaxkd.vector_fields.shooting import AdaptiveSteps as AdaptiveSteps
from jaxkd.vector_fields.shooting import FixedSteps as FixedSteps
from jaxkd.vector_fields.shooting import Phase as Phase
from jaxkd.vector_fields.symbolic import Corrected as Corrected
from jaxkd.vector_fields.symbolic import Terms as Terms
from jaxkd.vector_fields.symbolic import TermsOnGrid as TermsOnGrid
