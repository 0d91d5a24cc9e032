"""Wrong values generated from the schema: each is refused in a single line with the key."""

import random
import re
import subprocess
import sys

import pytest
import yaml

from judgerlvr.config.effective import configure
from judgerlvr.config.load import COMMAND_LINE, ROOT, domains, key_types
from rewards.errors import InputError, exit_code
from tests.helpers.bad_values import bad_overrides

COUNT, SEED, BY_COMMAND = 3200, 20261128, 60


def lines_of(arguments, capsys):
    """(exit code, standard error) of the function that the commands call."""
    code = exit_code(lambda: configure(*arguments) and None)
    return code, capsys.readouterr().err


def test_every_number_text_and_list_has_a_domain():
    names = [
        name
        for name, kind in key_types().items()
        if kind in (int, float, str) or getattr(kind, "__origin__", None) is list
    ]
    assert [name for name in names if name not in domains()] == []


def test_every_default_lies_in_its_domain():
    config = configure(None, ["data.train=[x.jsonl]"]).config
    outside = []
    for name, domain in domains().items():
        value = config
        for part in name.split("."):
            value = getattr(value, part)
        outside += [] if domain.allows(value) else [name]
    assert outside == []


def test_generated_overrides_are_refused_in_one_line(capsys, tmp_path):
    accepted, file = [], tmp_path / "c.yaml"
    file.write_text("seed: 1\n")
    for override in bad_overrides(COUNT, SEED):
        code, error = lines_of((file, [override]), capsys)
        if code != 2 or error.count("\n") != 1 or not error.startswith(f"error: {COMMAND_LINE}"):
            accepted.append((override, code, error))
    assert accepted == []


def test_generated_values_are_refused_in_files_too(capsys, tmp_path):
    """The same values in YAML, quoted as a careful person would. The error names the line of the file."""
    accepted = []
    for override in bad_overrides(400, SEED + 1):
        name, _, value = override.partition("=")
        if value.startswith(("[", "{", "'")) or "\ud800" in value:
            continue
        file = tmp_path / "c.yaml"
        file.write_text(f"seed: 1\n{name}: {yaml.safe_dump(value, default_style=chr(34)).strip()}\n")
        code, error = lines_of((file,), capsys)
        if code != 2 or error.count("\n") != 1 or f"{file}, row 2" not in error:
            accepted.append((override, code, error))
    assert accepted == []


def test_the_command_refuses_generated_values_before_it_imports_libraries(tmp_path):
    drawn = [text for text in bad_overrides(600, SEED + 2) if "\x00" not in text and "\ud800" not in text]
    chosen = random.Random(SEED).sample(drawn, BY_COMMAND)
    script = (
        "import sys\n"
        "from judgerlvr.stage1_judge import main as one\n"
        "from judgerlvr.stage2_generate import main as two\n"
        "for number, text in enumerate(sys.argv[1:]):\n"
        "    code = (one, two)[number % 2]([text])\n"
        "    print(code, {'torch', 'ray', 'transformers'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *chosen], capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False
    )
    assert done.stdout.splitlines() == ["2 set()"] * BY_COMMAND
    assert done.stderr.count("\n") == BY_COMMAND
    assert list(tmp_path.iterdir()) == []


WORDS = {
    "[Yes, No]": ["Yes", "No"],
    "[yes, no]": ["yes", "no"],
    "[on, off]": ["on", "off"],
    "[1, 0]": ["1", "0"],
    "[True, False]": ["True", "False"],
    "[0x1F, 1_000]": ["0x1F", "1_000"],
    "[2026-01-01, 12:30]": ["2026-01-01", "12:30"],
}


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("place", ["file", COMMAND_LINE])
def test_words_stay_words(tmp_path, words, place):
    file = tmp_path / "c.yaml"
    file.write_text(f"judge: {{data: {{verdicts: {words}}}}}\n" if place == "file" else "seed: 1\n")
    given = [] if place == "file" else [f"judge.data.verdicts={words}"]
    assert configure(file, given).config.judge.data.verdicts == WORDS[words]


