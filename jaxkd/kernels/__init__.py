"""Losses that start from hidden states and never store logits of [tokens, vocabulary]."""

from jaxkd.kernels.head_logits import head_logits as head_logits
from jaxkd.kernels.linear_divergence import linear_cross_entropy as linear_cross_entropy
from jaxkd.kernels.linear_divergence import linear_divergence as linear_divergence
from jaxkd.kernels.reference import Divergence as Divergence
from jaxkd.kernels.reference import LinearLoss as LinearLoss
