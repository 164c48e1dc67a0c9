"""A CronJob with its Secrets and PersistentVolumeClaim."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from . import Job
from .template import fill

UNPRINTABLE = re.compile("[\x7f-\x9f\ufeff\ufffe\uffff]")
"""What TOML allows in a comment or a text, and YAML only as an escape in quotes."""
CONFIG = "/etc/confcleanup/config.toml"
STATE = "/var/lib/confcleanup"
LEDGER = "# The lock and the ledger. Delete this, and the guards and `history` have no past."
NODES = f"""\
{LEDGER}
# Several pods at once, each with a folder of its own: this needs storage that takes ReadWriteMany."""
ONE_POD = "      backoffLimit: 0  # what is not done is left to the next run"
PODS = """\
      completionMode: Indexed
      completions: {shards}
      parallelism: {shards}
      backoffLimitPerIndex: 0  # what is not done is left to the next run; Kubernetes 1.29 or later"""
VARIABLES = "              envFrom: [{secretRef: {name: confcleanup}}]"
INDEX = f"""\
{VARIABLES}
              env:
                - name: JOB_COMPLETION_INDEX
                  valueFrom:
                    fieldRef: {{fieldPath: "metadata.annotations['batch.kubernetes.io/job-completion-index']"}}"""


def manifest(job: Job, config: str, *, image: str, shards: int = 1, files: Sequence[str] = ()) -> str:
    """The four objects. ``config`` is the config's text; ``files`` are the files it names, to be filled in."""
    keys = {f"file-{number}": path for number, path in enumerate(files, 1)}
    secret = json.dumps(dict.fromkeys([*job.variables, *keys], ""), indent=2).replace("\n", "\n  ")
    values = {
        "\"timezone = 'Europe/Berlin'\"": _scalar(config),
        '{"TRUECONF_SECRET": "", "file-1": ""}': secret,
        '"30 3 * * 0"': json.dumps(job.when.cron()),
        "on Sundays at 03:30": str(job.when),
        '"Europe/Berlin"': json.dumps(job.zone),
        '{name: "confcleanup"}': f'{{name: "{job.name}"}}',
        "7800": str(job.seconds),
        '"confcleanup:latest"': json.dumps(image),
        f'["confcleanup", "-c", "{CONFIG}", "--state", "{STATE}", "run", "--yes", "-q"]': _command(job, shards),
    }
    if shards > 1:
        values |= {LEDGER: NODES, "ReadWriteOnce": "ReadWriteMany", ONE_POD: PODS.format(shards=shards)}
        values |= {VARIABLES: INDEX}
    mounts = [f"mountPath: {json.dumps(path)}, subPath: {key}" for key, path in keys.items()]
    return fill("confcleanup.yaml", values, {'mountPath: "/etc/ssl/ca.crt", subPath: file-1': mounts})


def _command(job: Job, shards: int) -> str:
    """The command of a pod; each of several has a folder of its own for its state."""
    asked = map(_literal, job.command[job.command.index("run") :])
    state, shard = STATE, []
    if shards > 1:
        state, shard = f"{STATE}/shard-$(JOB_COMPLETION_INDEX)", ["--shard", f"$(JOB_COMPLETION_INDEX)/{shards}"]
    return json.dumps(["confcleanup", "-c", CONFIG, "--state", state, *asked, *shard], ensure_ascii=False)


def _scalar(text: str) -> str:
    """A text as YAML: in lines if that keeps every character of it, else in quotes."""
    lines = text.removesuffix("\n").split("\n")
    if UNPRINTABLE.search(text) or any(line != line.rstrip() or len(line.splitlines()) > 1 for line in lines):
        quoted = json.dumps(text, ensure_ascii=False)
        return re.sub("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]", lambda odd: f"\\u{ord(odd[0]):04x}", quoted)
    return "|2\n" + "\n".join(f"    {line}".rstrip() for line in lines)


def _literal(word: str) -> str:
    """A word in which Kubernetes replaces nothing."""
    return word.replace("$(", "$$(")
