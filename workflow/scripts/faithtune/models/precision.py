"""The floating-point type that a study computes in: chosen once, by the device on which models run.

    bfloat16    where the device multiplies it natively: CUDA of compute capability 8 or more, CPUs with avx512_bf16
                or amx_bf16
    float16     older CUDA devices
    float32     everything else

The choice is written to `results/precision.json`, which every job that loads weights reads. It stays when a study
moves to another machine, because rows computed in different types are not comparable.
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
# Instruction sets to which a user may limit oneDNN, PyTorch's library of matrix products, that exclude bfloat16.
_LIMITS = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")
# Measured for matrix products on CPUs without those instructions (tests/benchmarks/README.md).
_COST = "5 to 25 times as slow as float32"
# The environment variable that is set once a run has warned of its type's cost on this machine, so that jobs do not.
COST_WARNED = "FAITHTUNE_COST_WARNED"


@dataclass(frozen=True)
class Device:
    """A processor or a GPU."""

    kind: str  # cpu | cuda
    name: str | None  # None: unknown
    best: str  # float32, bfloat16 or float16: the choice of `dtype: auto`
    because: str  # the reason, in words

    def is_slow(self, dtype: str) -> bool:
        """Whether the device emulates `dtype`, many times slower than its best type."""
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
    """cpu or cuda, by `compute.device`. auto: CUDA if there is a device, else the CPU.

    Warns if the CPU is used although the machine seems to have a GPU. UserError if cuda is named and missing.
    """
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("compute.device is cuda, but PyTorch finds no GPU here; expected one with its driver, or cpu")
    if name != "auto":
        return name
    if torch.cuda.is_available():
        return "cuda"
    if gpus.visible_gpus() or "SLURM_JOB_ID" in os.environ:
        errors.warn("computing on the CPU: PyTorch finds no CUDA here; expected CUDA, or compute.device: cpu")
    return "cpu"


def present_device(kind: str) -> Device:
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


def wanted(configured: str, chosen: dict | None) -> str:
    """The configured dtype, or auto if it only names the type that auto has chosen: then nothing is to rerun."""
    named = chosen and chosen["wanted"] == "auto" and chosen["dtype"] == configured
    return "auto" if named else configured


def describe(chosen: dict) -> str:
    """The chosen type, device and reason, in words."""
    where = "a GPU" if chosen["device"] == "cuda" else "the CPU"
    name = f" ({chosen['device_name']})" if chosen["device_name"] else ""
    return f"{chosen['dtype']} on {where}{name}: {chosen['because']}"


def describe_cost(chosen: dict, device: Device) -> str | None:
    """One line on how slow the chosen type is on a device; None if it is the fastest."""
    dtype, again = chosen["dtype"], "delete results/precision.json to choose again, which computes every row again"
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


def warn_cost(chosen: dict, device: Device) -> None:
    """Warn if the chosen type is slow on a device: in the log, and on the terminal unless the run has done so."""
    if line := describe_cost(chosen, device):
        print(f"warning: {line}", file=sys.stderr) if os.environ.get(COST_WARNED) else errors.warn(line)
