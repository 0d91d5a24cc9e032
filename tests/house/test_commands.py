"""The list of commands holds every command of the package, and runs it."""

import ast
import itertools

import pytest

from judgerlvr.__main__ import COMMANDS, main, summary
from tests.house.texts import ROOT, python_files


def test_every_module_with_an_entry_point_is_a_command():
    files = [path for path in python_files("judgerlvr/") if '__name__ == "__main__"' in path.read_text()]
    names = {".".join(path.relative_to(ROOT / "judgerlvr").with_suffix("").parts) for path in files} - {"__main__"}
    assert {name.removesuffix(".__main__") for name in names} == set(COMMANDS)


def test_a_command_hears_signals_before_it_imports_what_takes_seconds():
    """``exit_code`` turns signals into a line. Imports belong into what it runs."""
    early = []
    for path in python_files("judgerlvr/"):
        bodies = (node.body for node in ast.parse(path.read_text()).body if getattr(node, "name", "") == "main")
        for node in itertools.chain(*bodies):
            if isinstance(node, ast.Import | ast.ImportFrom) and "exit_code(" in path.read_text():
                early.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert early == []


def test_the_list_shows_each_command_with_its_summary(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in COMMANDS:
        assert any(line.split(maxsplit=1) == [name, summary(name)] for line in lines)


def test_a_command_gets_the_arguments_after_its_name(capsys, tmp_path):
    assert main(["tinyworld", str(tmp_path), "--train", "3", "--heldout", "2"]) == 0
    assert len((tmp_path / "train.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_option_is_one_line(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--no-such-option"])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith("error: ") and said.count("\n") == 1 and said.endswith(" --help\n")


def test_an_unknown_command_names_the_nearest(capsys):
    assert main(["stage1_jugde"]) == 2
    assert "did you mean 'stage1_judge'?" in capsys.readouterr().err
