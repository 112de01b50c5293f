"""`vary`: a grid of one recipe, each point a tuning of its own, and errors that name what the user wrote."""

import copy

import pytest

from faithtune.core.errors import UserError
from faithtune.data import readers
from faithtune.report.ablations import find_ablations
from faithtune.study import compared, config, plan
from faithtune.study.recipes import vary

MIXTURE = {"name": "replay", "of": {"siqa": "rest", "sums": 0.2}}


@pytest.fixture
def grid(raw):
    """Load the small configuration with one tuning, `q`, of these keys."""

    def load(vary: object, **recipe):
        raw["tunings"] = {"q": {"train_sets": ["siqa"], **recipe, "vary": vary}}
        return config.load(raw)

    return load


def tuned(full) -> dict:
    return {arm.name: arm for arm in plan.arms(full) if arm.recipe}


def test_each_combination_is_a_tuning_with_a_readable_name(grid):
    full = grid({"rank": [8, 16], "learning_rate": [1e-4, "2e-4"]}, seeds=[1, 2], epochs=1)
    names = ["q_rank8_lr0p0001", "q_rank8_lr0p0002", "q_rank16_lr0p0001", "q_rank16_lr0p0002"]
    assert list(full.tunings) == names
    assert [(one.rank, one.learning_rate) for one in full.tunings.values()] == [
        (8, 1e-4),
        (8, 2e-4),
        (16, 1e-4),
        (16, 2e-4),
    ]
    assert {one.epochs for one in full.tunings.values()} == {1}
    assert list(tuned(full)) == [f"{name}-siqa-{seed}" for name in names for seed in (1, 2)]


def test_a_point_is_what_the_same_recipe_would_be_if_written_out(grid, raw):
    point = next(iter(tuned(grid({"rank": [8, 16]})).values()))
    raw["tunings"] = {"q": {"train_sets": ["siqa"], "rank": 8}}
    assert point.training() == next(iter(tuned(config.load(raw)).values())).training()


@pytest.mark.parametrize(
    ("varied", "names"),
    [
        ({"targets": [["q_proj", "v_proj"], "all-linear"]}, ["targets_q_proj_v_proj", "targets_all_linear"]),
        ({"method": ["sft", "dpo"], "target": ["native", "answer_only"]}, None),
        ({"epochs": [1, 0.5]}, ["epochs1", "epochs0p5"]),
        ({"gradient_checkpointing": [True, False]}, ["gradient_checkpointing_true", "gradient_checkpointing_false"]),
        ({"alpha": [None, 4]}, ["alpha_default", "alpha4"]),
        ({"n": [5, 7]}, ["n5", "n7"]),
    ],
)
def test_names_of_points(grid, varied, names):
    found = [name.removeprefix("q_") for name in grid(varied).tunings]
    assert found == (names or ["sft_native", "sft_answer_only", "dpo_native", "dpo_answer_only"])


def test_a_long_list_of_layers_has_a_short_stable_name(grid):
    layers = [f"{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down")]
    first, _ = grid({"targets": [layers, ["q_proj"]]}).tunings
    _, second = grid({"targets": [["q_proj"], layers]}).tunings
    assert first == second and len(first) < 30


def test_a_key_of_a_section(grid):
    full = grid({"grpo.temperature": [0.5, 1]}, method="grpo", batch_size=4, grpo={"generations": 4})
    assert [(name, one.grpo.temperature, one.grpo.generations) for name, one in full.tunings.items()] == [
        ("q_temperature0p5", 0.5, 4),
        ("q_temperature1", 1, 4),
    ]


def test_the_share_of_replay_down_to_none(grid):
    full = grid({"replay.of.sums": [0, 0.1, 0.5]}, train_sets=[MIXTURE])
    assert {name: (arm.train_set, arm.data.shares) for name, arm in tuned(full).items()} == {
        "q_sums0-replay-42": ("replay (siqa)", {"siqa": 1}),
        "q_sums0p1-replay-42": ("replay (siqa+sums)", {"siqa": 0.9, "sums": 0.1}),
        "q_sums0p5-replay-42": ("replay (siqa+sums)", {"siqa": 0.5, "sums": 0.5}),
    }


def test_the_size_and_the_unit_of_a_mixture(grid):
    full = grid({"replay.n": [2, 4], "replay.equal": ["examples", "tokens"]}, train_sets=[MIXTURE])
    assert [(name, arm.data.n, arm.data.equal) for name, arm in tuned(full).items()] == [
        ("q_n2_examples-replay-42", 2, "examples"),
        ("q_n2_tokens-replay-42", 2, "tokens"),
        ("q_n4_examples-replay-42", 4, "examples"),
        ("q_n4_tokens-replay-42", 4, "tokens"),
    ]


def test_hosted_tunings_vary_too(raw):
    raw["models"]["gpt"] = {"api": {"model": "g", "base_url_env": "URL", "abilities": ["tune"]}}
    raw["hosted_tunings"] = {"ft": {"train_sets": ["siqa"], "vary": {"n_epochs": [1, 2]}}}
    assert list(config.load(raw).hosted_tunings) == ["ft_n_epochs1", "ft_n_epochs2"]


