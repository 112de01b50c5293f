"""Reads and compares expressions with math-verify, in a process of its own that `data.expressions` starts.

Each line of the input is a JSON list of one text (can it be read?) or of two (are they the same?); the answer is a line
with true or false. The first line of the output says that math-verify is there.

math-verify stops long computations by a signal, which works in a main thread only and not within a large power. Here
nothing is stopped: whoever asks ends this process if it takes too long.
"""

import contextlib
import functools
import json
import logging
import sys

# An expression such as 9^{9^{9^9}} must not take the memory of the machine.
MOST_BYTES = 4 * 2**30


def serve() -> None:
    """Answer the lines of the standard input until it ends."""
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that it runs without a limit of time
    try:
        import math_verify
    except ImportError as error:
        print(error, flush=True)
        return
    with contextlib.suppress(ImportError, ValueError, OSError):  # not every system has such limits
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
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
        try:
            answer = is_so(json.loads(line))
        except (MemoryError, RecursionError):
            answer = False
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
