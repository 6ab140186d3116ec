"""Schema: the one that SchemaGen infers from train, completed by the recipe's declarations, or the frozen one.

The schema of the first blessed run (one whose model passed the gate) is frozen in the workspace; later data are
validated against it, until `keraspipe schema accept` accepts the changes.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path

from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Schema
from tfx_bsl.tfxio import tensor_representation_util

from pipeline.features import dates, targets, text, truth, types
from pipeline.formats.base import Dataset
from pipeline.recipes import catalog
from pipeline.store import fileio, hashing

SCHEMA_FILE = "schema.pbtxt"
ORIGIN_FILE = "origin.json"
DOMAIN_MASS = 0.95
MOST_NAMES = 20  # a column of few long names is a category: "Never worked for pay"
PRESENT = 0.95


def read_schema(path: Path) -> schema_pb2.Schema:
    """Reads a schema in text format."""
    from google.protobuf import text_format

    return text_format.Parse(path.read_text(), schema_pb2.Schema())


def write_schema(schema: schema_pb2.Schema, path: Path) -> None:
    """Replaces a schema file."""
    from google.protobuf import text_format

    with fileio.replace_file(path) as temporary:
        temporary.write_text(text_format.MessageToString(schema))


def freeze_schema(schema: Path, frozen: Path) -> None:
    """Freezes the schema of the first blessed run; does nothing if one is frozen already."""
    if not frozen.exists():
        fileio.write_json(frozen.with_name(ORIGIN_FILE), {"digest": hashing.digest(schema.read_text())})
        write_schema(read_schema(schema), frozen)


def accepted_digest(frozen: Path) -> str:
    """Returns the digest of a frozen schema that was changed since it was frozen; empty if it was not.

    Freezing stores the step's own output, so freezing alone must not make the step run again.
    """
    if not frozen.exists():
        return ""
    digest = hashing.digest(frozen.read_text())
    origin = fileio.read_json(frozen.with_name(ORIGIN_FILE), {})
    return "" if origin.get("digest") == digest else digest


def diff_schemas(frozen: Path, newest: schema_pb2.Schema) -> list[str]:
    """Returns the changed lines from the frozen schema to another, in text format; empty if none is frozen.

    Tensors follow from the columns and say nothing new about the data.
    """
    if not frozen.exists():
        return []
    before, now = (_column_lines(schema) for schema in (read_schema(frozen), newest))
    return list(difflib.unified_diff(before, now, "frozen", "newest data", lineterm=""))


def _column_lines(schema: schema_pb2.Schema) -> list[str]:
    from google.protobuf import text_format

    columns = schema_pb2.Schema()
    columns.CopyFrom(schema)
    columns.ClearField("tensor_representation_group")
    return text_format.MessageToString(columns).splitlines()


def bind_schema(inferred: schema_pb2.Schema, data: Dataset) -> schema_pb2.Schema:
    """Returns an inferred schema with the recipe's declarations: classes, and encoded files as plain bytes."""
    bound = schema_pb2.Schema()
    bound.CopyFrom(inferred)
    answers = targets.target_kinds(data)
    for feature in bound.feature:
        values = _domain_values(bound, feature)
        identifies = feature.name in getattr(data, "identifiers", ())
        open_ended = feature.name.endswith("_bytes") or identifies or _is_open_ended(values)
        if open_ended or _is_truth(feature, values) or _is_code(feature):
            _clear_domain(feature)
        elif values:  # TFDV knows it of texts alone
            # A rare category that is by chance in one split only is no anomaly; a frequent new one is.
            feature.distribution_constraints.min_domain_mass = DOMAIN_MASS
        if feature.name in data.inputs:
            _bind_shape(bound, feature, data.inputs[feature.name])
        if feature.name in answers:
            _bind_target(feature, answers[feature.name])
        if feature.name == data.label and data.classes:
            _clear_domain(feature)
            feature.string_domain.name = data.label
            feature.string_domain.value.extend(data.classes)
    _complete_tensors(bound)
    return bound


