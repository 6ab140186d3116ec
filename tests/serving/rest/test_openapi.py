"""The OpenAPI document of a model: valid, complete, and every example in it runs."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from serving.core import classify_regress, predict
from serving.core.model import LoadedModel
from serving.core.signature import Signature, TensorInfo
from serving.core.work import LogMetadata
from serving.request_log import records, tfrecord
from serving.rest import openapi, openapi_examples, routes
from serving.wire import dtypes, json_answers, json_parser, json_tensors, protos

_NUMBERS = {"float": 1, "double": 2, "int32": 3, "string": 7, "int64": 9, "bool": 10, "bfloat16": 14, "half": 19}


def tensor(kind, shape):
    return TensorInfo("x:0", dtypes.from_number(_NUMBERS[kind]), shape)


def signature(name="serving_default", inputs=None, outputs=None):
    inputs = inputs or {"x": tensor("float", (-1,))}
    return Signature(name, "tensorflow/serving/predict", inputs, outputs or {"y": tensor("float", (-1,))}, {})


def document(*signatures, name="m", samples=None):
    return openapi.document(name, 3, {one.name: one for one in signatures}, "http://127.0.0.1:8501", samples)


def resolved(whole, part):
    while "$ref" in part:
        found = whole
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part


def requests(whole):
    """Each example with its path: (path, title, body)."""
    found = []
    for path, item in whole["paths"].items():
        body = resolved(whole, item.get("post", {}).get("requestBody", {}))
        for title, example in body.get("content", {}).get("application/json", {}).get("examples", {}).items():
            found.append((path, title, example["value"]))
    return found


def asked(model, path, body):
    """The answer to an example, without a socket."""
    found = routes.find_route("POST", path)
    given = json_parser.loads(json.dumps(body).encode())
    name = given.get("signature_name", predict.DEFAULT_SIGNATURE)
    if found.action == "predict":
        inputs, by_row = json_tensors.read_inputs(given, model.signatures[name].dtypes)
        outputs = predict.run(model, name, inputs)
        return json.loads(json_answers.write_rows(outputs) if by_row else json_answers.write_columns(outputs))
    method = classify_regress.CLASSIFY if found.action == "classify" else classify_regress.REGRESS
    examples = classify_regress.examples(json_answers.read_input(given))
    [outputs] = classify_regress.run(model, [classify_regress.check(model, method, name)], examples)
    if method == classify_regress.CLASSIFY:
        return json.loads(json_answers.write_classes(classify_regress.classes(outputs, len(examples))))
    return json.loads(json_answers.write_values(classify_regress.values(outputs, len(examples))))


@pytest.fixture(scope="module")
def models(saved, tmp_path_factory):
    """The fixture models, `half` with warm-up requests."""
    folder = tmp_path_factory.mktemp("openapi") / "half"
    shutil.copytree(saved / "linear_1", folder)
    (folder / "assets.extra").mkdir()
    (folder / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"".join(map(tfrecord.frame, _warmups())))
    loaded = {"half": LoadedModel(folder), "echo": LoadedModel(saved / "echo")}
    yield loaded
    for model in loaded.values():
        model.close()


def _warmups():
    given = protos.load("apis.input_pb2").Input()
    given.example_list_with_context.context.features.feature["note"].bytes_list.value.append(b"\xff")
    for value in (0.1, 3.0):
        example = given.example_list_with_context.examples.add()
        example.features.feature["x"].float_list.value.append(value)
    for kind, name in ((records.classify_log, "classify"), (records.regress_log, "regress")):
        answered = LogMetadata("half", 1, name, 1.0, 0)
        yield kind(answered, given, [] if name == "classify" else np.zeros(0)).SerializeToString()
    answered = LogMetadata("half", 1, "", 1.0, 0)
    inputs = {"x": np.array([2.5, 7.0], dtype=np.float32)}
    yield records.predict_log(answered, inputs, {}).SerializeToString()


def written(models, name):
    model = models[name]
    return openapi.document(
        name, 1, model.signatures, "http://127.0.0.1:8501", openapi_examples.read_samples(model.path)
    )


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["half", "echo"])
def test_every_example_runs(models, name):
    whole = written(models, name)
    found = requests(whole)
    plain = [one for one in found if "{" not in one[0]]
    assert len(plain) > 3
    assert len(found) == 3 * len(plain)  # the same by version and by label
    for path, title, body in plain:
        assert asked(models[name], path, body), (path, title)


def test_examples_are_warm_up_requests_where_there_are_some(models):
    bodies = {(path, title): body for path, title, body in requests(written(models, "half"))}
    assert {"instances": [2.5]} == bodies["/v1/models/half:predict", "serving_default, rows"]
    assert {"inputs": [2.5]} == bodies["/v1/models/half:predict", "serving_default, columns"]
    example = {"signature_name": "classify", "context": {"note": {"b64": "/w=="}}, "examples": [{"x": 0.1}]}
    assert example == bodies["/v1/models/half:classify", "classify"]
    assert example | {"signature_name": "regress"} == bodies["/v1/models/half:regress", "regress"]


def test_signatures_that_rest_cannot_speak_have_no_example_but_a_schema(models):
    whole = written(models, "echo")
    titles = {title for _, title, _ in requests(whole)}
    assert not {title for title in titles if title.startswith("float16")}
    assert {"string, rows", "string, columns", "pair, rows", "bool, columns"} <= titles
    instances = whole["components"]["schemas"]["float16-rows"]["properties"]["instances"]
    assert "number" == instances["items"]["anyOf"][0]["type"]
    assert "gRPC" in instances["items"]["anyOf"][0]["description"]


@pytest.mark.heavy
def test_examples_and_answers_fit_their_schemas(models):
    jsonschema = pytest.importorskip("jsonschema")
    for name, model in models.items():
        whole = written(models, name)
        for path, title, body in requests(whole):
            if "{" in path:
                continue
            post = whole["paths"][path]["post"]
            content = resolved(whole, post["requestBody"])["content"]["application/json"]["schema"]
            reply = resolved(whole, post["responses"]["200"])["content"]["application/json"]["schema"]
            for given, wanted in ((body, content), (asked(model, path, body), reply)):
                schema = {**wanted, "components": whole["components"]}
                errors = list(jsonschema.Draft202012Validator(schema).iter_errors(given))
                assert [] == [error.message for error in errors], (path, title)


@pytest.mark.parametrize("name", ["half", "echo"])
def test_the_document_is_valid(models, name):
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(written(models, name))


def test_odd_names_are_valid_too():
    validator = pytest.importorskip("openapi_spec_validator")
    names = ["a/b", "a.2Fb", "a b~c", "ü", "serving_default"]
    whole = document(*map(signature, names), name="mo/del{x}:?é")
    validator.validate(whole)
    assert 10 == len([name for name in whole["components"]["schemas"] if name.endswith(("-rows", "-columns"))])


def test_odd_model_names_are_encoded_in_paths():
    whole = document(signature(), name="a/b:{c} é")
    assert "/v1/models/a%2Fb%3A%7Bc%7D%20%C3%A9:predict" in whole["paths"]
    assert "a/b:{c} é" == whole["info"]["title"]
    for path in whole["paths"]:
        plain = path.replace("{version}", "7").replace("{label}", "stable")
        method = "POST" if plain.endswith(":predict") else "GET"
        assert "a/b:{c} é" == routes.find_route(method, plain).spec.name


def test_all_paths_of_a_model():
    whole = document(signature())
    targets = ["", "/versions/{version}", "/labels/{label}"]
    ends = [":predict", "", "/metadata"]
    assert {f"/v1/models/m{target}{end}" for target in targets for end in ends} == set(whole["paths"])
    operations = [
        operation for item in whole["paths"].values() for key, operation in item.items() if key != "parameters"
    ]
    assert len(operations) == len({operation["operationId"] for operation in operations})
    assert {"200", "400", "404", "429", "500", "501", "503", "504"} <= set(operations[0]["responses"])


def test_only_signatures_of_the_form_are_classified():
    strings, scores = {"inputs": tensor("string", (-1,))}, tensor("float", (-1, -1))
    whole = document(
        signature("c", strings, {"scores": scores}),
        signature("r", strings, {"outputs": scores}),
        signature("p", {"inputs": tensor("float", (-1,))}, {"scores": scores}),
        signature("q", {"other": tensor("string", (-1,))}, {"scores": scores}),
    )
    schemas = whole["components"]["schemas"]
    assert ["c-classify", "r-regress"] == [name for name in schemas if name.endswith(("-classify", "-regress"))]


def test_declared_shapes_and_types_are_in_the_schema():
    inputs = {"image": tensor("half", (-1, 28, -1)), "id": tensor("int32", (-1,)), "free": tensor("string", None)}
    schemas = document(signature(inputs=inputs))["components"]["schemas"]
    row = schemas["serving_default-rows"]["properties"]["instances"]["items"]
    assert ["image", "id", "free"] == row["required"]
    assert (28, 28) == (row["properties"]["image"]["minItems"], row["properties"]["image"]["maxItems"])
    assert "number" == row["properties"]["image"]["items"]["items"]["type"]
    assert (-(2**31), 2**31 - 1) == (row["properties"]["id"]["minimum"], row["properties"]["id"]["maximum"])
    assert "type" not in row["properties"]["free"]
    columns = schemas["serving_default-columns"]["properties"]["inputs"]
    assert "array" == columns["properties"]["id"]["type"]


def test_bytes_are_base64_objects():
    outputs = {"raw_bytes": tensor("string", (-1,)), "label": tensor("string", (-1,))}
    whole = document(signature(inputs={"x": tensor("string", (-1,))}, outputs=outputs))
    schemas = whole["components"]["schemas"]
    answer = schemas["serving_default-columns-answer"]["properties"]["outputs"]["properties"]
    assert (["b64"], "string") == (answer["raw_bytes"]["items"]["required"], answer["label"]["items"]["type"])
    plain = schemas["serving_default-columns"]["properties"]["inputs"]["anyOf"][0]["items"]
    assert ["string", "object"] == [one["type"] for one in plain["oneOf"]]


@pytest.mark.parametrize(
    ("inputs", "outputs", "forms"),
    [
        ({"x": tensor("float", (-1, 3))}, {"y": tensor("float", (-1,))}, {"rows", "columns"}),
        ({"x": tensor("float", ())}, {"y": tensor("float", (-1,))}, {"columns"}),
        ({"x": tensor("float", (-1,))}, {"y": tensor("float", ())}, {"columns"}),
        ({"x": tensor("float", (-1,))}, {"y": tensor("float", None)}, {"columns"}),  # it may be a scalar
        ({"x": tensor("float", (2,)), "z": tensor("float", (3,))}, None, {"columns"}),
        ({"x": tensor("float", (2,))}, {"y": tensor("float", (1,)), "z": tensor("float", (2,))}, {"columns"}),
        ({"x": tensor("float", (2,)), "z": tensor("float", (2, 2))}, None, {"rows", "columns"}),
        ({"image_bytes": tensor("string", (-1,))}, None, set()),
        ({"examples": tensor("string", (-1,))}, None, set()),
        ({"x": tensor("bfloat16", (-1,))}, None, set()),
        ({"x": tensor("float", (-1,))}, {"y": tensor("half", (-1,))}, set()),
    ],
)
def test_forms_of_which_there_are_examples(inputs, outputs, forms):
    found = requests(document(signature(inputs=inputs, outputs=outputs)))
    assert forms == {title.rpartition(" ")[2] for _, title, _ in found}


def test_signatures_for_examples_have_none_made_up():
    regress = Signature(
        "r", classify_regress.REGRESS, {"inputs": tensor("float", ())}, {"outputs": tensor("float", (-1,))}, {}
    )  # an old exporter wrote the wrong type
    assert [] == requests(document(regress))


def test_a_sample_serves_every_signature_of_the_same_inputs():
    image = {"image_bytes": tensor("string", (-1,))}
    samples = {("predict", "serving_default"): {"image_bytes": np.array([b"\xff\xd8", b"x"], dtype=object)}}
    whole = document(signature(inputs=image), signature("explain", inputs=image), samples=samples)
    bodies = {title: body for path, title, body in requests(whole) if path == "/v1/models/m:predict"}
    assert {"signature_name": "explain", "instances": [{"b64": "/9g="}]} == bodies["explain, rows"]


@pytest.mark.parametrize("values", [np.full((1, 40_000), 0.123, np.float32), np.array([np.nan], np.float32)])
def test_no_example_that_is_too_long_or_no_json(values):
    samples = {("predict", "serving_default"): {"x": values}}
    assert [] == requests(document(signature(), samples=samples))


def test_a_damaged_warm_up_file_gives_what_can_be_read(tmp_path):
    path = tmp_path / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir()
    path.write_bytes(b"".join(map(tfrecord.frame, _warmups())) + b"torn")
    assert {("classify", "classify"), ("regress", "regress"), ("predict", "serving_default")} == set(
        openapi_examples.read_samples(tmp_path)
    )
    path.write_bytes(b"no records")
    assert {} == openapi_examples.read_samples(tmp_path)
    path.write_bytes(tfrecord.frame(b"\xff no message"))
    assert {} == openapi_examples.read_samples(tmp_path)


def test_it_is_json(models):
    for name in models:
        whole = written(models, name)
        assert whole == json.loads(json.dumps(whole, allow_nan=False))
