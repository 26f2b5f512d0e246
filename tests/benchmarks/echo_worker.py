"""A worker for the tests of `Worker`: it answers what it is asked, and fails where it is told to."""

import os
import sys

from benchmarks.worker import serve


def answer(request):
    print("a library that talks")
    if "fail" in request:
        raise ValueError(request["fail"])
    if "leave" in request:
        sys.stderr.write("the disk is full\n")
        sys.stderr.flush()
        os._exit(request["leave"])
    if "cores" in request:
        return {"cores": sorted(os.sched_getaffinity(0))}
    return {**request, "colour": os.environ.get("COLOUR")}


if __name__ == "__main__":
    serve(answer)
