"""The floating-point type that a study computes in: chosen once, by the device that asks the models.

    bfloat16    where the device multiplies it natively: CUDA of compute capability 8 or more, CPUs with avx512_bf16
                or amx_bf16
    float16     older CUDA devices
    float32     everything else

The choice is written to `results/precision.json`, which every job that loads weights reads. It stays as it is when a
study moves to another machine, because a row computed in another type is another row.
"""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from faithtune.core import errors
from faithtune.core.errors import UserError
from faithtune.jobs import gpus

CPUINFO = Path("/proc/cpuinfo")
# With one of these a CPU multiplies bfloat16 faster than float32.
_BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")
# What oneDNN, PyTorch's library of matrix products, may be limited to; the last ones leave it bfloat16.
_LIMITS = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")
# Measured: matrix products on CPUs without those instructions, against float32 (tests/benchmarks/README.md).
_COST = "5 to 25 times as slow as float32"
# Set once a run has told the user what its type costs on this machine: its jobs need not tell it again.
COST_TOLD = "FAITHTUNE_COST_TOLD"


@dataclass(frozen=True)
class Device:
    """A device that multiplies."""

    kind: str  # cpu | cuda
    name: str | None  # of the processor or the GPU; None where unknown
    best: str  # float32, bfloat16 or float16: what `dtype: auto` chooses on it
    because: str  # why

    def is_slow(self, dtype: str) -> bool:
        """Whether the device emulates `dtype`, many times as slow as its own best type."""
        if dtype == "float32":
            return False
        return dtype != self.best and not (self.kind == "cuda" and dtype == "float16")


def cpu() -> Device:
    """This machine's processor."""
    text = CPUINFO.read_text(encoding="utf-8", errors="replace") if CPUINFO.is_file() else ""
    name = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    flags = set(flags[1].split()) if (flags := re.search(r"^flags\s*: (.*)$", text, re.MULTILINE)) else set()
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "")).upper()
    found = [] if limit in _LIMITS else [flag for flag in _BFLOAT16_FLAGS if flag in flags]
    if found:
        return Device("cpu", name and name[1], "bfloat16", f"the processor has {found[0]}")
    why = f"the processor may use {limit} at most" if limit in _LIMITS else f"the processor lacks {_BFLOAT16_FLAGS[0]}"
    return Device("cpu", name and name[1], "float32", why)


def cuda(capability: tuple[int, int], name: str | None = None) -> Device:
    """A CUDA device of this compute capability."""
    why = f"the GPU has compute capability {capability[0]}.{capability[1]}"
    return Device("cuda", name, "bfloat16" if capability >= (8, 0) else "float16", why)


def device_kind(name: str = "auto") -> str:
    """cpu or cuda, by `compute.device`; auto: CUDA where there is a device, else the CPU, with a warning where a GPU
    was meant. UserError where cuda is asked for and missing."""
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("compute.device is cuda, but PyTorch finds none here; expected a GPU and its driver, or cpu")
    if name != "auto":
        return name
    if torch.cuda.is_available():
        return "cuda"
    if gpus.present() or "SLURM_JOB_ID" in os.environ:
        errors.warn("computing on the CPU: PyTorch finds no CUDA here; expected it, or compute.device: cpu")
    return "cpu"


def present(kind: str) -> Device:
    """The device of this kind (cpu, cuda) that this process computes on."""
    if kind == "cpu":
        return cpu()
    import torch

    return cuda(torch.cuda.get_device_capability(), torch.cuda.get_device_name())


def choose(wanted: str, device: Device) -> dict:
    """The content of precision.json. `wanted`: auto, or the type that the configuration names."""
    because = device.because if wanted == "auto" else "the configuration names it"
    dtype = device.best if wanted == "auto" else wanted
    return {"dtype": dtype, "wanted": wanted, "because": because, "device": device.kind, "device_name": device.name}


def describe(chosen: dict) -> str:
    """What a study computes in, in words."""
    where = "a GPU" if chosen["device"] == "cuda" else "the CPU"
    name = f" ({chosen['device_name']})" if chosen["device_name"] else ""
    return f"{chosen['dtype']} on {where}{name}: {chosen['because']}"


def cost(chosen: dict, device: Device) -> str | None:
    """What it costs to compute in the chosen type on a device, in one line; None where it costs nothing."""
    dtype, again = chosen["dtype"], "delete results/precision.json to choose again, which asks everything again"
    if device.is_slow(dtype):
        slow = (
            _COST if (device.kind, dtype) == ("cpu", "bfloat16") else f"emulated, many times as slow as {device.best}"
        )
        if chosen["wanted"] != "auto":
            return f"dtype: {dtype} is {slow} here ({device.because}); expected dtype: auto"
        return f"this study computes in {dtype}, {slow} here ({device.because}); {again}"
    if chosen["wanted"] == "auto" and dtype == "float32" != device.best:
        return f"this study computes in float32, slower here than {device.best} ({device.because}); {again}"
    return None


def tell_cost(chosen: dict, device: Device) -> None:
    """Warn of what the chosen type costs on a device: in the log, and on the terminal unless the run has told it."""
    if line := cost(chosen, device):
        print(f"warning: {line}", file=sys.stderr) if os.environ.get(COST_TOLD) else errors.warn(line)
