"""How the models of a study are loaded: weights, type of the arithmetic, and how a conversation is written."""

from faithtune.core import user_files
from faithtune.core.errors import UserError
from faithtune.settings.configuration import Configuration
from faithtune.settings.models import NO_THINKING


def loading(config: Configuration, model: str) -> dict:
    """How a model's weights are loaded, for tuning and for measuring; the study's dtype is apart (`precision`)."""
    return {"quantisation": config.models[model].quantisation}


def turns(config: Configuration, model: str) -> dict:
    """What the configuration says of a model's conversation, for `data.turns.settle`; {} for most models.

    The chat template as a text, so that the model's card is made again when its file changes. UserError if it cannot be
    read.
    """
    asked, found = config.models[model], {}
    if asked.system is not None:
        found["system"] = asked.system
    if (path := asked.chat_template) is not None:
        found["chat_template"] = user_files.text(user_files.contents(path), path)
    if asked.thinking is not None:
        found["thinking"] = asked.thinking != NO_THINKING and asked.thinking.model_dump()
    return found


def dtype(config: Configuration) -> str:
    """The type that a study computes in: the one that its models name, or auto; UserError if they name two."""
    named = {name: model.dtype for name, model in config.models.items() if model.dtype != "auto"}
    for name, wanted in named.items():
        first = next(iter(named))
        if wanted != named[first]:
            raise UserError(
                f"config: models.{name}.dtype is {wanted}, but models.{first}.dtype is {named[first]}; expected"
                " the same dtype for all models of a study, because they are compared"
            )
    return next(iter(named.values()), "auto")
