"""Reads and compares expressions with math-verify, in a process of its own that `data.expressions` starts.

Each line of the input is a JSON list of one text (can it be read?) or of two (are they the same?); the answer is a line
with true or false. The first line of the output says that math-verify is there. The only argument is how many seconds
of processor time a line may take.

math-verify stops long computations by a signal, which works in a main thread only and not within a large power. Here
the system ends the process (SIGXCPU) at a line that takes too much of the processor's time. On a busy machine a line
takes longer by the clock, but no more of that time, so what else runs does not decide which texts are the same.
"""

import contextlib
import functools
import json
import logging
import resource
import sys
import time

# An expression such as 9^{9^{9^9}} must not take the memory of the machine.
MOST_BYTES = 2**30


def serve(seconds: int) -> None:
    """Answer the lines of the standard input until it ends."""
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that it runs without a limit of time
    try:
        import math_verify
        from sympy.core import random
    except ImportError as error:
        print(error, flush=True)
        return
    _limit(resource.RLIMIT_CORE, 0)
    with contextlib.suppress(ValueError, OSError):  # not every system has this limit
        _limit(resource.RLIMIT_AS, MOST_BYTES)
    latex = math_verify.LatexExtractionConfig()

    @functools.lru_cache(maxsize=10_000)
    def parse(text: str) -> list:
        # first_match: the whole text, and not a part of it that can be read
        return math_verify.parse(f"${text}$", [latex], "no_fallback", "first_match", parsing_timeout=None)

    def is_so(texts: list[str]) -> bool:
        parsed = [parse(text) for text in texts]
        if len(parsed) == 1:
            return bool(parsed[0])
        ways = (parsed, parsed[::-1])
        options = {"allow_set_relation_comp": True, "timeout_seconds": None}
        return any(math_verify.verify(*way, **options) for way in ways)

    print("true", flush=True)
    for line in sys.stdin:
        _limit(resource.RLIMIT_CPU, int(time.process_time()) + 1 + seconds)  # it counts from the start of the process
        random.seed(0)  # sympy tries numbers at random; what it says must not depend on earlier lines
        try:
            answer = is_so(json.loads(line))
        except (MemoryError, RecursionError):
            answer = False
        print(json.dumps(answer), flush=True)


def _limit(what: int, most: int) -> None:
    """Set a limit of this process, or leave it at the system's own where that is lower."""
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


if __name__ == "__main__":
    serve(int(sys.argv[1]))
