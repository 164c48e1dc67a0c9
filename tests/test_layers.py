"""Imports point one way, and what is pure stays pure. Read from the source itself, without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "confcleanup"
LAYERS = [
    {"__main__"},
    {"cli"},
    {"schedule.*", "reports.notify"},
    {"reports.metrics"},
    {"reports.summary"},
    {"reports.html"},
    {"reports.html.history"},
    {"reports.html.tally", "reports.html.picture"},
    {"run", "reports.data", "config.schema", "plan_file", "explain"},
    {"deleter", "listing"},
    {"outcomes", "plan_review", "records.archive", "records.journal", "config.load"},
    {"plan", "records.ledger", "records.media", "config.holds"},
    {"records.entries", "worklist"},
    {"providers"},
    {"providers.*"},
    {"providers.base"},
    {"http.client", "http.paging"},
    {"http.download", "http.sign_in"},
    {"http.answer", "http.transport", "http.rate_limit"},
    {"http.urls", "deadline"},
    {"estimate"},
    {"settings.tables"},
    {"settings.secrets"},
    {"settings.values"},
    {"filter", "unmet", "guards", "redact"},
    {"schedule"},
    {"cutoff", "items", "errors", "shard", "system", "patterns", "protection"},
    {"", "config", "settings", "http", "records", "reports"},
]
"""From the top down. A module imports from its own layer and those below. "" is the package, with its version."""

PURE = ["filter", "patterns", "protection", "unmet", "guards", "cutoff", "items", "errors"]
PURE += ["shard", "records.media", "schedule"]
PURE_IMPORTS = {
    *("__future__", "collections", "contextlib", "dataclasses", "datetime", "enum", "fnmatch", "fractions"),
    *("functools",),
    *("hashlib", "json", "msgspec", "re", "typing", "unicodedata"),
}
"""What neither reads nor writes anything, nor the clock, nor chance."""


def name_of(path: Path) -> str:
    """A module's name below the package; the package itself is the empty name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


@cache
def nodes(module: str) -> list[ast.AST]:
    """Everything a module is made of."""
    return list(ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))))


def imports(module: str) -> Iterator[str]:
    """Everything a module imports, also inside functions, as absolute dotted names."""
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in nodes(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from _names(node, f"confcleanup.{package}".rstrip("."))


def _names(node: ast.ImportFrom, package: str) -> Iterator[str]:
    above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    base = ".".join([*above, *filter(None, [node.module])])
    for alias in node.names:
        inner = f"{base}.{alias.name}"
        is_module = inner.removeprefix("confcleanup.") in MODULES and inner.startswith("confcleanup.")
        yield inner if is_module else base


def inside(module: str) -> set[str]:
    """The modules of the package that a module imports."""
    found = {name for name in imports(module) if name.split(".")[0] == "confcleanup"}
    return {name.removeprefix("confcleanup").removeprefix(".") for name in found}


def layer(module: str) -> int:
    """How far down a module stands. Raises LookupError if nobody gave it a place."""
    kinds = {module, module.split(".")[0] if module.startswith("cli.") else module}
    if module.startswith("providers.") and module != "providers.base":
        kinds = {"providers.*"}
    if module.startswith("schedule."):
        kinds = {"schedule.*"}
    for depth, members in enumerate(LAYERS):
        if members & kinds:
            return depth
    raise LookupError(f"{module} has no place among the layers: give it one in LAYERS")


def vendor(module: str) -> str:
    """The vendor a module belongs to: ``providers.trueconf_room`` is TrueConf's."""
    return module.removeprefix("providers.").partition("_")[0]


layered = [module for module in MODULES if not module.startswith("sandbox")]
vendors = [module for module in MODULES if module.startswith("providers.") and module != "providers.base"]


def test_the_modules_were_found() -> None:
    assert {
        "",
        "cli",
        "cli.run",
        "plan",
        "deleter",
        "filter",
        "providers.trueconf",
        "sandbox.server",
    } <= MODULES.keys()
    assert {"cutoff", "items"} <= inside("filter")
    assert "providers.base" in inside("providers.trueconf")
    assert "providers.trueconf_room" in inside("providers.trueconf"), "imports inside functions count"


@pytest.mark.parametrize("module", layered)
def test_imports_point_down(module: str) -> None:
    upward = {name for name in inside(module) if not name.startswith("sandbox") and layer(name) < layer(module)}
    assert not upward


def test_no_modules_import_each_other_in_a_circle() -> None:
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " > ".join([*above, module])
        if module not in done:
            for name in sorted(inside(module) & MODULES.keys() - {module}):
                visit(name, (*above, module))
            done.add(module)

    for module in layered:
        visit(module, ())


@pytest.mark.parametrize("module", vendors)
def test_a_provider_knows_its_vendor_and_what_is_below_and_nothing_else(module: str) -> None:
    others = {name for name in inside(module) if name.startswith("providers.") and name != "providers.base"}
    assert {vendor(name) for name in others} <= {vendor(module)}
    assert not inside(module) & {
        *("providers", "run", "plan", "listing", "deleter", "config.load", "config.schema"),
        *("records.ledger", "records.journal", "records.archive", "reports.data"),
    }
    assert not any(name.startswith(("cli", "sandbox")) for name in inside(module))


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("sandbox")])
def test_an_emulated_vendor_knows_nothing_of_the_program(module: str) -> None:
    assert all(name.startswith("sandbox") for name in inside(module))


@pytest.mark.parametrize("module", [module for module in layered if module.split(".")[0] != "cli"])
def test_only_commands_know_the_emulated_vendors(module: str) -> None:
    assert not any(name.startswith("sandbox") for name in inside(module))


@pytest.mark.parametrize("module", PURE)
def test_the_core_imports_only_itself_and_what_is_pure(module: str) -> None:
    outside = {name.split(".")[0] for name in imports(module)} - {"confcleanup"}
    allowed = PURE_IMPORTS | ({"dateutil"} if module == "cutoff" else set())
    assert outside <= allowed
    assert inside(module) <= set(PURE)


@pytest.mark.parametrize("module", PURE)
def test_the_core_never_asks_the_clock_and_touches_nothing(module: str) -> None:
    names = {node.attr for node in nodes(module) if isinstance(node, ast.Attribute)}
    called = {node.func.id for node in nodes(module) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not names & {"now", "utcnow", "today", "fromtimestamp", "time", "monotonic"}
    assert not called & {"open", "print", "input", "exec", "eval", "__import__", "breakpoint"}


def names(module: str) -> set[str]:
    """Every name that a module's code mentions."""
    found = {node.id for node in nodes(module) if isinstance(node, ast.Name)}
    found |= {node.attr for node in nodes(module) if isinstance(node, ast.Attribute)}
    return found | {
        alias.asname or alias.name
        for node in nodes(module)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }


def test_the_permit_to_delete_is_known_only_where_deletions_pass() -> None:
    knowing = {module for module in MODULES if "Permit" in names(module)}
    assert {"deleter", "http.client", "providers.base"} <= knowing
    assert {module for module in knowing if not module.startswith("providers.")} == {"deleter", "http.client"}
    assert "providers" not in knowing


def test_the_permit_to_delete_is_made_in_one_module() -> None:
    makers = {
        module
        for module in MODULES
        for node in nodes(module)
        if isinstance(node, ast.Call)
        and (node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")) == "Permit"
    }
    assert makers == {"deleter"}


@pytest.mark.parametrize("module", [module for module in layered if not module.startswith("cli")])
def test_nothing_below_the_commands_prints_or_exits(module: str) -> None:
    called = {node.func.id for node in nodes(module) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"print", "input", "exit", "quit"}
