"""A server in a process forked from one that has imported TensorFlow: `CALL` says what it serves and where it logs."""

import dataclasses
import os
import resource
import sys
from pathlib import Path

from serving import options
from serving.process.server import serve

(arguments, log, ready) = globals()["CALL"]
if files := arguments.pop("open_files", None):  # that the server may open: its soft and its hard limit
    resource.setrlimit(resource.RLIMIT_NOFILE, files)
os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
for name in ("base_path", "model_config_file"):
    if arguments.get(name):
        arguments[name] = Path(arguments[name])
for name in ("loading", "batching", "limits", "generation", "security"):
    if isinstance(arguments.get(name), dict):
        arguments[name] = getattr(options, name.capitalize())(**arguments[name])


def show(endpoints):
    ready.send(dataclasses.asdict(endpoints))
    ready.close()


sys.exit(serve(options.ServeOptions(**arguments), ready=show))
