"""Schema: what SchemaGen infers from train, bound to what the recipe declares and to the frozen schema.

The schema of the first blessed run is frozen in the workspace; later data are validated against it, until
`keraspipe schema accept` takes over what has changed.
"""

from pathlib import Path

from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Schema

from pipeline import atomic, catalogue
from pipeline.datasets.example import Dataset

FILE = "schema.pbtxt"


def read(path: Path) -> schema_pb2.Schema:
    """Reads a schema in text format."""
    from google.protobuf import text_format

    return text_format.Parse(path.read_text(), schema_pb2.Schema())


def write(schema: schema_pb2.Schema, path: Path) -> None:
    """Replaces a schema file."""
    from google.protobuf import text_format

    with atomic.file(path) as beside:
        beside.write_text(text_format.MessageToString(schema))


def bind(inferred: schema_pb2.Schema, data: Dataset) -> schema_pb2.Schema:
    """An inferred schema with what the recipe declares put in: classes, and encoded bytes as mere bytes."""
    bound = schema_pb2.Schema()
    bound.CopyFrom(inferred)
    for feature in bound.feature:
        if feature.name.endswith("_bytes"):
            _clear_domain(feature)
        if feature.name == data.label and data.classes:
            _clear_domain(feature)
            feature.string_domain.name = data.label
            feature.string_domain.value.extend(data.classes)
    return bound


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
    """Writes the frozen schema where there is one, else the inferred one with the recipe's declarations."""
    data = catalogue.load(Path(recipe)).data
    source = Path(frozen) if frozen else Path(inferred.uri) / FILE
    write(bind(read(source), data), Path(schema.uri) / FILE)
