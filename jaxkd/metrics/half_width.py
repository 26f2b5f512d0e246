"""Full-width letters, digits and punctuation, as in Chinese text, in their ASCII forms."""

import re

_FORMS = {0xFF01 + offset: chr(0x21 + offset) for offset in range(94)} | {0x3000: " "}
# Between half-width digits it ends a clause: "限速100，200米".
_THOUSANDS = re.compile(r"(?<=[０-９])，(?=[０-９]{3})")
_FORMS_BUT_COMMA = _FORMS | {ord("，"): ", "}


def half_width(text: str) -> str:
    """Replace full-width forms (U+FF01 to U+FF5E, U+3000) by ASCII.

    A full-width comma groups digits only between full-width digits; elsewhere it ends a clause and becomes a comma and
    a space.
    """
    return _THOUSANDS.sub(",", text).translate(_FORMS_BUT_COMMA)
