"""Cora: pickles that execute nothing, the order of the papers, the three splits, and edges to nowhere."""

from __future__ import annotations

import collections
import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.sparse import csr_matrix

from pipeline.datasets import cora
from pipeline.datasets.cora import CORA, read_pickle
from pipeline.errors import PipelineError

WORDS = np.eye(520, 40, dtype=np.float32)
KINDS = np.eye(7, dtype=np.int32)[np.arange(520) % 7]
GRAPH = {0: [1, 1, 0], 1: [0], 519: [2]}


def write(folder, **changes):
    """Three training papers, 500 for eval, ten for the test, of which the first two lie in the other order."""
    order = [511, 510, *range(512, 520)]
    content = {
        "x": csr_matrix(WORDS[:3]), "allx": csr_matrix(WORDS[:510]), "tx": csr_matrix(WORDS[order]),
        "ally": KINDS[:510], "ty": KINDS[order], "graph": GRAPH, **changes,
    }  # fmt: skip
    (folder / "cora").mkdir(exist_ok=True)
    for name, value in content.items():
        (folder / f"cora/ind.cora.{name}").write_bytes(pickle.dumps(value, protocol=2))
    (folder / "cora/ind.cora.test.index").write_text("\n".join(map(str, order)))
    return folder


def test_every_paper_has_its_own_words_and_class(tmp_path):
    graph = CORA.read(write(tmp_path))
    np.testing.assert_array_equal(WORDS > 0, graph.words)
    np.testing.assert_array_equal(np.arange(520) % 7, graph.classes)
    assert [[0, 1], [2, 519]] == graph.citations.tolist()


def test_the_splits_are_those_of_planetoid(tmp_path):
    rows = list(CORA.examples(write(tmp_path)))
    expected = {paper: "train" if paper < 3 else "eval" if paper < 503 else "test" for paper in range(503)}
    expected |= dict.fromkeys(range(510, 520), "test")
    assert expected == {row.features["paper_id"]: row.split for row in rows}
    assert b"Reinforcement_Learning" == rows[1].features["topic"]
    assert [1, -1] == rows[1].features["words"][:2].tolist()


def test_the_tables_have_all_papers(tmp_path):
    tables = CORA.tables(write(tmp_path))
    assert (520, cora.MOST_WORDS) == tables["words"].shape
    assert list(range(520)) == tables["paper_id"].tolist()
    assert 40 == tables["vocabulary"]


@pytest.mark.parametrize("nowhere", [520, -1, "7"])
def test_an_edge_to_nowhere_is_named(tmp_path, nowhere):
    with pytest.raises(PipelineError, match="paper 4 has an edge to nowhere") as caught:
        CORA.read(write(tmp_path, graph={**GRAPH, 4: [5, nowhere]}))
    assert f"an edge from 4 to {nowhere!r}" in str(caught.value)


def test_a_paper_without_a_class_is_left_out(tmp_path):
    kinds = KINDS[:510].copy()
    kinds[1] = 0
    faults = {row.features["paper_id"]: row.fault for row in CORA.examples(write(tmp_path, ally=kinds)) if row.fault}
    assert {1: "it has no class"} == faults


class Executes:
    def __reduce__(self):
        return os.system, ("echo executed",)


@pytest.mark.parametrize("part", ["x", "ty", "graph"])
def test_a_pickle_that_names_a_function_is_refused(tmp_path, capfd, part):
    with pytest.raises(PipelineError, match=f"ind.cora.{part} cannot be read completely") as caught:
        CORA.read(write(tmp_path, **{part: Executes()}))
    assert "it names posix.system, which is no data" in str(caught.value)
    assert "executed" not in capfd.readouterr().out


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps(np.zeros(3), protocol=2)[:-20]])
def test_a_damaged_file(tmp_path, content):
    (write(tmp_path) / "cora/ind.cora.tx").write_bytes(content)
    with pytest.raises(PipelineError, match=r"ind\.cora\.tx cannot be read completely"):
        CORA.read(tmp_path)


def test_test_papers_that_are_not_numbers_once_each(tmp_path):
    (write(tmp_path) / "cora/ind.cora.test.index").write_text("510\n510\n")
    with pytest.raises(PipelineError, match="each number from 510 to 519 once"):
        CORA.read(tmp_path)


@given(arrays.arrays(st.sampled_from(["<i4", "<f4", "<f8", "|u1"]), arrays.array_shapes(min_dims=2, max_dims=2)))
def test_arrays_and_matrices_are_those_that_were_written(values):
    if values.dtype.kind == "f":
        values = np.nan_to_num(values).clip(-1e30, 1e30)  # float32 holds no larger ones
    for order in "CF":
        content = pickle.dumps(np.array(values, order=order), protocol=2)
        np.testing.assert_array_equal(values, read_pickle(io.BytesIO(content)))
    matrix = read_pickle(io.BytesIO(pickle.dumps(csr_matrix(values), protocol=2)))
    np.testing.assert_array_equal(values.astype(np.float32), matrix)


def test_a_dictionary_of_lists():
    graph = collections.defaultdict(list, {1: [2, 3]})
    assert graph == read_pickle(io.BytesIO(pickle.dumps(graph, protocol=2)))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(PipelineError, match="The files of Cora do not exist") as caught:
        CORA.files(tmp_path)
    assert "no ind.cora.x, no ind.cora.allx" in str(caught.value)


def test_the_real_papers():
    data = Path(os.environ.get("KERASPIPE_DATA", "/nowhere"))
    if not (data / "cora").is_dir():
        pytest.skip("Cora is not in KERASPIPE_DATA")
    graph = CORA.read(data)
    assert (2708, 1433) == graph.words.shape
    assert (5278, 2) == graph.citations.shape
    assert [351, 217, 418, 818, 426, 298, 180] == np.bincount(graph.classes).tolist()
    counts = collections.Counter(row.split for row in CORA.examples(data))
    assert {"train": 140, "eval": 500, "test": 1000} == counts
