"""How the prompts of a run were rendered in training, for prompts that come later."""

import dataclasses
import logging
from typing import Literal

from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.study.data_preview import read, texts
from jaxkd.training.train_stage import Train

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PromptStyle:
    """Template of a prompt, and the system message in front of it."""

    template: Literal["chat", "plain"]
    system: str | None
    """None adds no system message; a chat template may then insert its own, as it does in training."""

    def messages(self, text: str) -> tuple[tuple[str, str], ...]:
        """Return a user's text as the messages of an example."""
        system = () if self.system is None else (("system", self.system),)
        return (*system, ("user", text))

    def __str__(self) -> str:
        """One line for the log."""
        if self.template == "plain":
            return "prompts: plain text" + (
                "" if self.system is None else f", after the system message {self.system!r}"
            )
        if self.system is None:
            return "prompts: chat template, no system message but its own, if it has one"
        return f"prompts: chat template, system message {self.system!r}"


def of_model(model: LanguageModel, *, system: str | None = None) -> PromptStyle:
    """Return the style for a checkpoint as it is: its chat template, if it has one, and the given system message."""
    return PromptStyle(template="plain" if model.tokenizer.chat_template is None else "chat", system=system)


def of_run(train: Train, *, system: str | None = None) -> PromptStyle:
    """Return the style of a run's training rows: their template, and the system message that all of them share.

    Rows with different system messages, or a source that cannot be read any more, give none; the log says so.

    Args:
        train: the run.
        system: system message that takes the place of the rows', which are then not read.
    """
    text = next(texts(train.recipe), None)
    if text is None or system is not None:
        return PromptStyle(template="chat" if text is None else text.template, system=system)
    try:
        examples = read(text.source, "train")
    except (ValueError, OSError) as error:
        _log.warning("the training rows cannot be read, so their system message is unknown: %s", error)
        return PromptStyle(template=text.template, system=None)
    systems = {dict(example.messages[:1]).get("system") for example in examples}
    if len(systems) > 1:
        _log.info("the training rows have %d different system messages: none is added", len(systems))
        return PromptStyle(template=text.template, system=None)
    return PromptStyle(template=text.template, system=systems.pop())
