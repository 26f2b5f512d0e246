"""Hygiene of revisions and of other generated text: reasons to drop a row, and closing sentences that many share."""

from jaxkd.data.text.hygiene.cleaned import Cleaned as Cleaned
from jaxkd.data.text.hygiene.cleaned import CleanedRow as CleanedRow
from jaxkd.data.text.hygiene.cleaned import clean as clean
from jaxkd.data.text.hygiene.closers import shared_closers as shared_closers
from jaxkd.data.text.hygiene.closers import without_closers as without_closers
from jaxkd.data.text.hygiene.reasons import REASONS as REASONS
from jaxkd.data.text.hygiene.reasons import Hygiene as Hygiene
from jaxkd.data.text.hygiene.reasons import Reason as Reason
from jaxkd.data.text.hygiene.reasons import drop_reasons as drop_reasons