@pytest.mark.parametrize("name", ["no", "007", "1e3", "true", "null-run", "12:30", "Übung 1", "~x"])
@pytest.mark.parametrize("place", ["file", COMMAND_LINE])
def test_a_name_stays_text(tmp_path, name, place):
    file = tmp_path / "c.yaml"
    file.write_text(f"name: {name}\n" if place == "file" else "seed: 1\n", encoding="utf-8")
    assert configure(file, [] if place == "file" else [f"name={name}"]).config.name == name


FILES = {
    "duplicate key": "seed: 1\nmax_prompt_tokens: 9\nseed: 2\n",
    "duplicate key by another spelling": "generate.stop.steps: 3\ngenerate: {stop: {steps: 4}}\n",
    "two documents": "seed: 1\n---\nseed: 2\n",
    "tabs": "generate:\n\tmax_response_tokens: 10\n",
    "empty section": "generate:\n",
    "a section that is a list": "generate: [1]\n",
    "a section inside itself": "judge: &a {data: *a}\n",
    "a key that is a number": "1: 2\n",
    "a key that is a list": "[a]: 2\n",
    "no value": "seed: null\n",
    "deep": "cluster: {rollout_engine: " + "[" * 3000 + "]" * 3000 + "}\n",
    "undefined alias": "seed: *x\n",
}


@pytest.mark.parametrize("case", FILES)
def test_a_wrong_file_is_one_line(capsys, tmp_path, case):
    file = tmp_path / "c.yaml"
    file.write_text(FILES[case])
    code, error = lines_of((file,), capsys)
    assert (code, error.count("\n")) == (2, 1)
    assert str(file) in error


def test_latin_1_is_one_line(capsys, tmp_path):
    file = tmp_path / "c.yaml"
    file.write_bytes(b"name: caf\xe9\n")
    code, error = lines_of((file,), capsys)
    assert code == 2 and "convert the file to UTF-8" in error


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_bytes(b"\xef\xbb\xbfseed: 7\r\n")
    assert configure(file).config.seed == 7


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("{enforce_eager:true}", "write {enforce_eager: true}"),
        ("{compilation_config: {mode:0}}", "write {mode: 0}"),
        ("{compilation_config: {mode: 0, mode: 3}}", "stands twice"),
    ],
)
def test_a_mapping_that_yaml_would_read_as_something_else_is_refused(value, named):
    with pytest.raises(InputError, match=re.escape(named)):
        configure("configs/tiny.yaml", [f"cluster.rollout_engine={value}"])


def test_arguments_of_vllm_keep_their_types():
    given = ["cluster.rollout_engine.dtype=bfloat16", "cluster.rollout_engine.compilation_config.mode=0"]
    config = configure("configs/tiny.yaml", [*given, "cluster.rollout_engine.enforce_eager=true"]).config
    assert config.cluster.rollout_engine == {
        "dtype": "bfloat16",
        "compilation_config": {"mode": 0},
        "enforce_eager": True,
    }


def test_the_preset_holds_for_the_tiny_world_alone(tmp_path):
    tiny = configure(None).config
    own = configure(None, [f"model.path={tmp_path}"]).config
    data = configure(None, [f"data.train=[{tmp_path / 'a.jsonl'}]"]).config
    assert (tiny.max_prompt_tokens, own.max_prompt_tokens, data.max_prompt_tokens) == (96, 2048, 2048)
    assert own.generate.optimizer.lr == data.generate.optimizer.lr == 1e-6


def test_the_preset_holds_for_shipped_bases():
    base = ROOT / "judgerlvr" / "tinyworld" / "base" / "hysparse"
    assert configure(None, [f"model.path={base}"]).config.max_prompt_tokens == 96
    assert configure(None, init=base).config.max_prompt_tokens == 96


def test_a_bad_value_names_field_and_remedy():
    with pytest.raises(InputError, match=r"field 'generate.optimizer.lr': is -1.0; give a number above 0"):
        configure(None, ["generate.optimizer.lr=-1"])
