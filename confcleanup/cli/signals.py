"""Stop a run when a signal asks for it, so that what was begun is finished and recorded."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

import click

from ..errors import ExitCode
from ..system import HANGUPS, INTERRUPTS, TERMINATIONS


class Signals:
    """Turns SIGINT, SIGTERM, SIGHUP and Windows' SIGBREAK into a request to stop; a second one stops at once.

    While a question is asked, the first one ends the question. A SIGHUP that was ignored before stays ignored, as
    ``nohup`` means it.
    """

    def __init__(self) -> None:
        from ..run import status_of  # only a run needs it

        self.arrived: int | None = None
        self.interrupted = threading.Event()
        self._status_of = status_of
        self._asking = False

    def __enter__(self) -> Signals:
        numbers = [*INTERRUPTS, *TERMINATIONS]
        numbers += [number for number in HANGUPS if signal.getsignal(number) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._handle) for number in numbers}
        return self

    @property
    def status(self) -> ExitCode:
        """The exit status after the signal that came."""
        return self._status_of(self.arrived or signal.SIGINT)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.arrived is not None:
            os._exit(self._status_of(number))
        self.arrived = number
        self.interrupted.set()
        if self._asking:
            raise KeyboardInterrupt

    def ask(self, question: Callable[[], bool]) -> bool:
        """The answer to a question; no, if a signal came instead."""
        self._asking = True
        try:
            return question()
        except (KeyboardInterrupt, click.Abort, OSError):  # the last where the terminal was closed
            return False
        finally:
            self._asking = False
