"""Losses as pure functions: arrays in, one value per position out, nothing else loaded."""

from jaxkd.losses.divergence import ForwardKL as ForwardKL
from jaxkd.losses.divergence import forward_kl as forward_kl
from jaxkd.losses.language import cross_entropy as cross_entropy
from jaxkd.losses.reduce import masked_mean as masked_mean
