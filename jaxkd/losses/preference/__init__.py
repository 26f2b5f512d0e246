"""Preference losses, for pairs of answers to one prompt or for single answers that are desirable or not.

Each pairwise loss has a function of one score per answer and, for recipes, a frozen dataclass with its
hyper-parameters.  Scores are log pi(y | x) - log pi_ref(y | x), or log pi(y | x) alone, as `sequence_log_prob` returns
them.
"""

from jaxkd.losses.preference.apo import APODownLoss as APODownLoss
from jaxkd.losses.preference.apo import APOZeroLoss as APOZeroLoss
from jaxkd.losses.preference.apo import apo_down_loss as apo_down_loss
from jaxkd.losses.preference.apo import apo_zero_loss as apo_zero_loss
from jaxkd.losses.preference.base import PreferenceLoss as PreferenceLoss
from jaxkd.losses.preference.dpo import DPOLoss as DPOLoss
from jaxkd.losses.preference.dpo import RobustDPOLoss as RobustDPOLoss
from jaxkd.losses.preference.dpo import dpo_loss as dpo_loss
from jaxkd.losses.preference.dpo import robust_dpo_loss as robust_dpo_loss
from jaxkd.losses.preference.kto import kto_baseline as kto_baseline
from jaxkd.losses.preference.kto import kto_loss as kto_loss
from jaxkd.losses.preference.margins import HingeLoss as HingeLoss
from jaxkd.losses.preference.margins import IPOLoss as IPOLoss
from jaxkd.losses.preference.margins import hinge_loss as hinge_loss
from jaxkd.losses.preference.margins import ipo_loss as ipo_loss
from jaxkd.losses.preference.reference_free import ORPOLoss as ORPOLoss
from jaxkd.losses.preference.reference_free import SimPOLoss as SimPOLoss
from jaxkd.losses.preference.reference_free import orpo_loss as orpo_loss
from jaxkd.losses.preference.reference_free import simpo_loss as simpo_loss
