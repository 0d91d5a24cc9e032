"""The import contract: rooms in one order, imports downwards only, engines in their rooms."""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
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
    "judgerlvr.hysparse.ops",
    "judgerlvr.hysparse.model",
    "judgerlvr.hysparse.replay",
    "judgerlvr.hysparse.vllm",
    "judgerlvr.hysparse",
    "judgerlvr.tinyworld",
    "judgerlvr.models",
    "judgerlvr.hysparse.conversion",
    "judgerlvr.hysparse.agreement",
    "judgerlvr.hysparse.distillation",
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
# Its rooms lie on both sides of other rooms. The checks of a checkpoint build HySparse models, and conversion uses
# these checks.
SPLIT = "judgerlvr.hysparse"
# Packages that a room never imports.
FORBIDDEN = {
    "rewards": {"torch", "verl", "vllm", "ray", "transformers", "judgerlvr", "benchmarks"},
    "data": {"torch", "verl", "vllm", "ray", "benchmarks"},
    "judgerlvr": {"benchmarks", "tests"},
}


def room_of(module: str) -> str | None:
    """The room of a module, the module's own name for an entry point, None for a package from elsewhere."""
    parts = module.split(".")
    if module.startswith(f"{SPLIT}."):
        return room_of_split(".".join(parts[:3]))
    if parts[0] in ("rewards", "data"):
        return parts[0]
    return ".".join(parts[:2]) if parts[0] == "judgerlvr" and len(parts) > 1 else None


def room_of_split(name: str) -> str:
    """The folder, or the entry point. Names of the package itself are the package's."""
    return name if name in ROOMS or name in entries() else SPLIT


@cache
def entries() -> set[str]:
    """Commands beside the folders of ``SPLIT``."""
    return {f"{SPLIT}.{path.stem}" for path in (ROOT / SPLIT.replace(".", "/")).glob("[!_]*.py")}


def place_of(room: str) -> int:
    return ROOMS.index(room) if room in ROOMS else ENTRY_POINTS


@cache
def imported(source: str, module: str = "") -> list[tuple[str, bool]]:
    """(module, whether type checkers alone read the import) of all imports, those by ``import_module`` too."""
    found: list[tuple[str, bool]] = []
    waiting: list[tuple[ast.AST, bool]] = [(ast.parse(source), False)]
    while waiting:
        node, typed = waiting.pop()
        typed |= isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        waiting += [(child, typed) for child in ast.iter_child_nodes(node)]
        if isinstance(node, ast.Import):
            found += [(alias.name, typed) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(f"{base_of(node, module)}.{alias.name}", typed) for alias in node.names]
        elif isinstance(node, ast.Call) and name_of(node.func) in ("import_module", "__import__"):
            found += [(name.value, typed) for name in node.args[:1] if isinstance(name, ast.Constant)]
    return found


def name_of(function: ast.expr) -> str:
    """The last part of a called name."""
    return getattr(function, "attr", getattr(function, "id", ""))


def base_of(node: ast.ImportFrom, module: str) -> str:
    """The package that an import's names lie in. A relative import begins at the importing module."""
    above = module.split(".")[: -node.level] if node.level else []
    return ".".join([*above, *([node.module] if node.module else [])])


def upward(module: str, source: str) -> list[str]:
    """Imports of a module that do not run downwards."""
    room = room_of(module)
    others = [(name, room_of(name)) for name, _ in imported(source, module)]
    return [name for name, other in others if other and room and other != room and place_of(other) >= place_of(room)]


def imports_between(files: dict[str, str]) -> dict[str, set[str]]:
    """Modules that each module imports, of those in ``files``."""
    found = {}
    for module, source in files.items():
        names = [name for name, typed in imported(source, module) if not typed]
        reached = {name if name in files else name.rpartition(".")[0] for name in names}
        found[module] = (reached & set(files)) - {module}
    return found


