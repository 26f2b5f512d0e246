"""Losses between intermediate features of student and teacher: hidden states, attention, relations.

Gradients reach the student and, if given, the projection; the teacher's side is gradient-stopped.  Values are float32,
or float64 if an input is.
"""

from jaxkd.losses.feature.activation import attention_transfer as attention_transfer
from jaxkd.losses.feature.attention import attention_kl as attention_kl
from jaxkd.losses.feature.attention import attention_mse as attention_mse
from jaxkd.losses.feature.attention import value_relation_kl as value_relation_kl
from jaxkd.losses.feature.channelwise import channelwise_kd as channelwise_kd
from jaxkd.losses.feature.contrastive import info_nce as info_nce
from jaxkd.losses.feature.head_reuse import head_reuse_kd as head_reuse_kd
from jaxkd.losses.feature.hidden import hidden_cosine as hidden_cosine
from jaxkd.losses.feature.hidden import hidden_mse as hidden_mse
from jaxkd.losses.feature.relational import rkd_angle as rkd_angle
from jaxkd.losses.feature.relational import rkd_distance as rkd_distance
from jaxkd.losses.feature.similarity import cka_distance as cka_distance
from jaxkd.losses.feature.similarity import similarity_preserving as similarity_preserving
