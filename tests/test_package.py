"""What is built is what should be shipped, bit for bit the same wherever it is built, and it installs where people do.

Opt-in (``-m package``): it builds, and installs from a package index.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.package, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
ROOT_FILES = {
    *("CHANGELOG.md", "CONTRIBUTING.md", "Containerfile", "LICENSE", "PKG-INFO", "README.md"),
    *("config.example.toml", "crontab.example", "pyproject.toml", ".gitignore"),
}


def run(*words: str | Path, folder: Path, **environment: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env={**env, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(folder: Path, mask: int, epoch: str, modified: int) -> Path:
    """Wheel and sdist, built from a copy whose files have other times and modes than any other copy's."""
    source = folder / "source"
    ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "dist", ".hypothesis")
    shutil.copytree(ROOT, source, ignore=ignored)
    for path in source.rglob("*"):
        os.utime(path, (modified, modified))
        if path.is_file() and path.suffix == ".py":
            path.chmod(0o666 & ~mask)
    run(sys.executable, "-m", "build", "--outdir", folder / "dist", source, folder=folder, SOURCE_DATE_EPOCH=epoch)
    return folder / "dist"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("one"), 0o022, "1700000000", 1_700_000_000)


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (found,) = dist.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What uv downloads, once for all tests."""
    return str(tmp_path_factory.mktemp("cache"))


def names_in_sdist(dist: Path) -> set[str]:
    (found,) = dist.glob("*.tar.gz")
    with tarfile.open(found) as archive:
        return {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}


def sources(folder: str) -> set[str]:
    """Every file of a folder that git knows or would take."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", folder, folder=ROOT)
    return {name for name in listed.splitlines() if (ROOT / name).is_file()}


# What is in it --------------------------------------------------------------------------------


def test_the_wheel_holds_the_package_its_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {re.sub(r"^[^/]+\.data/data/", "", name) for name in archive.namelist() if ".dist-info/" not in name}
        information = {name.partition(".dist-info/")[2] for name in archive.namelist() if ".dist-info/" in name}
    assert names == sources("confcleanup") | {"share/man/man1/confcleanup.1"}
    assert information == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


def test_the_sdist_holds_what_building_testing_and_reading_need_and_nothing_else(dist: Path) -> None:
    assert (
        names_in_sdist(dist)
        == sources("confcleanup") | sources("tests") | sources("docs") | sources("benchmarks") | ROOT_FILES
    )


def test_those_who_check_wheels_and_metadata_for_a_living_find_no_fault(dist: Path, wheel: Path) -> None:
    run(BIN / "check-wheel-contents", wheel, folder=dist)
    run(BIN / "twine", "check", "--strict", *dist.iterdir(), folder=dist)


def test_two_builds_are_the_same_bit_for_bit(dist: Path, tmp_path: Path) -> None:
    again = build(tmp_path, 0o077, "1700000000", 1_650_000_000)
    assert digests(again) == digests(dist)


def digests(dist: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in dist.iterdir()}


# Where it is installed ------------------------------------------------------------------------


def works(program: list[str | Path], folder: Path, **environment: str) -> None:
    """The program says its version, and its demo ends well, in a folder that knows nothing of the sources."""
    version = re.search(r'__version__ = "(.+)"', (ROOT / "confcleanup" / "__init__.py").read_text(encoding="utf-8"))
    assert version
    assert run(*program, "--version", folder=folder, **environment).strip() == f"confcleanup {version[1]}"
    assert "nothing is left to delete" in run(*program, "demo", folder=folder, **environment)


def test_it_works_from_a_virtual_environment(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv", folder=tmp_path)
    run(tmp_path / "venv/bin/pip", "install", "-q", wheel, folder=tmp_path)
    works([tmp_path / "venv/bin/confcleanup"], tmp_path, HOME="/nowhere")


def test_it_works_through_pipx(wheel: Path, tmp_path: Path) -> None:
    places = {name: str(tmp_path / name) for name in ("PIPX_HOME", "PIPX_BIN_DIR", "PIPX_MAN_DIR")}
    run(BIN / "pipx", "install", "--python", sys.executable, wheel, folder=tmp_path, **places)
    works([tmp_path / "PIPX_BIN_DIR" / "confcleanup"], tmp_path)


def test_it_works_through_uvx(wheel: Path, cache: str, tmp_path: Path) -> None:
    places = {"UV_CACHE_DIR": cache, "UV_TOOL_DIR": str(tmp_path / "tools")}
    works([BIN / "uvx", "--quiet", "--python", sys.executable, "--from", wheel, "confcleanup"], tmp_path, **places)


def test_it_works_as_a_tool_of_uv(wheel: Path, cache: str, tmp_path: Path) -> None:
    places = {"UV_CACHE_DIR": cache} | {name: str(tmp_path / name) for name in ("UV_TOOL_DIR", "UV_TOOL_BIN_DIR")}
    run(BIN / "uv", "tool", "install", "--quiet", "--python", sys.executable, wheel, folder=tmp_path, **places)
    works([tmp_path / "UV_TOOL_BIN_DIR" / "confcleanup"], tmp_path)


def test_the_containerfile_has_no_fault() -> None:
    run(BIN / "hadolint", "--failure-threshold", "style", ROOT / "Containerfile", folder=ROOT)
