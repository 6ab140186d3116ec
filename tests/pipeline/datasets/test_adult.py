"""The census: declared as the files are."""

from __future__ import annotations

from collections import Counter

import pytest

from pipeline.datasets.adult import ADULT
from pipeline.formats import columns


@pytest.fixture
def data(shared_data):
    if not (shared_data / ADULT.path).is_file():
        pytest.skip(f"there is no {ADULT.path} in {shared_data}")
    return shared_data


@pytest.mark.heavy
def test_rows_of_both_files(data):
    found = list(ADULT.examples(data))
    assert {"train": 22_792, "test": 9_769} == Counter(one.split for one in found)
    assert {""} == {one.fault for one in found}
    assert {b"<=50K", b">50K"} == {one.features["income"] for one in found}


@pytest.mark.heavy
def test_columns_are_declared_as_they_are_found(data):
    found = {column.name: column for column in columns.inspect_table(data / ADULT.path)}
    assert found.keys() == {*ADULT.inputs, "income"}
    texts = {name for name, column in found.items() if column.kind == "bytes"}
    assert texts == {name for name, kind in ADULT.inputs.items() if kind == "bytes"} | {"income"}
    missing = {name: column.missing for name, column in found.items() if column.missing}
    assert {"workclass": 1257, "occupation": 1260, "native_country": 407} == missing
