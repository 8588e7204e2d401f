"""How every command speaks to people: mistakes in its words, lines on its standard output."""

from __future__ import annotations

import os
import sys

from gateway.processes import StartError


class UsageError(StartError):
    """The words of the command make no sense; the text is one clear sentence, the exit status 2."""


def say(line: str) -> None:
    """Print a line on the standard output now. Raises StartError when it cannot be written."""
    try:
        print(line, flush=True)
    except BrokenPipeError:  # whoever reads has seen enough
        pass
    except OSError as error:
        raise cannot_write(error) from None


def cannot_write(error: OSError) -> StartError:
    """Return what is to be said; the output goes nowhere from now on, or leaving would fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return StartError(f"Cannot write to the standard output: {error.strerror}.")