def circle(files: dict[str, str]) -> list[str]:
    """Modules of a circle of imports, or nothing."""
    try:
        TopologicalSorter(imports_between(files)).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def sources() -> dict[str, str]:
    files = [path for top in ("rewards", "data", "judgerlvr") for path in sorted((ROOT / top).rglob("*.py"))]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text() for path in files}


def test_no_modules_import_in_a_circle():
    assert circle(sources()) == []


@pytest.mark.parametrize("import_line", ["from judgerlvr.runs.b import x", "def late():\n    from .b import x"])
def test_a_planted_circle_is_found(import_line):
    files = {"judgerlvr.runs.a": import_line, "judgerlvr.runs.b": "from judgerlvr.runs import a"}
    assert set(circle(files)) == set(files)


def test_an_import_for_types_makes_no_circle():
    types = "if TYPE_CHECKING:\n    from judgerlvr.runs.b import x"
    assert circle({"judgerlvr.runs.a": types, "judgerlvr.runs.b": "from judgerlvr.runs import a"}) == []


def test_no_import_runs_up():
    found = {module: names for module, source in sources().items() if (names := upward(module, source))}
    assert found == {}


def test_every_folder_is_a_room():
    files = [*(ROOT / "judgerlvr").glob("*/__init__.py"), *(ROOT / SPLIT.replace(".", "/")).glob("*/__init__.py")]
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in files}
    assert folders <= set(ROOMS)


@pytest.mark.parametrize(
    ("module", "planted"),
    [
        ("judgerlvr.runs.manifest", "from judgerlvr.engine.runner import run_stage"),
        ("judgerlvr.config.load", "import judgerlvr.cli"),
        ("rewards.pool", "from data.problems import Problem"),
        ("judgerlvr.engine.runner", "def late():\n    from judgerlvr.pipeline.stages import run"),
        ("judgerlvr.runs.manifest", "from ..engine import runner"),
        ("judgerlvr.runs.manifest", "from .. import engine"),
        ("judgerlvr.runs.manifest", "importlib.import_module('judgerlvr.engine.runner')"),
        ("rewards.grading.pool", "from judgerlvr import engine"),
        ("judgerlvr.hysparse.model.modeling", "from judgerlvr.hysparse.conversion.conversion import adopt"),
        ("judgerlvr.hysparse.model.modeling", "from judgerlvr.models.tensors import check_tensors"),
        ("judgerlvr.models.tensors", "from judgerlvr.hysparse.conversion.search import find"),
        ("judgerlvr.models.tensors", "from judgerlvr.hysparse.convert import main"),
        ("judgerlvr.hysparse.conversion.search", "from judgerlvr.hysparse import distill"),
        ("judgerlvr.hysparse.ops.segments", "from judgerlvr.hysparse.model import layout"),
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
        for name, _ in imported(source, module)
        if name.split(".")[0] in FORBIDDEN[top]
    }
    assert found == set()


def test_the_lab_imports_nothing_of_the_pair():
    """``benchmarks.lab_pair`` joins the lab with the product, of which the lab imports nothing (``tests/lab``)."""
    files = sorted((ROOT / "benchmarks" / "lab").rglob("*.py"))
    found = {(path.name, name) for path in files for name, _ in imported(path.read_text())}
    assert len(files) > 20
    assert {pair for pair in found if pair[1].startswith("benchmarks.lab_pair")} == set()


def test_only_private_rooms_reach_private_names_of_verl():
    """A module or attribute of verl or vLLM whose name starts with one underscore."""
    allowed = ("judgerlvr.engine.private", "judgerlvr.hysparse.vllm.compat")
    found = {
        (module, name)
        for module, source in sources().items()
        if not module.startswith(allowed)
        for name, _ in imported(source, module)
        if name.split(".")[0] in ("verl", "vllm") and any(part.startswith("_") for part in name.split("."))
    }
    assert found == set()


def test_the_root_is_the_checkout():
    assert Path(__file__).resolve().is_relative_to(ROOT)
