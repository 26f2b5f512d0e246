"""Models of known behaviour that answer suites."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from jaxkd.evals.suites.respondent import Compared, Prompt, Reply, Respondent
from jaxkd.evals.suites.suite import Sampled


@dataclasses.dataclass(kw_only=True)
class Planted(Respondent):
    """Model whose reply is a function of the prompt, and whose likeliest continuation another."""

    reply: Callable[[str], str] = lambda prompt: ""
    likeliest: Callable[[str, tuple[str, ...]], int] = lambda prompt, continuations: 0
    name: str = "planted"
    limit: int = 10_000
    accepts_images: bool = False
    asked: list[str] = dataclasses.field(default_factory=list)
    images: list[Path] = dataclasses.field(default_factory=list)

    def provenance(self) -> str:
        return self.name

    def prompt_tokens(self, prompts: Sequence[Prompt]) -> list[int]:
        return [len(prompt.text.split()) for prompt in prompts]

    def max_prompt_tokens(self, new_tokens: int) -> int:
        return self.limit - new_tokens

    def replies(self, prompts: Sequence[Prompt], sampled: Sampled, *, seed: int, ids: Sequence[int]) -> list[Reply]:
        self.asked += [prompt.text for prompt in prompts]
        self.images += [image for prompt in prompts for image in prompt.images]
        return [Reply(text=self.reply(prompt.text)) for prompt in prompts]

    def log_likelihoods(self, questions: Sequence[Compared]) -> list[tuple[float, ...]]:
        self.asked += [question.prompt.text for question in questions]
        found = []
        for question in questions:
            best = self.likeliest(question.prompt.text, question.continuations)
            found.append(tuple(-1.0 - (place != best) for place in range(len(question.continuations))))
        return found
