"""The key `vary` of a tuning: a grid of its recipe, each point expanded into a tuning of its own.

    qlora: {train_sets: [siqa], vary: {rank: [8, 16], learning_rate: [1e-4, 2e-4]}}

are the tunings qlora_rank8_lr0p0001, qlora_rank8_lr0p0002, qlora_rank16_lr0p0001 and qlora_rank16_lr0p0002. A key may
lead into a section (`grpo.temperature`) or into a mixture (`replay.of.arithmetic`, `replay.n`).
"""

import contextlib
import copy
import difflib
import itertools
import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple, get_args

from faithtune.core.errors import UserError, short_repr
from faithtune.data.questions import digest
from faithtune.settings.data import Mixture
from faithtune.settings.section import NotFinite, Section, from_text
from faithtune.settings.tunings import HostedTuningSettings, TuningSettings

# The most points of a grid, so that a slip does not plan a million trainings.
MOST = 1000
_KINDS = {"tunings": TuningSettings, "hosted_tunings": HostedTuningSettings}
# Keys whose lists are an arm for each item already.
_LISTS = ("train_sets", "models", "seeds")
# Keys that decide no training.
_NOT_SET = ("vary", "checkpoints")
# In the names of points: keys with a shorter name, and keys whose values speak for themselves.
_SHORT = {"learning_rate": "lr"}
_WORDS = ("method", "adapter", "target", "schedule", "equal")
_NAME, _LONGEST = re.compile(r"[a-z0-9_]{1,80}"), 80
_NUMBER = re.compile(r"[0-9]+(p[0-9]+)?")
# The longest text of a value in a name; of a longer one a hash stands there.
_LONGEST_VALUE = 40


class Point(NamedTuple):
    """Where a point of a grid comes from."""

    tuning: str  # the user's name for it
    keys: Mapping[str, str]  # place in the point, such as train_sets.0.of.siqa -> the key of `vary`


class Expanded(NamedTuple):
    """A configuration with a tuning for each point of each grid."""

    raw: dict
    points: Mapping[str, Point] = MappingProxyType({})  # by the point's place, such as tunings.qlora_rank8


def expand(raw: dict) -> Expanded:
    """The configuration with a tuning for each point of each grid; UserError if a grid is wrong.

    Whatever is wrong apart from grids stays as it is, for `validation` to find.
    """
    if not isinstance(raw, dict):
        return Expanded(raw)
    sections, points = {}, {}
    for section, kind in _KINDS.items():
        tunings = raw.get(section)
        if not isinstance(tunings, dict) or not any(_is_grid(*item) for item in tunings.items()):
            continue
        sections[section] = {}
        for name, recipe in tunings.items():
            made = {name: (recipe, None)}
            if _is_grid(name, recipe):
                made = _points(f"{section}.{name}", kind, name, recipe)
            for point, (settings, origin) in made.items():
                if point in sections[section] or (origin and point in tunings):
                    raise UserError(
                        f"config: {section}.{name}.vary makes the tuning {point}, which is there already; rename one"
                    )
                sections[section][point] = settings
                points |= {f"{section}.{point}": origin} if origin else {}
    return Expanded(raw | sections, points)


def settings(recipe: TuningSettings | HostedTuningSettings, train_set: str | Mixture) -> dict[str, Any]:
    """What a recipe sets for one training set, by the keys that `vary` takes; `train_set`: the set's name.

    The keys of a mixture are as they were written: a share of `rest` stays that.
    """
    found = {}
    for key, value in recipe.model_dump(exclude={*_LISTS, *_NOT_SET}, exclude_none=True).items():
        found |= {f"{key}.{name}": part for name, part in value.items()} if isinstance(value, dict) else {key: value}
    if isinstance(train_set, str):
        return found | {"train_set": train_set}
    name, given = train_set.name, train_set.model_dump(exclude={"name", "of", "targets"}, exclude_none=True)
    found |= {f"{name}.{key}": value for key, value in given.items()} | {"train_set": name}
    found |= {f"{name}.of.{part}": share for part, share in train_set.of.items()}
    return found | {f"{name}.targets.{part}": taught for part, taught in train_set.targets.items()}


@contextlib.contextmanager
def naming(points: Mapping[str, Point]) -> Iterator[None]:
    """UserErrors of the block name the keys that the user wrote in place of the points that came of them."""
    place = re.compile(r"\b((?:hosted_)?tunings)\.([a-z0-9_]+)((?:\.\w+)*)")

    def written(match: re.Match) -> str:
        point = points.get(f"{match[1]}.{match[2]}")
        if point is None:
            return match[0]
        at = match[3].removeprefix(".")
        for inner, key in point.keys.items():
            if at == inner or at.startswith(f"{inner}."):
                return f"{match[1]}.{point.tuning}.vary.{key}"
        return f"{match[1]}.{point.tuning}{match[3]}"

    try:
        yield
    except UserError as error:
        raise type(error)(place.sub(written, str(error))) from None


def _is_grid(name: Any, recipe: Any) -> bool:
    named = isinstance(name, str) and _NAME.fullmatch(name)
    return bool(named) and isinstance(recipe, dict) and isinstance(recipe.get("vary"), dict)


