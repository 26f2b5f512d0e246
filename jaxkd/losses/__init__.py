"""Losses as pure functions: arrays in, one value per position out, nothing else loaded."""

from jaxkd.losses import feature as feature
from jaxkd.losses.divergence import AdaptiveKL as AdaptiveKL
from jaxkd.losses.divergence import AlphaBeta as AlphaBeta
from jaxkd.losses.divergence import AnyDivergence as AnyDivergence
from jaxkd.losses.divergence import ForwardKL as ForwardKL
from jaxkd.losses.divergence import JensenShannon as JensenShannon
from jaxkd.losses.divergence import ReverseKL as ReverseKL
from jaxkd.losses.divergence import SkewForwardKL as SkewForwardKL
from jaxkd.losses.divergence import SkewReverseKL as SkewReverseKL
from jaxkd.losses.divergence import SymmetricKL as SymmetricKL
from jaxkd.losses.divergence import TotalVariation as TotalVariation
from jaxkd.losses.divergence import WassersteinSorted as WassersteinSorted
from jaxkd.losses.divergence import adaptive_kl as adaptive_kl
from jaxkd.losses.divergence import alpha_beta as alpha_beta
from jaxkd.losses.divergence import forward_kl as forward_kl
from jaxkd.losses.divergence import jensen_shannon as jensen_shannon
from jaxkd.losses.divergence import reverse_kl as reverse_kl
from jaxkd.losses.divergence import skew_forward_kl as skew_forward_kl
from jaxkd.losses.divergence import skew_reverse_kl as skew_reverse_kl
from jaxkd.losses.divergence import symmetric_kl as symmetric_kl
from jaxkd.losses.divergence import total_variation as total_variation
from jaxkd.losses.divergence import wasserstein_sorted as wasserstein_sorted
from jaxkd.losses.language import cross_entropy as cross_entropy
from jaxkd.losses.language import segment_log_prob as segment_log_prob
from jaxkd.losses.language import sequence_log_prob as sequence_log_prob
from jaxkd.losses.reduce import masked_mean as masked_mean
