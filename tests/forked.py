"""One command in a process forked from one that has imported TFX: `CALL` says which, where, and where it prints to."""

import os
import sys

from pipeline import cli

(arguments, environment, folder, *printed) = globals()["CALL"]
for path, descriptor in zip(printed, (1, 2), strict=True):
    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
os.environ.clear()
os.environ.update(environment)
os.chdir(folder)
sys.path[:] = filter(None, sys.path)  # the folder of the command holds no modules
sys.argv = ["keraspipe", *arguments]
cli.script()
