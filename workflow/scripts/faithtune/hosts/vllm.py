"""A model served on one's own machine, outside of the workflow: vLLM, its adapters named by their fingerprints.

vLLM's OpenAI-compatible server is started by hand, where the GPU is, and lives as long as it is needed; jobs find
it by the environment variable that `models.NAME.served.base_url_env` names.
"""

import shlex
from pathlib import Path

# vLLM is to give so many log-probabilities a token: as many as `served.top_logprobs` may ask for.
MAX_LOGPROBS = 20


def command(base: str, weights: str, quantisation: str, dtype: str, adapters: dict[str, dict]) -> str:
    """A shell script that serves the model in the folder `weights` as `base`, and adapters by name (their arm.json).

    Quantisation and dtype are those that the arms are measured in.
    """
    words = ["vllm", "serve", str(Path(weights).resolve()), "--served-model-name", base, "--dtype", dtype]
    words += ["--max-logprobs", str(MAX_LOGPROBS)]
    words += ["--generation-config", "vllm"]  # decoding is greedy, whatever penalties a model recommends
    if quantisation == "nf4":
        words += ["--quantization", "bitsandbytes"]
    if adapters:
        rank = max(card["settings"]["rank"] for card in adapters.values())
        words += ["--enable-lora", "--max-lora-rank", str(_rank_that_fits(rank)), "--lora-modules"]
        words += [f"{name}={Path(card['path']).resolve()}" for name, card in adapters.items()]
    lines = " \\\n  ".join(shlex.join([word]) for word in words)
    about = "# Serves what a study asks; made by faithtune, again after each tuning."
    return f'#!/usr/bin/env bash\n{about}\nexec {lines} "$@"\n'


def _rank_that_fits(rank: int) -> int:
    """The least of the ranks that vLLM knows which holds `rank`."""
    return next((known for known in (8, 16, 32, 64, 128, 256, 320, 512) if known >= rank), rank)
