"""`docker compose --profile '*' down -v` leaves nothing."""


def test_nothing_is_left(stack):
    stack.compose("--profile", "*", "down", "--volumes")
    label = "label=com.docker.compose.project=keraspipe-engine"
    for kind in (("ps", "--all"), ("volume", "ls"), ("network", "ls")):
        assert "" == stack.run("docker", *kind, "--quiet", "--filter", label)
