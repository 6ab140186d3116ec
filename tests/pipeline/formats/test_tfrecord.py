"""TFRecords of `tf.train.Example`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import tensorflow as tf

from pipeline.errors import PipelineError
from pipeline.formats.tfrecord import TfRecord, encode_example

DATA = TfRecord("t-*", {"size": "float", "wave": "float[2]"}, "kind", ("a", "b"))
NUMBERS = ("culmen_length_mm", "culmen_depth_mm", "flipper_length_mm", "body_mass_g")
ROWS = [{"size": 1.5, "wave": [1.0, 2.0], "kind": b"a"}, {"wave": [3.0, 4.0], "kind": 1}, {"size": b"x", "kind": b"a"}]


def write(path, rows, compression=""):
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for row in rows:
            writer.write(row if isinstance(row, bytes) else encode_example(row))


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_features_in_their_kinds(tmp_path, compression):
    write(tmp_path / "t-1", ROWS, compression)
    one, two, three = DATA.examples(tmp_path)
    assert {"size": 1.5, "kind": b"a"} == {name: one.features[name] for name in ("size", "kind")}
    assert [1.0, 2.0] == list(one.features["wave"])
    assert {"wave", "kind"} == two.features.keys()
    assert b"b" == two.features["kind"]
    assert "column size is not of kind float: b'x'" == three.fault
    assert three.source.endswith("t-1 record 3")


def test_files_of_a_pattern_by_name_and_official_test(tmp_path):
    for name, size in (("t-2", 2.0), ("t-1", 1.0), ("v", 3.0)):
        write(tmp_path / name, [{"size": size, "kind": b"a"}])
    data = TfRecord("t-*", {"size": "float"}, "kind", ("a",), test="v")
    found = [(one.split, one.features["size"]) for one in data.examples(tmp_path)]
    assert [("train", 1.0), ("train", 2.0), ("test", 3.0)] == found
    assert ["t-1", "t-2", "v"] == [path.name for path in data.files(tmp_path)]


def test_record_that_is_no_example(tmp_path):
    write(tmp_path / "t-1", [b"\xff\xff", ROWS[0]])
    first, second = DATA.examples(tmp_path)
    assert first.fault.startswith("not a tf.train.Example")
    assert "" == second.fault


def test_damaged_file(tmp_path):
    write(tmp_path / "t-1", ROWS)
    content = (tmp_path / "t-1").read_bytes()
    (tmp_path / "t-1").write_bytes(content[:-3])
    with pytest.raises(PipelineError, match="cannot be read completely"):
        list(DATA.examples(tmp_path))


def test_no_file(tmp_path):
    with pytest.raises(PipelineError, match="Received: nothing that matches"):
        DATA.files(tmp_path)


def test_penguins_of_tfx():
    folder = Path(find_spec("tfx").origin).parent / "components" / "testdata" / "penguin" / "data"
    species = ("Adelie", "Chinstrap", "Gentoo")
    data = TfRecord(f"{folder}/Split-train/*.gz", dict.fromkeys(NUMBERS, "float"), "species", species)
    found = list(data.examples(Path("/")))
    assert 234 == len(found)
    assert {""} == {one.fault for one in found}
    assert {name.encode() for name in species} == {one.features["species"] for one in found}
