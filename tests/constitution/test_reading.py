"""Three shapes of files become one record; the texts here are made up."""

import json
import re

import pytest

from jaxkd.constitution import EIGHT_PRINCIPLES, Constitution, PreferencePrinciple, Principle, read_constitution

ANTHROPIC = {
    "harmful0": {
        "prompt": ["\n\nCritiqueRequest: Is it rude? \n\nCritique:"],
        "edit_request": "\n\nRevisionRequest: Be kind. \n\nRevision:",
    },
    "harmful1": {
        "prompt": ["\n\nCritiqueRequest: Is it false?\nWhere?\n\nCritique:", "CritiqueRequest: Is it vague? Critique:"],
        "edit_request": "\n\nRevisionRequest: Say what is so.\n\nRevision:",
    },
}
DIALOGUE = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
HUGGING_FACE = {
    "constitutions": [
        {"critic": "Is it rude?", "revision": "Be kind."},
        {"critic": "Is it false?", "revision": "Say what is so."},
    ],
    "system_chat": [DIALOGUE, DIALOGUE + DIALOGUE],
}
YAML = """
name: mine
principles:
  - {id: kind, critique: "Is it rude?", revision: "Be kind.", weight: 2, tags: [tone]}
  - id: true
    critique: Is it false?
    revision: Say what is so.
preferences:
  - {id: kinder, text: "Which is kinder?"}
demos: [[{role: user, content: Hi}, {role: assistant, content: Hello.}]]
"""


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, name="mine.json"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_constitution(path)

    return write_and_read


def test_anthropics_markers_are_stripped_and_several_prompts_share_a_weight(read):
    found = read(ANTHROPIC, "CritiqueRevisionInstructions.json")
    assert found == Constitution(
        name="CritiqueRevisionInstructions",
        principles=(
            Principle(id="harmful0", critique="Is it rude?", revision="Be kind."),
            Principle(id="harmful1.1", critique="Is it false?\nWhere?", revision="Say what is so.", weight=0.5),
            Principle(id="harmful1.2", critique="Is it vague?", revision="Say what is so.", weight=0.5),
        ),
    )


def test_hugging_faces_dialogues_are_demonstrations(read):
    turns = (("user", "Hi"), ("assistant", "Hello."))
    assert read(HUGGING_FACE) == Constitution(
        name="mine",
        principles=(
            Principle(id="principle1", critique="Is it rude?", revision="Be kind."),
            Principle(id="principle2", critique="Is it false?", revision="Say what is so."),
        ),
        demonstrations=(turns, turns + turns),
    )


def test_yaml_has_weights_tags_and_comparisons(read):
    found = read(YAML.replace("id: true", "id: truth"), "mine.yaml")
    assert found == Constitution(
        name="mine",
        principles=(
            Principle(id="kind", critique="Is it rude?", revision="Be kind.", weight=2.0, tags=("tone",)),
            Principle(id="truth", critique="Is it false?", revision="Say what is so."),
        ),
        preferences=(PreferencePrinciple(id="kinder", text="Which is kinder?"),),
        demonstrations=((("user", "Hi"), ("assistant", "Hello.")),),
    )


def test_a_changed_file_is_read_again(read):
    assert read(YAML.replace("id: true", "id: truth"), "mine.yaml").name == "mine"
    assert read(YAML.replace("id: true", "id: truth").replace("name: mine", "name: ours"), "mine.yaml").name == "ours"


def test_the_constitution_of_the_package_has_eight_principles_for_either_use():
    found = read_constitution(EIGHT_PRINCIPLES)
    ids = [principle.id for principle in found.principles]
    assert len(ids) == 8
    assert [principle.id for principle in found.preferences] == ids
    assert {"no-needless-refusal", "plain-format"} <= set(ids)
    texts = [text for one in found.principles for text in (one.critique, one.revision)]
    # Folded lines leave no line breaks, and no text stands twice.
    assert not any("\n" in text for text in texts)
    assert len(set(texts)) == 16


