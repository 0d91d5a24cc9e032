"""The Dockerfiles build from files of the checkout, with the locks' Python and the packages that the setup asks for."""

import re

import pytest

from judgerlvr.config.load import ROOT

FILES = {"gpu": "gpu.txt", "cpu": "cpu-py311.txt"}
TEXTS = {name: (ROOT / "docker" / f"{name}.Dockerfile").read_text() for name in FILES}


def lock(name):
    return (ROOT / "scripts" / "locks" / FILES[name]).read_text()


@pytest.mark.parametrize("name", FILES)
def test_every_copied_path_exists(name):
    sources = re.findall(r"^COPY (\S+) ", TEXTS[name], re.M)
    assert sources
    assert all((ROOT / source).exists() for source in sources)


@pytest.mark.parametrize("name", FILES)
def test_the_python_is_that_of_the_lock(name):
    (version,) = re.findall(r"^FROM python:(\d+\.\d+)", TEXTS[name], re.M)
    assert re.search(rf"[Pp]ython.{{0,10}}{re.escape(version)}", "\n".join(lock(name).splitlines()[:3]))


@pytest.mark.parametrize("name", FILES)
def test_what_builds_the_package_is_in_the_lock(name):
    """pip without isolation needs the build backend among the installed packages."""
    assert re.search(r"^setuptools==", lock(name), re.M)


def test_the_cpu_image_has_what_the_setup_asks_for():
    setup = (ROOT / "scripts" / "setup.sh").read_text()
    # The image of Python has Python and venv.
    asked = {word for line in re.findall(r"apt-get install ([^\"]+)\"", setup) for word in line.split()}
    wanted = {word for word in asked if not word.startswith("python")}
    (line,) = re.findall(r"install --yes --no-install-recommends (.+) \\", TEXTS["cpu"])
    assert wanted and wanted <= set(line.split())


def test_the_cpu_image_runs_the_setup_where_the_environment_is_on_the_path():
    text = TEXTS["cpu"]
    (venv,) = re.findall(r"JUDGERLVR_VENV=(\S+)", text)
    assert f"PATH={venv}/bin:$PATH" in text and "RUN scripts/setup.sh" in text
