"""The one exception a user may see: bad input, told in one line."""


def shown(value: object, most: int = 100) -> str:
    """A value as a message quotes it: its repr, cut where it is long."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested in itself; a number of thousands of digits
        text = f"a huge {type(value).__name__}"
    return text if len(text) <= most else f"{text[: most - 4]} ..."


class UserError(Exception):
    """Something in the configuration or a file is wrong.

    The message is one line that names the key or file and says what would be
    right. Scripts print it without a traceback (see `job.logged`).
    """

    def __init__(self, message: str):
        super().__init__(" ".join(str(message).split()))


class StopError(UserError):
    """Nothing more can be asked of a host; what has arrived is kept."""
