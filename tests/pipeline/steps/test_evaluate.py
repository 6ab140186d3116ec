"""Schema, anomalies, and the configuration and the words of the evaluation: all that needs TFX's imports."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2

from pipeline.errors import PipelineError
from pipeline.evaluation import tfma_results
from pipeline.recipe import CLASSIFICATION, Gate, Metric
from pipeline.steps import evaluate, schema, validate
from pipeline.store.layout import Workspace

INFERRED = """
feature { name: "image_bytes" type: BYTES domain: "image_bytes" distribution_constraints { min_domain_mass: 0.5 } }
feature { name: "label" type: BYTES string_domain { name: "label" value: "b" } }
feature { name: "size" type: FLOAT }
feature { name: "colour" type: BYTES string_domain { name: "colour" value: "red" } }
string_domain { name: "image_bytes" value: "x" }
"""
DATA = SimpleNamespace(label="label", classes=("a", "b", "c"), inputs={"image_bytes": "bytes"})
NUMBER = SimpleNamespace(label="size", classes=(), inputs={"image_bytes": "bytes"})


def inferred(text=INFERRED):
    return text_format.Parse(text, schema_pb2.Schema())


def feature(found, name):
    return next(one for one in found.feature if one.name == name)


def test_declared_classes_replace_the_inferred_ones():
    assert ["a", "b", "c"] == list(feature(schema.bind_schema(inferred(), DATA), "label").string_domain.value)


def test_encoded_bytes_have_no_vocabulary():
    found = feature(schema.bind_schema(inferred(), DATA), "image_bytes")
    assert found.WhichOneof("domain_info") is None
    assert not found.HasField("distribution_constraints")


def test_identifiers_have_no_vocabulary():
    data = SimpleNamespace(**vars(DATA), identifiers=("colour",))
    assert feature(schema.bind_schema(inferred(), data), "colour").WhichOneof("domain_info") is None


@pytest.mark.parametrize("domain", ["int_domain", "float_domain"])
def test_codes_of_digits_are_no_numbers(domain):
    """As TFDV infers it for postcodes; it knows no constraint on how often its values occur."""
    code = f'feature {{ name: "zip" type: BYTES {domain} {{}} }}'
    bound = schema.bind_schema(inferred(code + 'feature { name: "n" type: INT int_domain { min: 3 } }'), DATA)
    assert [None, "int_domain"] == [feature(bound, name).WhichOneof("domain_info") for name in ("zip", "n")]
    assert not any(feature(bound, name).HasField("distribution_constraints") for name in ("zip", "n"))


def test_binding_leaves_its_argument_and_the_other_features_alone():
    before, bound = inferred(), schema.bind_schema(inferred(), DATA)
    assert inferred() == before
    assert feature(before, "size") == feature(bound, "size")
    assert bound == schema.bind_schema(bound, DATA)


def test_rare_category_is_no_anomaly():
    bound = feature(schema.bind_schema(inferred(), DATA), "colour")
    assert 0.9 <= bound.distribution_constraints.min_domain_mass < 1
    assert ["red"] == list(bound.string_domain.value)


NAMES = [f"Never worked for pay {number}" for number in range(schema.MOST_NAMES)]
SENTENCES = [f"{name}, as the person itself says" for name in [*NAMES, "Works"]]


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        (["2024-02-29", "2024-03-01"], False),
        (["2024-01,2024-02", "2024-02,2024-03"], False),
        (SENTENCES, False),
        (NAMES, True),
        (["2024-02-29", "never"], True),
        (["red", "green"], True),
    ],
    ids=["dates", "windows of dates", "sentences", "long names", "a word among dates", "words"],
)
def test_dates_and_sentences_are_no_categories(values, ends):
    listed = " ".join(f'value: "{value}"' for value in values)
    text = f'feature {{ name: "said" type: BYTES domain: "said" }} string_domain {{ name: "said" {listed} }}'
    found = feature(schema.bind_schema(inferred(text), DATA), "said")
    assert ends == (found.WhichOneof("domain_info") == "domain")
    assert ends == found.HasField("distribution_constraints")


def test_label_that_is_a_number_is_not_bound():
    assert feature(inferred(), "size") == feature(schema.bind_schema(inferred(), NUMBER), "size")


def test_freezing_happens_once_and_is_no_acceptance(tmp_path):
    first, second, frozen = tmp_path / "a", tmp_path / "b", Workspace(tmp_path).schema("plain")
    schema.write_schema(inferred(), first)
    schema.write_schema(schema.bind_schema(inferred(), DATA), second)
    assert "" == schema.accepted_digest(frozen)
    schema.freeze_schema(first, frozen)
    schema.freeze_schema(second, frozen)
    assert inferred() == schema.read_schema(frozen)
    assert "" == schema.accepted_digest(frozen)


def test_accepted_schema_has_a_digest_of_its_own(tmp_path):
    first, frozen = tmp_path / "a", Workspace(tmp_path).schema("plain")
    schema.write_schema(inferred(), first)
    schema.freeze_schema(first, frozen)
    schema.write_schema(schema.bind_schema(inferred(), DATA), frozen)
    accepted = schema.accepted_digest(frozen)
    assert 64 == len(accepted)
    schema.write_schema(inferred(), frozen)
    assert "" == schema.accepted_digest(frozen)


def test_difference_of_schemas(tmp_path):
    frozen = Workspace(tmp_path).schema("plain")
    assert [] == schema.diff_schemas(frozen, inferred())
    schema.write_schema(inferred(), frozen)
    assert [] == schema.diff_schemas(frozen, inferred())
    lines = schema.diff_schemas(frozen, schema.bind_schema(inferred(), DATA))
    assert '+    value: "a"' in lines
    assert "--- frozen" == lines[0]
    for missing in (inferred(), schema.bind_schema(inferred(), NUMBER)):
        missing.ClearField("tensor_representation_group")
        schema.write_schema(missing, frozen)
        missing.tensor_representation_group[""].tensor_representation["size"].dense_tensor.column_name = "size"
        assert [] == schema.diff_schemas(frozen, missing)


@pytest.fixture
def anomalies(tmp_path):
    def write(**splits):
        for split in validate.SPLITS:
            (tmp_path / f"Split-{split}").mkdir()
            content = text_format.Parse(splits.get(split, ""), anomalies_pb2.Anomalies())
            (tmp_path / f"Split-{split}" / validate.ANOMALIES_FILE).write_bytes(content.SerializeToString())
        return tmp_path

    return write


def test_no_anomalies(anomalies):
    assert validate.require_none(anomalies(), "plain") is None


def test_anomalies_are_listed_by_split_and_feature(anomalies):
    folder = anomalies(
        train='anomaly_info { key: "size" value { description: "out of range" } }'
        'anomaly_info { key: "colour" value { description: "new value blue" } }',
        test='anomaly_info { key: "" value { description: "too few rows" } }',
    )
    expected = ["train: colour: new value blue", "train: size: out of range", "test: data set: too few rows"]
    assert expected == validate.describe_anomalies(validate.read_anomalies(folder))
    with pytest.raises(PipelineError, match="do not fit the schema") as caught:
        validate.require_none(folder, "plain")
    assert "keraspipe schema accept plain" in str(caught.value)
    assert "test: data set: too few rows" in str(caught.value)


GATE = Gate(
    at_least={"accuracy": 0.9},
    at_most={"loss": 0.5},
    slices={"label": {"accuracy": 0.8}},
    no_worse={"accuracy": 0.01, "loss": 0.1},
    quick={"accuracy": 0.6},
)


def recipe(gate=GATE, data=DATA, metrics=CLASSIFICATION):
    return SimpleNamespace(data=data, gate=gate, metrics=metrics, predicted="")


def config(*, quick=False, **parts):
    return evaluate.make_config(recipe(**parts), quick=quick)


def metric(found, name):
    return next(m for m in measured(found) if m.config and json.loads(m.config)["name"] == name)


def measured(found):
    return [metric for spec in found.metrics_specs for metric in spec.metrics]


def overall(found, name):
    (one,) = [t for t in metric(found, name).per_slice_thresholds if not t.slicing_specs[0].feature_keys]
    return one.threshold


def test_served_examples_of_candidate_and_baseline_are_evaluated():
    found = config()
    assert [("candidate", False), ("baseline", True)] == [(m.name, m.is_baseline) for m in found.model_specs]
    assert {"serving_examples"} == {m.signature_name for m in found.model_specs}
    assert {("label", "probabilities")} == {(m.label_key, m.prediction_key) for m in found.model_specs}
    assert [[], ["label"]] == [list(spec.feature_keys) for spec in found.slicing_specs]


def test_bounds_of_the_gate():
    found = config()
    accuracy, loss = overall(found, "accuracy"), overall(found, "loss")
    assert 0.9 == accuracy.value_threshold.lower_bound.value
    assert 0.5 == loss.value_threshold.upper_bound.value
    assert not accuracy.value_threshold.HasField("upper_bound")
    assert not accuracy.HasField("change_threshold")  # a paired test decides, not the bare difference
    per_slice = [t for t in metric(found, "accuracy").per_slice_thresholds if t.slicing_specs[0].feature_keys]
    assert [0.8] == [t.threshold.value_threshold.lower_bound.value for t in per_slice]


def test_quick_bounds_replace_the_others():
    found = config(quick=True)
    assert 0.6 == overall(found, "accuracy").value_threshold.lower_bound.value
    assert 1 == len(metric(found, "accuracy").per_slice_thresholds)
    assert not metric(found, "loss").per_slice_thresholds


def test_empty_gate_judges_nothing_and_slices_by_class():
    found = config(gate=Gate())
    assert [] == [m.class_name for m in measured(found) if m.per_slice_thresholds]
    assert ["label"] == list(found.slicing_specs[1].feature_keys)


def test_numbers_are_neither_sliced_nor_confused():
    found = config(gate=Gate(), data=NUMBER, metrics=(Metric("error", "MeanAbsoluteError"),))
    assert ["MeanAbsoluteError", "ExampleCount"] == [m.class_name for m in measured(found)]
    assert "value" == found.model_specs[0].prediction_key
    assert 1 == len(found.slicing_specs)


def test_arguments_of_a_metric_reach_it():
    found = config(gate=Gate(), metrics=(Metric("top", "SparseTopKCategoricalAccuracy", {"k": 2}),))
    assert {"name": "top", "k": 2} == json.loads(metric(found, "top").config)


def test_metric_of_one_class_has_its_own_name():
    found = config(gate=Gate(), metrics=(*CLASSIFICATION, Metric("auc", "AUC", positive="b")))
    (one,) = [spec for spec in found.metrics_specs if spec.HasField("binarize")]
    assert [1] == list(one.binarize.class_ids.values)
    assert ["AUC"] == [m.class_name for m in one.metrics]


def test_metrics_of_the_recipe_itself_are_none_of_tfma():
    assert [] == list(config(gate=Gate(), metrics=(Metric("skill"),)).metrics_specs)
    assert {"skill"} & {m.class_name for m in measured(config(metrics=(*CLASSIFICATION, Metric("skill"))))} == set()


def test_missing_value_here_and_there_is_no_anomaly():
    text = """
    feature { name: "size" type: FLOAT presence { min_fraction: 1 } shape { dim { size: 1 } } }
    feature { name: "image_bytes" type: BYTES presence { min_fraction: 1 } shape { dim { size: 1 } } }
    feature { name: "label" type: BYTES presence { min_fraction: 1 } shape { dim { size: 1 } } }
    """
    data = SimpleNamespace(label="label", classes=(), inputs={"size": "float", "image_bytes": "bytes"})
    bound = schema.bind_schema(inferred(text), data)
    assert (False, 0.95) == (feature(bound, "size").HasField("shape"), feature(bound, "size").presence.min_fraction)
    tensors = bound.tensor_representation_group[""].tensor_representation
    assert ["size"] == [name for name, tensor in tensors.items() if tensor.dense_tensor.HasField("default_value")]
    for name in ("image_bytes", "label"):
        assert feature(inferred(text), name) == feature(bound, name)
    assert bound == schema.bind_schema(bound, data)


def test_vector_gets_its_declared_shape_back():
    data = SimpleNamespace(label="label", classes=(), inputs={"size": "float[2,3]"})
    assert [2, 3] == [dim.size for dim in feature(schema.bind_schema(inferred(), data), "size").shape.dim]


def test_slices_carry_the_names_of_classes():
    assert "label=c" == tfma_results._slice_name([("label", 2)], recipe())
    assert "colour=red, label=a" == tfma_results._slice_name([("colour", "red"), ("label", 0)], recipe())


def test_true_and_false_are_no_domain():
    text = 'feature { name: "said" type: BYTES bool_domain { true_value: "true" false_value: "false" } }'
    found = feature(schema.bind_schema(inferred(text), DATA), "said")
    assert found.WhichOneof("domain_info") is None
    assert not found.HasField("distribution_constraints")


def test_an_anomaly_without_a_description_has_words():
    anomalies = anomalies_pb2.Anomalies()
    anomalies.anomaly_info["said"].reason.add(short_description="Bool domain")
    anomalies.anomaly_info["size"].severity = anomalies_pb2.AnomalyInfo.ERROR
    assert ["train: said: Bool domain", "train: size: its domain in the schema does not fit"] == (
        validate.describe_anomalies({"train": anomalies})
    )
