"""A disk that fills up in the middle of a run: a small file system of a process of its own, filled for real."""

from __future__ import annotations

import subprocess

import pytest

# Mounts a file system that nobody else sees, runs, fills it once the text of $1 is printed, makes room, and runs again.
SCRIPT = r"""
set -u
mount -t tmpfs -o size=256m tmpfs "$KERASPIPE_WORKSPACE"
"$KERASPIPE" run squares > "$FOLDER/first" 2>&1 &
run=$!
until grep -q "$FILL_AT" "$FOLDER/first"; do sleep 0.01; kill -0 $run || exit 9; done
fallocate -l $(($(stat -f -c '%a * %S' "$KERASPIPE_WORKSPACE"))) "$KERASPIPE_WORKSPACE/most"  # at once; the rest:
dd if=/dev/zero of="$KERASPIPE_WORKSPACE/fill" bs=1M 2> /dev/null
wait $run; echo $? > "$FOLDER/first.code"
ls "$KERASPIPE_WORKSPACE/serving/squares" > "$FOLDER/served" 2> /dev/null
rm "$KERASPIPE_WORKSPACE/fill" "$KERASPIPE_WORKSPACE/most"
"$KERASPIPE" run squares > "$FOLDER/second" 2>&1; echo $? > "$FOLDER/second.code"
"""


@pytest.fixture
def fill_up(squares, tmp_path):
    """Runs the script; tells the exit code and the text of both runs."""
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c"]
    probe = subprocess.run([*unshare, f"mount -t tmpfs tmpfs {tmp_path}"], capture_output=True, check=False, text=True)
    if probe.returncode:
        pytest.skip(f"no file system may be mounted here: {probe.stderr.strip()}")

    def run(fill_at):
        own = {"FOLDER": str(tmp_path), "FILL_AT": fill_at, "KERASPIPE": squares.keraspipe.command()[0]}
        environment = {**squares.keraspipe.environment, **own}
        subprocess.run([*unshare, SCRIPT], env=environment, cwd=tmp_path, check=True, timeout=300)
        for name in ("first", "second"):
            yield int((tmp_path / f"{name}.code").read_text()), (tmp_path / name).read_text()

    return run


@pytest.mark.long
@pytest.mark.parametrize("fill_at", ["epoch 3/", pytest.param("ingest", marks=pytest.mark.slow)])
def test_a_disk_that_is_full_ends_the_run_in_words_and_the_next_goes_on(fill_up, fill_at):
    (code, text), (again, rest) = fill_up(fill_at)
    assert code == 1
    assert "cannot be written" in text
    assert "Received: No space left on device" in text
    assert "Traceback" not in text
    assert again == 0, rest
    assert "from cache" in rest
    assert "Published: version 1" in rest


@pytest.mark.slow
@pytest.mark.parametrize("fill_at", ["score", "gate", "register"])
def test_what_is_published_stays_so(fill_up, fill_at, tmp_path):
    """Publishing is a rename: what fails afterwards is said. A disk that is full before it publishes nothing."""
    (code, text), (again, rest) = fill_up(fill_at)
    published = "1" in (tmp_path / "served").read_text().split()
    assert (published, 0) == (code == 0, again), text + rest
    assert published == ("Published: version 1" in text)
    assert "No space left on device" in text
    assert "Traceback" not in text
    assert "Published: version 1" in rest or "is live" in rest, rest
