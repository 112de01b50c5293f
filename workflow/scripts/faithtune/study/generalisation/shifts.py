"""Evaluation sets in other forms (the section `shifts`): what is asked in which form."""

from pathlib import Path

from faithtune.core.errors import UserError
from faithtune.data import prompts, questions, readers
from faithtune.settings.configuration import Configuration
from faithtune.settings.optional import ShiftSettings
from faithtune.study import plan, source_checks
from faithtune.study.plan import Arm
from faithtune.study.validation import prefix_key


def shifted(config: Configuration) -> list[tuple[Arm, str]]:
    """Each arm with the shifts that it is asked: measured, no checkpoint, and asked the set itself."""
    return [
        (arm, name)
        for arm in plan.arms(config)
        for name, shift in config.shifts.items()
        if shift.of in arm.eval_sets and not arm.place and config.models[arm.model].kind != "chains"
    ]


def templates(config: Configuration) -> dict[str, dict[str, str]]:
    """Shift -> the templates, and the marker of options, that it has in place of the study's."""
    return {
        name: prompts.read_templates(_files(shift)) | ({} if shift.marker is None else {"marker": shift.marker})
        for name, shift in config.shifts.items()
    }


def template_files(config: Configuration) -> list[Path]:
    """The files of all these templates."""
    return list(dict.fromkeys(path for shift in config.shifts.values() for path in _files(shift)))


def _files(shift: ShiftSettings) -> list[Path]:
    return sorted(Path(shift.prompts).glob("*cot_*.txt")) if shift.prompts else []


def check(config: Configuration) -> None:
    """UserError for a shift that is none, or that no arm can be asked; completes the folders of prompts."""
    for name, shift in config.shifts.items():
        where = f"config: shifts.{name}"
        if name in config.data_sets:
            raise UserError(f"{where} has a namesake in data_sets; rename one")
        if shift.of not in config.eval_sets:
            raise UserError(f"{where}.of names {shift.of!r}; expected one of eval_sets: {', '.join(config.eval_sets)}")
        if shift.marker == questions.MARKER:
            raise UserError(f"{where}.marker is {shift.marker}, as elsewhere; expected another one, such as (A)")
        if shift.options is shift.marker is shift.prompts is None:
            raise UserError(f"{where} changes nothing; expected one of the keys options, marker, prompts")
        kind = readers.kind(config.data_sets[shift.of])
        for key in ("options", "marker"):
            if getattr(shift, key) is not None and kind != "choice":
                raise UserError(f"{where}.{key} is for questions with options, and {shift.of} has none; remove the key")
        if shift.prompts is not None:
            needed = {f"{form}_{kind}.txt": "{question}" for form in ("cot", "no_cot")}
            with prefix_key(f"shifts.{name}.prompts"):
                shift.prompts = source_checks.find_prompts(shift.prompts)
                source_checks.check_templates(Path(shift.prompts), needed)
    if config.shifts and not shifted(config):
        raise UserError("config: shifts: no model can be asked; expected one with source, api or oracle, or no shifts")
