"""SmolLM2, from its wheel, through every stage that asks a model, on real questions."""

import polars as pl
import pytest
import yaml

from faithtune.core import parquet
from faithtune.core.schemas.answers import ANSWERS
from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.jobs import job
from study import ROOT, Study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["float32", pytest.param("bfloat16", marks=pytest.mark.nightly)])
def real(request, tmp_path_factory, tiny_model) -> Study:
    """The embedded study's model before its tunings, with few questions and steps, up to the estimates.

    In the dtype chosen on a processor without bfloat16, and nightly in bfloat16 on any processor.
    """
    study = Study(tmp_path_factory.mktemp("real"), tiny_model)
    embedded = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    untuned = {key: embedded["models"]["smollm2"][key] for key in ("source", "checksum")}
    study.config["models"] = {"smollm2": untuned | {"quantisation": "nf4"}}
    siqa = embedded["data_sets"]["siqa"]["train"]
    study.config["data_sets"] = {
        "arithmetic": {"train": {"n": 8}, "eval": {"n": 4}},
        "siqa": {"train": siqa, "eval": siqa | {"n": 4}},
    }
    study.config["eval_sets"] = ["arithmetic", "siqa"]
    study.dtype = request.param
    with pytest.MonkeyPatch.context() as patch:
        if study.dtype == "float32":
            patch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
            patch.setenv("ATEN_CPU_CAPABILITY", "avx2")
        else:
            study.config["models"]["smollm2"]["dtype"] = study.dtype
        study.printed = study.run("results/estimates.parquet", "results/provenance.json")
    return study


def test_every_job_computes_in_the_one_type(real):
    assert f"\nComputing in {real.dtype} on the CPU" in real.printed
    recorded = job.load_json(real.folder / "results/precision.json")
    assert recorded["dtype"] == real.dtype
    assert ("AVX2" in recorded["because"]) == (real.dtype == "float32")
    assert job.load_json(real.folder / "results/provenance.json")["precision"] == recorded
    arm = job.load_json(real.folder / "results/arms/smollm2/qlora-arithmetic-42/arm.json")
    assert (arm["settings"]["dtype"], arm["fixed"]["trained_in"]) == (real.dtype, "float32")
    logs = [path.read_text() for path in sorted((real.folder / "logs").glob("chains/smollm2/*/*.log"))]
    assert len(logs) == 4 and all(f", in {real.dtype};" in log for log in logs)


def test_the_wheel_becomes_a_model_that_reasons(real):
    chains = parquet.read(real.folder / "results/chains/smollm2/base/arithmetic.parquet", CHAINS)
    assert chains.height == 4
    assert (chains["outcome"] == "answered").sum() >= 2
    assert chains["text"].str.contains("Step 2:").sum() >= 2


def test_it_answers_real_questions_with_letters(real):
    answers = parquet.read(real.folder / "results/answers/smollm2/base/siqa.parquet", ANSWERS)
    assert set(answers.filter(outcome="answered")["answer"]) <= set("ABC")
    assert (answers["outcome"] == "answered").mean() > 0.5


def test_the_tuned_arm_is_another_arm(real):
    arms = [
        parquet.read(real.folder / f"results/answers/smollm2/{arm}/siqa.parquet", ANSWERS)
        for arm in ("base", "qlora-arithmetic-42")
    ]
    no_cot = [arm.filter(test="no_cot")["option_mass"] for arm in arms]
    assert (no_cot[0] - no_cot[1]).abs().max() > 0
    assert (
        parquet.read(real.folder / "results/estimates.parquet", ESTIMATES)
        .filter(pl.col("metric") == "accuracy_effect")
        .height
    )
