"""The pipeline's side of a training on several nodes: finds them, gives them the task, and passes on what they report.

Every wait ends: for nodes that are missing after WAIT_S, for one that is lost when its connection ends, which a machine
that vanishes does within half a minute (`pipeline.distributed.task`). Closing the connections ends the training on all.
"""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.distributed import task
from pipeline.distributed.task import PORT, keep_alive
from pipeline.errors import PipelineError, UsageError
from pipeline.store import journal

if TYPE_CHECKING:
    from tfx.components.trainer.fn_args_utils import FnArgs

    from pipeline.settings import Settings

WAIT_S = 120.0  # until all nodes are there
CAUSE_S = 60.0  # until a node tells why the others have lost it
RETRY_S = 0.5
ENDS = ("done", "wrong", "failed", "severed")
RESUME_HINT = "the same command goes on from the last checkpoint"


@dataclass(frozen=True)
class WorkerConnection:
    """A node that has agreed to train.

    Attributes:
        address: HOST:PORT of its `keraspipe node`.
        ready: HOST:PORT of its TensorFlow.
        reader: What it says.
        writer: What it is told.
    """

    address: str
    ready: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, **message: Any) -> None:
        """Sends a line."""
        self.writer.write(json.dumps(message).encode() + b"\n")

    async def end(self) -> tuple[str, str]:
        """Passes events on to the journal, and returns how the node ended: one of ENDS or "lost", and why."""
        with suppress(OSError, ValueError):  # a line that is cut off
            while line := await self.reader.readline():
                message = json.loads(line)
                if "event" in message:
                    journal.report(message.pop("event"), **message)
                else:
                    return next((kind, str(message[kind])) for kind in ENDS if kind in message)
        return "lost", "its connection ended"


def check(settings: Settings) -> None:
    """Raises a UsageError where the settings do not say which nodes train."""
    if settings.distribution == "nodes":
        _parse_places(settings.nodes)
        _parse_count(settings.node_count)


def train(args: FnArgs) -> None:
    """Has the nodes train and export, in place of this process.

    Raises:
        PipelineError: A node is missing, refuses, fails or is lost; or the training itself says what is wrong.
    """
    config = args.custom_config
    path = task.write_task(args)
    order = {
        "task": str(path.relative_to(path.parents[2])),  # WORKSPACE/checkpoints/DIGEST/task.json
        "recipe": config["recipe"],
        "code": config["code"],
    }
    asyncio.run(_train(config["nodes"], _parse_count(config["node_count"]), order))


def _parse_places(text: str) -> list[tuple[str, int]]:
    """(host, port) of each entry of "HOST:PORT,HOST:PORT"."""
    places = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        host, _, port = entry.partition(":")
        if not host or not (port or str(PORT)).isdecimal():
            raise UsageError(
                "KERASPIPE_NODES is malformed.",
                expected="HOST:PORT, several with commas",
                received=text,
                action="correct the variable",
            )
        places.append((host, int(port or PORT)))
    if not places:
        raise UsageError(
            "KERASPIPE_DISTRIBUTION=nodes needs to know where the nodes are.",
            expected="KERASPIPE_NODES=HOST:PORT, or several with commas; a name may have many addresses",
            received=repr(text),
            action="start `keraspipe node` on each machine and set KERASPIPE_NODES",
        )
    return places


def _parse_count(text: str) -> int:
    if not text:
        return 0
    if not text.isdecimal() or not int(text):
        raise UsageError(
            "KERASPIPE_NODE_COUNT is no number of nodes.",
            expected="1 or more",
            received=text,
            action="correct the variable",
        )
    return int(text)


async def _train(places: str, count: int, order: dict[str, str]) -> None:
    rendezvous = Rendezvous(_parse_places(places), count, {}, [])
    try:
        members = await _assemble(rendezvous, order)
        nodes = [member.ready for member in members]
        for index, member in enumerate(members):
            member.say(nodes=nodes, index=index)
        await _follow(members)
    finally:
        for writer in rendezvous.opened:
            writer.close()


@dataclass(frozen=True)
class Rendezvous:
    """Gathers the nodes for one training.

    Attributes:
        places: Where they may be, (host, port).
        count: How many are wanted; 0 for all.
        said: What is known of each address, for the error.
        opened: Connections that are to be closed in the end.
    """

    places: list[tuple[str, int]]
    count: int
    said: dict[str, str]
    opened: list[asyncio.StreamWriter]


