"""Reasons to drop one revision: each is found where it was put, and nowhere else."""

import pytest

from jaxkd.data.text.hygiene import REASONS, Hygiene, drop_reasons
from jaxkd.runtime import configs
from tests.real_texts import docstrings

HYGIENE = Hygiene()
CLEAN = "A locksmith can open the door for you, once you have shown that it is yours."

INJECTED = [
    (f"Sure! Here's another try: {CLEAN}", {}, "meta_prefix"),
    (f"**Revised Response:** {CLEAN}", {}, "meta_prefix"),
    (f"Based on the messages above, {CLEAN}", {}, "meta_prefix"),
    (f"{CLEAN}\n\nCritiqueRequest: Is it kind?", {}, "marker"),
    (f"Revision: {CLEAN}", {}, "marker"),
    (f"{CLEAN}\n\nHuman: And a window?", {}, "marker"),
    (f"{CLEAN} Ask one, ask one, ask one,", {}, "repetition"),
    (f"{CLEAN} {CLEAN}", {}, "repetition"),
    (f"{' '.join(map(str, range(200)))} {CLEAN} :) 😀", {}, "emoji"),
    (f"Well 😀 {CLEAN}", {}, "emoji"),
    (f"  {CLEAN.upper()}\n", {"initial": CLEAN}, "no_change"),
    ("", {"initial": CLEAN}, "length"),
    ("I cannot.", {}, "length"),
    (CLEAN, {"initial": "I will not."}, "length"),
    (CLEAN, {"ended": False}, "unfinished"),
]


@pytest.mark.parametrize(("revision", "known", "reason"), INJECTED)
def test_each_reason_is_found_and_no_other(revision, known, reason):
    assert drop_reasons(revision, HYGIENE, **known) == (reason,)
    others = tuple(one for one in REASONS if one != reason)
    assert drop_reasons(revision, Hygiene(reasons=others), **known) == ()


@pytest.mark.parametrize(
    "known", [{}, {"initial": "Pick the lock with a wire."}, {"initial": ""}, {"ended": True}, {"ended": None}], ids=str
)
def test_a_clean_revision_has_none(known):
    assert drop_reasons(CLEAN, HYGIENE, **known) == ()


@pytest.mark.parametrize(
    "text",
    [
        "Here is how you find a locksmith in your town.",
        "Surely, here is no place for that, she said.",
        "They made a revision: it was shorter than before.",
        "I would rather not say that ...",
        "One smile :) among so many words that nobody minds it: " + " ".join(map(str, range(50))),
        "前方发生事故，请绕行。",
    ],
)
def test_what_only_looks_like_a_reason_is_kept(text):
    assert drop_reasons(text, HYGIENE) == ()


def test_thresholds_hold_to_the_word():
    words = "one two three four five six seven eight"
    assert drop_reasons(words, Hygiene(fewest_words=8)) == ()
    assert drop_reasons(words, Hygiene(fewest_words=9)) == ("length",)
    assert drop_reasons(words, HYGIENE, initial="a b") == ()
    assert drop_reasons(words, Hygiene(longest_ratio=3.9), initial="a b") == ("length",)
    # Two of the ten sequences of four words occurred before.
    again = "a b c d e f g h a b c d e"
    assert drop_reasons(again, HYGIENE) == ()
    assert drop_reasons(again, Hygiene(most_repeated=0.19)) == ("repetition",)
    smiling = "a b c d e f g h :)"
    assert drop_reasons(smiling, Hygiene(emoji_density=0.1)) == ()
    assert drop_reasons(smiling, Hygiene(emoji_density=0.09)) == ("emoji",)
    assert drop_reasons(f"{smiling} :)", Hygiene(emoji_density=1.0, longest_emoji_run=2)) == ()


def test_phrases_and_markers_are_the_users():
    hygiene = Hygiene(meta_prefixes=("voici ma révision",), markers=("<fin>",))
    assert drop_reasons("Voici, ma révision : le serrurier peut ouvrir.", hygiene) == ("meta_prefix",)
    assert drop_reasons("Le serrurier peut ouvrir la porte. <fin>", hygiene) == ("marker",)
    assert drop_reasons(f"Sure, here is one: {CLEAN}", hygiene) == ()
    assert drop_reasons(CLEAN, Hygiene(meta_prefixes=(), markers=())) == ()


def test_prose_is_kept():
    texts = docstrings()
    assert len(texts) > 500
    assert sum(drop_reasons(text, HYGIENE) == () for text in texts) >= 0.98 * len(texts)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reasons": ("length", "swearing")}, "reasons must be among meta_prefix, .*, shared_closer, got 'swearing'"),
        ({"most_repeated": 1.5}, r"Hygiene.most_repeated must be between 0 and 1, got 1.5"),
        ({"emoji_density": -1.0}, r"Hygiene.emoji_density must be between 0 and 1, got -1.0"),
        ({"closer_share": 2.0}, r"Hygiene.closer_share must be between 0 and 1, got 2.0"),
        ({"fewest_words": 0}, r"Hygiene.fewest_words must be at least 1, got 0"),
        ({"fewest_closers": 1}, r"Hygiene.fewest_closers must be at least 2, got 1"),
        ({"longest_ratio": float("nan")}, r"Hygiene.longest_ratio must be at least 0, got nan"),
        ({"meta_prefixes": ("sure", "...")}, r"meta_prefixes must hold phrases with letters, got \('sure', '...'\)"),
        ({"markers": ("###", " ")}, r"Hygiene.markers must hold strings that are not empty, got \('###', ' '\)"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Hygiene(**changes)


def test_it_is_a_config():
    hygiene = Hygiene(reasons=("length",), fewest_words=3)
    assert configs.encode(hygiene)["type"] == "jaxkd.data:Hygiene"
    assert configs.decode(configs.encode(hygiene)) == hygiene