def _points(where: str, kind: type[Section], name: str, recipe: dict) -> dict[str, tuple[dict, Point]]:
    """The points of a grid: the settings and the origin of each by its name."""
    where, grid = f"config: {where}.vary", recipe["vary"]
    if not grid:
        raise UserError(f"{where} is empty; expected keys of the recipe, each with a list of values")
    rest = {key: value for key, value in recipe.items() if key != "vary"}
    places = {key: _place(where, kind, rest, key) for key in grid}
    parts = {key: _parts(where, key, values) for key, values in grid.items()}
    count = 1
    for values in grid.values():
        count *= len(values)
    if count > MOST:
        raise UserError(f"{where} makes {count} tunings; expected at most {MOST}")
    origin, found = Point(name, {".".join(map(str, place)): key for key, place in places.items()}), {}
    for chosen in itertools.product(*(zip(parts[key], values, strict=True) for key, values in grid.items())):
        point, settings = "_".join([name, *(part for part, _ in chosen)]), copy.deepcopy(rest)
        for place, (_, value) in zip(places.values(), chosen, strict=True):
            _set(settings, place, value)
        if len(point) > _LONGEST:
            raise UserError(f"{where}: the name {point} has {len(point)} characters; expected at most {_LONGEST}")
        if point in found:
            raise UserError(f"{where}: two points would be named {point}; expected values that differ in their letters")
        found[point] = settings, origin
    return found


def _place(where: str, kind: type[Section], recipe: dict, key: Any) -> tuple[str | int, ...]:
    """The path of a key of `vary` in the recipe; UserError if the recipe has no such key, or sets it as well."""
    head, *inner = str(key).split(".")
    if head in _LISTS:
        raise UserError(f"{where}: each item of {head} is an arm of its own already; expected {head} beside vary")
    known = [name for name in kind.model_fields if name not in (*_LISTS, *_NOT_SET)]
    mixtures = _mixtures(recipe)
    if head in known:
        place, section = (head, *inner), _section(kind, head)
        keys = [head, *(f"{head}.{name}" for name in (section.model_fields if section else ()))]
    elif head in mixtures:
        if len(recipe["train_sets"]) > 1:
            raise UserError(f"{where}: {key} changes {head} alone; expected a tuning whose only training set is {head}")
        place, of = ("train_sets", mixtures[head], *inner), recipe["train_sets"][mixtures[head]].get("of")
        keys = [f"{head}.of.{name}" for name in (of if isinstance(of, dict) else ())]
        keys += [f"{head}.{name}" for name in Mixture.model_fields if name not in ("name", "of")]
    else:
        keys = [*known, *(f"{name}.of.SET" for name in mixtures)]
    if key not in keys:
        close = difflib.get_close_matches(str(key), keys, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(sorted(keys))}"
        raise UserError(f"{where}: unknown key {short_repr(key)}; {hint}")
    if _has(recipe, place) and "of" not in inner:
        raise UserError(f"{where}: {key} stands in the recipe and in vary; remove one of them")
    return place


def _mixtures(recipe: dict) -> dict[str, int]:
    """The place of each mixture in `train_sets` by its name."""
    sets = recipe.get("train_sets")
    found = enumerate(sets if isinstance(sets, list) else [])
    return {one["name"]: i for i, one in found if isinstance(one, dict) and isinstance(one.get("name"), str)}


def _section(kind: type[Section], key: str) -> type[Section] | None:
    """The section that a key holds; None if it holds a value."""
    annotation = kind.model_fields[key].annotation
    found = [one for one in (annotation, *get_args(annotation)) if isinstance(one, type) and issubclass(one, Section)]
    return found[0] if found else None


def _has(recipe: dict, place: tuple[str | int, ...]) -> bool:
    """Whether the recipe sets the key at a place."""
    for part in place:
        if (isinstance(recipe, dict) and part not in recipe) or not isinstance(recipe, dict | list):
            return False
        recipe = recipe[part]
    return True


def _set(recipe: dict, place: tuple[str | int, ...], value: Any) -> None:
    """Set the key at a place, making sections that the recipe lacks."""
    for part in place[:-1]:
        if isinstance(recipe, dict) and not isinstance(recipe.get(part), dict | list):
            recipe[part] = {}
        recipe = recipe[part]
    recipe[place[-1]] = value


def _parts(where: str, key: str, values: Any) -> list[str]:
    """What each value adds to the name of its points."""
    if not isinstance(values, list):
        raise UserError(f"{where}.{key} is {short_repr(values)}; expected a list of values")
    if len(values) < 2:
        raise UserError(f"{where}.{key} has {len(values)} value(s); expected two or more, or {key} in place of vary")
    texts = [_text(value) for value in values]
    for i, text in enumerate(texts):
        if text in texts[:i]:
            raise UserError(f"{where}.{key} has {short_repr(values[i])} twice; expected different values")
    last = key.rpartition(".")[2]
    last = _SHORT.get(last, last)
    if last in _WORDS:
        return texts
    return [f"{last}{'' if _NUMBER.fullmatch(text) else '_'}{text}" for text in texts]


def _text(value: Any) -> str:
    """A value in the characters of names: 0.0001 is 0p0001, [q_proj, v_proj] is q_proj_v_proj."""
    with contextlib.suppress(NotFinite):
        value = from_text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = f"{Decimal(repr(value)).normalize():f}" if math.isfinite(value) else str(value)
        value = number.replace(".", "p").replace("-", "minus")
    if value is None:
        return "default"
    items = value if isinstance(value, list) else [value]
    text = re.sub(r"[^a-z0-9]+", "_", "_".join(map(str, items)).lower()).strip("_")
    return text if 0 < len(text) <= _LONGEST_VALUE else digest(str(value))[:8]
