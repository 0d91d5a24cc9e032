"""The manifests for KubeRay: fields of its CRDs, the product's own job, and machines that hold the configuration."""

import copy
import json
import re
import shlex
from pathlib import Path

import jsonschema
import pytest
import yaml

from judgerlvr.cluster.submission import EXPERIMENT, STOP_SECONDS, STOP_VARIABLE, make_submission
from judgerlvr.config.load import ROOT, load_config
from judgerlvr.planning.constraints import Node, check_constraints
from judgerlvr.planning.load import load_of
from judgerlvr.planning.machine import Machine
from judgerlvr.planning.plan import make_plan
from judgerlvr.planning.shapes import read_shape

FOLDER = ROOT / "scripts" / "cluster"
SCHEMA = json.loads((Path(__file__).parent / "kuberay-1.7.0.schema.json").read_text())
MANIFESTS = {name: yaml.safe_load((FOLDER / f"{name}.yaml").read_text()) for name in ("rayjob", "raycluster")}
CLUSTER = MANIFESTS["raycluster"]["spec"]
CONFIG = load_config("configs/qwen3_30b_a3b.yaml")
SHAPE = read_shape(ROOT / "tests" / "planning" / "shapes" / "qwen3-30b-a3b")
KINDS = ("judge", "generate")


def containers(cluster=CLUSTER):
    return [spec["template"]["spec"]["containers"][0] for spec in (cluster["headGroupSpec"], *workers(cluster))]


def workers(cluster=CLUSTER):
    return cluster["workerGroupSpecs"]


def worker_nodes():
    for group in workers():
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        yield from [Node(float(limits["cpu"]), float(limits["nvidia.com/gpu"]))] * group["replicas"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_manifest_has_fields_of_the_crd(name):
    jsonschema.validate(MANIFESTS[name], SCHEMA)


def places(tree, path=()):
    """Paths of all mappings of a manifest whose keys a schema knows."""
    if isinstance(tree, dict) and path[-1:] not in (("limits",), ("requests",), ("rayStartParams",)):
        yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_field_of_no_crd_is_found_wherever_it_stands(name):
    validator = jsonschema.Draft7Validator(SCHEMA)
    for path in places(MANIFESTS[name]):
        wrong = copy.deepcopy(MANIFESTS[name])
        place = wrong
        for key in path:
            place = place[key]
        place["nosuch"] = "x"
        assert not validator.is_valid(wrong), path


def test_both_manifests_have_the_same_cluster():
    assert MANIFESTS["rayjob"]["spec"]["rayClusterSpec"] == CLUSTER


def test_the_job_is_what_a_submission_would_run():
    words = shlex.split(MANIFESTS["rayjob"]["spec"]["entrypoint"])
    given = words[3 : words.index("--out")]
    submission = make_submission(EXPERIMENT, given, Path("/shared/judgerlvr"), "python", "http://head:8265")
    assert submission.entrypoint == words


def test_the_keys_of_the_job_exist():
    words = shlex.split(MANIFESTS["rayjob"]["spec"]["entrypoint"])
    config = load_config(words[3].replace("/opt/judgerlvr", str(ROOT)), [word for word in words if "=" in word])
    assert config.model.path.startswith("/shared/") and config.data.train[0].startswith("/shared/")


def test_the_job_gets_the_time_to_end_of_a_submission():
    variables = yaml.safe_load(MANIFESTS["rayjob"]["spec"]["runtimeEnvYAML"])["env_vars"]
    assert variables == {STOP_VARIABLE: str(STOP_SECONDS)}


def test_the_version_of_ray_is_that_of_the_lock():
    lock = (ROOT / "scripts" / "locks" / "gpu.txt").read_text()
    assert f"ray=={CLUSTER['rayVersion']}" in re.findall(r"^ray==\S+", lock, re.M)


def test_all_nodes_have_one_image():
    assert len({container["image"] for container in containers()}) == 1


def test_all_nodes_mount_the_storage_and_a_shared_memory():
    for container in containers():
        assert {"/shared", "/dev/shm"} <= {mount["mountPath"] for mount in container["volumeMounts"]}


@pytest.mark.parametrize("kind", KINDS)
def test_the_workers_hold_the_configuration(kind):
    check_constraints(load_of(kind, CONFIG), SHAPE, "gpu", list(worker_nodes()))


@pytest.mark.parametrize("kind", KINDS)
def test_the_workers_have_the_memory_of_the_plan(kind):
    memory = float(containers()[1]["resources"]["limits"]["memory"].removesuffix("Gi"))
    plan = make_plan(kind, CONFIG, SHAPE, Machine("h100", memory, 0.0, 50.0))
    assert plan.shortfalls == []
