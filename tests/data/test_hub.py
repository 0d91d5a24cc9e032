"""Names of the hub against a stub of the hub on this machine: each refusal is one line with its remedy."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import datasets
import pytest

from data.problems import read_problems
from judgerlvr.evaluate import main as evaluate
from judgerlvr.tinyworld.making.checkpoint import base_path
from rewards.errors import InputError


class Hub(BaseHTTPRequestHandler):
    """Answers of the hub by the name of the data set."""

    def do_GET(self):
        token = self.headers.get("authorization")
        if "org/gated" in self.path:
            self.refuse(403 if token else 401, "GatedRepo")
        elif "org/private" in self.path and not token:
            self.refuse(401, "RepoNotFound")
        else:
            self.refuse(404, "RepoNotFound")

    do_HEAD = do_GET

    def refuse(self, status, code):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def online(monkeypatch, tmp_path):
    """Settings of a machine that may ask a hub. A function sets the address and the token."""

    def use(endpoint, token=""):
        monkeypatch.setattr("datasets.config.HF_ENDPOINT", endpoint)
        monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
        if token:
            monkeypatch.setenv("HF_TOKEN", token)

    monkeypatch.chdir(tmp_path)
    return use


@pytest.mark.parametrize(
    ("name", "token", "said"),
    [
        ("org/gated", "", "gated and no token is set; accept its terms on the hub and log in"),
        ("org/gated", "hf_x", "gated for the account of the token; accept its terms"),
        ("org/private", "", "no such data set on the hub that is open without a token"),
        ("org/absent@v1", "hf_x", "no such data set on the hub; check the path or the name and revision"),
    ],
)
def test_what_the_hub_refuses_is_one_line(hub, online, name, token, said):
    online(hub, token)
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        read_problems(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("org/sums", ("org/sums", None, None)),
        ("org/sums@v1.2#train", ("org/sums", None, "v1.2")),
        ("org/sums@0a1b2c:hard#train", ("org/sums", "hard", "0a1b2c")),
    ],
)
def test_every_part_of_a_name_reaches_the_library(monkeypatch, tmp_path, name, asked):
    def load(path, config, revision):
        assert (path, config, revision) == asked
        rows = datasets.Dataset.from_list([{"question": "1+1?", "answer": "so #### 2"}])
        return datasets.DatasetDict({"train": rows} | ({"test": rows} if "#" in name else {}))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", load)
    (problem,) = read_problems(name)
    assert (problem.text, problem.gold) == ("1+1?", "2")


def test_of_several_splits_one_is_named(monkeypatch, tmp_path):
    rows = datasets.Dataset.from_list([{"question": "1+1?", "answer": "2"}])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: datasets.DatasetDict({"train": rows, "test": rows}))
    with pytest.raises(InputError, match="several splits among train, test; append #SPLIT"):
        read_problems("org/sums@v1")


def test_a_refusal_ends_the_evaluation_with_one_line(hub, online, tmp_path, capsys):
    online(hub)
    words = ["--model", str(base_path("qwen3_moe")), "--data", "org/gated", "--out", str(tmp_path / "out")]
    assert evaluate([*words]) == 2
    assert "gated and no token is set" in capsys.readouterr().err