def test_points_are_arms_for_the_headline_and_for_other_models(grid, raw):
    raw["measures"] = {"headline": ["q_rank8"]}
    raw["models"]["later"] = {"source": "arm:m/q_rank16-siqa-42", "measured": False}
    full = grid({"rank": [8, 16]})
    assert [arm["arm"] for arm in compared.headline_arms(full) if arm["tuning"]] == ["q_rank8-siqa"]
    raw["measures"] = {"headline": ["q"]}
    with pytest.raises(UserError, match=r"headline names 'q'; expected .*: q_rank8, q_rank8-siqa, q_rank16"):
        grid({"rank": [8, 16]})


def test_tables_of_ranks_show_a_grid_of_ranks(grid):
    arms = compared.table_arms(grid({"rank": [8, 16], "learning_rate": [1e-4, 2e-4]}, train_sets=["siqa", "sums"]))
    found = [one for one in find_ablations(arms) if one.key == "rank"]
    assert [[(arm["arm"], arm["rank"]) for arm in one.arms] for one in found] == [
        [(f"q_rank8_{rate}-{name}", 8), (f"q_rank16_{rate}-{name}", 16)]
        for rate in ("lr0p0001", "lr0p0002")
        for name in ("siqa", "sums")
    ]


def test_ranks_of_different_mixtures_or_sizes_are_not_compared(raw):
    def groups(**other) -> int:
        one = {"train_sets": [MIXTURE], "n": 4}
        raw["tunings"] = {"a": one | {"rank": 8}, "b": one | {"rank": 16} | other}
        return sum(one.key == "rank" for one in find_ablations(compared.table_arms(config.load(raw))))

    assert groups() == 1
    assert groups(n=3) == 0
    assert groups(train_sets=[MIXTURE | {"of": {"siqa": "rest", "sums": 0.3}}]) == 0
    assert groups(train_sets=[MIXTURE | {"equal": "tokens"}]) == 0


GRIDS = {
    "a method": ({"method": ["sft", "dpo", "grpo"]}, {"batch_size": 4}, ["sft", "dpo", "grpo"]),
    "a target": ({"target": ["answer_only", "own"]}, {}, ["answer_only", "own"]),
    "an adapter": ({"adapter": ["lora", "ia3", "full"]}, {}, ["lora", "ia3", "full"]),
    "a size": ({"n": [2, 4]}, {}, [2, 4]),
    "layers": ({"targets": [["q_proj"], ["q_proj", "v_proj"]]}, {}, [["q_proj"], ["q_proj", "v_proj"]]),
    "a key of samples": ({"own.samples": [2, 4]}, {"target": "own"}, [2, 4]),
    "a key of grpo": ({"grpo.temperature": [0.5, 1]}, {"method": "grpo", "batch_size": 4}, [0.5, 1]),
    "a share": ({"replay.of.sums": [0, 0.25, 1]}, {"train_sets": [MIXTURE]}, [0, 0.25, 1]),
    "a mixture's size": ({"replay.n": [2, 4]}, {"train_sets": [MIXTURE]}, [2, 4]),
}


@pytest.mark.parametrize("case", GRIDS)
def test_each_key_of_a_grid_is_an_ablation(grid, raw, case):
    """With the values as they were written, and no other key beside it."""
    varied, recipe, values = GRIDS[case]
    raw["models"]["m"]["quantisation"] = "none"
    usual = {} if "adapter" in varied else {"adapter": "lora"}
    full = grid(varied, epochs=1, **usual | recipe)
    found = find_ablations(compared.table_arms(full))
    assert [(one.key, one.values) for one in found] == [(next(iter(varied)), values)]


def test_a_grid_of_two_keys_is_an_ablation_of_each(grid):
    found = find_ablations(compared.table_arms(grid({"rank": [8, 16], "epochs": [1, 2, 3]}, train_sets=["siqa"])))
    assert [(one.key, one.values) for one in found] == [("rank", [8, 16])] * 3 + [("epochs", [1, 2, 3])] * 2


