"""A study's floating-point type: by default the device's best; a warning if it is slow."""

import sys

import pytest

from faithtune.core import errors
from faithtune.core.errors import UserError
from faithtune.models import precision
from faithtune.study import config, model_settings

OLD, NEW = precision.cuda((7, 5), "T4"), precision.cuda((8, 0), "A100")
PLAIN = precision.Device("cpu", "old", "float32", "the processor lacks avx512_bf16")
NATIVE = precision.Device("cpu", "new", "bfloat16", "the processor has avx512_bf16")


def cpu_with(monkeypatch, tmp_path, flags: str, limit: str | None = None) -> precision.Device:
    """The processor of a machine with these flags in /proc/cpuinfo."""
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\nmodel name\t: A Processor\nflags\t\t: fpu sse2 {flags}\n\nprocessor\t: 1\n")
    monkeypatch.setattr(precision, "CPUINFO", file)
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    if limit is None:
        monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    else:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    return precision.cpu()


@pytest.mark.parametrize(
    ("flags", "limit", "best"),
    [
        ("avx2 fma", None, "float32"),
        ("avx2 avx512f avx512_vnni", None, "float32"),
        ("avx2 avx512f avx512_bf16", None, "bfloat16"),
        ("avx2 amx_bf16 amx_tile", None, "bfloat16"),
        ("avx2 avx512_bf16", "AVX2", "float32"),
        ("avx2 avx512_bf16", "avx512_core", "float32"),
        ("avx2 avx512_bf16", "AVX512_CORE_BF16", "bfloat16"),
        ("avx2 avx512_bf16", "DEFAULT", "bfloat16"),
    ],
)
def test_a_cpu_that_multiplies_bfloat16_computes_in_it(monkeypatch, tmp_path, flags, limit, best):
    device = cpu_with(monkeypatch, tmp_path, flags, limit)
    assert (device.kind, device.name, device.best) == ("cpu", "A Processor", best)
    assert precision.choose("auto", device)["dtype"] == best


def test_a_machine_without_cpuinfo_computes_in_float32(monkeypatch, tmp_path):
    monkeypatch.setattr(precision, "CPUINFO", tmp_path / "none")
    assert precision.cpu().best == "float32"


@pytest.mark.parametrize(("capability", "best"), [((7, 0), "float16"), ((7, 5), "float16"), ((8, 0), "bfloat16")])
def test_a_gpu_computes_in_16_bits(capability, best):
    assert precision.choose("auto", precision.cuda(capability, "a GPU"))["dtype"] == best


def test_a_configured_type_is_used_and_its_cost_described():
    chosen = precision.choose("bfloat16", PLAIN)
    assert chosen["dtype"] == "bfloat16"
    line = precision.describe_cost(chosen, PLAIN)
    assert "times as slow as float32" in line and "avx512_bf16" in line and "dtype: auto" in line
    assert precision.describe_cost(precision.choose("bfloat16", NATIVE), NATIVE) is None
    assert precision.describe_cost(precision.choose("float32", NATIVE), NATIVE) is None  # the user's choice


def test_naming_the_type_that_auto_chose_is_auto():
    chosen = precision.choose("auto", NATIVE)
    assert precision.wanted("bfloat16", chosen) == precision.wanted("auto", chosen) == "auto"
    assert precision.wanted("float32", chosen) == precision.wanted("float32", None) == "float32"
    assert precision.wanted("bfloat16", precision.choose("bfloat16", NATIVE)) == "bfloat16"
    assert precision.wanted("auto", precision.choose("bfloat16", NATIVE)) == "auto"  # chooses again


@pytest.mark.parametrize(
    ("first", "then", "slow"),
    [
        (NATIVE, PLAIN, True),
        (NEW, PLAIN, True),
        (OLD, PLAIN, True),
        (OLD, NATIVE, True),
        (NEW, OLD, True),
        (PLAIN, NEW, True),
        (PLAIN, NATIVE, True),
        (OLD, NEW, False),
        (NATIVE, NEW, False),
        (NATIVE, NATIVE, False),
        (PLAIN, PLAIN, False),
    ],
)
def test_a_study_that_moves_keeps_its_type_and_warns_if_it_is_slow(first, then, slow):
    line = precision.describe_cost(precision.choose("auto", first), then)
    assert (line is not None) == slow
    if slow:
        assert f"this study computes in {first.best}" in line and "results/precision.json" in line
        assert "\n" not in line


def test_the_choice_is_described_in_words():
    text = precision.describe(precision.choose("auto", PLAIN))
    assert text == "float32 on the CPU (old): the processor lacks avx512_bf16"
    assert precision.describe(precision.choose("float16", NEW)).startswith("float16 on a GPU (A100): ")


def test_a_study_has_one_type(raw):
    assert model_settings.dtype(config.load(raw)) == "auto"
    raw["models"]["second"] = raw["models"]["m"] | {"dtype": "float32"}
    assert model_settings.dtype(config.load(raw)) == "float32"
    raw["models"]["third"] = raw["models"]["m"] | {"dtype": "bfloat16"}
    with pytest.raises(UserError, match=r"models\.third\.dtype is bfloat16, but models\.second\.dtype is float32"):
        config.load(raw)


def test_each_job_warns_in_its_log_and_a_run_once_on_the_terminal(monkeypatch, capsys):
    monkeypatch.delenv(precision.COST_WARNED, raising=False)
    monkeypatch.setattr(errors, "terminal", sys.stdout)
    precision.warn_cost(precision.choose("auto", NATIVE), NATIVE)
    assert capsys.readouterr() == ("", "")
    precision.warn_cost(precision.choose("auto", NEW), OLD)
    output = capsys.readouterr()
    assert "this study computes in bfloat16, emulated" in output.out and "warning: this study computes" in output.err
    monkeypatch.setenv(precision.COST_WARNED, "1")
    precision.warn_cost(precision.choose("auto", NATIVE), PLAIN)
    output = capsys.readouterr()
    assert not output.out and "bfloat16, 5 to 25 times as slow as float32 here" in output.err


def test_a_served_model_names_its_type(raw):
    """This machine cannot choose the server's type."""
    raw["models"]["m"]["served"] = {"base_url_env": "URL"}
    with pytest.raises(UserError, match=r"models\.m is served, but names no dtype"):
        config.load(raw)
    raw["models"]["m"]["dtype"] = "bfloat16"
    config.load(raw)
