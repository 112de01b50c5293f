"""The plan of config/paper.yaml, made where there is neither hub nor GPU nor any file of it."""

import yaml
from study import ROOT, Study

SETS, SHARDS = 4, 7  # MedMCQA in three, CosmosQA in two
SMALL, LARGE = 1 + 4 * (3 + 2), 1 + 4 * 3  # arms: base; four sets by three seeds, and by two more ranks


def test_the_whole_study_can_be_planned(tmp_path, monkeypatch):
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # where nobody listens
    study = Study(tmp_path, tmp_path)
    study.config = yaml.safe_load((ROOT / "config/paper.yaml").read_text())
    planned, arms = study.planned(), SMALL + LARGE
    assert {rule: planned[rule] for rule in ("model", "tune", "chains", "paraphrase", "answer", "estimates")} == {
        "model": 2,
        "tune": arms - 2,
        "chains": arms * SHARDS,
        "paraphrase": arms * SHARDS,
        "answer": arms * SHARDS,
        "estimates": 1,
    }
    assert planned["questions"] == 2 * SETS