ERRORS = {
    "an unknown key": ({"rnk": [1, 2]}, "q.vary: unknown key 'rnk'; did you mean rank?"),
    "an unknown key of a section": ({"grpo.temp": [1, 2]}, "unknown key 'grpo.temp'; did you mean grpo.temperature?"),
    "a key within a value": ({"rank.high": [1, 2]}, "unknown key 'rank.high'; did you mean rank?"),
    "no mixture": ({"mix.n": [1, 2]}, "q.vary: unknown key 'mix.n'; "),
    "one value": ({"rank": [8]}, "q.vary.rank has 1 value(s); expected two or more, or rank in place of vary"),
    "no list": ({"rank": 8}, "q.vary.rank is 8; expected a list of values"),
    "a value twice": ({"rank": [8, "8.0"]}, "q.vary.rank has '8.0' twice; expected different values"),
    "nothing": ({}, "q.vary is empty; expected keys of the recipe, each with a list of values"),
    "no mapping": (5, "q.vary is 5; expected a section of names and values"),
    "seeds": ({"seeds": [[1], [2]]}, "q.vary: each item of seeds is an arm of its own already; expected seeds beside"),
    "a key twice": ({"epochs": [1, 2]}, "q.vary: epochs stands in the recipe and in vary; remove one of them"),
    "a bad value": ({"rank": [8, 0]}, "q.vary.rank is 0; expected at least 1"),
    "no number": ({"learning_rate": [1, "NaN"]}, "q.vary.learning_rate is nan; expected a finite number"),
    "no such layers": ({"targets": [[1], "all-linear"]}, "q.vary.targets is [1]; expected all-linear or a list"),
    "values that do not fit": ({"micro_batch_size": [3, 4]}, "q.vary.micro_batch_size must divide batch_size 16"),
    "too many examples": ({"n": [5, 8]}, "q.vary.n is 8, but siqa has 7 (data_sets.SET.train.n); expected at most 7"),
    "too many points": (
        {"rank": list(range(1, 40)), "alpha": list(range(1, 40))},
        "q.vary makes 1521 tunings; expected at most 1000",
    ),
    "too long a name": (
        {key: [0.1234567890123, 0.2] for key in ("dropout", "warmup", "weight_decay", "learning_rate")},
        "characters; expected at most 80",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_names_the_key_as_written(grid, case):
    varied, expected = ERRORS[case]
    with pytest.raises(UserError) as error:
        grid(varied, epochs=1)
    assert str(error.value).startswith("config: tunings.q.vary") and "\n" not in str(error.value)
    assert expected in str(error.value)


def test_errors_elsewhere_in_the_recipe_name_the_tuning(grid):
    with pytest.raises(UserError, match=r"^config: tunings\.q\.epochs is 0; expected more than 0$"):
        grid({"rank": [8, 16]}, epochs=0)
    with pytest.raises(UserError, match=r"^config: tunings\.q\.train_sets names 'nosuch'"):
        grid({"rank": [8, 16]}, train_sets=["nosuch"])


@pytest.mark.parametrize(
    ("varied", "expected"),
    [
        ({"replay.of.more": [0, 1]}, "unknown key 'replay.of.more'; did you mean replay.of.sums?"),
        ({"replay.of.sums": [0.1, -1]}, "tunings.q.vary.replay.of.sums is -1; expected a share of at least 0"),
        ({"replay.name": ["a", "b"]}, "unknown key 'replay.name'"),
    ],
)
def test_an_error_within_a_mixture(grid, varied, expected):
    with pytest.raises(UserError) as error:
        grid(varied, train_sets=[MIXTURE])
    assert expected in str(error.value)


def test_a_key_of_a_mixture_needs_a_tuning_on_that_mixture_alone(grid):
    with pytest.raises(UserError, match=r"replay\.of\.sums changes replay alone; expected a tuning whose only"):
        grid({"replay.of.sums": [0, 0.1]}, train_sets=[MIXTURE, "siqa"])


def test_a_point_with_the_name_of_a_tuning_is_refused(raw):
    raw["tunings"] = {"q": {"train_sets": ["siqa"], "vary": {"rank": [8, 16]}}, "q_rank8": {"train_sets": ["siqa"]}}
    with pytest.raises(UserError, match=r"q\.vary makes the tuning q_rank8, which is there already; rename one"):
        config.load(raw)


def test_what_is_no_grid_is_left_to_validation(raw):
    for tunings in (None, 5, {"q": 5}, {"Q": {"train_sets": ["siqa"], "vary": {"rank": [8, 16]}}}, {"q": {}}):
        given = raw | {"tunings": tunings}
        assert vary.expand(given) == (given, {})
    with pytest.raises(UserError, match="tunings names 'Q'; expected at most 80 lower-case"):
        config.load(raw | {"tunings": {"Q": {"train_sets": ["siqa"], "vary": {"rank": [8, 16]}}}})


def test_points_share_nothing_that_could_change(grid, raw):
    before = copy.deepcopy(MIXTURE)
    first, second = grid({"replay.of.sums": [0, 0.1]}, train_sets=[MIXTURE]).tunings.values()
    assert first.train_sets[0] is not second.train_sets[0] and before == MIXTURE


def test_a_thousand_points_are_planned_without_looking_for_readers_again(grid, monkeypatch):
    grid({"rank": [8, 16]})
    monkeypatch.setattr(readers.pkgutil, "iter_modules", lambda _: pytest.fail("the folder of readers is read again"))
    values = {"rank": list(range(1, 11)), "alpha": list(range(1, 11)), "replay.of.sums": [i / 10 for i in range(10)]}
    assert len(compared.table_arms(grid(values, train_sets=[MIXTURE]))) == 1001
