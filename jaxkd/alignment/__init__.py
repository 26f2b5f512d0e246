"""Alignments between two tokenizations of one text: pure functions of arrays with no further imports."""

from jaxkd.alignment import by_index as by_index
from jaxkd.alignment import chunk_values as chunk_values
from jaxkd.alignment import chunks as chunks
from jaxkd.alignment import exact_token as exact_token
from jaxkd.alignment import greedy as greedy
