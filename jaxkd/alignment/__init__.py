"""Which positions of two tokenizations of one text belong together: pure functions of arrays, nothing else loaded."""

from jaxkd.alignment import by_index as by_index
from jaxkd.alignment import chunk_values as chunk_values
from jaxkd.alignment import chunks as chunks
from jaxkd.alignment import exact_token as exact_token
from jaxkd.alignment import greedy as greedy
