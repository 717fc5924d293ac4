"""The examples for Kubernetes, as far as they can be tried without a cluster: every field is one that it knows."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from artidx.cli.build import build
from artidx.cli.push import push
from artidx.index.milvus.address import Address

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "kubernetes"
KUBERNETES = "1.32"
DOCUMENTS = list(yaml.safe_load_all((FOLDER / "build.yaml").read_text()))
JOB = next(document for document in DOCUMENTS if document["kind"] == "RayJob")
CLUSTER = JOB["spec"]["rayClusterSpec"]
COMMANDS = [shlex.split(part) for part in re.split(r"\|\||;", shlex.split(JOB["spec"]["entrypoint"])[2])]
GROUPS = [CLUSTER["headGroupSpec"], *CLUSTER["workerGroupSpecs"]]
# Of KubeRay's own kinds, ray.io/v1: what they may hold, as its API reference lists it.
JOB_FIELDS = {
    "activeDeadlineSeconds", "backoffLimit", "clusterSelector", "deletionPolicy", "entrypoint", "entrypointNumCpus",
    "entrypointNumGpus", "entrypointResources", "jobId", "managedBy", "metadata", "rayClusterSpec", "runtimeEnvYAML",
    "shutdownAfterJobFinishes", "submissionMode", "submitterConfig", "submitterPodTemplate", "suspend",
    "ttlSecondsAfterFinished"}
CLUSTER_FIELDS = {"autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions", "headGroupSpec",
                  "headServiceAnnotations", "managedBy", "rayVersion", "suspend", "workerGroupSpecs"}
AUTOSCALER_FIELDS = {"env", "envFrom", "idleTimeoutSeconds", "image", "imagePullPolicy", "resources", "securityContext",
                     "upscalingMode", "version", "volumeMounts"}
HEAD_FIELDS = {"enableIngress", "headService", "rayStartParams", "serviceType", "template"}
WORKER_FIELDS = {"groupName", "idleTimeoutSeconds", "maxReplicas", "minReplicas", "numOfHosts", "rayStartParams",
                 "replicas", "scaleStrategy", "suspend", "template"}
# Of the values that Milvus' chart reads: those that are set here.
VALUES = {"cluster.enabled", "queryNode.replicas", "queryNode.resources", "indexNode.replicas", "indexNode.resources",
          "dataNode.resources", "minio.mode", "minio.persistence.size", "etcd.replicaCount",
          "extraConfigFiles.user.yaml"}


@pytest.mark.parametrize("template", [group["template"] for group in GROUPS])
def test_the_pods_are_pods(template):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **template}
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def test_the_volume_is_one_and_the_head_mounts_it():
    volume = next(document for document in DOCUMENTS if document["kind"] == "PersistentVolumeClaim")
    kubernetes_validate.validate(volume, KUBERNETES, strict=True)
    spec = CLUSTER["headGroupSpec"]["template"]["spec"]
    assert spec["volumes"][0]["persistentVolumeClaim"]["claimName"] == volume["metadata"]["name"]
    assert COMMANDS[1][COMMANDS[1].index("-o") + 1] == COMMANDS[2][2]
    assert COMMANDS[2][2].startswith(spec["containers"][0]["volumeMounts"][0]["mountPath"] + "/")


def test_the_job_has_no_field_that_kuberay_does_not_know():
    assert JOB["apiVersion"] == "ray.io/v1"
    assert set(JOB) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(JOB["spec"]) <= JOB_FIELDS
    assert set(CLUSTER) <= CLUSTER_FIELDS
    assert set(CLUSTER["autoscalerOptions"]) <= AUTOSCALER_FIELDS
    assert set(CLUSTER["headGroupSpec"]) <= HEAD_FIELDS
    for group in CLUSTER["workerGroupSpecs"]:
        assert set(group) <= WORKER_FIELDS
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in GROUPS:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_the_job_calls_artidx_as_it_can_be_called():
    assert [command[:2] for command in COMMANDS] == [["test", "-f"], ["artidx", "build"], ["artidx", "push"]]
    found = build.make_context("build", COMMANDS[1][2:]).params
    assert found["ray"] == "auto"
    assert found["source"].startswith(found["allow"][0])
    assert isinstance(push.make_context("push", COMMANDS[2][2:]).params["address"], Address)


def test_ray_is_of_one_version_everywhere():
    pinned = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]
    assert CLUSTER["rayVersion"] == pinned
    assert f"FROM rayproject/ray:{pinned}-py311" in (FOLDER / "Dockerfile").read_text()
    images = {container["image"] for group in GROUPS for container in group["template"]["spec"]["containers"]}
    assert len(images) == 1
    assert images.pop() in (FOLDER / "Dockerfile").read_text()


def test_the_image_has_nothing_that_a_linter_objects_to():
    found = subprocess.run([Path(sys.executable).with_name("hadolint"), FOLDER / "Dockerfile"], capture_output=True,
                           text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_values_are_those_that_milvus_chart_reads():
    values = yaml.safe_load((FOLDER / "milvus-values.yaml").read_text())

    def leaves(name, value):
        if name in VALUES or not isinstance(value, dict):
            return {name}
        return {leaf for key, below in value.items() for leaf in leaves(f"{name}.{key}".lstrip("."), below)}

    assert leaves("", values) == VALUES
    assert yaml.safe_load(values["extraConfigFiles"]["user.yaml"]) == {
        "common": {"security": {"authorizationEnabled": True}}}
    for node in ("queryNode", "indexNode", "dataNode"):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"},
               "spec": {"containers": [{"name": "c", "image": "i", "resources": values[node]["resources"]}]}}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)
