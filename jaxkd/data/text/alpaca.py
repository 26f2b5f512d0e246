"""Alpaca's prompt template for instructions, which most open instruction data sets have kept."""

_ALONE = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:\n"
)
_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
)


def prompt(instruction: str, input: str = "") -> str:
    r"""Render the prompt up to where the response begins; an empty input has no section.

    Args:
        instruction: the task.
        input: text that the task applies to.

    Source: the data of DSKD (arXiv 2406.17328), songmzhang/DSKD@077337a, after Stanford's Alpaca.  Deviation: none.

    Example:
        >>> prompt("Name a planet.").splitlines()[2:]
        ['### Instruction:', 'Name a planet.', '', '### Response:']
        >>> prompt("Translate.", "Guten Tag").splitlines()[5:7]
        ['### Input:', 'Guten Tag']
    """
    return _WITH_INPUT.format(instruction=instruction, input=input) if input else _ALONE.format(instruction=instruction)
