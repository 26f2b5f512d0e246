"""Whether a free reply calls a statement true or false."""

import re

from jaxkd.metrics.mentions import CLOSE, OPEN, WINDOW, Mention, Strength, begins_line, plain, unanimous

# "the correct answer", 正确的做法: an attribute of something else, and no verdict.
_NO_NOUN = (
    r"(?! (?!(?:because|since|as|that|in|for|and|or|nor|but|if|when|under|only|according|to|by|with|at|on|here"
    r"|statement|claim|assertion)\b)[a-z])"
)
_NO_HAN_NOUN = r"(?!与否|吗|的?[答选做处操方使佩行驾位姿顺步率理表判措认引装识说时停安车速距标信])"
_DEGREE = r"(?: (?:be|been|a|an|the|entirely|fully|quite|really|always|completely|necessarily|strictly|exactly)){0,3}"
_ALONE_BEFORE = r"(?<=[\s:,.;!()\[\]\"'“”*_`。、；！是为])"
_ALONE_AFTER = r"(?=[\s,.;!)\]\"'”*_`。、；！])"

# The first that matches is read, so denied forms come before what they contain.
_VERDICT = re.compile(
    rf"(?P<denied_false>(?:\bnot|n['’]t|\bnever){_DEGREE} (?:false|wrong|incorrect|untrue)\b"
    r"|没有?错误?|无误|(?:不|并非)是?错误的?)"
    rf"|(?P<false>(?:\bnot|n['’]t|\bnever|\bcannot|\bhardly){_DEGREE} (?:true|correct|right|accurate)\b"
    r"|\b(?:untrue|incorrect|inaccurate)\b"
    r"|(?:不|并非|非|没有?|无法|难以)(?:是|太|很|完全|一定|总是|都|够|能说|能算|能|算|怎么){0,2}"
    r"(?:正确|对(?![称应于方面向])|准确|成立|属实)|(?<!是)不是"
    rf"|\b(?:false|wrong)\b{_NO_NOUN}|\bno(?= ?[,.;!\n)\"'*])|错误{_NO_HAN_NOUN}|有误|错[的了]{_ALONE_AFTER}"
    rf"|{_ALONE_BEFORE}[错否]{_ALONE_AFTER}|[×✗✘❌])"
    rf"|(?P<true>\b(?:true|correct)\b{_NO_NOUN}|\byes\b|(?:\bis|['’]s) right(?=[,.;!\n])"
    rf"|(?<!是否)正确{_NO_HAN_NOUN}|[对是]的{_ALONE_AFTER}|{_ALONE_BEFORE}[对是]{_ALONE_AFTER}|[√✓✔✅☑])",
    re.IGNORECASE,
)
_ANNOUNCED = re.compile(
    r"(?:\b(?:answer|verdict|conclusion|statement|claim|assertion)\b|答案|答(?= ?:)|判断|结论|说法|表述"
    r"|观点|陈述|命题|这句话|描述)"
    r"(?:[\s:=>,*_\"'}\]]|\b(?:is|was|therefore|thus|the|clearly|definitely)\b|应该|应当|应|就|是|为|本题|该题){0,6}"
    rf"{OPEN}$",
    re.IGNORECASE,
)
_AND = re.compile(rf"{CLOSE} ?[,.;。、；/|]? ?(?:\band\b|\bor\b|\bnor\b|和|或者?|还是|与)? ?{OPEN}", re.IGNORECASE)


def truth(reply: str) -> bool | None:
    """Return the verdict of a reply to a true-or-false question; None if it gives none or both.

    True are true, correct, yes, 正确, 对, 是 and √; false are false, wrong, incorrect, untrue, no, 错误, 错, 否 and ×,
    and the denied forms of the former, which are read first: not true, isn't correct, 不正确, 不对, 不是.  Words that
    qualify a noun ("the correct answer", 正确的做法) are no verdicts, nor is 是 or 对 within a sentence.  The clearest
    statements decide: "The answer is ...", "The statement is ...", 答案, 判断, 说法; then a verdict that begins or is a
    line; then any other.

    Args:
        reply: text of any length; the time is proportional to it.

    Returns:
        None if the clearest statements differ, as in "True or false".

    Source: inferred; benchmarks leave the extraction to the reader.  Deviation: none.

    Example:
        >>> truth("错误。正确的做法是减速。"), truth("That is not untrue."), truth("True or false?")
        (False, True, None)
    """
    text = plain(reply)
    mentions: list[Mention[bool]] = []
    end = 0
    for match in _VERDICT.finditer(text):
        strength = _strength(text, *match.span())
        if mentions and _AND.fullmatch(text, end, match.start()):
            strength = max(strength, mentions[-1].strength)
        mentions.append(Mention(value=match["false"] is None, strength=strength))
        end = match.end()
    return unanimous(mentions)


def _strength(text: str, start: int, end: int) -> Strength:
    if _ANNOUNCED.search(text, max(0, start - WINDOW), start):
        return Strength.ANNOUNCED
    return Strength.START if begins_line(text, start) else Strength.BARE
