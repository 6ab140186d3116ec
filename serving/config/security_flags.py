"""Token and TLS from flags and environment, and the refusal to be open to the network by accident.

`Environment` is the only reader of environment variables in this package; the command line comes first.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from serving.config.flags import FlagError
from serving.options import Security

if TYPE_CHECKING:
    from serving.config.command_line import CommandLine


def security_options(line: CommandLine, environment: Environment) -> Security:
    """Returns the security options of a command line.

    Raises:
        FlagError: A file is missing, flags do not go together, or the server would be open to the network.
    """
    _check_tls(line)
    result = Security(
        token=_read_token(line, "token_file", environment.token, "KERASPIPE_SERVING_TOKEN"),
        certificate=_existing_file(line, "tls_certificate"),
        key=_existing_file(line, "tls_key"),
        client_ca=_existing_file(line, "tls_client_ca"),
        grpc_ssl_config_file=Path(line["ssl_config_file"]).absolute() if line["ssl_config_file"] else None,
        insecure=line.get("insecure", environment.insecure),
        control_token=_read_token(
            line, "control_token_file", environment.control_token, "KERASPIPE_SERVING_CONTROL_TOKEN"
        ),
    )
    _check_open(listen_host(line, environment), result)
    return result


def listen_host(line: CommandLine, environment: Environment) -> str:
    """The address to listen at."""
    return str(line.get("host", environment.host or line["host"]))


def security_warnings(address: str, options: Security) -> list[str]:
    """What is allowed but not wise."""
    if is_loopback(address) or options.certificate:
        return []
    if not options.token:
        return [f"{address} is open to everyone who can reach it: there is no token"]
    return ["the token crosses the network in clear: add --tls-certificate and --tls-key, or a proxy with TLS"]


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address; a name other than localhost may be anything."""
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"


def _check_tls(line: CommandLine) -> None:
    if line["use_alts_credentials"]:
        raise FlagError(
            "--use_alts_credentials cannot be honoured, and without it the traffic would be in clear.",
            action="use TLS: --tls-certificate and --tls-key, or --ssl_config_file",
        )
    given = [f"--{name}" for name in ("tls-certificate", "tls-key") if line[name.replace("-", "_")]]
    if len(given) == 1 or (line["tls_client_ca"] and not given):
        received = ", ".join(given or ["--tls-client-ca"])
        raise FlagError("TLS is incomplete.", expected="--tls-certificate and --tls-key", received=f"only {received}")
    if given and line["ssl_config_file"]:
        raise FlagError("--tls-certificate and --ssl_config_file both say how gRPC is secured.", expected="one of them")


def _check_open(address: str, options: Security) -> None:
    if is_loopback(address) or options.token or options.client_ca or options.insecure:
        return
    raise FlagError(
        f"Everyone who can reach {address} could use the models.",
        expected="a token, or client certificates, beyond this machine",
        received=f"host {address} and no token",
        action="pass --token-file FILE or set KERASPIPE_SERVING_TOKEN; --host 127.0.0.1 serves this machine only; "
        "--insecure (KERASPIPE_SERVING_INSECURE=1) where a private network protects the server",
    )


def _existing_file(line: CommandLine, key: str) -> Path | None:
    if not line[key]:
        return None
    path = Path(line[key]).expanduser().absolute()
    if not path.is_file():
        raise FlagError(f"--{key.replace('_', '-')} cannot be read.", expected="a file", received=str(path))
    return path


def _read_token(line: CommandLine, key: str, given: str, variable: str) -> str:
    """The token of a flag's file, or of a variable of the environment."""
    if not line[key]:
        return _check_token(given.strip(), variable) if given.strip() else ""
    path = Path(line[key]).expanduser()
    try:
        return _check_token(path.read_text(encoding="utf-8").strip(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        name = key.replace("_", "-")
        raise FlagError(f"--{name} cannot be read.", expected="a file with a token", received=str(error)) from error


def _check_token(token: str, source: str) -> str:
    """A token as a header can carry it."""
    if token and all("!" <= letter <= "~" for letter in token):
        return token
    received = "nothing" if not token else "other letters"  # not the secret itself
    raise FlagError(
        f"There is no token in {source}.", expected="one line of printable ASCII without spaces", received=received
    )


@dataclass(frozen=True)
class Environment:
    """Settings that an image or a secret store sets; the command line comes first.

    Attributes:
        host: `KERASPIPE_SERVING_HOST`, the address to listen at; empty for loopback.
        token: `KERASPIPE_SERVING_TOKEN`, the bearer token; empty for none.
        insecure: `KERASPIPE_SERVING_INSECURE=1`, listen beyond loopback without a token.
        control_token: `KERASPIPE_SERVING_CONTROL_TOKEN`, the token of calls that change what is served.
    """

    host: str = ""
    token: str = field(default="", repr=False)
    insecure: bool = False
    control_token: str = field(default="", repr=False)


def read_environment() -> Environment:
    """The environment of this process."""
    return Environment(
        host=os.environ.get("KERASPIPE_SERVING_HOST", ""),
        token=os.environ.get("KERASPIPE_SERVING_TOKEN", ""),
        insecure=os.environ.get("KERASPIPE_SERVING_INSECURE", "") == "1",
        control_token=os.environ.get("KERASPIPE_SERVING_CONTROL_TOKEN", ""),
    )
