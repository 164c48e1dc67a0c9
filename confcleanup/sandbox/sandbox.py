"""Emulated vendors on loopback, with a backlog of every kind of item, and a config that points to them."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from .huawei import Huawei
from .room import Room
from .server import Clock, Emulator, Server, utc_clock
from .trueconf import TrueConf
from .vobiz import Vobiz
from .vonage import Vonage

PIN = "2468"


@dataclass(frozen=True, slots=True)
class Served:
    """One emulator at its address, and the config of the account that cleans it."""

    name: str
    emulator: Emulator
    config: str


class Sandbox:
    """All emulated vendors, filled and served until closed. Every account covers sources of its own."""

    def __init__(self, clock: Clock = utc_clock) -> None:
        self._clock = clock
        self._stack = ExitStack()
        self.served: dict[str, Served] = {}

    def __enter__(self) -> Sandbox:
        for name, api in (("trueconf-v3", "v3.11"), ("trueconf-v4", "v4")):
            self._serve(name, TrueConf(self._clock, api=api))
        self._serve_room()
        self._serve("vobiz", Vobiz(self._clock))
        self._serve("huawei", Huawei(self._clock))
        self._serve("vonage", Vonage(self._clock))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _serve(self, name: str, emulator: TrueConf | Vobiz | Huawei | Vonage) -> None:
        server = self._stack.enter_context(Server(emulator))
        if isinstance(emulator, (Vobiz, Huawei, Vonage)):
            emulator.public_url = server.url
        emulator.fill()
        self.served[name] = Served(name, emulator, emulator.account(name, server.url))

    def _serve_room(self) -> None:
        """A TrueConf server whose conferences are listed through a Room."""
        emulator = TrueConf(self._clock)
        server = self._stack.enter_context(Server(emulator))
        emulator.fill()
        room = self._stack.enter_context(Room(emulator, pin=PIN))
        config = emulator.account("trueconf-room", server.url, room_url=room.url, room_pin=PIN)
        self.served["trueconf-room"] = Served("trueconf-room", emulator, config)

    @property
    def config(self) -> str:
        """A complete config file (TOML) for all served accounts; its secrets open nothing but this sandbox."""
        head = "# The sandbox's accounts. They live as long as it does; their secrets open nothing else.\n"
        return head + "\n".join(served.config for served in self.served.values())

    def config_with_archive(self, folder: Path) -> str:
        """The same, but the rules of ``trueconf-v3`` keep a copy first, so that ``restore`` can be tried."""
        kept = self.served["trueconf-v3"].config
        archive = f'what = "conferences"\narchive = {json.dumps(str(folder.absolute()))}\n'
        return self.config.replace(kept, kept.replace('what = "conferences"\n', archive))

    @property
    def doomed(self) -> dict[tuple[str, str], set[str]]:
        """The ids that the config's rules must delete: by account and source."""
        return {
            (name, what): set(ids)
            for name, served in self.served.items()
            for what, ids in served.emulator.doomed.items()
        }
