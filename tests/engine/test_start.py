"""Images are built, the stack starts, and it does not start without secrets."""

import json
import re

import pytest

OWN = ("mlflow", "pipeline", "serving")
CPU_IMAGE_BYTES = 4e9


def test_compose_refuses_to_start_without_secrets(configuration, tmp_path):
    environment = tmp_path / ".env"
    environment.write_text(re.sub(r"(?m)^SECRETS=.*$", "SECRETS=", (configuration.folder / ".env").read_text()))
    with pytest.raises(Exception, match="keraspipe secrets"):
        configuration.compose("--env-file", environment, "up", "--detach")


def test_compose_accepts_every_profile(configuration):
    configuration.compose("--profile", "*", "config", "--quiet")


def test_all_services_become_healthy(stack):
    assert all(
        container["State"]["Health"]["Status"] == "healthy"
        for container in stack.containers("postgres", "mlflow", "serving", "balancer")
    )


@pytest.mark.parametrize("name", OWN)
def test_images_run_as_nobody_special_and_are_small(built, name):
    image = json.loads(built.run("docker", "image", "inspect", f"keraspipe/{name}:engine"))[0]
    print(f"keraspipe/{name}: {image['Size'] / 1e9:.2f} GB")
    assert image["Config"]["User"] not in ("", "0", "root")
    assert image["Size"] < CPU_IMAGE_BYTES


@pytest.mark.parametrize("service", ["mlflow", "serving", "balancer", "postgres"])
def test_root_file_systems_cannot_be_written(stack, service):
    assert stack.inside(service, "touch /written 2>/dev/null || echo no").strip() == "no"


def test_the_bill_of_materials_names_what_the_image_holds(built, tmp_path):
    built.run("docker", "build", "--target", "sbom", "--output", tmp_path, "--file", "docker/Dockerfile", ".")
    bill = json.loads((tmp_path / "python.cdx.json").read_text())
    assert "CycloneDX" == bill["bomFormat"]
    assert {"tensorflow", "tfx", "mlflow"} <= {component["name"] for component in bill["components"]}
    assert "libc6" in (tmp_path / "debian.tsv").read_text()
