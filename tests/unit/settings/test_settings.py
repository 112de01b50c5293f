"""The sections of the configuration: every key is described, and every error is in our words."""

import itertools

import pytest
from pydantic import ValidationError

from faithtune.core.errors import UserError
from faithtune.settings.configuration import Configuration
from faithtune.settings.models import ModelSettings
from faithtune.settings.section import Section
from faithtune.settings.tunings import Training, TuningSettings
from faithtune.study import config, validation


def test_every_key_is_described():
    schema = Configuration.model_json_schema()
    for name, part in {"config": schema, **schema["$defs"]}.items():
        for key, value in part["properties"].items():
            section = schema["$defs"].get(value.get("$ref", "").rpartition("/")[2], {})
            assert value.get("description") or section.get("description"), f"{name}.{key}"


def test_every_error_has_its_words(raw):
    """No value leads to a message in pydantic's words."""
    messages = {}
    for section in sections():
        values = [None, True, -1, 10**30, 0.5, "x", "", [], ["x"], ["x", "x"], {}, {"A b": 1}]
        for field, value in itertools.product(section.model_fields, values):
            try:
                section.model_validate({field: value})
            except ValidationError as error:
                messages |= {
                    f"{section.__name__}.{field}: {value!r}": validation._message(one) for one in error.errors()
                }
    assert len(messages) > 500
    assert {case: line for case, line in messages.items() if "Input" in line or "should" in line} == {}
    kinds = ("expected", "lacks the key", "unknown key")
    assert {case: line for case, line in messages.items() if not any(kind in line for kind in kinds)} == {}
    raw["filler"] = " "
    with pytest.raises(UserError, match="filler is ' '; expected a text that is not blank"):
        config.load(raw)


def sections() -> list[type[Section]]:
    found = Section.__subclasses__()
    for section in found:
        found += section.__subclasses__()
    assert {Configuration, ModelSettings, Training} <= set(found)
    return found


def test_a_number_stays_as_it_was_written():
    """Settings are part of an arm's identity, in which 1 and 1.0 differ."""
    tuning = TuningSettings(train_sets=["x"], epochs=1, learning_rate="1", dropout=0.0, alpha="3.0")
    assert [type(value) for value in (tuning.epochs, tuning.learning_rate, tuning.dropout)] == [int, int, float]
    assert (tuning.alpha, tuning.micro_batch_size) == (3, 16)
    assert TuningSettings(train_sets=["x"], rank=4.0).model_dump()["alpha"] == 8
