"""transformers' side of `sampler` and `models_forward`: runs in its environment and times a model on request."""

import functools
import time
from importlib import metadata
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from benchmarks.worker import serve


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the seconds of one call and its result; or the versions."""
    if request.get("versions"):
        return {name: metadata.version(name) for name in ("transformers", "torch")}
    model = _model(request["folder"])
    with torch.inference_mode():
        return (_forward if request["operation"] == "forward" else _generate)(model, request)


def _generate(model: PreTrainedModel, request: dict[str, Any]) -> dict[str, Any]:
    prompts = torch.tensor(request["prompts"])
    options = {"do_sample": request["temperature"] > 0}
    if options["do_sample"]:
        options |= {"temperature": request["temperature"], "top_p": request["top_p"], "top_k": 0}
    start = time.perf_counter()
    written = model.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        max_new_tokens=request["new_tokens"],
        eos_token_id=None,  # all texts have the same length
        pad_token_id=0,
        **options,
    )
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "tokens": written[:, prompts.shape[1] :].tolist()}


def _forward(model: PreTrainedModel, request: dict[str, Any]) -> dict[str, Any]:
    tokens = torch.tensor(request["prompts"])
    start = time.perf_counter()
    logits = model(tokens, use_cache=False).logits
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "logits": logits[:, -1, : request["compared"]].tolist()}


@functools.cache
def _model(folder: str) -> PreTrainedModel:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.generation_config.eos_token_id = None
    return model.eval()


if __name__ == "__main__":
    torch.set_num_threads(1)
    serve(answer)
