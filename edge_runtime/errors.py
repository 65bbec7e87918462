"""Errors by who must act on them. One rule: each names the thing, the value, the limit and, in `hint`, the next step.

Argument mistakes inside the library stay `ValueError`/`TypeError`; these are for what comes from outside it.
"""

from __future__ import annotations


class EdgeloopError(Exception):
    """Anything a user or operator can act on; a CLI prints it with its hint and exits with `exit_code`."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(EdgeloopError, ValueError):
    """A command line or a project file asks for what cannot be: mend it and call again."""

    exit_code = 2


class ContractError(EdgeloopError):
    """Bytes or data break their declared format. Retrying does not help; mend or report the data."""

    exit_code = 3


class TrustError(EdgeloopError):
    """A signature, hash, key or version is wrong: never run it."""

    exit_code = 4


class BudgetError(EdgeloopError):
    """A declared limit would be exceeded: refused before start."""

    exit_code = 5


class TransportError(EdgeloopError):
    """Link, broker or a live source failed: retry with back-off."""

    exit_code = 6