def _bind_shape(schema: schema_pb2.Schema, feature: schema_pb2.Feature, declared: str) -> None:
    name, shape = types.parse_kind(declared)
    if shape:  # the file holds a flat list
        feature.ClearField("value_count")
        feature.shape.CopyFrom(schema_pb2.FixedShape(dim=[{"size": size} for size in shape]))
    elif name != "int" and not feature.name.endswith("_bytes"):
        # A few missing values are no anomaly, even if train has none by chance; many are.
        feature.ClearField("shape")
        feature.presence.min_fraction = min(feature.presence.min_fraction, PRESENT)
    if not feature.HasField("shape"):  # some rows may be without a value
        _fill_missing(schema, feature.name, name)


def _bind_target(feature: schema_pb2.Feature, declared: str) -> None:
    """Declares what ingest has checked and padded: every row has it, and any value may come."""
    _clear_domain(feature)
    feature.ClearField("value_count")
    sizes = types.parse_kind(declared)[1] or (1,)
    feature.shape.CopyFrom(schema_pb2.FixedShape(dim=[{"size": size} for size in sizes]))


def _fill_missing(schema: schema_pb2.Schema, feature: str, kind: str) -> None:
    """Declares what stands for a missing value in Transform: a sparse tensor would cost it three times as much."""
    representations = schema.tensor_representation_group[""].tensor_representation
    tensor = schema_pb2.TensorRepresentation.DenseTensor(column_name=feature, shape={"dim": [{"size": 1}]})
    setattr(tensor.default_value, f"{kind}_value", types.MISSING_VALUES[kind])
    representations[feature].dense_tensor.CopyFrom(tensor)


def _complete_tensors(schema: schema_pb2.Schema) -> None:
    """Declares the tensors of all columns if some are declared: TFX's Transform finds no others when it analyzes."""
    if "" not in schema.tensor_representation_group:
        return
    representations = schema.tensor_representation_group[""].tensor_representation
    for name, tensor in tensor_representation_util.InferTensorRepresentationsFromMixedSchema(schema).items():
        representations[name].CopyFrom(tensor)


def _domain_values(schema: schema_pb2.Schema, feature: schema_pb2.Feature) -> Sequence[str]:
    """Returns the values of a feature's domain; empty without a domain."""
    named = next((domain.value for domain in schema.string_domain if domain.name == feature.domain), ())
    return named or feature.string_domain.value


def _is_open_ended(values: Sequence[str]) -> bool:
    """Returns whether these are dates (one, or those of a window) or sentences: every row has new ones."""
    if all(dates.iso(value.rpartition(",")[2]) for value in values):
        return bool(values)
    words = sum(len(value.split()) for value in values)
    return len(values) > MOST_NAMES and words >= text.FREE_WORDS * len(values)


def _is_truth(feature: schema_pb2.Feature, values: Sequence[str]) -> bool:
    """Returns whether these are true and false, which any word may say; as a domain TFDV finds fault with them."""
    return feature.WhichOneof("domain_info") == "bool_domain" or truth.are_truth_values(values)


def _is_code(feature: schema_pb2.Feature) -> bool:
    """Returns whether all texts are digits, as "00501": TFDV takes them for numbers, and letters later for a fault."""
    return feature.type == schema_pb2.BYTES and feature.WhichOneof("domain_info") in ("int_domain", "float_domain")


def _clear_domain(feature: schema_pb2.Feature) -> None:
    kind = feature.WhichOneof("domain_info")
    if kind:
        feature.ClearField(kind)
    feature.ClearField("distribution_constraints")


@component
def BoundSchema(  # noqa: N802
    inferred: InputArtifact[Schema],
    schema: OutputArtifact[Schema],
    recipe: Parameter[str],
    frozen: Parameter[str],
    digest: Parameter[str],  # noqa: ARG001  (the recipe's declarations and the frozen schema, for TFX's cache)
) -> None:
    """Writes the frozen schema if there is one, else the inferred one with the recipe's declarations."""
    data = catalog.load_recipe(Path(recipe)).data
    source = Path(frozen) if Path(frozen).exists() else Path(inferred.uri) / SCHEMA_FILE
    write_schema(bind_schema(read_schema(source), data), Path(schema.uri) / SCHEMA_FILE)
