"""A language model that answers the questions of a suite."""

import dataclasses
from collections.abc import Sequence

import jax

from jaxkd.data.examples import Example
from jaxkd.data.text import chat
from jaxkd.data.text.chat import Template
from jaxkd.evals.suites.respondent import Compared, Prompt, Reply, Respondent
from jaxkd.evals.suites.suite import Sampled
from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.sampling import Finish, Sampling, generate
from jaxkd.sampling.continuations import Continuation, continuation_log_probs


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextRespondent(Respondent):
    """Language model with a prompt style.

    With the plain template, prompt and continuation are tokenized together, as lm-evaluation-harness does; with the
    chat template each on its own, as in training, and without the separator.
    """

    model: LanguageModel
    template: Template = "chat"
    system: str | None = None
    """System message in front of each prompt; None adds none."""
    name: str = ""
    """Provenance of the model; by default the identifier of its checkpoint's weights."""
    rows: int = 32
    """Prompts that run at a time."""

    def provenance(self) -> str:
        source = self.model.source
        name = self.name or ("a model" if source is None else source.reference())
        system = "" if self.system is None else f", system message {self.system!r}"
        return f"{name}, {self.template} template{system}"

    def prompt_tokens(self, prompts: Sequence[Prompt]) -> list[int]:
        return [len(self._tokens(prompt.text)) for prompt in prompts]

    def max_prompt_tokens(self, new_tokens: int) -> int:
        return self.model.config.max_positions - new_tokens

    def replies(self, prompts: Sequence[Prompt], sampled: Sampled, *, seed: int, ids: Sequence[int]) -> list[Reply]:
        texts = generate(
            self.model,
            [self._tokens(prompt.text) for prompt in prompts],
            max_new_tokens=sampled.max_new_tokens,
            sampling=Sampling(temperature=sampled.temperature, no_repeat_ngram=sampled.no_repeat_ngram),
            stop=sampled.stop,
            key=jax.random.key(seed),
            example_ids=ids,
            rows=self.rows,
        )
        return [Reply(text=text.text, ended=text.finish != Finish.LENGTH) for text in texts]

    def log_likelihoods(self, questions: Sequence[Compared]) -> list[tuple[float, ...]]:
        requests = [self._continuation(one, continuation) for one in questions for continuation in one.continuations]
        scores = iter(continuation_log_probs(self.model, requests))
        return [tuple(next(scores).log_prob for _ in one.continuations) for one in questions]

    def _continuation(self, one: Compared, continuation: str) -> Continuation:
        if self.template == "plain":
            # A tokenizer may join the last characters of a prompt and the first of a continuation; spaces at the end of
            # the prompt go with the continuation, as in lm-evaluation-harness.
            text = one.prompt.text
            context, both = self._tokens(text.rstrip()), self._tokens(text + one.separator + continuation)
            return Continuation(context=tuple(both[: len(context)]), continuation=tuple(both[len(context) :]))
        tokens = chat.response_tokens(continuation, self.model.tokenizer)
        return Continuation(context=tuple(self._tokens(one.prompt.text)), continuation=tuple(tokens))

    def _tokens(self, prompt: str) -> list[int]:
        if self.template == "plain":
            text = prompt if self.system is None else f"{self.system}\n\n{prompt}"
            return chat.text_tokens(text, self.model.tokenizer)
        system = () if self.system is None else (("system", self.system),)
        example = Example(key="prompt", group="", messages=(*system, ("user", prompt)), response="")
        return chat.prompt_tokens(example, self.model.tokenizer)
