"""States of a training at a host: which listed checkpoint ends which epoch, and what is said where none does."""

import json

import pytest

from faithtune.arms import identity
from faithtune.core.errors import UserError
from faithtune.hosts import session
from faithtune.settings.backend import Backend
from faithtune.tuning import hosted_states
from hosted_tunings import KEY_ENV, MODEL, tune
from hosting import hosted_model
from standin.host import StandIn
from standin.settings import Settings

ARM = "ft-sums-42"


@pytest.fixture
def host(monkeypatch):
    monkeypatch.setenv(KEY_ENV, Settings().key)
    with StandIn() as host:
        yield host


def end(steps: int | None, *listed: int | None, n_epochs: int = 3, n: int = 20) -> dict:
    """The card of an arm at its end, whose host lists states after these steps; the last step's is the arm itself."""
    names = {step: "ft:m" if step == steps else f"ft:m:ckpt-step-{step}" for step in listed}
    return {
        "hosted_model": "ft:m",
        "job": "ftjob-1",
        "examples": {"training": n, "validation": 5},
        "checkpoints": [{"name": names[step], "step": step, "metrics": {"train_loss": 1 / step}} for step in listed],
        "settings": {"n_epochs": n_epochs},
        "steps": steps,
        "seen": n_epochs * n,
        "weights_sha256": "end",
    }


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_a_state_is_an_arm_that_the_host_is_asked_for(host, tmp_path, method):
    card, _ = tune(host.url, tmp_path, method=method, n_epochs=3, batch_size=8)
    first, second = (hosted_states.state_card(card, ARM, epoch) for epoch in (1, 2))
    # Twenty examples in batches of eight: three steps an epoch.
    assert [(one["step"], one["steps"], one["seen"]) for one in (first, second)] == [(3, 9, 20), (6, 9, 40)]
    assert (card["steps"], card["seen"]) == (9, 60)
    assert [one["hosted_model"] for one in (first, second)] == [f"{card['hosted_model']}:ckpt-step-{n}" for n in (3, 6)]
    assert (first["metrics"]["train_loss"], second["metrics"]["train_loss"]) == (1, 1 / 2)
    changed = {"hosted_model", "step", "seen", "metrics", "weights_sha256"}
    assert {name for name in first if first[name] != card.get(name)} == changed
    assert len({one["weights_sha256"] for one in (first, second, card)}) == 3


def test_each_state_has_rows_of_its_own(host, tmp_path):
    """Neither base's rows nor the end's are taken for a state's."""
    card, _ = tune(host.url, tmp_path, n_epochs=3)
    cards = [None, *(hosted_states.state_card(card, ARM, epoch) for epoch in (1, 2)), card]
    asked = []
    for i, one in enumerate(cards):
        if one:
            (tmp_path / f"{i}.json").write_text(json.dumps(one))
        paths = {"arm": str(tmp_path / f"{i}.json")} if one else {}
        backend = Backend(api=hosted_model("gpt", host.url, None if one else MODEL))
        asked.append(identity.hosted_model(backend, paths))
    assert [one.model for one in asked] == [MODEL, *(one["hosted_model"] for one in cards[1:])]
    assert len({session.identity(one) for one in asked}) == 4


@pytest.mark.parametrize(
    ("steps", "listed", "expected"),
    [
        (9, (3, 6, 9), {1: 3, 2: 6}),
        (10, (4, 7, 10), {1: 4, 2: 7}),  # ten thirds, rounded up
        (10, (3, 6, 10), {1: 3, 2: 6}),  # and down
        (3, (1, 2, 3), {1: 1, 2: 2}),  # an epoch is a step
        (90, (15, 30, 45, 60, 75, 90), {1: 30, 2: 60}),  # two states an epoch
        (90, (29, 30, 31), {1: 30}),  # the nearest
        (90, (60, 90), {2: 60}),
        (90, (60,), {2: 60}),  # the last one is known from the log
    ],
)
def test_the_epoch_of_a_state_follows_from_its_step(steps, listed, expected):
    found = {}
    for epoch in (1, 2):
        try:
            found[epoch] = hosted_states.state_card(end(steps, *listed), ARM, epoch)["step"]
        except UserError:
            continue
    assert found == expected


@pytest.mark.parametrize(
    ("card", "said"),
    [
        (
            end(100, 60, 80, 100, n_epochs=5),
            "after epoch 1 of 5, but those after the steps 60, 80, 100 of 100; expected epoch 3 or 4, or fewer"
            " n_epochs",
        ),
        (end(9, 9), "after epoch 1 of 3, but those after the steps 9 of 9; expected no checkpoints"),
        (end(9), "after epoch 1 of 3, but none at all; expected no checkpoints"),
        (end(None), "after epoch 1 of 3, but none at all; expected no checkpoints"),
        (end(90, 45), "after epoch 1 of 3, but those after the steps 45 of 90; expected no checkpoints"),
    ],
    ids=["too old", "the end alone", "none", "nothing is known", "within an epoch"],
)
def test_a_state_that_is_not_kept_is_one_line(card, said):
    with pytest.raises(UserError) as error:
        hosted_states.state_card(card, ARM, 1)
    assert str(error.value) == f"config: hosted_tunings.ft.checkpoints: the host lists no state of {ARM} {said}"


def test_a_host_that_keeps_none(host, tmp_path):
    host.jobs.list_checkpoints = lambda *asked: {"object": "list", "data": [], "has_more": False}
    card, _ = tune(host.url, tmp_path, n_epochs=3)
    assert (card["checkpoints"], card["steps"]) == ([], 60)  # the steps are in the log
    with pytest.raises(UserError, match="but none at all; expected no checkpoints"):
        hosted_states.state_card(card, ARM, 2)


def test_the_stand_in_keeps_the_last_three_as_openai_does(host, tmp_path):
    card, _ = tune(host.url, tmp_path, n_epochs=5)
    assert hosted_states.state_card(card, ARM, 3)["step"] == 60
    with pytest.raises(UserError, match=r"after epoch 2 of 5, .* 60, 80, 100 of 100; expected epoch 3 or 4, or fewer"):
        hosted_states.state_card(card, ARM, 2)
