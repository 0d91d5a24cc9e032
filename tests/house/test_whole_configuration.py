"""Few functions are handed the whole configuration. Others get the section or the value that they need."""

import ast

from tests.house.texts import ROOT, python_files

# Raise the number only for a function that treats the configuration as one thing, as writing the configuration does.
MOST = 23


def is_whole(annotation):
    """Whether a parameter is a ``Config`` of the schema, by the name of its annotation."""
    return annotation is not None and "Config" in [part.strip() for part in ast.unparse(annotation).split("|")]


def handed_the_whole(source):
    """Names of the functions of ``source`` with a parameter that is the whole configuration."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    return [node.name for node in functions if any(is_whole(argument.annotation) for argument in node.args.args)]


def test_few_functions_are_handed_the_whole_configuration():
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in python_files("judgerlvr/")
        for name in handed_the_whole(path.read_text())
    ]
    assert len(found) <= MOST, "\n".join(found)


def test_a_parameter_of_the_whole_configuration_is_seen():
    assert handed_the_whole("def f(config: Config | None): ...\ndef g(judge: JudgeData): ...") == ["f"]
