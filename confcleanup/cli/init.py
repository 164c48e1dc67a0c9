"""``confcleanup init``: the first config."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import click

from .files import write_private
from .options import Globals, global_options

SAMPLES = r'(ca_file|archive|rooms_file|title|owner|keep_ids|names|announce|announce_wait) |tags = \["delete'
"""Keys of the example that stay commented out in a first config: samples that would narrow a rule or name files."""


@click.command("init")
@click.option(
    "--provider",
    "names",
    type=click.Choice(["trueconf", "vobiz", "huawei", "vonage"]),
    multiple=True,
    help="Write accounts of this provider ready to fill in; the others stay commented out.",
)
@global_options
def command(settings: Globals, names: tuple[str, ...]) -> None:
    """Write a commented config file, readable by you alone, and say the next step.

    It goes to the -c path or to your config folder. An existing file is never touched.
    """
    from .. import config

    target = Path(settings.config).expanduser() if settings.config else config.user_path()
    write_private(target, template(names))
    option = f" -c {target}" if settings.config else ""
    print(f"Wrote {target}, readable by you alone.")
    if not names:
        print(
            "Next: open it and take the # away from the account of your vendor (or begin with: init --provider NAME)."
        )
    print("Fill in the address and the ids, and say where the secret is kept. Then:")
    print(f"  confcleanup{option} check    signs in and shows what is missing; deletes nothing")
    print(f"  confcleanup{option} plan     shows what would be deleted, and why; deletes nothing")


def template(names: tuple[str, ...]) -> str:
    """The example config, with every account commented out whose provider is not named."""
    example = files("confcleanup").joinpath("config.example.toml").read_text(encoding="utf-8")
    head, *sections = re.split(r"(?m)^(?=# ---- )", example)
    head = re.sub(r"(?ms)^\[(holds|state|notify)\][^\n]*\n.*?(?=^\[|\Z)", lambda table: _commented(table[0]), head)
    open_ones = {_provider(section): section for section in reversed(sections)}
    ready = [re.sub(rf"(?m)^(?={SAMPLES})", "# ", open_ones[name]) for name in names]
    return head + "".join(ready + [_commented(section) for section in sections if _provider(section) not in names])


def _provider(section: str) -> str:
    found = re.search(r'^provider = "(\w+)"', section, re.MULTILINE)
    return found[1] if found else ""


def _commented(section: str) -> str:
    lines = section.splitlines()
    return "\n".join(line if line.startswith("#") or not line else f"# {line}" for line in lines) + "\n"
