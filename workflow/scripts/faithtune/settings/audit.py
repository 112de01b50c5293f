"""The short keys: a model, what was tuned from it, and a file of questions, in place of whole sections."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from faithtune.settings.section import Integer, Section, WrongForm


def _given(words: str) -> BeforeValidator:
    """A text that is not blank, or a mapping; words: say what is expected."""

    def check(value: Any) -> Any:
        if not (isinstance(value, dict) or (isinstance(value, str) and value.strip())):
            raise WrongForm(words)
        return value

    return BeforeValidator(check)


class AuditSettings(Section):
    """A study in three keys; they stand in place of `models`, `data_sets` and `eval_sets`."""

    base: Annotated[str | dict[str, Any], _given("a model's source, or a mapping with the key source")]
    """The model: its `source`, or a mapping of [its keys](#modelsname) such as `{source: ../my-model, quantisation:
    none}`."""
    tuned: Annotated[str | dict[str, Any], _given("a folder, or a mapping with the key adapter or weights")] | None = (
        None
    )
    """What was tuned from it: the folder of an adapter or of whole weights, or a mapping of [its
    keys](#modelsnametunedname), for the hub `{adapter: hub:ID@COMMIT}`; without it the model is measured as it is."""
    questions: Annotated[str | dict[str, Any], _given("a file, or a mapping with the key eval")]
    """The questions: a file whose columns have usual names, or a mapping of [its keys](#data_setsname)."""
    max_questions: Integer = Field(100, ge=1)
    """The most questions that are asked, a random sample, where `questions` says no `n`."""
