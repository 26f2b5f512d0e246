"""rouge_score's side of the Rouge-L rows: runs in its environment and scores pairs of texts on request."""

import time
from importlib import metadata
from typing import Any

from rouge_score.rouge_scorer import RougeScorer

from benchmarks.worker import serve


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the Rouge-L F1 over words of each pair, and the seconds that they took; or the versions."""
    if request.get("versions"):
        return {"rouge-score": metadata.version("rouge-score")}
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    pairs = zip(request["references"], request["hypotheses"], strict=True)
    start = time.perf_counter()
    scores = [scorer.score(reference, hypothesis)["rougeL"].fmeasure for reference, hypothesis in pairs]
    return {"seconds": time.perf_counter() - start, "scores": scores}


if __name__ == "__main__":
    serve(answer)
