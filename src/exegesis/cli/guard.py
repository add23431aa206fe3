"""How commands end: one clear sentence and an exit code, whatever went wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer

from exegesis.ir import ExegesisError

HOLDS, DOES_NOT_HOLD, REFUSED, INTERRUPTED = 0, 1, 2, 130

P = ParamSpec("P")


def guarded(command: Callable[P, int | None]) -> Callable[P, None]:
    """A command whose refusals are one sentence on stderr and exit code 2; it exits with the code it returns.

    Ctrl-C exits with 130. Anything else that is raised is a fault of ours and keeps its traceback.
    """

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = command(*args, **kwargs)
        except ExegesisError as error:
            say(f"exegesis: {error}")
            code = REFUSED
        except OSError as error:
            named = f"{error.filename}: " if error.filename else ""
            say(f"exegesis: {named}{error.strerror or error}.")
            code = REFUSED
        except KeyboardInterrupt:
            say("exegesis: interrupted.")
            code = INTERRUPTED
        raise typer.Exit(code or 0)

    return run


def say(sentence: str) -> None:
    """One line on stderr."""
    print(" ".join(sentence.split()), file=sys.stderr)
