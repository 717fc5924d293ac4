"""The examples for Kubernetes, as far as they can be tested without a cluster: against the schemas of their readers."""

from __future__ import annotations

import copy
import json
import re
import shlex
import subprocess
import sys
from importlib import resources
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from artidx.cli.build import build
from artidx.cli.serve import serve
from artidx.index.milvus.address import Address
from artidx.service import health
from artidx.service.settings import ServiceSettings
from artidx.service.tokens import read_tokens

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "kubernetes"
KUBERNETES = "1.32"
JOB = yaml.safe_load((FOLDER / "build.yaml").read_text())
CLUSTER = JOB["spec"]["rayClusterSpec"]
COMMAND = shlex.split(JOB["spec"]["entrypoint"])
GROUPS = [CLUSTER["headGroupSpec"], *CLUSTER["workerGroupSpecs"]]
# Of the values that Milvus' chart reads: those that are set here.
VALUES = {
    "cluster.enabled",
    "queryNode.replicas",
    "queryNode.resources",
    "indexNode.replicas",
    "indexNode.resources",
    "dataNode.resources",
    "minio.mode",
    "minio.persistence.size",
    "etcd.replicaCount",
    "extraConfigFiles.user.yaml",
}


@pytest.fixture(scope="module")
def ray_jobs():
    """A validator of RayJobs."""
    of_kubernetes = resources.files(kubernetes_validate) / "kubernetes-json-schema" / f"v{KUBERNETES}.0-local-strict"
    pods = json.loads((of_kubernetes / "_definitions.json").read_text())
    known = Registry().with_resource("_definitions.json", Resource.from_contents(pods, DRAFT202012))
    schema = yaml.safe_load((ROOT / "tests" / "rayjob.schema.yaml").read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, registry=known)
    return lambda job: [error.message for error in validator.iter_errors(job)]


