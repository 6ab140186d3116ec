"""One command in a process forked from one that has imported TFX: `CALL` says which, where, and where it prints to.

That is two files, which are made, or the ends of two pipes.
"""

import faulthandler
import os
import signal
import sys

from pipeline import cli

(arguments, environment, folder, *printed) = globals()["CALL"]
for target, descriptor in zip(printed, (1, 2), strict=True):
    if isinstance(target, os.PathLike):
        os.dup2(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    else:
        os.dup2(target.fileno(), descriptor)
        target.close()
signal.signal(signal.SIGINT, signal.default_int_handler)
# Of a command that goes on for ever the tests show where it is. A run sends its own descriptor 2 to its log.
faulthandler.register(signal.SIGUSR1, os.dup(2))
os.environ.clear()
os.environ.update(environment)
os.chdir(folder)
sys.path[:] = filter(None, sys.path)  # the folder of the command holds no modules
sys.argv = ["keraspipe", *arguments]
cli.script()
