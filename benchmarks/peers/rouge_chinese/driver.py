"""rouge_chinese's side of the Rouge-L rows: runs in its environment and scores pairs of texts on request.

It compares what stands between spaces: characters are given to it with spaces between them, before anything is timed.
"""

import time
from importlib import metadata
from typing import Any

from rouge_chinese import Rouge

from benchmarks.worker import serve


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the Rouge-L F1 over characters of each pair, and the seconds that they took; or the versions."""
    if request.get("versions"):
        return {"rouge-chinese": metadata.version("rouge-chinese")}
    texts = {name: [" ".join("".join(text.split())) for text in request[name]] for name in ("hypotheses", "references")}
    start = time.perf_counter()
    found = Rouge(metrics=["rouge-l"], stats=["f"]).get_scores(texts["hypotheses"], texts["references"])
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "scores": [one["rouge-l"]["f"] for one in found]}


if __name__ == "__main__":
    serve(answer)
