"""The configuration: defaults, arms, and what each rule's parameters hold."""

import copy

import pytest
import yaml

from configurations import ROOT, SCHEMA
from faithtune import config
from faithtune.errors import UserError


def test_the_shipped_configurations_are_right(monkeypatch):
    monkeypatch.chdir(ROOT)
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


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({}, r"models\.o needs one of the keys source, chains, oracle"),
        ({"source": "x.gguf", "oracle": {"base": {}}}, r"models\.o needs one of the keys"),
        ({"oracle": {"ft-sums-1": {}}}, r"models\.o\.oracle lacks the arm 'base'"),
        ({"oracle": {"base": {}, "ft": {}}}, r"'ft' is no name of|models\.o\.oracle.*'ft'"),
        ({"oracle": {"base": {"faithful": 1.5}}}, r"models\.o\.oracle\.base\.faithful is 1\.5; expected at most 1"),
        (
            {"oracle": {"base": {"steps": [5, 2]}}},
            r"models\.o\.oracle\.base\.steps is \[5, 2\]; expected the least first",
        ),
        (
            {"chains": {"base": {"medqa": {"source": "x.jsonl"}}}},
            r"chains\.base names 'medqa'; expected one of sums, siqa",
        ),
        (
            {"chains": {"base": {"sums": {"source": "no.jsonl"}}}},
            r"chains\.base\.sums: no\.jsonl: there is no such file",
        ),
    ],
)
def test_models_without_weights_are_checked(raw, model, message):
    raw["models"]["o"] = model
    with pytest.raises(UserError, match=message):
        config.load(raw, SCHEMA)


def test_an_imported_arm_needs_the_sets_of_base_alone(raw, tmp_path):
    (tmp_path / "chains.jsonl").write_text("{}")
    part = {"source": str(tmp_path / "chains.jsonl")}
    raw["models"]["o"] = {"chains": {"base": {"sums": part}, "ft-siqa-1": {"siqa": part}}}
    with pytest.raises(UserError, match="names 'siqa', of which the arm 'base' has no chains"):
        config.load(raw, SCHEMA)


def test_who_paraphrases(raw, tmp_path):
    (tmp_path / "chains.jsonl").write_text("{}")
    imported = {"chains": {"base": {"sums": {"source": str(tmp_path / "chains.jsonl")}}}}
    raw["models"] = {"i": imported, **raw["models"], "o": {"oracle": {"base": {}}}}
    assert config.load(raw, SCHEMA)["paraphraser"]["model"] == "m"
    raw["models"] = dict(sorted(raw["models"].items(), reverse=True))  # an oracle first
    assert config.load(raw, SCHEMA)["paraphraser"]["model"] == "m"
    raw["paraphraser"] = {"model": "o"}
    with pytest.raises(UserError, match=r"paraphraser\.model is 'o', an oracle"):
        config.load(raw, SCHEMA)
    raw["paraphraser"] = {"model": "i"}
    with pytest.raises(UserError, match=r"paraphraser\.model is 'i'; expected one of o, m"):
        config.load(raw, SCHEMA)
    raw["models"] = {"i": imported}
    raw["tunings"] = raw["paraphraser"] = {}
    config.load(raw, SCHEMA)


def test_what_is_not_tuned_here_is_in_no_tuning(raw):
    raw["models"]["o"] = {"oracle": {"base": {}}}
    assert config.load(raw, SCHEMA)["tunings"]["r16"]["models"] == ["m"]
    raw["tunings"]["r8"]["models"] = ["o"]
    with pytest.raises(UserError, match=r"tunings\.r8\.models names 'o', which is no model with a source"):
        config.load(raw, SCHEMA)


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
