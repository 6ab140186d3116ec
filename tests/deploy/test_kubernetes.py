"""The manifests by Kubernetes' own schemas, and their facts beside those of docker-compose.yml."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/kubernetes"
FILES = sorted(path for path in FOLDER.rglob("*.yaml") if path.name != "kustomization.yaml")
MANIFESTS = [found for path in FILES for found in yaml.safe_load_all(path.read_text())]
OPERATOR = "monitoring.coreos.com/v1"  # Prometheus' operator, which Kubernetes has no schema of
VERSIONS = ("1.29", kubernetes_validate.latest_version())  # the oldest that kustomization.yaml promises, and the newest
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
WORKLOADS = ("StatefulSet", "Deployment", "CronJob")


def named(manifest: dict) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def the(kind: str, name: str) -> dict:
    (found,) = [manifest for manifest in MANIFESTS if (manifest["kind"], manifest["metadata"]["name"]) == (kind, name)]
    return found


def pod(manifest: dict) -> dict:
    spec = manifest["spec"]
    return (spec["jobTemplate"]["spec"] if manifest["kind"] == "CronJob" else spec)["template"]


PODS = {named(manifest): pod(manifest) for manifest in MANIFESTS if manifest["kind"] in WORKLOADS}
# The container of each pod that has the pod's name, beside the compose service of this name.
CONTAINERS = {
    name.partition("/")[2]: next(c for c in found["spec"]["containers"] if c["name"] == name.partition("/")[2])
    for name, found in PODS.items()
}


def defaults(text: str) -> str:
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(text))


def every_container() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", CONTAINERS)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", [m for m in MANIFESTS if m["apiVersion"] != OPERATOR], ids=named)
def test_kubernetes_knows_every_field(manifest, version):
    kubernetes_validate.validate(manifest, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_would_be_found():
    manifest = the("Deployment", "serving")
    wrong = {**manifest, "spec": {**manifest["spec"], "replica": 3}}
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("kustomization.yaml")), ids=lambda path: path.parent.name)
def test_a_kustomization_names_all_files_of_its_folder(path):
    beside = {found.name for found in path.parent.glob("*.yaml")} - {path.name}
    assert beside == set(yaml.safe_load(path.read_text())["resources"])


def test_tags_can_be_set_for_every_image_that_is_built_here():
    listed = {entry["name"] for entry in yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["images"]}
    specs = [found["spec"] for found in PODS.values()]
    used = {one["image"] for spec in specs for one in [*spec["containers"], *spec.get("initContainers", [])]}
    built = {image.partition(":")[0] for image in used if image.startswith("keraspipe/")}
    assert built == listed


@every_container()
def test_an_image_is_that_of_the_compose_file(name):
    assert defaults(SERVICES[name]["image"]) == CONTAINERS[name]["image"]


@every_container()
def test_the_command_line_is_that_of_the_compose_file(name):
    service, container = SERVICES[name], CONTAINERS[name]
    assert service.get("entrypoint") == container.get("command")
    if name in ("pipeline", "trainer"):  # the words behind `docker compose run`
        assert ["run", "digits"] == container["args"]
    else:
        assert service.get("command") == container.get("args")


@every_container()
def test_the_settings_are_those_of_the_compose_file(name):
    found = {entry["name"]: entry["value"] for entry in CONTAINERS[name].get("env", []) if "value" in entry}
    stated = {key: defaults(value) for key, value in SERVICES[name].get("environment", {}).items()}
    stated = {key: value.removesuffix(",") for key, value in stated.items() if value}
    assert stated == {key: value for key, value in found.items() if key != "PGDATA"}


@every_container()
def test_volumes_are_mounted_where_the_compose_file_mounts_them(name):
    volumes = {volume["name"]: volume for volume in PODS[kind_of(name)]["spec"]["volumes"]}
    claims = {
        one["name"]: one["persistentVolumeClaim"]["claimName"]
        for one in volumes.values()
        if "persistentVolumeClaim" in one
    }
    claims |= {"postgres": "postgres"} if name == "postgres" else {}
    mounts = {
        (claims[one["name"]], one["mountPath"]) for one in CONTAINERS[name]["volumeMounts"] if one["name"] in claims
    }
    assert mounted(SERVICES[name]) == mounts


def kind_of(name: str) -> str:
    return next(found for found in PODS if found.endswith(f"/{name}"))


def mounted(service: dict) -> set[tuple[str, str]]:
    """Named volumes of a compose service and their paths."""
    short = [defaults(volume).split(":")[:2] for volume in service["volumes"] if isinstance(volume, str)]
    long = [(volume["source"], volume["target"]) for volume in service["volumes"] if isinstance(volume, dict)]
    return {(source, target) for source, target in [*short, *long] if not source.startswith(".")}


def test_servers_of_models_do_not_write_the_models():
    (mount,) = [one for one in CONTAINERS["serving"]["volumeMounts"] if one["name"] == "models"]
    assert mount["readOnly"]


def test_what_several_nodes_share_can_be_mounted_on_several():
    shared = {one["metadata"]["name"] for one in MANIFESTS if one["kind"] == "PersistentVolumeClaim"} - {"mlartifacts"}
    assert {"workspace", "models", "data", "requests"} == shared
    assert all(["ReadWriteMany"] == the("PersistentVolumeClaim", name)["spec"]["accessModes"] for name in shared)


def test_kubeflow_mounts_claims_that_exist_where_the_pipeline_does():
    from pipeline.kubeflow.compiler import CLAIMS

    here = {(claim, path) for path, claim in CLAIMS.items()}
    assert here <= mounted(SERVICES["pipeline"])
    assert all(the("PersistentVolumeClaim", claim) for claim, _ in here)


def test_the_files_of_the_servers_are_those_of_the_folder_docker():
    kept = the("ConfigMap", "serving")["data"]
    assert {path.name: path.read_text() for path in (ROOT / "docker/serving").iterdir()} == kept


def test_the_balancer_differs_by_the_names_that_it_asks_for():
    text = (ROOT / "docker/balancer/haproxy.cfg").read_text()
    # One kind of server is behind it, which speaks OpenAI's API or does not.
    text = re.sub(r"# Language models:.*?\n\n", "", text, flags=re.DOTALL)
    text = re.sub(r"^    (server-template embedded|.*is_openai).*\n", "", text, flags=re.MULTILINE)
    expected = re.sub(r" serving:(\d+)", r' "serving.${NAMESPACE}.svc.cluster.local:\1"', text)
    assert {"haproxy.cfg": expected} == the("ConfigMap", "balancer")["data"]


@pytest.mark.process
@pytest.mark.skipif(not shutil.which("haproxy"), reason="HAProxy is not installed")
def test_haproxy_accepts_the_balancer(tmp_path):
    path = tmp_path / "haproxy.cfg"
    path.write_text(the("ConfigMap", "balancer")["data"]["haproxy.cfg"])
    command = ["haproxy", "-c", "-f", str(path)]
    done = subprocess.run(command, env={**os.environ, "NAMESPACE": "keraspipe"}, capture_output=True, check=False)
    assert 0 == done.returncode, done.stderr


@pytest.mark.parametrize("found", PODS.values(), ids=PODS)
def test_a_pod_has_no_rights(found):
    spec = found["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert {"type": "RuntimeDefault"} == spec["securityContext"]["seccompProfile"]
    assert spec["automountServiceAccountToken"] is False
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        assert {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        } == container["securityContext"]
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]


@every_container()
def test_a_container_runs_as_the_user_of_the_compose_file(name):
    (uid,) = re.findall(r"useradd --uid (\d+)", (ROOT / "docker/Dockerfile").read_text())
    known = {"postgres": 999, "haproxy": 99}  # of the official images
    user = SERVICES[name].get("user", uid).partition(":")[0]  # without one, the image's own
    spec = PODS[kind_of(name)]["spec"]["securityContext"]
    assert (
        known.get(user, int(uid)) == spec["runAsUser"] == spec["runAsGroup"] == spec.get("fsGroup", spec["runAsUser"])
    )


@every_container()
def test_what_lasts_is_probed(name):
    lasting = "unless-stopped" == SERVICES[name].get("restart")
    assert lasting == ({"readinessProbe", "livenessProbe"} <= set(CONTAINERS[name]))


def test_secrets_come_by_reference_and_as_files():
    assert "Secret" not in {manifest["kind"] for manifest in MANIFESTS}
    for name, found in PODS.items():
        service = SERVICES[name.partition("/")[2]]
        named_here = [v["secret"] for v in found["spec"]["volumes"] if "secret" in v]
        keys = [item["path"] for secret in named_here for item in secret["items"]]
        assert service.get("secrets", []) == keys
        env = [entry for container in found["spec"]["containers"] for entry in container.get("env", [])]
        assert not [entry for entry in env if "secretKeyRef" in entry.get("valueFrom", {})]


def test_a_service_leads_to_ports_that_its_pods_have():
    for service in [manifest for manifest in MANIFESTS if manifest["kind"] == "Service"]:
        (name,) = service["spec"]["selector"].values()
        ports = {port["name"]: port["containerPort"] for port in CONTAINERS[name]["ports"]}
        for port in service["spec"]["ports"]:
            assert port["port"] == ports[port["targetPort"]]


@pytest.mark.parametrize("manifest", [m for m in MANIFESTS if m["kind"] in WORKLOADS], ids=named)
def test_a_selector_finds_its_pods(manifest):
    labels = pod(manifest)["metadata"]["labels"]
    wanted = (
        manifest["spec"]
        .get("selector", {})
        .get("matchLabels", {"app.kubernetes.io/name": named(manifest).partition("/")[2]})
    )
    assert wanted.items() <= labels.items()


def test_each_server_of_models_is_found_by_itself():
    assert "None" == the("Service", "serving")["spec"]["clusterIP"]


def callers(name: str) -> set[str]:
    """Names of the pods that network policies let in."""
    found = set()
    for policy in [manifest["spec"] for manifest in MANIFESTS if manifest["kind"] == "NetworkPolicy"]:
        if {"app.kubernetes.io/name": name} == policy["podSelector"].get("matchLabels"):
            for rule in policy["ingress"]:
                found |= {who for one in rule["from"] for who in _selected(one.get("podSelector"))}
    return found


def _selected(selector: dict | None) -> set[str]:
    if selector is None:
        return {"another namespace"}
    values = [value for one in selector.get("matchExpressions", []) for value in one["values"]]
    return {*selector.get("matchLabels", {}).values(), *values} or {"all"}


def test_nobody_reaches_the_database_but_mlflow():
    assert {"mlflow"} == callers("postgres")
    maintenance = {"postgres", "backup", "restore", "migrate"}
    assert {"mlflow"} == {n for n, s in SERVICES.items() if "database" in s.get("networks", [])} - maintenance


def test_a_policy_lets_in_those_who_share_a_network_in_the_compose_file():
    assert {"pipeline", "trainer", "monitor"} == callers("mlflow")
    assert {"balancer"} == callers("serving")
    together = {n for n, s in SERVICES.items() if "tracking" in s.get("networks", [])}
    assert callers("mlflow") <= together


def test_what_no_policy_names_is_closed_and_servers_of_models_reach_nothing():
    closed = the("NetworkPolicy", "nobody")["spec"]
    assert ({}, ["Ingress"]) == (closed["podSelector"], closed["policyTypes"])
    assert [] == the("NetworkPolicy", "models")["spec"]["egress"]


def test_the_trainer_gets_gpus_and_nothing_runs_by_itself():
    assert 1 == CONTAINERS["trainer"]["resources"]["limits"]["nvidia.com/gpu"]
    assert all(the("CronJob", name)["spec"]["suspend"] for name in ("pipeline", "trainer"))


def test_a_disruption_leaves_a_server_and_a_balancer():
    for name in ("serving", "balancer"):
        budget = the("PodDisruptionBudget", name)["spec"]
        assert budget["minAvailable"] < the("Deployment", name)["spec"]["replicas"]
        assert budget["selector"] == the("Deployment", name)["spec"]["selector"]


@pytest.mark.process
@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl, which renders the kustomization, is not installed")
def test_kustomize_renders_all_with_all_components(tmp_path):
    copy = tmp_path / "kubernetes"
    shutil.copytree(FOLDER, copy)
    text = re.sub(
        r"^# (components:|  - components/.*)$", r"\1", (copy / "kustomization.yaml").read_text(), flags=re.MULTILINE
    )
    (copy / "kustomization.yaml").write_text(text.replace("newTag: local", "newTag: v7"))
    done = subprocess.run(["kubectl", "kustomize", str(copy)], capture_output=True, text=True, check=True)
    rendered = list(yaml.safe_load_all(done.stdout))
    assert sorted(map(named, MANIFESTS)) == sorted(map(named, rendered))
    assert ":local" not in done.stdout
    assert {"keraspipe"} == {one["metadata"]["namespace"] for one in rendered if one["kind"] != "Namespace"}
    for manifest in rendered:
        if manifest["apiVersion"] != OPERATOR:
            kubernetes_validate.validate(manifest, VERSIONS[0], strict=True)
