"""What the benchmarks share: a model, contenders each in a process of its own, time and memory."""

import argparse
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "workflow/scripts")]
WEIGHTS = ROOT / "results/models/smollm2/weights"


def arguments(doc: str) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--items", type=int, default=8, help="questions")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--json", type=Path, help="file for the result")
    parser.add_argument("--dtype", help="float32 on a CPU, bfloat16 on CUDA")
    parser.add_argument("--model", type=Path, default=WEIGHTS, help="folder of weights and tokenizer")
    parser.add_argument("--random-1b", action="store_true", help="random weights in the shape of Llama-3.2-1B")
    parser.add_argument("--batch-size", type=int, default=32, help="prompts together")
    parser.add_argument("--threads", type=int, default=2)
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments, with the model fetched where it is not there."""
    args = parser.parse_args()
    args.dtype = args.dtype or ("float32" if args.device == "cpu" else "bfloat16")
    if args.model == WEIGHTS and not WEIGHTS.is_dir():
        target = "results/models/smollm2/model.json"
        subprocess.run([sys.executable, "-m", "snakemake", "--cores", "2", target], cwd=ROOT, check=True)
    return args


def apart(work: Callable, *args) -> dict:
    """What `work` returns, from a process of its own: no contender inherits another's memory."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, args)


def load(args):
    """The model as a backend, in memory."""
    import torch
    import transformers

    from faithtune.models import loading, local

    def random_1b():
        config = transformers.LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=2048, intermediate_size=8192, num_hidden_layers=16,
            num_attention_heads=32, num_key_value_heads=8, max_position_embeddings=8192, tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, attn_implementation="tree",
            dtype=getattr(torch, args.dtype),
        )  # fmt: skip
        torch.manual_seed(0)
        with torch.device(args.device):
            return transformers.AutoModelForCausalLM.from_config(config)

    torch.set_num_threads(args.threads)
    tokenizer = loading.load_tokenizer(args.model)
    loader = random_1b if args.random_1b else lambda: loading.load_base(args.model, "none", args.dtype, args.device)
    packed = loading.packed_token_budget(args.model, "none", args.dtype, args.device)
    model = local.LocalModel(tokenizer, loader, args.batch_size, packed)
    model.network.eval()  # loaded before the clock starts
    return model


def measured(work: Callable, device: str) -> dict:
    """What `work` returns, its seconds, and the most memory that was in use during it, in bytes."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten (Linux)
    started = time.perf_counter()
    found = work()
    if device == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    if device == "cuda":
        return {"found": found, "seconds": seconds, "memory": torch.cuda.max_memory_allocated()}
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"found": found, "seconds": seconds, "memory": int(status["VmHWM"].split()[0]) * 1024}


def tell(result: dict, path: Path | None) -> None:
    """Print a result, and write it where it is asked for."""
    text = json.dumps(result, indent=2)
    print(text)
    if path:
        path.write_text(text + "\n")
