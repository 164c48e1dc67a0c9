"""A CronJob with its ConfigMap, Secret and PersistentVolumeClaim."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Sequence

from . import Job

CONFIG = "/etc/confcleanup/config.toml"
STATE = "/var/lib/confcleanup"
NODES = """
# Several pods at once, each with a folder of its own: this needs storage that takes ReadWriteMany."""

MANIFEST = """\
# Fill in the Secret, and what the comments name; then: kubectl apply -f FILE
apiVersion: v1
kind: ConfigMap
metadata: {{name: confcleanup}}
data:
  config.toml: {config}
---
apiVersion: v1
kind: Secret
metadata: {{name: confcleanup}}
type: Opaque
stringData: {secret}
---
# The lock and the ledger. Delete this, and the guards and `history` have no past.{shared}
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: confcleanup}}
spec:
  accessModes: [{access}]
  resources: {{requests: {{storage: 1Gi}}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {{name: confcleanup}}
spec:
  schedule: {schedule}  # {when}
  timeZone: {zone}
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 3600
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
{completions}      activeDeadlineSeconds: {seconds}  # max_runtime ends a run before this does
      template:
        spec:
          restartPolicy: Never
          automountServiceAccountToken: false
          enableServiceLinks: false
          terminationGracePeriodSeconds: 120  # finishes and records what is under way
          securityContext:
            runAsNonRoot: true
            runAsUser: 10001
            runAsGroup: 10001
            fsGroup: 10001
            seccompProfile: {{type: RuntimeDefault}}
          containers:
            - name: confcleanup
              image: {image}
              command: {command}
              envFrom: [{{secretRef: {{name: confcleanup}}}}]
{index}              securityContext:
                allowPrivilegeEscalation: false
                readOnlyRootFilesystem: true
                capabilities: {{drop: [ALL]}}
              resources:
                requests: {{cpu: 50m, memory: 64Mi}}
                limits: {{memory: 512Mi}}
              volumeMounts:
                - {{name: config, mountPath: {path}, subPath: config.toml, readOnly: true}}
                - {{name: state, mountPath: {state}}}
                - {{name: tmp, mountPath: /tmp}}
{mounts}          volumes:
            - {{name: config, configMap: {{name: confcleanup}}}}
            - {{name: state, persistentVolumeClaim: {{claimName: confcleanup}}}}
            - {{name: tmp, emptyDir: {{sizeLimit: 1Gi}}}}
            - {{name: secret, secret: {{secretName: confcleanup, defaultMode: 288}}}}  # 0440
"""

ONE_POD = "      backoffLimit: 0  # what is not done is left to the next run\n"
PODS = """\
      completionMode: Indexed
      completions: {shards}
      parallelism: {shards}
      backoffLimitPerIndex: 0  # what is not done is left to the next run; Kubernetes 1.29 or later
"""
INDEX = """\
              env:
                - name: JOB_COMPLETION_INDEX
                  valueFrom:
                    fieldRef: {fieldPath: "metadata.annotations['batch.kubernetes.io/job-completion-index']"}
"""


def manifest(job: Job, config: str, *, image: str, shards: int = 1, files: Sequence[str] = ()) -> str:
    """The four objects. ``config`` is the config's text; ``files`` are the files it names, to be filled in."""
    keys = {f"file-{number}": path for number, path in enumerate(files, 1)}
    spread = shards > 1
    asked = map(_literal, job.command[job.command.index("run") :])
    shard = ["--shard", f"$(JOB_COMPLETION_INDEX)/{shards}"] if spread else []
    state = f"{STATE}/shard-$(JOB_COMPLETION_INDEX)" if spread else STATE
    return MANIFEST.format(
        config=_scalar(config),
        secret=json.dumps(dict.fromkeys([*job.variables, *keys], ""), indent=2).replace("\n", "\n  "),
        shared=NODES if spread else "",
        access="ReadWriteMany" if spread else "ReadWriteOnce",
        schedule=json.dumps(job.when.cron()),
        when=job.when,
        zone=json.dumps(job.zone),
        completions=PODS.format(shards=shards) if spread else ONE_POD,
        seconds=job.seconds,
        image=json.dumps(image),
        command=json.dumps(["confcleanup", "-c", CONFIG, "--state", state, *asked, *shard], ensure_ascii=False),
        index=INDEX if spread else "",
        path=CONFIG,
        state=STATE,
        mounts="".join(_mounts(keys)),
    )


def _mounts(keys: dict[str, str]) -> Iterator[str]:
    for key, path in keys.items():
        mount = f"mountPath: {json.dumps(path)}, subPath: {key}, readOnly: true"
        yield f"                - {{name: secret, {mount}}}\n"


def _scalar(text: str) -> str:
    """A text as YAML: in lines if that keeps every character of it, else in quotes."""
    lines = text.removesuffix("\n").split("\n")
    if any(line != line.rstrip() or len(line.splitlines()) > 1 for line in lines):
        quoted = json.dumps(text, ensure_ascii=False)
        return re.sub("[\x7f-\xa0\u2028\u2029\ufeff]", lambda odd: f"\\u{ord(odd[0]):04x}", quoted)
    return "|2\n" + "\n".join(f"    {line}".rstrip() for line in lines)


def _literal(word: str) -> str:
    """A word in which Kubernetes replaces nothing."""
    return word.replace("$(", "$$(")


def without_comments(text: str) -> str:
    """A config that says the same without its comments: what is commented out may hold an old secret."""
    lines, meaning = text.replace("\r\n", "\n").removesuffix("\n").split("\n"), tomllib.loads(text)
    for number in reversed(range(len(lines))):
        for mark in re.finditer("#", lines[number]):
            kept = lines[number][: mark.start()].rstrip()
            shorter = [*lines[:number], *([kept] if kept else []), *lines[number + 1 :]]
            if _meaning(shorter) == meaning:
                lines = shorter
                break
    return "\n".join(lines) + "\n"


def _meaning(lines: list[str]) -> object:
    try:
        return tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError:
        return None
