"""The paper's study and its small version can be planned without hub, GPU and any of their files."""

import pytest
import yaml

from faithtune.report.figures import figures
from study import ROOT, Study

SETS = 4
# Configuration -> numbers of models, trainings, and arms including base.
STUDIES = {"paper": (2, 4 * (3 + 2) + 4 * 3, 2 + 4 * (3 + 2) + 4 * 3), "paper_small": (1, 4, 5)}
ONCE = ("precision", "estimates", "generalisation", "claims", "recipes", "verdict", "provenance", "report", "all")


@pytest.mark.parametrize("name", STUDIES)
def test_the_whole_study_can_be_planned(tmp_path, monkeypatch, name):
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # no server listens here
    study = Study(tmp_path, tmp_path)
    study.config = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
    planned = study.planned()
    models, trainings, arms = STUDIES[name]
    pairs = dict.fromkeys(("chains", "paraphrase", "answer"), arms * SETS)
    expected = {"model": models, "tune": trainings, **pairs, "questions": 2 * SETS}
    expected |= {"figure": SETS + len(figures.FIGURES), "items": SETS}
    assert {rule: planned.get(rule) for rule in expected} == expected
    assert {rule: planned.get(rule, 1) for rule in ONCE} == dict.fromkeys(ONCE, 1)
    assert planned.keys() - expected.keys() == {"download", "table", *ONCE[:-1]} | (planned.keys() & {"all"})
    assert planned["table"] >= 15
