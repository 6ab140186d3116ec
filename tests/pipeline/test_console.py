"""What libraries print goes to the log, and the terminal stays the user's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import console
from pipeline.settings import ROOT

pytestmark = pytest.mark.process

CODE = """
import os, pathlib, sys
from pipeline import console
try:
    with console.redirect_output(pathlib.Path(sys.argv[1])) as terminal:
        os.write(1, b"from C out\\n"); os.write(2, b"from C err\\n")
        print("from python"); print("words", file=terminal.out); print("view", file=terminal.err)
        if len(sys.argv) > 2: raise KeyError("broken")
except KeyError: print("caught")
print("after"); print("after err", file=sys.stderr)
"""


GENERATES = """
import os, sys
import tensorflow as tf
from pipeline import console
@tf.function
def halve(number):
    while number > 1:
        number = number // 2
    return number
halve(tf.constant(8))
print(len(os.listdir(os.environ["TMPDIR"])))
console.exit_now(3)
"""


def run(*arguments):
    return subprocess.run([sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, check=True)


def test_descriptors_go_to_the_log_and_come_back(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("before\n")
    done = run(log)
    assert "words\nafter\n" == done.stdout
    assert "view\nafter err\n" == done.stderr
    assert ["before", "from C err", "from C out", "from python"] == sorted(log.read_text().splitlines())


def test_a_reader_that_goes_ends_nothing(tmp_path):
    """`keraspipe run … 2>&1 | head`."""
    code = CODE.partition('print("after")')[0] + "open(sys.argv[1], 'a').write('done')"
    command = [sys.executable, "-c", code, tmp_path / "log.txt"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        process.stdout.close()
        process.wait(60)
    assert (tmp_path / "log.txt").read_text().endswith("done")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_words_that_nobody_reads_are_no_error(tmp_path, unbuffered):
    """What could not be said before a run does not keep it from beginning, and its end has its own code."""
    before = "from pipeline import console\nconsole.say('Note', error=True); console.say('Note')\n"
    code = before + CODE.partition('print("after")')[0] + "console.say('after'); os._exit(3)"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "log.txt"], stdout=writer, stderr=writer, env=environment, check=False
    )
    os.close(writer)
    assert 3 == done.returncode
    assert "from python" in (tmp_path / "log.txt").read_text()


def test_descriptors_come_back_after_an_error(tmp_path):
    assert "words\ncaught\nafter\n" == run(tmp_path / "log.txt", "fail").stdout


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_is_left_open(tmp_path):
    before = descriptors()
    with console.redirect_output(tmp_path / "log.txt"):
        assert before < descriptors()
    assert before == descriptors()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (float("nan"), "-"),
        (float("inf"), "inf"),
        (0.0, "0.0000"),
        (0.98713, "0.9871"),
        (-12.5, "-12.5000"),
        (0.0012345, "0.001234"),
        (1.234e-9, "1.234e-09"),
        (335161.66, "335,162"),
        (335161659689375424.0, "3.352e+17"),
    ],
)
def test_a_number_shows_its_leading_digits_whatever_its_unit(value, text):
    assert text == console.format_number(value)


@given(st.floats(-1e300, 1e300))
def test_a_number_is_read_back_to_three_digits(value):
    found = float(console.format_number(value, sign="+").replace(",", ""))
    assert found == pytest.approx(value, rel=5e-3)


def test_a_process_that_ends_leaves_no_generated_code(tmp_path):
    """AutoGraph writes a file for each function, and removes them in a shutdown that is not waited for."""
    folder, script = tmp_path / "temporary", tmp_path / "halve.py"
    folder.mkdir()
    script.write_text(GENERATES)
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, check=False)
    assert (3, "1") == (done.returncode, done.stdout.strip()), done.stderr
    assert [] == list(folder.iterdir())
