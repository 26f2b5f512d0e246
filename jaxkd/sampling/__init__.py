"""Text generation: one prefill of a batch's prompts, then decoding of one token per step with a key/value cache.

`generate` takes lists of prompts and returns texts.  `sample` is the compiled program below it, a pure function of
arrays, for a training loop that learns from the model's generations.
"""

from jaxkd.sampling.decode import sample
from jaxkd.sampling.options import GREEDY, Sampling
from jaxkd.sampling.prompts import bucket, pad
from jaxkd.sampling.records import Finish, Generated, Mixture, Prompts, StopTable
from jaxkd.sampling.stop_strings import stop_table
from jaxkd.sampling.text import Text, generate

__all__ = [
    "GREEDY",
    "Finish",
    "Generated",
    "Mixture",
    "Prompts",
    "Sampling",
    "StopTable",
    "Text",
    "bucket",
    "generate",
    "pad",
    "sample",
    "stop_table",
]
