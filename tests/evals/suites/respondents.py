"""Models of known behaviour that answer suites."""

import dataclasses
from collections.abc import Callable, Sequence

from jaxkd.evals.suites.respondent import Compared, Reply, Respondent
from jaxkd.evals.suites.suite import Sampled


@dataclasses.dataclass(kw_only=True)
class Planted(Respondent):
    """Model whose reply is a function of the prompt, and whose likeliest continuation another."""

    reply: Callable[[str], str] = lambda prompt: ""
    likeliest: Callable[[str, tuple[str, ...]], int] = lambda prompt, continuations: 0
    name: str = "planted"
    limit: int = 10_000
    asked: list[str] = dataclasses.field(default_factory=list)

    def provenance(self) -> str:
        return self.name

    def prompt_tokens(self, prompts: Sequence[str]) -> list[int]:
        return [len(prompt.split()) for prompt in prompts]

    def max_prompt_tokens(self, new_tokens: int) -> int:
        return self.limit - new_tokens

    def replies(self, prompts: Sequence[str], sampled: Sampled, *, seed: int, ids: Sequence[int]) -> list[Reply]:
        self.asked += prompts
        return [Reply(text=self.reply(prompt)) for prompt in prompts]

    def log_likelihoods(self, questions: Sequence[Compared]) -> list[tuple[float, ...]]:
        self.asked += [question.prompt for question in questions]
        found = []
        for question in questions:
            best = self.likeliest(question.prompt, question.continuations)
            found.append(tuple(-1.0 - (place != best) for place in range(len(question.continuations))))
        return found
