"""Where the config file and the state folder are, if a command line does not say so, and where its paths lead to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..errors import ConfigError, Problem

APP = "confcleanup"
VARIABLE = "CONFCLEANUP_CONFIG"
HOMELESS = "this user has no home folder (HOME is not set, and the system does not know the user)"


def find(given: str | None) -> Path:
    """The config file: the one given, else the environment's, else the user's, else the system's.

    Raises ConfigError if there is none.
    """
    if path := named(given):
        return path
    own = user_path()
    places = [own, system_path()] if own.is_absolute() else [system_path()]
    for place in places:
        if place.is_file():
            return place
    looked = " and ".join(map(str, places))
    if not own.is_absolute():
        why = (
            f"no config file: {HOMELESS}, and there is no {looked}; name it with -c, and the state folder with --state"
        )
        raise ConfigError([Problem("", why)])
    raise ConfigError([Problem("", f"no config file: looked for {looked}. Write one with: confcleanup init")])


def named(given: str | None) -> Path | None:
    """The config file that is given, or that the environment names; None if neither names one."""
    name = given or os.environ.get(VARIABLE)
    return typed(name) if name else None


def typed(path: str) -> Path:
    """A path as it was typed, with ``~`` for the user's home. Raises ConfigError for a user without one."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError([Problem("", f"{path}: there is no such home folder; write the path without ~")]) from None


def user_path() -> Path:
    """Where the user's own config file belongs on this platform; a relative path if the user has no home."""
    import platformdirs

    return _below_home(platformdirs.user_config_path) / "config.toml"


def system_path() -> Path:
    """Where the machine's config file belongs on this platform."""
    import platformdirs

    return platformdirs.site_config_path(APP, appauthor=False) / "config.toml"


def user_state() -> Path:
    """Where the user's own state folder belongs on this platform. Raises ConfigError for a user without a home."""
    import platformdirs

    folder = _below_home(platformdirs.user_state_path)
    if not folder.is_absolute():
        why = f"{HOMELESS}, so name the state folder with --state, or in the config (-c)"
        raise ConfigError([Problem("state.directory", why)])
    return folder


def _below_home(ask: Callable[..., Path]) -> Path:
    """What platformdirs answers; a relative path, as its older releases give it, where it finds no home."""
    try:
        return ask(APP, appauthor=False)
    except RuntimeError:
        return Path(APP)
