"""What must not be reached is not reached, and secrets stay where they are."""

import json

import pytest

CONNECT = "timeout 5 bash -c 'exec 3<>/dev/tcp/{address}/{port}' && echo open || echo closed"


def addresses(stack, service: str) -> list[str]:
    """The service's name and its address in every network that it is in."""
    networks = stack.containers(service)[0]["NetworkSettings"]["Networks"].values()
    return [service, *(network["IPAddress"] for network in networks)]


@pytest.mark.parametrize(("service", "port"), [("postgres", 5432), ("mlflow", 5000)])
@pytest.mark.parametrize("origin", ["serving", "balancer"])
def test_servers_of_models_reach_neither_the_database_nor_mlflow(stack, origin, service, port):
    for address in addresses(stack, service):
        assert stack.inside(origin, CONNECT.format(address=address, port=port)).strip() == "closed"


def test_that_is_no_fault_of_the_question(stack):
    assert stack.inside("mlflow", CONNECT.format(address="postgres", port=5432)).strip() == "open"
    assert stack.inside("balancer", CONNECT.format(address="serving", port=8501)).strip() == "open"


def test_ports_are_published_on_loopback_only(stack):
    published = [
        (container["Name"], binding["HostIp"])
        for container in stack.containers()
        for bindings in (container["NetworkSettings"]["Ports"] or {}).values()
        for binding in bindings or []
    ]
    assert published
    assert {"127.0.0.1"} == {address for _, address in published}


def test_no_secret_is_in_what_the_engine_tells(stack, published):
    output = json.dumps(stack.containers()) + stack.compose("--profile", "*", "logs")
    names = ("postgres_password", "grafana_password", "authorization", "tls.pem")
    for name in names:
        lines = (stack.folder / "secrets" / name).read_text().split("\n")
        kept = [line for line in lines if len(line) > 20 and not line.startswith("-----")]
        assert kept, name
        assert not [line for line in kept if line in output], name
