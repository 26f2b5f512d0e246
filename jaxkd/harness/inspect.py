"""Adapter for Inspect: its model provider `jaxkd`, as in `inspect eval TASK --model jaxkd/PATH`.

Inspect finds it by the entry point of this module, which registers the provider where Inspect is installed.
"""

import dataclasses
import importlib.util
import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import jax

from jaxkd.data.examples import Example
from jaxkd.data.text.chat import prompt_tokens
from jaxkd.harness.extras import needed
from jaxkd.harness.gathering import Gathering
from jaxkd.harness.opened import open_model
from jaxkd.sampling import Finish, Sampling, Text, generate
from jaxkd.training.train_step import Precision

EXTRA = "inspect"

NEUTRAL: Mapping[str, Any] = MappingProxyType(
    {
        "best_of": 1,
        "frequency_penalty": 0.0,
        "logit_bias": {},
        "logprobs": False,
        "num_choices": 1,
        "presence_penalty": 0.0,
        "prompt_logprobs": 0,
        "response_schema": None,
    }
)
"""Options of Inspect that the sampler does not have, and the values that ask for nothing, as None does."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Options:
    """Options of a request; those with equal ones run as one batch."""

    max_new_tokens: int
    sampling: Sampling
    stop: tuple[str, ...]
    seed: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Request:
    prompt: tuple[int, ...]
    options: _Options


class InspectAdapter:
    """Methods of a model provider of Inspect; `provider` makes the class a subclass of its `ModelAPI`."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: Any = None,
        *,
        rows: int = 16,
        precision: Precision | None = None,
        template: Literal["chat", "plain"] | None = None,
        system: str | None = None,
    ) -> None:
        """Load the model.

        Args:
            model_name: packaged model, GGUF file, Hugging Face folder or hub id; or the folder of a training run.
            base_url: ignored, as is `api_key`.
            api_key: ignored.
            config: default options of requests.
            rows: maximum number of prompts that are continued at a time; more are accepted.
            precision: precision of the parameters; by default float32, or that of the run.
            template: rendering of messages, as in `open_model`.
            system: system message of prompts without one, as in `open_model`.
        """
        model = needed("inspect_ai.model", extra=EXTRA)
        config = model.GenerateConfig() if config is None else config
        super().__init__(model_name, base_url, api_key, [], config)  # pyright: ignore[reportCallIssue] - ModelAPI's
        opened = open_model(model_name, precision=precision, template=template, system=system)
        self.name, self.model, self.style, self.mesh = model_name, opened.model, opened.style, opened.mesh
        self.rows = rows
        self._asked = itertools.count()
        self._answered = Gathering(self._continue)

    def max_connections(self) -> int:
        """Return the number of requests that Inspect sends at a time."""
        return self.rows

    def max_tokens(self) -> int:
        """Return the length of an answer that a task leaves open."""
        return 512

    async def generate(self, input: Sequence[Any], tools: Sequence[Any], tool_choice: Any, config: Any) -> Any:
        """Answer a conversation, together with those that other tasks ask about at the same time.

        Raises:
            ValueError: tools, content that is not text, or an option that the sampler does not have.
        """
        del tool_choice
        if tools:
            raise ValueError(f"tools must be empty, got {len(tools)}: jaxkd's models call none. Use a task without.")
        unsupported = [name for name, neutral in NEUTRAL.items() if getattr(config, name) not in (None, neutral)]
        if unsupported:
            raise ValueError(
                f"options must be among those of jaxkd.sampling.Sampling, got {', '.join(unsupported)}. Leave them out."
            )
        model = needed("inspect_ai.model", extra=EXTRA)
        prompt = self._prompt(input)
        wanted = config.max_tokens or self.max_tokens()
        room = self.model.config.max_positions - len(prompt)
        text = None
        if room > 0:
            options = _Options(
                max_new_tokens=min(wanted, room),
                sampling=Sampling(temperature=config.temperature or 0.0, top_p=config.top_p, top_k=config.top_k),
                stop=tuple(filter(None, config.stop_seqs or ())),
                seed=config.seed,
            )
            text = await self._answered(_Request(prompt=tuple(prompt), options=options))
        full = "max_tokens" if wanted <= room else "model_length"
        written = 0 if text is None else len(text.tokens)
        return model.ModelOutput(
            model=self.name,
            choices=[
                model.ChatCompletionChoice(
                    message=model.ChatMessageAssistant(
                        content="" if text is None else text.text, model=self.name, source="generate"
                    ),
                    stop_reason=full if text is None or text.finish == Finish.LENGTH else "stop",
                )
            ],
            usage=model.ModelUsage(input_tokens=len(prompt), output_tokens=written, total_tokens=len(prompt) + written),
        )

    def _prompt(self, messages: Sequence[Any]) -> list[int]:
        """Tokens of a conversation."""
        for message in messages:
            if not isinstance(message.content, str) and any(part.type != "text" for part in message.content):
                raise ValueError(
                    f"messages must be text, got one of the role {message.role} with other content. Use a task without."
                )
        pairs = tuple((message.role, message.text) for message in messages)
        if self.style.system is not None and pairs[0][0] != "system":
            pairs = (("system", self.style.system), *pairs)
        example = Example(key="", group="", messages=pairs, response="")
        return prompt_tokens(example, self.model.tokenizer, self.style.template)

    def _continue(self, requests: Sequence[_Request]) -> list[Text]:
        """Continue prompts, those with equal options in one call."""
        numbers = list(itertools.islice(self._asked, len(requests)))
        alike: dict[_Options, list[int]] = {}
        for index, request in enumerate(requests):
            alike.setdefault(request.options, []).append(index)
        texts: dict[int, Text] = {}
        for options, indices in alike.items():
            with jax.set_mesh(self.mesh):
                found = generate(
                    self.model,
                    [requests[index].prompt for index in indices],
                    max_new_tokens=options.max_new_tokens,
                    sampling=options.sampling,
                    stop=options.stop,
                    key=jax.random.key(options.seed or 0),
                    # With a seed, an answer depends on it and the prompt alone; without, each is a new sample.
                    example_ids=[numbers[index] if options.seed is None else 0 for index in indices],
                    rows=self.rows,
                )
            texts |= zip(indices, found, strict=True)
        return [texts[index] for index in range(len(requests))]


def provider() -> type[Any]:
    """Return the class of the provider.

    Raises:
        ImportError: Inspect is not installed.
    """
    model = needed("inspect_ai.model", extra=EXTRA)
    return type("JaxKD", (InspectAdapter, model.ModelAPI), {"__doc__": __doc__})


if importlib.util.find_spec("inspect_ai") is not None:
    needed("inspect_ai.model", extra=EXTRA).modelapi(name="jaxkd")(provider)