async def _assemble(rendezvous: Rendezvous, order: dict[str, str]) -> list[WorkerConnection]:
    """All nodes, in the order of their addresses."""
    try:
        async with asyncio.timeout(WAIT_S):
            addresses = await _resolve_addresses(rendezvous)
            return await asyncio.gather(*(_join(*address, order, rendezvous) for address in addresses))
    except TimeoutError:
        known = ", ".join(f"{address} {state}" for address, state in sorted(rendezvous.said.items()))
        raise PipelineError(
            f"Not all nodes were there within {WAIT_S:g} s.",
            expected=f"{rendezvous.count or 'all'} nodes at "
            + ", ".join(f"{host}:{port}" for host, port in rendezvous.places),
            received=known or "no address",
            action=f"start `keraspipe node` on each machine, or correct KERASPIPE_NODE_COUNT; then {RESUME_HINT}",
        ) from None


async def _resolve_addresses(rendezvous: Rendezvous) -> list[tuple[str, int]]:
    """Addresses of the names: as many as are wanted, else all that there are."""
    loop = asyncio.get_running_loop()
    while True:
        addresses: set[tuple[str, int]] = set()
        for host, port in rendezvous.places:
            with suppress(OSError):
                entries = await loop.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_STREAM)
                addresses |= {(str(entry[4][0]), port) for entry in entries}
        rendezvous.said.update({f"{host}:{port}": "found" for host, port in addresses})
        if len(addresses) >= (rendezvous.count or len(rendezvous.places)):
            return sorted(addresses)[: rendezvous.count or None]
        await asyncio.sleep(RETRY_S)


async def _join(host: str, port: int, order: dict[str, str], rendezvous: Rendezvous) -> WorkerConnection:
    """Asks a node until it is there and free."""
    address = f"{host}:{port}"
    while True:
        try:
            reader, writer = await asyncio.open_connection(host, port)
            rendezvous.opened.append(writer)
            keep_alive(writer.get_extra_info("socket"))
            writer.write(json.dumps(order).encode() + b"\n")
            message = json.loads(await reader.readline() or "{}")
            if "ready" in message:
                rendezvous.said[address] = "ready"
                return WorkerConnection(address, message["ready"], reader, writer)
            writer.close()
        except OSError as error:
            message = {"busy": error.strerror or str(error)}
        if "refused" in message:
            raise PipelineError(
                f"The node {address} refuses to train.",
                expected="the same code, recipe and workspace as the pipeline's",
                received=message["refused"],
                action=f"correct it there and restart its `keraspipe node`; then {RESUME_HINT}",
            )
        rendezvous.said[address] = message.get("busy", "does not answer")
        await asyncio.sleep(RETRY_S)


async def _follow(members: list[WorkerConnection]) -> None:
    """Passes on the nodes' events until node 0 has finished.

    Raises:
        PipelineError: A node was lost or failed.
    """
    pending = {asyncio.create_task(member.end(), name=str(index)): member for index, member in enumerate(members)}
    severed: PipelineError | None = None
    while pending:
        ended, _ = await asyncio.wait(pending, timeout=CAUSE_S if severed else None, return_when="FIRST_COMPLETED")
        if not ended:
            break
        for node_task in sorted(ended, key=lambda task: task.get_name()):
            member = pending.pop(node_task)
            kind, why = node_task.result()
            if kind == "done" and member is members[0]:
                return
            if kind == "severed":
                severed = _error(kind, why, member, len(members))
            elif kind != "done":
                raise _error(kind, why, member, len(members))
    raise severed or PipelineError("The nodes ended without a result.")


def _error(kind: str, why: str, member: WorkerConnection, count: int) -> PipelineError:
    if kind == "wrong":
        return PipelineError(why)
    what = {
        "lost": f"The node {member.address}, one of {count}, was lost during the training.",
        "failed": f"The training failed on the node {member.address}.",
        "severed": f"The node {member.address} lost sight of the others.",
    }[kind]
    return PipelineError(
        what,
        expected=f"{count} nodes until the training ends",
        received=why,
        action=f"look at the log of its `keraspipe node` and start it again; then {RESUME_HINT}",
    )
