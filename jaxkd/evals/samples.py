"""Answers that a person can read, beside the answers of the data."""

import dataclasses
from typing import Literal

import jax

from jaxkd import sampling
from jaxkd.data import chat
from jaxkd.data.examples import Example, Source, Split, subset
from jaxkd.evals.evaluator import Evaluation, Evaluator, Sample
from jaxkd.models.language_model import LanguageModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class Samples(Evaluator):
    """Generated answers to a few prompts of one split, the same prompts for every model."""

    source: Source
    split: Split = "test"
    count: int = 6
    max_new_tokens: int = 128
    temperature: float = 0.0
    """0 takes the most probable token at each step."""
    seed: int = 0
    """Of the draws, where the temperature is not 0."""
    template: Literal["chat", "plain"] = "chat"

    @property
    def name(self) -> str:
        return "samples"

    def __call__(self, model: LanguageModel) -> Evaluation:
        """Generate the answers.

        Returns:
            Metrics `new_tokens` (the mean a sample), and the samples.
        """
        examples = subset(self.source.examples(self.split), self.count)
        answers = sampling.generate(
            model,
            [chat.prompt_tokens(example, model.tokenizer, self.template) for example in examples],
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            key=jax.random.key(self.seed),
        )
        return Evaluation(
            metrics={"new_tokens": sum(len(answer) for answer in answers) / max(len(answers), 1)},
            keys=tuple(example.key for example in examples),
            samples=tuple(
                Sample(
                    prompt=_readable(example),
                    reference=example.response,
                    text=str(model.tokenizer.decode(answer, skip_special_tokens=True)),
                )
                for example, answer in zip(examples, answers, strict=True)
            ),
        )


def _readable(example: Example) -> str:
    """What was asked.  The system message is the same everywhere and says nothing about the example."""
    asked = [(role, text) for role, text in example.messages if role != "system"]
    if len(asked) == 1:
        return asked[0][1]
    return "\n\n".join(f"{role}: {text}" for role, text in asked)
