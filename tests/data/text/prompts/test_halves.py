"""Halves by the hash of a prompt share none, however rows are named, ordered or repeated."""

import dataclasses

import pytest

from jaxkd.data import Example, Half, Source
from jaxkd.data.text.prompts.halves import opening, require_disjoint_prompts
from jaxkd.runtime import configs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given(Source):
    """Examples that a test names."""

    found: tuple[Example, ...]

    def examples(self, split):
        return list(self.found)


def example(key, *texts, response="", first="user"):
    roles = ("user", "assistant") if first == "user" else ("assistant", "user")
    return Example(
        key=key,
        group=key,
        messages=tuple((roles[place % 2], text) for place, text in enumerate(texts)),
        response=response,
    )


NUMBERED = Given(found=tuple(example(f"a:{n}", f"Name the number {n}.") for n in range(1000)))


def prompts(source):
    return [opening(row.messages) for row in source.examples("train")]


def test_halves_are_disjoint_complete_and_about_equal():
    first, second = (Half(source=NUMBERED, half=half) for half in ("first", "second"))
    assert {*prompts(first)}.isdisjoint(prompts(second))
    assert sorted(prompts(first) + prompts(second)) == sorted(prompts(NUMBERED))
    # Four standard deviations of a thousand coins.
    assert abs(len(prompts(first)) - 500) < 4 * 250**0.5
    places = [int(row.key.split(":")[1]) for row in first.examples("train")]
    assert places == sorted(places)


def test_the_share_and_the_seed_decide():
    small = {*prompts(Half(source=NUMBERED, half="first", share=0.1))}
    assert abs(len(small) - 100) < 4 * 90**0.5
    assert small < {*prompts(Half(source=NUMBERED, half="first"))}
    assert {*prompts(Half(source=NUMBERED, half="second", share=0.1))}.isdisjoint(small)
    other = {*prompts(Half(source=NUMBERED, half="first", seed=1))}
    assert 200 < len(other & {*prompts(Half(source=NUMBERED, half="first"))}) < 300


def test_the_prompt_decides_and_not_the_key_the_answer_or_what_follows():
    """A file repeats prompts under other keys, in another spelling, with another answer, or as a conversation."""
    repeated = [
        row
        for n in range(50)
        for row in (
            example(f"b:{n}", f"  name THE\nnumber {n}. ", response="It is."),
            example(f"c:{n}", f"Name the number {n}.", "Two.", "Criticise it.", "It is wrong.", "Revise it."),
        )
    ]
    source = Given(found=(*NUMBERED.found[:50], *repeated[::-1]))
    first, second = (Half(source=source, half=half) for half in ("first", "second"))
    assert len(prompts(first)) + len(prompts(second)) == 150
    assert {*prompts(first)}.isdisjoint(prompts(second))
    assert {*prompts(first)} == {*prompts(Half(source=Given(found=NUMBERED.found[:50]), half="first"))}


def test_an_opening_is_what_precedes_the_first_answer():
    system = (("system", "Be brief."), ("user", "Hi"))
    assert opening(system) == opening((*system, ("assistant", "Hello."), ("user", "Bye"))) != opening(system[1:])
    assert opening((("user", "ﬁve Ⅳ"),)) == opening((("user", "FIVE iv"),))
    assert opening((("user", "a"), ("user", "b"))) != opening((("user", "a b"),))
    whole = example("a", "Hello.", "Hi", first="assistant").messages
    assert opening(whole) == "assistant\0hello.\0user\0hi"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"half": "third"}, 'half must be "first" or "second", got \'third\''),
        ({"share": 0.0}, r"share must be in \(0, 1\), got 0.0. Use the source itself for all of it"),
        ({"share": 1.0}, r"share must be in \(0, 1\), got 1.0"),
        ({"share": 1e-9}, "the first half must hold one row at least, got none of 1000 in the train split"),
    ],
)
def test_what_keeps_nothing_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Half(source=NUMBERED, half="first"), **changes).examples("train")


def test_prompts_in_both_of_two_files_are_counted_and_the_first_is_named():
    learnt = [example("sft:1", "Hi"), example("sft:2", "Name a planet.", response="Mars.")]
    found = [example("p:1", "Bye"), example("p:2", "name a  planet."), example("p:3", "Hi"), example("p:4", "Hi")]
    require_disjoint_prompts(found[:1], learnt, name="first", other="learnt")
    with pytest.raises(
        ValueError,
        match="first must have no prompt that learnt has, got 2 in both, the first of them in 'p:2' and in 'sft:2'",
    ):
        require_disjoint_prompts(found, learnt, name="first", other="learnt")


def test_it_is_a_config():
    half = Half(source=Half(source=Given(found=()), half="second", share=0.2), half="first", seed=3)
    assert configs.decode(configs.encode(half)) == half
    assert configs.encode(half)["type"] == "jaxkd.data:Half"
