from jaxkd.data.text import alpaca


def test_the_text_around_an_instruction_is_the_published_one():
    assert alpaca.prompt("Name a planet.") == (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nName a planet.\n\n### Response:\n"
    )
    assert alpaca.prompt("Translate.", "Guten Tag") == (
        "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
        "response that appropriately completes the request.\n\n"
        "### Instruction:\nTranslate.\n\n### Input:\nGuten Tag\n\n### Response:\n"
    )


def test_braces_of_a_text_are_its_own():
    assert "### Instruction:\n{input} {0}\n\n### Input:\n{instruction}\n\n" in alpaca.prompt(
        "{input} {0}", "{instruction}"
    )
