"""Which arms of a study are an ablation: otherwise equal recipes with different values of one key."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

# What belongs to a key's value, and differs with it: the scale goes with the rank, a section with its method or target.
_WITH = {"rank": ("alpha",), "method": ("beta", "grpo."), "target": ("own.",)}


class Ablation(NamedTuple):
    """Arms of one model that differ in one key alone."""

    key: str  # as `vary` takes it
    arms: list[dict]  # as `compared.table_arms` has them, in its order
    values: list  # of the key, one for each arm; two different ones at least


def find_ablations(arms: Sequence[dict]) -> list[Ablation]:
    """Every ablation, by the order of keys and of arms.

    Settings that are at the default of their method and adapter (`defaults` of `compared.table_arms`) count as equal,
    and so do arms on one mixture, whatever its shares.
    """
    tuned = [arm for arm in arms if "settings" in arm]
    keys = dict.fromkeys(key for arm in tuned for key in arm["settings"] if key != "train_set")
    return [ablation for key in keys for ablation in _of_key(tuned, key)]


def ablated(arms: Sequence[dict]) -> list[dict]:
    """The arms that differ from another arm in nothing but the adapter's rank and scale."""
    return [arm for ablation in find_ablations(arms) if ablation.key == "rank" for arm in ablation.arms]


def _of_key(arms: Sequence[dict], key: str) -> Iterator[Ablation]:
    groups: dict[str, list[dict]] = {}
    for arm in arms:
        if _value(arm, key) is not None:
            groups.setdefault(repr((arm["model"], _others(arm, key))), []).append(arm)
    for group in groups.values():
        values = [_value(arm, key) for arm in group]
        if len(set(map(repr, values))) > 1:
            yield Ablation(key, group, values)


def _value(arm: dict, key: str):
    """The value of a key; None if it has none, as the rank of an adapter without one."""
    return arm["rank"] if key == "rank" else arm["settings"].get(key)


def _others(arm: dict, key: str) -> list[tuple]:
    """The settings that must be equal for two arms to differ in the key alone."""

    def is_beside(name: str) -> bool:
        return name == key or any(name == one or (one.endswith(".") and name.startswith(one)) for one in beside)

    beside = _WITH.get(key, ())
    settings = arm["settings"].items()
    return sorted((name, value) for name, value in settings if name not in arm["defaults"] and not is_beside(name))
