"""Runs the program as if Windows were below it, as far as another system can play it: ``python as_on_windows.py ARGS``.

Only the package is deceived: its modules find no POSIX-only module, an ``os`` without POSIX-only functions that
calls itself ``nt``, and a ``signal`` with SIGBREAK. What it builds on supports Windows by itself. Opening
a file without naming its encoding, which would then be the code page, is an error.
"""

from __future__ import annotations

import builtins
import os
import signal
import sys
import types
import warnings
from typing import Any

MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
MISSING = {
    "os": """WNOHANG chown chroot ctermid fchdir fchmod fchown fork forkpty geteuid getegid getgid getgroups getloadavg
        getpgid getpgrp getpriority getsid getuid initgroups killpg lchown mkfifo mknod nice openpty pathconf pread
        pwrite O_CLOEXEC O_DIRECTORY O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC posix_fadvise posix_spawn sched_getaffinity
        sendfile setegid seteuid setgid setpgid setpriority setsid setuid statvfs sync tcgetpgrp ttyname uname
        wait waitpid""",
    "signal": "SIGALRM SIGCHLD SIGHUP SIGKILL SIGPIPE SIGQUIT SIGUSR1 SIGUSR2 alarm pause pthread_kill sigwait",
    "time": "tzset clock_gettime pthread_getcpuclockid",
    "socket": "AF_UNIX",
}
EXTRA: dict[str, dict[str, Any]] = {"os": {"name": "nt"}, "signal": {"SIGBREAK": signal.SIGTTIN}}
_import = builtins.__import__


def _without(module: types.ModuleType) -> types.ModuleType:
    name = module.__name__
    kept = {key: value for key, value in vars(module).items() if key not in MISSING[name].split()}
    made = types.ModuleType(name)
    vars(made).update(kept | EXTRA.get(name, {}))
    return made


DOUBLES = {name: _without(__import__(name)) for name in MISSING}


def _imported(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    importer = (globals or {}).get("__name__", "")
    if level or importer.split(".")[0] != "confcleanup":
        return _import(name, globals, locals, fromlist, level)
    if name.split(".")[0] in MODULES:
        raise ModuleNotFoundError(f"No module named {name!r} (on Windows)", name=name)
    return DOUBLES.get(name) or _import(name, globals, locals, fromlist, level)


if __name__ == "__main__":
    builtins.__import__ = _imported
    warnings.filterwarnings("error", category=EncodingWarning, module=r"confcleanup\b")
    from confcleanup.__main__ import main

    assert sys.modules["confcleanup.system"].POSIX is False
    assert os.name
    main()
