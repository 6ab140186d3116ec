"""The process that trains on a node: `python -m pipeline.distributed WORKSPACE`, started by `server`.

stdin and stdout are the connection with `pipeline.distributed.cluster`; lines of JSON:

    in    {"task": "checkpoints/…/task.json", "recipe": "/app/models/digits.py", "code": "…"}   what, and by which code
    out   {"ready": "10.0.0.3:41233"} or {"refused": "…"}        where TensorFlow will listen
    in    {"nodes": ["10.0.0.3:41233", …], "index": 0}           all of them, and which one this is
    out   {"event": "epoch", …}, …                               from node 0: what belongs into the run's journal
    out   {"done": true}, {"wrong": "…"}, {"failed": "…"} or {"severed": "…"}

The end of stdin ends the process. What libraries print goes to stderr.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.console import exit_now, remove_generated_code
from pipeline.distributed import task
from pipeline.errors import PipelineError
from pipeline.recipes import catalog, fingerprint
from pipeline.store import journal

if TYPE_CHECKING:
    from typing import TextIO


def main() -> None:
    """Trains once."""
    connection = socket.socket(fileno=os.dup(0))
    os.dup2(2, 1)
    channel = connection.makefile("rw")
    order = json.loads(channel.readline())
    path = Path(sys.argv[1]) / order["task"]
    refused = find_obstacle(path, Path(order["recipe"]), order["code"])
    if refused:
        say(channel, refused=refused)
        return
    say(channel, ready=f"{connection.getsockname()[0]}:{_free_port(connection.getsockname()[0])}")
    team = json.loads(channel.readline() or "null")
    if team is None:
        return
    watch = threading.Thread(target=_exit_with_connection, args=[channel])
    watch.start()
    say(channel, **train_as_node(channel, path, team["nodes"], team["index"]))
    watch.join()  # TensorFlow goes on to answer the others, until all are done


def say(channel: TextIO, **message: Any) -> None:
    """Sends a line."""
    print(json.dumps(message, default=float), file=channel, flush=True)


def find_obstacle(path: Path, recipe: Path, code: str) -> str:
    """Why this node cannot train what it is asked for; empty if it can."""
    if not path.is_file():
        return f"{path} does not exist here: the node must share the pipeline's workspace, under the same path"
    if not recipe.is_file():
        return f"the recipe {recipe} does not exist here"
    if fingerprint.code_digest(catalog.read_recipe(recipe), "train") != code:
        return "its code, its dependencies or its recipe are of another version"
    return ""


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as taken:
        return int(taken.getsockname()[1])


def _exit_with_connection(channel: TextIO) -> None:
    channel.read()
    remove_generated_code()
    os._exit(1)  # at once, whatever the training writes now: nobody waits for it any more


def train_as_node(channel: TextIO, path: Path, nodes: list[str], index: int) -> dict[str, Any]:
    """Trains as one of the nodes, and says how it ended."""
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": nodes}, "task": {"type": "worker", "index": index}})
    from tensorflow.errors import OpError

    def tell(event: str, **fields: Any) -> None:
        say(channel, event=event, **fields)

    try:
        with journal.relay_events(tell) if index == 0 else nullcontext():
            _train(path, index)
    except PipelineError as error:
        return {"wrong": str(error)}
    except OpError as error:
        traceback.print_exc()
        return {_kind(error): f"{type(error).__name__}: {error.message}".partition("\n")[0]}
    except Exception as error:  # noqa: BLE001  (a fault of the recipe, a full disk)
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {error}".partition("\n")[0]}
    return {"done": True}


def _kind(error: Any) -> str:
    """Whether an error may be no fault of this node: what another node's end looks like from here."""
    from tensorflow import errors

    others = (errors.UnavailableError, errors.AbortedError, errors.CancelledError, errors.DeadlineExceededError)
    return "severed" if isinstance(error, others) else "failed"


def _train(path: Path, index: int) -> None:
    import tfx  # noqa: F401  (before TFT, which misses modules without it)

    from pipeline.training import trainer
    from pipeline.training.collective import MultiWorker

    args = task.read_task(path)
    args.custom_config["seed"] += index  # other random numbers on each node; the weights to begin with are node 0's
    trainer.run_training(args, MultiWorker)


if __name__ == "__main__":
    main()
    exit_now(0)
