"""Divergences between a student's and a teacher's next-token distributions.

Each has a function of two logits and, for recipes and kernels, a frozen dataclass with its hyper-parameters.  p is the
teacher's distribution and q the student's, both at `temperature`; the teacher's logits get no gradient by default; -inf
marks a padding row.
"""

from jaxkd.losses.divergence.ab_divergence import AlphaBeta as AlphaBeta
from jaxkd.losses.divergence.ab_divergence import alpha_beta as alpha_beta
from jaxkd.losses.divergence.adaptive import AdaptiveKL as AdaptiveKL
from jaxkd.losses.divergence.adaptive import adaptive_kl as adaptive_kl
from jaxkd.losses.divergence.base import AnyDivergence as AnyDivergence
from jaxkd.losses.divergence.distance import TotalVariation as TotalVariation
from jaxkd.losses.divergence.distance import WassersteinSorted as WassersteinSorted
from jaxkd.losses.divergence.distance import total_variation as total_variation
from jaxkd.losses.divergence.distance import wasserstein_sorted as wasserstein_sorted
from jaxkd.losses.divergence.kl import ForwardKL as ForwardKL
from jaxkd.losses.divergence.kl import ReverseKL as ReverseKL
from jaxkd.losses.divergence.kl import SymmetricKL as SymmetricKL
from jaxkd.losses.divergence.kl import forward_kl as forward_kl
from jaxkd.losses.divergence.kl import reverse_kl as reverse_kl
from jaxkd.losses.divergence.kl import symmetric_kl as symmetric_kl
from jaxkd.losses.divergence.mixture import JensenShannon as JensenShannon
from jaxkd.losses.divergence.mixture import SkewForwardKL as SkewForwardKL
from jaxkd.losses.divergence.mixture import SkewReverseKL as SkewReverseKL
from jaxkd.losses.divergence.mixture import jensen_shannon as jensen_shannon
from jaxkd.losses.divergence.mixture import skew_forward_kl as skew_forward_kl
from jaxkd.losses.divergence.mixture import skew_reverse_kl as skew_reverse_kl
