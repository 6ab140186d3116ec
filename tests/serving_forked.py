"""`python -m serving` in a process forked from one that has imported TensorFlow: `CALL` says with what flags."""

import os
import sys

from serving import __main__ as binary

(flags, environment, out, errors) = globals()["CALL"]
os.dup2(out.fileno(), 1)
os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if errors else 1, 2)
out.close()
os.environ.clear()
os.environ.update(environment)
sys.exit(binary.main(flags))
