"""Adapter for lm-evaluation-harness: its model `jaxkd`, and its command line with that model, `jaxkd-lm-eval`.

`jaxkd-lm-eval run --model jaxkd --model_args path=PATH --tasks TASK` is the harness's own program.  From Python,
`lm_eval.simple_evaluate(model=harness_model()(path=PATH), ...)`.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax
from tqdm import tqdm

from jaxkd.harness.extras import needed
from jaxkd.harness.opened import open_model
from jaxkd.sampling import Continuation, Sampling, continuation_log_probs, generate
from jaxkd.training.train_step import Precision

_Item = TypeVar("_Item")

EXTRA = "lm-eval"
AT_ONCE = 1024
"""Requests between two updates of the progress bar."""

_SAMPLING = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
    "no_repeat_ngram_size": "no_repeat_ngram",
}
"""Generation options of the harness's tasks, and the fields of `Sampling`."""


class LMEvalAdapter:
    """Methods of a model of lm-eval; `harness_model` makes the class a subclass of the harness's `TemplateLM`."""

    cache_hook: Any
    """Set by the harness."""

    def __init__(
        self,
        path: str,
        *,
        rows: int = 16,
        max_length: int | None = None,
        max_gen_toks: int = 256,
        precision: Precision | None = None,
        seed: int = 0,
        think_end_token: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        device: str | None = None,
    ) -> None:
        """Load the model.

        Args:
            path: packaged model, GGUF file, Hugging Face folder or hub id; or the folder of a training run.
            rows: maximum number of prompts that are continued at a time, and of rows of 512 tokens that are scored.
            max_length: maximum number of tokens of context and continuation; by default the model's positions.
            max_gen_toks: maximum number of tokens of a text, for tasks that do not say.
            precision: precision of the parameters; by default float32, or that of the run.
            seed: seed of the samples of tasks with a temperature.
            think_end_token: string that ends the model's reasoning, which is then cut off.
            batch_size: the harness's option, in place of `rows` if it is a number above 1, which is its default.
            max_batch_size: ignored: sizes do not depend on free memory.
            device: ignored: JAX chooses it, as JAX_PLATFORMS says.
        """
        super().__init__()
        del max_batch_size, device
        opened = open_model(path, precision=precision)
        self.model, self.mesh, self.name = opened.model, opened.mesh, opened.name
        self.tokenizer: Any = self.model.tokenizer
        given = str(batch_size or "")
        self.rows = int(given) if given.isdigit() and int(given) > 1 else rows
        self.max_length = self.model.config.max_positions if max_length is None else max_length
        self.max_gen_toks = max_gen_toks
        self.seed = seed
        self.think_end_token = think_end_token

    @property
    def eot_token_id(self) -> int:
        """Token that ends a text."""
        return self.model.end_tokens[0] if self.tokenizer.eos_token_id is None else self.tokenizer.eos_token_id

    @property
    def prefix_token_id(self) -> int:
        """Token in front of a text that has no context: the tokenizer's bos, as lm-eval's own backends have it."""
        return self.eot_token_id if self.tokenizer.bos_token_id is None else self.tokenizer.bos_token_id

    @property
    def tokenizer_name(self) -> str:
        """Name of the tokenizer in the harness's cache of requests."""
        return self.name.replace("/", "__")

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **options: Any) -> list[int]:
        """Encode as the tokenizer does, but put no second bos in front of a text that begins with one."""
        del options
        if add_special_tokens is None:
            bos = self.tokenizer.bos_token
            add_special_tokens = not (bos and string.startswith(bos))
        return self.tokenizer.encode(string, add_special_tokens=add_special_tokens)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Render messages by the tokenizer's chat template; without a generation prompt the last one is continued.

        Raises:
            ValueError: the tokenizer has no chat template.
        """
        if self.tokenizer.chat_template is None:
            raise ValueError(
                f"apply_chat_template must be off for a tokenizer without a chat template, got that of {self.name}. "
                "Leave --apply_chat_template out."
            )
        return str(
            self.tokenizer.apply_chat_template(
                chat_history,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )
        )

    def _loglikelihood_tokens(
        self,
        requests: Sequence[tuple[Any, list[int], list[int]]],
        disable_tqdm: bool = False,
        **options: Any,
    ) -> list[tuple[float, bool]]:
        del options
        found: list[tuple[float, bool]] = []
        with tqdm(total=len(requests), desc="Running loglikelihood requests", disable=disable_tqdm) as progress:
            for some in _pieces(requests):
                with jax.set_mesh(self.mesh):
                    scores = continuation_log_probs(
                        self.model,
                        [Continuation(context=tuple(before), continuation=tuple(after)) for _, before, after in some],
                        rows=self.rows,
                        max_length=self.max_length,
                    )
                for (text, _, _), score in zip(some, scores, strict=True):
                    found.append((score.log_prob, score.greedy))
                    if text is not None:
                        self.cache_hook.add_partial("loglikelihood", text, found[-1])
                progress.update(len(some))
        return found

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Return the log-probability of each text, in windows that do not overlap in what they score."""
        utils = needed("lm_eval.utils", extra=EXTRA)
        texts = [request.args[0] for request in requests]
        windows = [
            (number, *utils.make_disjoint_window(window))
            for number, text in enumerate(texts)
            for window in utils.get_rolling_token_windows(
                token_list=self.tok_encode(text),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length,
                context_len=1,
            )
        ]
        sums = [0.0] * len(texts)
        scored = self._loglikelihood_tokens([(None, *tokens) for _, *tokens in windows], disable_tqdm)
        for (number, *_), (log_prob, _) in zip(windows, scored, strict=True):
            sums[number] += log_prob
        for text, total in zip(texts, sums, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", (text,), total)
        return sums

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Continue each context up to one of its stop strings, requests with equal options together.

        Raises:
            ValueError: an option that the sampler does not have, or no room for a context.
        """
        utils = needed("lm_eval.models.utils", extra=EXTRA)
        alike: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            alike.setdefault(repr(request.args[1]), []).append(index)
        texts: dict[int, str] = {}
        with tqdm(total=len(requests), desc="Running generate_until requests", disable=disable_tqdm) as progress:
            for indices in alike.values():
                options = utils.normalize_gen_kwargs(requests[indices[0]].args[1], self.max_gen_toks)
                for some in _pieces(indices, size=8 * self.rows):
                    contexts = [requests[index].args[0] for index in some]
                    for index, text in zip(some, self._continued(contexts, some, options), strict=True):
                        texts[index] = utils.postprocess_generated_text(text, options["until"], self.think_end_token)
                        self.cache_hook.add_partial("generate_until", requests[index].args, texts[index])
                    progress.update(len(some))
        return [texts[index] for index in range(len(requests))]

    def _continued(self, contexts: Sequence[str], indices: Sequence[int], options: Mapping[str, Any]) -> list[str]:
        """Texts before the post-processing by the harness."""
        room = self.max_length - options["max_gen_toks"]
        if room < 1:
            raise ValueError(
                f"max_gen_toks must leave room for a context in max_length={self.max_length}, got "
                f"{options['max_gen_toks']}. Lower it by --gen_kwargs max_gen_toks=N."
            )
        # An empty stop string and one that ends the reasoning are for the post-processing alone.
        stop = () if self.think_end_token else tuple(string for string in options["until"] if string)
        with jax.set_mesh(self.mesh):
            texts = generate(
                self.model,
                [(self.tok_encode(context) or [self.prefix_token_id])[-room:] for context in contexts],
                max_new_tokens=options["max_gen_toks"],
                sampling=sampling(options),
                stop=stop,
                key=jax.random.key(self.seed),
                example_ids=indices,
                rows=self.rows,
            )
        return [text.text for text in texts]


def sampling(options: Mapping[str, Any]) -> Sampling:
    """Return the sampler's options for generation options that the harness has normalised.

    Raises:
        ValueError: an option that the sampler does not have.

    Example:
        >>> sampling({"do_sample": False, "temperature": 0.0, "until": [], "max_gen_toks": 5}) == Sampling()
        True
    """
    unknown = sorted(options.keys() - _SAMPLING.keys() - {"until", "max_gen_toks", "do_sample"})
    if unknown:
        raise ValueError(
            f"generation options must be among until, max_gen_toks, do_sample, {', '.join(_SAMPLING)}, got "
            f"{', '.join(unknown)}. Leave them out of the task's generation_kwargs."
        )
    values = {name: options[given] for given, name in _SAMPLING.items() if given in options}
    # Without a temperature, a task that samples does so from the model itself.
    values.setdefault("temperature", 1.0 if options["do_sample"] else 0.0)
    return Sampling(**values)


@functools.cache
def harness_model() -> type[Any]:
    """Return the class of the harness's model `jaxkd`, which the first call registers.

    Raises:
        ImportError: the harness is not installed.
    """
    api = needed("lm_eval.api.model", extra=EXTRA)
    registry = needed("lm_eval.api.registry", extra=EXTRA)
    return registry.register_model("jaxkd")(type("JaxKD", (LMEvalAdapter, api.TemplateLM), {"__doc__": __doc__}))


def main() -> None:
    """Run the command line of the harness, where `--model jaxkd` is known."""
    from jaxkd.runtime.compilation_cache import keep_compiled_programs
    from jaxkd.runtime.program import one_message

    with one_message():
        harness_model()
        keep_compiled_programs()
        needed("lm_eval.__main__", extra=EXTRA).cli_evaluate()


def _pieces(items: Sequence[_Item], size: int = AT_ONCE) -> Iterator[Sequence[_Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