def changed(number, **fields):
    entries = [dict(entry) for entry in HUGGING_FACE["constitutions"]]
    entries[number] |= fields
    return HUGGING_FACE | {"constitutions": entries}


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        # The other files of Anthropic's repository, by their shapes.
        ([{"prompt": "a", "corrects": ["b"]}], "FewShot.json", "got a list of 1, the first of which is an object with"),
        ({f"m{i}": "text" for i in range(16)}, "RLMadison.json", "got an object with 16 fields, .*'m0'.* among them"),
        ([], "none.json", "got an empty list"),
        ({}, "none.json", r"got an object with the fields \[\]"),
        ({"rules": []}, "rules.json", r"or a mapping with .principles. or .preferences., got .* \['rules'\]"),
        ("{", "torn.json", "a constitution must be JSON if its file is called so, got"),
        ("- a\n- b\n", "list.yaml", "line 1: the file must hold a mapping, got list"),
        ("name: a\nname: b\n", "twice.yaml", "line 2: name must stand once"),
        (
            ANTHROPIC | {"harmful2": {"prompt": [], "edit_request": "a"}},
            "a.json",
            '"prompt" of .harmful2. must hold at',
        ),
        (
            ANTHROPIC | {"harmful2": {"prompt": [1], "edit_request": "a"}},
            "a.json",
            ".harmful2. must be a string, got a",
        ),
        (
            ANTHROPIC | {"harmful2": {"prompt": ["\n\nCritiqueRequest: \n\nCritique:"], "edit_request": "a"}},
            "a.json",
            "the critique of principle 'harmful2' must not be empty",
        ),
        (changed(1, revision=""), "h.json", "the revision of principle 'principle2' must not be empty"),
        (changed(1, critic="Is it [[X]]?"), "h.json", "critique of principle 'principle2' must hold no unfilled"),
        (changed(0, weight=1), "h.json", r'"constitutions"\[0\] must have the fields critic, revision, got an object'),
        (HUGGING_FACE | {"system_chat": "a"}, "h.json", '"system_chat" must be a list of dialogues, got a string'),
        (HUGGING_FACE | {"system_chat": [[]]}, "h.json", r'"system_chat\[0\]" must be a list of at least a prompt and'),
        (YAML, "m.yaml", r"id of principles\[1\] must be a string, got a boolean"),
        (YAML.replace("true", "kind"), "m.yaml", "the ids of principles must be unique, got 'kind' more than once"),
        (YAML.replace("weight: 2", "weight: 0"), "m.yaml", "the weight of principle 'kind' must be above 0"),
        (YAML.replace("weight: 2", "weight: much"), "m.yaml", r"the weight of principles\[0\] must be a number, got a"),
        (YAML.replace("tags: [tone]", "tags: tone"), "m.yaml", r"the tags of principles\[0\] must be a list of texts"),
        (
            YAML.replace("weight: 2", "wait: 2"),
            "m.yaml",
            r"principles\[0\] must have the fields id, .*, and may have weig",
        ),
        (YAML.replace("demos", "demo"), "m.yaml", "a constitution must have the fields name, .* alone, got demo"),
        ("principles: {a: b}", "m.yaml", r"principles must be a list, got an object with the fields \['a'\]"),
        (
            "preferences: [{id: a}]",
            "m.yaml",
            r"preferences\[0\] must have the fields id, text, and may have weight, got an object",
        ),
        ("preferences: []", "m.yaml", "constitution 'm' must have at least one principle, got none"),
    ],
)
def test_every_fault_is_named_with_file_and_entry(read, tmp_path, content, name, message):
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path / name))}.*{message}"):
        read(content, name)


def test_a_missing_file_is_named():
    with pytest.raises(
        FileNotFoundError, match="constitution must name an existing file, or be 'eight-principles', got"
    ):
        read_constitution("nowhere.yaml")
