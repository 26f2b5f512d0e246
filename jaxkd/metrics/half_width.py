"""Full-width letters, digits and punctuation, as in Chinese text, in their ASCII forms."""

import re

_THOUSANDS = re.compile(r"(?<=[０-９])，(?=[０-９]{3})")
_FORMS = {0xFF01 + offset: chr(0x21 + offset) for offset in range(94)} | {0x3000: " ", ord("，"): ", "}


def half_width(text: str) -> str:
    """Replace full-width forms (U+FF01 to U+FF5E, U+3000) by ASCII.

    Between full-width digits a comma groups them, as in 1,234.  Elsewhere it ends a clause, as in "限速100，200米", and
    becomes a comma and a space.
    """
    return _THOUSANDS.sub(",", text).translate(_FORMS)