def test_the_job_is_one_that_kuberay_takes(ray_jobs):
    assert ray_jobs(JOB) == []
    for group in CLUSTER["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("entryPoint",), "true"),
        (("backoffLimit",), "2"),
        (("rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("rayClusterSpec", "workerGroupSpecs", 0, "maxReplicas"), -1),
        (("rayClusterSpec", "workerGroupSpecs", 0, "template", "spec", "containers", 0, "img"), "artidx"),
        (
            ("rayClusterSpec", "headGroupSpec", "template", "spec", "containers", 0, "envFrom", 0, "secretRef"),
            "storage",
        ),
    ],
)
def test_a_wrong_field_anywhere_in_the_job_is_found(ray_jobs, path, value):
    job = copy.deepcopy(JOB)
    place = job["spec"]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    assert ray_jobs(job)


def test_the_job_calls_artidx_as_it_can_be_called_and_all_nodes_know_what_it_needs():
    assert COMMAND[:2] == ["artidx", "build"]
    found = build.make_context("build", COMMAND[2:]).params
    assert found["ray"] == "auto"
    assert found["source"].startswith(found["allow"][0])
    assert isinstance(found["output"], Address)
    for group in GROUPS:
        spec = group["template"]["spec"]
        (container,) = spec["containers"]
        secrets = {source["secretRef"]["name"] for source in container["envFrom"]}
        assert secrets == {"artidx-storage", "artidx-milvus"}
        assert "volumes" not in spec


SERVICE = {document["kind"]: document for document in yaml.safe_load_all((FOLDER / "serve.yaml").read_text())}
POD = SERVICE["Deployment"]["spec"]["template"]
(CONTAINER,) = POD["spec"]["containers"]


def test_the_service_is_one_that_kubernetes_takes():
    for document in SERVICE.values():
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    assert {*SERVICE} == {"PersistentVolumeClaim", "Deployment", "Service", "PodDisruptionBudget"}
    labels = POD["metadata"]["labels"]
    for selected in (
        SERVICE["Deployment"]["spec"]["selector"]["matchLabels"],
        SERVICE["Service"]["spec"]["selector"],
        SERVICE["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selected == labels
    assert SERVICE["Deployment"]["spec"]["replicas"] == 2 > SERVICE["PodDisruptionBudget"]["spec"]["minAvailable"]
    wrong = copy.deepcopy(SERVICE["Deployment"])
    wrong["spec"]["template"]["spec"]["containers"][0]["readinessProb"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def test_the_service_is_called_as_it_can_be_called_and_can_write_nowhere_but_in_tmp():
    assert CONTAINER["command"][:2] == ["artidx", "serve"]
    found = serve.make_context("serve", CONTAINER["command"][2:]).params
    mounts = {mount["mountPath"]: mount for mount in CONTAINER["volumeMounts"]}
    assert {path for path, mount in mounts.items() if not mount.get("readOnly")} == {"/tmp"}
    assert (str(found["index"].parent), str(found["tokens"].parent)) == ("/index", "/tokens")
    assert {mount["name"] for mount in mounts.values()} == {volume["name"] for volume in POD["spec"]["volumes"]}
    assert POD["spec"]["volumes"][0]["persistentVolumeClaim"] == {
        "claimName": SERVICE["PersistentVolumeClaim"]["metadata"]["name"],
        "readOnly": True,
    }
    assert CONTAINER["ports"][0]["containerPort"] == found["port"]
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    context = POD["spec"]["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (int(user[1]), int(user[2]))
    assert CONTAINER["securityContext"]["readOnlyRootFilesystem"] is True


def test_probes_ask_routes_that_need_no_token_and_a_stop_waits_for_the_longest_answer():
    routes = {route.path for route in health.router.routes}
    probes = {CONTAINER[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    assert probes == {"/livez", "/readyz"} <= routes
    assert POD["spec"]["terminationGracePeriodSeconds"] > ServiceSettings().answer_s
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["artidx"]
    assert int(compose["stop_grace_period"].removesuffix("s")) > ServiceSettings().answer_s


def test_compose_sets_what_the_command_line_knows_and_mounts_the_index_read_only():
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    service = compose["services"]["artidx"]
    assert {*service["environment"]} <= {option.envvar for option in serve.params}
    dockerfile = (ROOT / "Dockerfile").read_text()
    check = re.search(r"HEALTHCHECK .*?CMD (\[.*?\])$", dockerfile, re.MULTILINE | re.DOTALL)
    assert service["healthcheck"]["test"] == ["CMD", *json.loads(check[1])]
    (volume,) = service["volumes"]
    assert (volume["target"], volume["read_only"]) == (re.search(r"^VOLUME (.+)$", dockerfile, re.MULTILINE)[1], True)
    assert service["read_only"] is True
    (secret,) = service["secrets"]
    assert service["environment"]["ARTIDX_TOKENS"] == f"/run/secrets/{secret}"
    assert secret in compose["secrets"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert [token.may_write for token in read_tokens(ROOT / "docs" / "tokens.toml")] == [False]


def test_ray_is_of_one_version_everywhere():
    pinned = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]
    assert CLUSTER["rayVersion"] == pinned
    assert f"FROM rayproject/ray:{pinned}-py311" in (FOLDER / "Dockerfile").read_text()
    images = {container["image"] for group in GROUPS for container in group["template"]["spec"]["containers"]}
    assert len(images) == 1
    assert images.pop() in (FOLDER / "Dockerfile").read_text()


def test_the_image_has_nothing_that_a_linter_objects_to():
    found = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), FOLDER / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")


def test_the_values_are_those_that_milvus_chart_reads():
    values = yaml.safe_load((FOLDER / "milvus-values.yaml").read_text())

    def leaves(name, value):
        if name in VALUES or not isinstance(value, dict):
            return {name}
        return {leaf for key, below in value.items() for leaf in leaves(f"{name}.{key}".lstrip("."), below)}

    assert leaves("", values) == VALUES
    assert yaml.safe_load(values["extraConfigFiles"]["user.yaml"]) == {
        "common": {"security": {"authorizationEnabled": True}}
    }
    for node in ("queryNode", "indexNode", "dataNode"):
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "pod"},
            "spec": {"containers": [{"name": "c", "image": "i", "resources": values[node]["resources"]}]},
        }
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)
