"""Generated answers to be read, beside the answers of the data."""

import dataclasses
from typing import Literal

import jax

from jaxkd.data.examples import Example, Source, subset
from jaxkd.data.text import chat
from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.sampling import GREEDY, Sampling, generate
from jaxkd.training.evaluator import Evaluator
from jaxkd.training.results.evaluation import Evaluation, Sample
from jaxkd.typing import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class Samples(Evaluator):
    """Generated answers to a few prompts of one split, the same prompts for every model."""

    source: Source
    split: Split = "test"
    count: int = 6
    max_new_tokens: int = 128
    sampling: Sampling = GREEDY
    stop: tuple[str, ...] = ()
    """Strings that end an answer, besides the end token."""
    seed: int = 0
    """Random seed of the samples, if the temperature is not 0."""
    template: Literal["chat", "plain"] = "chat"
    control_tokens: Literal["text", "allow"] = "text"
    """Whether a control token that a text spells out, as `<|im_end|>`, is read as text, or as the control token."""

    @property
    def name(self) -> str:
        return "samples"

    def __call__(self, model: LanguageModel) -> Evaluation:
        """Generate the answers.

        Returns:
            Metrics `new_tokens` (the mean per sample), and the samples.
        """
        examples = subset(self.source.examples(self.split), self.count)
        answers = generate(
            model,
            [
                chat.prompt_tokens(example, model.tokenizer, self.template, control_tokens=self.control_tokens)
                for example in examples
            ],
            max_new_tokens=self.max_new_tokens,
            sampling=self.sampling,
            stop=self.stop,
            key=jax.random.key(self.seed),
        )
        return Evaluation(
            metrics={"new_tokens": sum(len(answer.tokens) for answer in answers) / max(len(answers), 1)},
            keys=tuple(example.key for example in examples),
            samples=tuple(
                Sample(prompt=readable(example), reference=example.response, text=answer.text)
                for example, answer in zip(examples, answers, strict=True)
            ),
        )


def readable(example: Example) -> str:
    """Format a prompt for a reader, without the system message, which is the same everywhere."""
    messages = [(role, text) for role, text in example.messages if role != "system"]
    if len(messages) == 1:
        return messages[0][1]
    return "\n\n".join(f"{role}: {text}" for role, text in messages)
