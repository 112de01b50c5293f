"""The command that serves a local model and its adapters with vLLM, outside of the workflow.

The user starts vLLM's OpenAI-compatible server on a machine with a GPU and stops it when the study is done; jobs find
it by the environment variable that `models.NAME.served.base_url_env` names. Adapters are named by their fingerprints.
"""

import shlex
from pathlib import Path

# The most log-probabilities per token that vLLM returns: as many as `served.top_logprobs` may request.
MAX_LOGPROBS = 20


def command(base: str, weights: str, quantisation: str, dtype: str, adapters: dict[str, dict]) -> str:
    """A shell script that serves the model in the folder `weights` as `base`, and its adapters.

    adapters: contents of arm.json by the name at the server; quantisation, dtype: those of the study.
    """
    words = ["vllm", "serve", str(Path(weights).resolve()), "--served-model-name", base, "--dtype", dtype]
    words += ["--max-logprobs", str(MAX_LOGPROBS)]
    words += ["--generation-config", "vllm"]  # greedy decoding, without the penalties that a model recommends
    if quantisation == "nf4":
        words += ["--quantization", "bitsandbytes"]
    if adapters:
        rank = max(card["settings"]["rank"] for card in adapters.values())
        words += ["--enable-lora", "--max-lora-rank", str(_supported_rank(rank)), "--lora-modules"]
        words += [f"{name}={Path(card['path']).resolve()}" for name, card in adapters.items()]
    lines = " \\\n  ".join(shlex.join([word]) for word in words)
    about = "# Serves the study's arms; faithtune writes this file again after each tuning."
    return f'#!/usr/bin/env bash\n{about}\nexec {lines} "$@"\n'


def _supported_rank(rank: int) -> int:
    """The smallest LoRA rank supported by vLLM that is at least `rank`."""
    return next((known for known in (8, 16, 32, 64, 128, 256, 320, 512) if known >= rank), rank)
