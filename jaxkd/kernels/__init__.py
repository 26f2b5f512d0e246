"""Losses from hidden states that never store logits of [tokens, vocabulary]."""

from jaxkd.kernels.check_divergence import check_divergence as check_divergence
from jaxkd.kernels.chunks.contrast_chunk import ContrastChunk as ContrastChunk
from jaxkd.kernels.chunks.hybrid_chunk import HybridChunk as HybridChunk
from jaxkd.kernels.chunks.rank_chunk import RankChunk as RankChunk
from jaxkd.kernels.chunks.token_chunk import FROZEN_HEAD as FROZEN_HEAD
from jaxkd.kernels.chunks.token_chunk import TokenChunk as TokenChunk
from jaxkd.kernels.divergence import Divergence as Divergence
from jaxkd.kernels.divergence import SeparableDivergence as SeparableDivergence
from jaxkd.kernels.linear.divergence import LinearLoss as LinearLoss
from jaxkd.kernels.linear.divergence import linear_argmax as linear_argmax
from jaxkd.kernels.linear.divergence import linear_cross_entropy as linear_cross_entropy
from jaxkd.kernels.linear.divergence import linear_divergence as linear_divergence
from jaxkd.kernels.linear.hybrid_distance import HybridLoss as HybridLoss
from jaxkd.kernels.linear.hybrid_distance import linear_hybrid_distance as linear_hybrid_distance
from jaxkd.kernels.linear.log_probs import LogProbs as LogProbs
from jaxkd.kernels.linear.log_probs import linear_divergence_values as linear_divergence_values
from jaxkd.kernels.linear.log_probs import linear_log_probs as linear_log_probs
from jaxkd.kernels.linear.rank_distance import RankLoss as RankLoss
from jaxkd.kernels.linear.rank_distance import linear_rank_distance as linear_rank_distance
from jaxkd.kernels.softmax.head_logits import head_logits as head_logits
from jaxkd.kernels.softmax.hybrid import SharedTokens as SharedTokens
from jaxkd.kernels.top_k_teacher import top_k as top_k
from jaxkd.kernels.top_k_teacher import top_k_divergence as top_k_divergence
from jaxkd.kernels.vocab_tile import VocabTile as VocabTile
