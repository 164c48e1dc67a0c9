"""``confcleanup schedule``: ready entries for schedulers."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import click

from ..config.places import typed
from ..system import POSIX
from .files import replace_private
from .job import before, job_of, job_with_or_without_config, lasting, named_files, usable
from .options import ACCOUNTS, RULES, Globals, clock, global_options
from .turns import WAIT

SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
"""Where systemd looks for programs too."""
F = TypeVar("F", bound=Callable[..., Any])


@click.group("schedule")
def command() -> None:
    """Print a ready entry for a scheduler, with the absolute paths of this installation, config and state.

    It installs nothing.
    """


def entry_options(function: F) -> F:
    """Adds the options that all kinds of entries have in common."""
    for option in (
        click.option("-o", "--output", metavar="FOLDER", help="Write files into this folder instead of printing."),
        click.option(
            "--name",
            metavar="NAME",
            default="confcleanup",
            show_default=True,
            help="The entry's name; give each of several entries another one.",
        ),
        WAIT,
        RULES,
        ACCOUNTS,
        click.option("--at", metavar="HH:MM", default="03:30", show_default=True, help="The time of day."),
        click.option(
            "--every",
            metavar="TEXT",
            default="week",
            show_default=True,
            help='week, day, month, a weekday, "15 minutes" or "6 hours".',
        ),
    ):
        function = option(function)
    return function


@command.command("crontab", short_help="A crontab line.")
@click.option("--mail", metavar="ADDRESS", help="Where cron mails the output; else to the owner of the crontab.")
@click.option("--log", metavar="FILE", help="Append the output to this file instead.")
@entry_options
@global_options
def for_cron(settings: Globals, *, output: str | None, mail: str | None, log: str | None, **options: Any) -> None:
    """A crontab line: low priority, a time limit, output mailed or logged, the exit status kept."""
    from ..schedule.crontab import crontab

    if mail and log:
        raise click.UsageError("--mail and --log are two places for the same output: give one of them")
    job = job_with_or_without_config(settings, **options)
    log = str(lasting(typed(log))) if log else None
    _give(output, {f"{job.name}.crontab": usable(lambda: crontab(job, before=before(job), mail=mail, log=log))})


@command.command("systemd", short_help="A service, a timer, and a service that mails.")
@click.option("--mail", metavar="ADDRESS", default="root", show_default=True, help="Who is mailed what a run prints.")
@entry_options
@global_options
def for_systemd(settings: Globals, *, output: str | None, mail: str, **options: Any) -> None:
    """A service and a timer: hardened, delayed at random, caught up after an outage.

    Output goes to the journal; a third unit mails it if a run fails or prints something that needs action.
    The commands that install the units are printed on standard error.
    """
    from ..schedule.systemd import commands, units

    job, _ = job_of(settings, **options)
    _give(output, usable(lambda: units(job, mail)))
    first = "Now" if output else "Write these three files (-o FOLDER does). Then"
    print(f"{first}, as root:", file=sys.stderr)
    for line in commands(job, output and str(Path(output).resolve())):
        print(f"  {line}", file=sys.stderr)
    if not shutil.which("sendmail", path=SBIN):
        print(
            "There is no sendmail on this machine, so nobody is mailed: install msmtp-mta or postfix", file=sys.stderr
        )


@command.command("windows", short_help="A task for the Task Scheduler.")
@click.option("--log", metavar="FILE", help="Append the output to this file; else confcleanup.log beside the config.")
@entry_options
@global_options
def for_windows(settings: Globals, *, output: str | None, log: str | None, **options: Any) -> None:
    """A task for the Task Scheduler as XML, and the schtasks line that takes it in."""
    from ..schedule.windows import command_line, task

    job = job_with_or_without_config(settings, **options)
    kept = str(lasting(typed(log)) if log else Path(job.config).with_name("confcleanup.log"))
    _give(output, {f"{job.name}.xml": usable(lambda: task(job, kept, clock().astimezone()))})
    if POSIX:
        print("Its paths are those of this machine, which is not Windows: print it there.", file=sys.stderr)
    file = str(Path(output).absolute() / f"{job.name}.xml") if output else f"{job.name}.xml"
    print(f"Save it as {file}. Then, as administrator: {command_line(file, job.name)}", file=sys.stderr)


@command.command("kubernetes", short_help="A CronJob and what it needs.")
@click.option("--image", metavar="NAME", help="The container image; it has confcleanup on its PATH.")
@click.option(
    "--shards",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="Spread the accounts over so many pods.",
)
@entry_options
@global_options
def for_kubernetes(settings: Globals, *, output: str | None, image: str | None, shards: int, **options: Any) -> None:
    """A CronJob, with its Secrets and PersistentVolumeClaim; --shards makes it an Indexed Job."""
    from .. import __version__
    from ..config.load import load
    from ..schedule.kubernetes import CONFIG, manifest

    job, config = job_of(settings, **options)
    there = PurePosixPath(CONFIG).parent  # where relative paths in the config begin, in the container
    files, foreign = named_files(load(config.path, Path(there)))
    text = manifest(
        job,
        config.path.read_text(encoding="utf-8-sig"),
        image=image or f"confcleanup:{__version__}",
        shards=shards,
        files=files,
    )
    _give(output, {f"{job.name}.yaml": text})
    for what in foreign:
        print(f"The container needs a volume or a program for: {what}", file=sys.stderr)


@command.command("lint", hidden=True, add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1)
def no_lint(words: tuple[str, ...]) -> None:
    """Lead whoever still types this to what took its place."""
    raise click.UsageError(
        '"schedule lint" was removed: docs/cookbook.md, "A crontab line of your own", shows the common mistakes, '
        'and "schedule crontab" prints a line without them'
    )


def _give(folder: str | None, texts: dict[str, str]) -> None:
    """Prints the texts, or writes each into its file in the folder."""
    if folder is None:
        print("\n".join(texts.values()), end="")
        return
    for name, text in texts.items():
        replace_private(Path(folder) / name, text)
        print(f"Wrote {Path(folder) / name}", file=sys.stderr)
