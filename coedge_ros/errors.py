"""Errors that the package raises on purpose."""


class CoedgeError(Exception):
    """Base of all errors that the package raises on purpose."""


class UserError(CoedgeError, ValueError):
    """The user's mistake: the message names what is wrong and what to change."""


class ModelError(UserError):
    """A model cannot be loaded, traced or split as asked."""


class ProtocolError(CoedgeError):
    """A fragment does not fit the schedule that it claims to belong to; `reason` is a short counter name."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
