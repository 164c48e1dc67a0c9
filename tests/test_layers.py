"""Imports point one way, and what is pure stays pure. Read from the source itself, without importing it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1] / "confcleanup"
DOCUMENT = ROOT.parent / "docs" / "how-it-works.md"


def documented() -> list[set[str]]:
    """The rows of the table of layers in the docs, from the top down: the names in each."""
    table = DOCUMENT.read_text(encoding="utf-8").split("## The layers")[1].split("```")[1]
    return [set(row.split("  ")[0].split()) for row in table.splitlines()[1:]]


LAYERS = documented()
"""From the top down. A module imports from its own layer and those below."""

PURE = ["filter", "patterns", "protection", "changes", "unmet", "guards", "cutoff", "items", "errors"]
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


@cache
def inside(module: str) -> set[str]:
    """The modules of the package that a module imports."""
    found = {name for name in imports(module) if name.split(".")[0] == "confcleanup"}
    return {name.removeprefix("confcleanup").removeprefix(".") for name in found}


def layer(module: str) -> int:
    """How far down a module stands: where the docs name it, or the nearest package that it is in.

    A package that imports nothing is below all. Raises LookupError if the docs give the module no place.
    """
    if MODULES[module].name == "__init__.py" and not inside(module):
        return len(LAYERS)
    parts = module.split(".")
    packages = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    for name in [packages[0], *(package + wanted for package in packages[1:] for wanted in (".*", ""))]:
        for depth, members in enumerate(LAYERS):
            if name in members:
                return depth
    raise LookupError(f"{module} has no place among the layers: give it one in {DOCUMENT.name}")


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


def offences(modules: Iterable[str], forbidden: Callable[[str], Iterable[str]]) -> list[str]:
    """What each of these modules has and should not have."""
    return [f"{module}: {name}" for module in modules for name in sorted(forbidden(module))]


def test_imports_point_down() -> None:
    def upward(module: str) -> set[str]:
        return {name for name in inside(module) if not name.startswith("sandbox") and layer(name) < layer(module)}

    assert offences(layered, upward) == []


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


def test_a_provider_knows_its_vendor_and_what_is_below_and_nothing_else() -> None:
    above = {
        *("providers", "run", "plan", "listing", "deleter", "config.load", "config.schema"),
        *("records.ledger", "records.journal", "records.archive", "reports.data"),
    }

    def foreign(module: str) -> set[str]:
        others = {name for name in inside(module) if name.startswith("providers.") and name != "providers.base"}
        strangers = {name for name in others if vendor(name) != vendor(module)}
        return strangers | inside(module) & above | {n for n in inside(module) if n.startswith(("cli", "sandbox"))}

    assert offences(vendors, foreign) == []


def test_only_commands_know_the_emulated_vendors_and_these_nothing_of_the_program() -> None:
    emulated = {module for module in MODULES if module.startswith("sandbox")}
    below = [module for module in layered if module.split(".")[0] != "cli"]
    assert offences(emulated, lambda module: {name for name in inside(module) if not name.startswith("sandbox")}) == []
    assert offences(below, lambda module: {name for name in inside(module) if name.startswith("sandbox")}) == []


def test_the_core_imports_only_itself_and_what_is_pure() -> None:
    def impure(module: str) -> set[str]:
        outside = {name.split(".")[0] for name in imports(module)} - {"confcleanup"} - PURE_IMPORTS
        return outside - ({"dateutil"} if module == "cutoff" else set()) | inside(module) - set(PURE)

    assert offences(PURE, impure) == []


def called(module: str) -> set[str]:
    """The functions that a module calls by their bare name."""
    return {node.func.id for node in nodes(module) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}


def test_the_core_never_asks_the_clock_and_touches_nothing() -> None:
    def touching(module: str) -> set[str]:
        asked = {node.attr for node in nodes(module) if isinstance(node, ast.Attribute)}
        return asked & {"now", "utcnow", "today", "fromtimestamp", "time", "monotonic"} | called(module) & {
            *("open", "print", "input", "exec", "eval", "__import__", "breakpoint"),
        }

    assert offences(PURE, touching) == []


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


def test_nothing_below_the_commands_prints_or_exits() -> None:
    below = [module for module in layered if not module.startswith("cli")]
    assert offences(below, lambda module: called(module) & {"print", "input", "exit", "quit"}) == []
