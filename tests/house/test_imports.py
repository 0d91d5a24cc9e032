"""The import contract: rooms in one order, imports downwards only, engines in their rooms."""

import ast
from pathlib import Path

import pytest

from judgerlvr.config.load import ROOT

# Lowest first. A room imports rooms before it in this list.
ROOMS = (
    "rewards",
    "data",
    "judgerlvr.config",
    "judgerlvr.cli",
    "judgerlvr.cluster",
    "judgerlvr.hysparse",
    "judgerlvr.tinyworld",
    "judgerlvr.models",
    "judgerlvr.runs",
    "judgerlvr.export",
    "judgerlvr.sampling",
    "judgerlvr.engine",
    "judgerlvr.planning",
    "judgerlvr.evaluation",
    "judgerlvr.pipeline",
    "judgerlvr.reporting",
    "judgerlvr.experiments",
    "judgerlvr.diagnosis",
)
ENTRY_POINTS = len(ROOMS)
# Packages that a room never imports.
FORBIDDEN = {
    "rewards": {"torch", "verl", "vllm", "ray", "transformers", "judgerlvr", "benchmarks"},
    "data": {"torch", "verl", "vllm", "ray", "benchmarks"},
    "judgerlvr": {"benchmarks", "tests"},
}


def room_of(module: str) -> str | None:
    """The room of a module, the module's own name for an entry point, None for a package from elsewhere."""
    parts = module.split(".")
    if parts[0] in ("rewards", "data"):
        return parts[0]
    return ".".join(parts[:2]) if parts[0] == "judgerlvr" and len(parts) > 1 else None


def place_of(room: str) -> int:
    return ROOMS.index(room) if room in ROOMS else ENTRY_POINTS


def imported(source: str) -> list[str]:
    """Modules that a source imports anywhere, inside functions too."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def upward(module: str, source: str) -> list[str]:
    """Imports of a module that do not run downwards."""
    room = room_of(module)
    others = [(name, room_of(name)) for name in imported(source)]
    return [name for name, other in others if other and room and other != room and place_of(other) >= place_of(room)]


def sources() -> dict[str, str]:
    files = [path for top in ("rewards", "data", "judgerlvr") for path in sorted((ROOT / top).rglob("*.py"))]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text() for path in files}


def test_no_import_runs_up():
    found = {module: names for module, source in sources().items() if (names := upward(module, source))}
    assert found == {}


def test_every_folder_is_a_room():
    folders = {f"judgerlvr.{path.parent.name}" for path in (ROOT / "judgerlvr").glob("*/__init__.py")}
    assert folders <= set(ROOMS)


@pytest.mark.parametrize(
    ("module", "planted"),
    [
        ("judgerlvr.runs.manifest", "from judgerlvr.engine.runner import run_stage"),
        ("judgerlvr.config.load", "import judgerlvr.cli"),
        ("rewards.pool", "from data.problems import Problem"),
        ("judgerlvr.engine.runner", "def late():\n    from judgerlvr.pipeline.stages import run"),
    ],
)
def test_a_planted_upward_import_is_found(module, planted):
    assert upward(module, planted)


@pytest.mark.parametrize("top", FORBIDDEN)
def test_packages_stay_out_of_rooms(top):
    found = {
        (module, name)
        for module, source in sources().items()
        if module.split(".")[0] == top
        for name in imported(source)
        if name.split(".")[0] in FORBIDDEN[top]
    }
    assert found == set()


def test_only_private_rooms_reach_private_names_of_verl():
    """A module or attribute of verl or vLLM whose name starts with one underscore."""
    allowed = ("judgerlvr.engine.private", "judgerlvr.hysparse.vllm.compat")
    found = {
        (module, name)
        for module, source in sources().items()
        if not module.startswith(allowed)
        for name in imported(source)
        if name.split(".")[0] in ("verl", "vllm") and any(part.startswith("_") for part in name.split("."))
    }
    assert found == set()


def test_the_root_is_the_checkout():
    assert Path(__file__).resolve().is_relative_to(ROOT)
