"""Standard models: that one thread is the limit, also of libraries that nobody has loaded before."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
from pipeline.baseline import models
with models.one_thread():
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.utils._openmp_helpers import _openmp_effective_n_threads
    print(_openmp_effective_n_threads())
"""


@pytest.mark.process
def test_one_thread_is_the_limit_in_a_fresh_process():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert "1" == done.stdout.strip()
