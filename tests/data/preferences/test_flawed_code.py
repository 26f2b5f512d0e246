"""Real bodies, each against itself with one flaw."""

import ast
from collections import Counter
from typing import get_args

import pytest

from jaxkd.data import FlawedCode, StandardLibrary
from jaxkd.data.examples import stable_split
from jaxkd.data.preferences.code_flaws import Flaw, flaws
from jaxkd.data.preferences.code_mutations import _Source
from jaxkd.data.text.standard_library import signature
from jaxkd.runtime import configs
from tests.data.plain_modules import plain_modules

LIBRARY = StandardLibrary(max_characters=400)
CODE = FlawedCode(source=LIBRARY, held_out=("same_operands",))


@pytest.fixture(scope="module", autouse=True)
def few_modules(tmp_path_factory):
    with plain_modules(tmp_path_factory.mktemp("stdlib")):
        yield


@pytest.fixture(scope="module")
def pairs():
    return {split: CODE.pairs(split) for split in ("train", "validation", "test")}


def kind(pair):
    return pair.key.split("!")[1]


def test_the_rejected_body_has_one_flaw_and_the_chosen_none(pairs):
    for pair in (pair for split in pairs.values() for pair in split):
        head = signature(pair.answered(pair.chosen))
        assert flaws(f"{head}\n{pair.chosen}") == ()
        assert flaws(f"{head}\n{pair.rejected}") == (kind(pair),)


def test_a_held_out_kind_is_in_the_test_split_alone(pairs):
    kinds = {split: Counter(map(kind, found)) for split, found in pairs.items()}
    assert set(kinds["test"]) == set(get_args(Flaw))
    assert kinds["test"]["same_operands"] > 20
    for split in ("train", "validation"):
        assert "same_operands" not in kinds[split]
        # No kind is all there is, and none is missing.
        assert len(kinds[split]) == 6
        assert max(kinds[split].values()) < 0.6 * len(pairs[split])


def test_a_file_is_on_one_side_and_a_body_in_one_function(pairs):
    for split, found in pairs.items():
        assert all(stable_split(pair.group) == split for pair in found)
        owners = {}
        for pair in found:
            assert owners.setdefault(pair.chosen, pair.key.split("!")[0]) == pair.key.split("!")[0]
        assert len({pair.key for pair in found}) == len(found)


def test_the_draw_is_by_the_key_alone(pairs):
    other = FlawedCode(source=LIBRARY, kinds=("unused", "syntax"))
    again = {pair.key: pair.rejected for pair in pairs["test"]}
    found = other.pairs("test")
    assert found
    assert all(again[pair.key] == pair.rejected for pair in found)
    assert configs.decode(configs.encode(CODE)) == CODE


def test_a_node_that_no_source_has_is_refused():
    with pytest.raises(ValueError, match=r"node must come from a source, got Name\(id='x'"):
        _Source("x = 1", 0).span(ast.Name("x"))


def test_bad_choices_are_refused():
    with pytest.raises(ValueError, match="kinds must be some of syntax, repeated, .*, got \\('typo',\\)"):
        FlawedCode(source=LIBRARY, kinds=("typo",))
    with pytest.raises(ValueError, match="kinds must be some of"):
        FlawedCode(source=LIBRARY, kinds=())
    for held_out in [("syntax",), ("unused",)]:
        with pytest.raises(ValueError, match=r"held_out must be some of kinds \('syntax',\), not all, got"):
            FlawedCode(source=LIBRARY, kinds=("syntax",), held_out=held_out)
