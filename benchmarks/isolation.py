"""Run a function in a process of its own, with a timeout and its own peak memory.

The processes are forked from a server that has imported the large packages: a cell starts in milliseconds, with fresh
memory and without the threads of the calling process.
"""

from __future__ import annotations

import math
import multiprocessing
import signal
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

OK = "ok"
FAILED = "failed"
TIMEOUT = "timeout"

ORPHAN_SECONDS = 10  # after its timeout, a process whose parent was killed ends itself
LEAVE_SECONDS = 1.0  # between a process's result and its end, before it is killed
TRACEBACK_CHARACTERS = 2_000


@dataclass(frozen=True)
class Outcome:
    """How a call ended.

    Parameters
    ----------
    status : {"ok", "failed", "timeout"}
        "failed" for an exception of the function or the death of its process.
    value : object, default=None
        Return value of the function.
    error : str, default=""
        Last line of the exception, or how the process ended.
    trace : str, default=""
        End of the traceback.
    """

    status: str
    value: Any = None
    error: str = ""
    trace: str = ""


def _failure(error: Exception) -> Outcome:
    last_line = "".join(traceback.format_exception_only(error)).strip()
    trace = "".join(traceback.format_exception(error))
    return Outcome(FAILED, error=last_line, trace=trace[-TRACEBACK_CHARACTERS:])


def call_here(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Outcome:
    """Call the function in this process and turn an exception into an outcome."""
    try:
        return Outcome(OK, function(*arguments))
    except Exception as error:
        return _failure(error)


def _run(connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...], timeout: float) -> None:
    if hasattr(signal, "alarm"):  # not on Windows
        signal.alarm(math.ceil(timeout) + ORPHAN_SECONDS)
    connection.send(call_here(function, arguments))
    connection.close()


def process_context(preload: Iterable[str] = ()) -> Any:
    """Return the multiprocessing context: a fork server with modules preloaded, or spawn where there is none."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return context


def call_isolated(
    function: Callable[..., Any], arguments: tuple[Any, ...], timeout: float, preload: Iterable[str] = ()
) -> Outcome:
    """Call the function in a new process.

    Parameters
    ----------
    function : callable
        At module level, so that it can be sent.
    arguments : tuple
        Sent with it.
    timeout : float
        Seconds after which the process is killed.
    preload : iterable of str, default=()
        Modules that the fork server imports once. The first call of a process decides.

    Returns
    -------
    Outcome
        Never an exception; a process that cannot be started is a failed one.
    """
    context = process_context(preload)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(sender, function, arguments, timeout), daemon=True)
    with receiver:
        with sender:
            try:
                process.start()
            except Exception as error:
                return _failure(error)
        try:
            outcome: Outcome = (
                receiver.recv() if receiver.poll(timeout) else Outcome(TIMEOUT, error=f"no result within {timeout:g} s")
            )
        except EOFError:
            process.join()
            return Outcome(FAILED, error=f"the process died with exit code {process.exitcode}")
    if outcome.status != TIMEOUT:
        process.join(LEAVE_SECONDS)
    process.kill()
    process.join()
    return outcome
