"""From a REST request to what to run, and back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from serving.core.columns import Columns
from serving.core.model import LoadedModel
from serving.core.models import Models, ModelSpec
from serving.core.servable import Servable
from serving.errors import InvalidArgument, Unimplemented
from serving.rest import routes
from serving.rest.handlers import RequestParser
from serving.rest.parser import Request


@pytest.fixture(scope="module")
def models(saved):
    servable = Servable("echo", 1, saved / "echo")
    servable.publish(LoadedModel(saved / "echo"))
    found = Models()
    found.add(servable)
    return found


def _answered(models, body, **options):
    path = "/v1/models/echo:predict"
    request = Request("POST", path, {}, json.dumps(body).encode())
    question = RequestParser(models, **options).read(routes.find_route("POST", path), request)
    values = question.lease.model.run(question.fetch)
    question.lease.release()
    return json.loads(question.encode(values))


def test_half_where_it_is_asked_for(models):
    rows = _answered(models, {"signature_name": "float16", "instances": [0.1, 1e9, -2]}, half=True)["predictions"]
    np.testing.assert_array_equal(np.float16([0.1, np.inf, -2]), np.float16(rows))
    columns = _answered(models, {"signature_name": "float16", "inputs": [1.5]}, half=True)
    assert {"outputs": [1.5]} == columns


def test_half_is_refused_as_upstream_else(models):
    with pytest.raises(Unimplemented, match=r"^Conversion of JSON Value: 1.5 to type: half$"):
        _answered(models, {"signature_name": "float16", "inputs": [1.5]})
    assert 0 == models.versions("echo")[1].in_flight


def test_a_row_in_the_words_of_the_file_and_a_value_that_is_missing(models):
    body = {"signature_name": "float32", "instances": [{"the size (m)": 1.5}]}
    lease = models.acquire(ModelSpec("echo"))
    model = lease.model
    lease.release()
    model.columns = Columns({"the size (m)": "x"}, frozenset({"x"}))
    assert {"predictions": [1.5]} == _answered(models, body)
    (answer,) = _answered(models, {**body, "instances": [{"the size (m)": None}]})["predictions"]
    assert np.isnan(float(answer))
    model.columns = Columns()
    with pytest.raises(InvalidArgument, match="does not have named input: the size"):
        _answered(models, body)
