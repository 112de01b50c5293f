"""The one exception a user may see: bad input, told in one line."""


class UserError(Exception):
    """Something in the configuration or a file is wrong.

    The message is one line that names the key or file and says what would be
    right. Scripts print it without a traceback (see `job.logged`).
    """

    def __init__(self, message: str):
        super().__init__(" ".join(str(message).split()))


class StopError(UserError):
    """Nothing more can be asked of a host; what has arrived is kept."""
