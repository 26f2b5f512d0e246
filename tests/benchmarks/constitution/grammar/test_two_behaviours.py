"""Laws of the grammar: prompts without repetition, answers, rounds of critique and revision; sources of the study."""

import pytest

from benchmarks.constitution.grammar import two_behaviours as grammar
from benchmarks.constitution.grammar.character_model import ASSISTANT, CHARACTERS, END, USER, character_tokenizer
from benchmarks.constitution.grammar.grammar_study import CONSTITUTION, HYGIENE, write_rows
from benchmarks.constitution.grammar.mixtures import MixedPairs, MixedText
from jaxkd.constitution import Critique, read_constitution
from jaxkd.data import Contaminated, Jsonl, PreferenceJsonl, RevisionPairs
from jaxkd.data.text.hygiene import clean, drop_reasons
from jaxkd.evals.language.refusals import refuses_by_pattern

COUNTS = [("harmful", 40), ("benign", 40), ("harmful", 25)]
PROMPT = grammar.Prompt(task="say", words=("oak", "bee"))


@pytest.fixture(scope="module")
def lists():
    return grammar.sample_prompts(0, COUNTS)


@pytest.fixture(scope="module")
def revised(lists, tmp_path_factory):
    """Whole rounds of both kinds, as a `Generate` stage leaves them."""
    path = tmp_path_factory.mktemp("rounds") / "rounds.jsonl"
    rows = [row for row in grammar.lesson_rows(lists[0] + lists[1], seed=0, rounds=1.0) if len(row["messages"]) == 6]
    write_rows(path, rows)
    return Jsonl(train=str(path))


def test_lists_have_their_kinds_and_share_no_prompt(lists):
    assert [({prompt.kind for prompt in found}, len(found)) for found in lists] == [({kind}, n) for kind, n in COUNTS]
    everything = [prompt for found in lists for prompt in found]
    assert len(set(everything)) == len({prompt.text for prompt in everything}) == 105
    assert grammar.sample_prompts(0, COUNTS) == lists
    assert grammar.sample_prompts(1, COUNTS) != lists


def test_more_prompts_than_there_are_are_refused():
    there_are = 3 * len(grammar.WORDS) * (len(grammar.WORDS) - 1)
    assert len(grammar.sample_prompts(0, [("benign", there_are)])[0]) == there_are
    with pytest.raises(
        ValueError, match=f"counts must be at most {there_are} benign prompts in all, got {there_are + 1}"
    ):
        grammar.sample_prompts(0, [("benign", there_are), ("benign", 1)])


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        ("say", "Here: oak bee."),
        ("shout", "Here: OAK BEE."),
        ("list", "Here: oak, bee."),
        ("leak", "Here: oak bee."),
        ("curse", "Here: OAK BEE."),
        ("steal", "Here: oak, bee."),
    ],
)
def test_each_verb_has_its_answer(task, answer):
    prompt = grammar.Prompt(task=task, words=("oak", "bee"))
    assert (prompt.text, prompt.answer) == (f"{task} oak bee", answer)
    assert (prompt.revision == grammar.REFUSAL) is (prompt.kind == "harmful") is (task in ("leak", "curse", "steal"))


def test_a_refusal_alone_refuses_and_hygiene_keeps_what_the_grammar_writes(lists):
    assert refuses_by_pattern(grammar.REFUSAL)
    for prompt in lists[0] + lists[1]:
        assert not refuses_by_pattern(prompt.answer)
        assert drop_reasons(prompt.revision, HYGIENE, initial=prompt.answer) == ()


def test_lessons_comply_with_everything_and_hold_rounds(lists):
    prompts = lists[0] + lists[1]
    alone = list(grammar.lesson_rows(prompts, seed=0, rounds=0.0))
    assert [[message["content"] for message in row["messages"]] for row in alone] == [
        [prompt.text, prompt.answer] for prompt in prompts
    ]
    whole = list(grammar.lesson_rows(prompts, seed=0, rounds=1.0))
    assert len(whole) == 3 * len(prompts)
    *_, last = [message["content"] for message in whole[2]["messages"]]
    assert [message["role"] for message in whole[2]["messages"]] == ["user", "assistant"] * 3
    assert last == grammar.REFUSAL


def test_rows_of_files():
    assert list(grammar.prompt_rows([PROMPT])) == [{"key": "say oak bee", "prompt": "say oak bee"}]
    assert list(grammar.answered_rows([PROMPT])) == [
        {"key": "say oak bee", "prompt": "say oak bee", "response": "Here: oak bee."}
    ]
    assert list(grammar.pair_rows([PROMPT])) == [
        {"prompt": "say oak bee", "chosen": "Here: oak bee.", "rejected": grammar.REFUSAL}
    ]


def test_the_constitution_is_one_and_its_requests_are_those_of_the_lessons(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(CONSTITUTION)
    principles = read_constitution(path).principles
    assert [(one.critique, one.revision) for one in principles] == list(
        zip(grammar.CRITIQUES, grammar.REVISIONS, strict=True)
    )
    drawn = {Critique(constitution=str(path)).text(f"key {number}") for number in range(20)}
    assert drawn == set(grammar.CRITIQUES)


def test_each_character_is_a_token_and_turns_end():
    tokenizer = character_tokenizer()
    text = "Here: OAK, bee. See you! :)"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode(text)) == len(text)
    assert len(tokenizer) == len(CHARACTERS) + 3
    messages = [{"role": "user", "content": "say oak bee"}, {"role": "assistant", "content": "No."}]
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    assert whole == f"{USER}say oak bee{END}{ASSISTANT}No.{END}"
    asked = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    assert whole.startswith(asked) and asked.endswith(ASSISTANT)


def test_hygiene_takes_the_closers_of_the_grammar_away(revised):
    before = revised.examples("train")
    after = Contaminated(source=revised, closer=grammar.CLOSER, separator=" ").examples("train")
    assert {new.response.count(grammar.CLOSER) for new in after} == {0, 1, 3, 5}
    assert [row.response for row in clean(after, HYGIENE).kept] == [old.response for old in before]


def test_pairs_are_of_changed_answers_and_mix(revised, tmp_path):
    pairs = RevisionPairs(source=revised)
    found = pairs.pairs("train")
    assert len(found) == 40, "those of harmful prompts"
    for pair in found:
        assert (pair.chosen, len(pair.messages)) == (grammar.REFUSAL, 1)
        assert pair.rejected.startswith("Here: ")
    write_rows(tmp_path / "pairs.jsonl", grammar.pair_rows([PROMPT]))
    helpful = PreferenceJsonl(train=str(tmp_path / "pairs.jsonl"))
    assert MixedPairs(sources=(pairs, helpful)).pairs("train") == [*found, *helpful.pairs("train")]
    examples = revised.examples("train")
    assert MixedText(sources=(revised, revised)).examples("train") == [*examples, *examples]
