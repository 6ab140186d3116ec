"""What Kubeflow hands to a task, an ExecutorInput, with the artifacts as folders of the workspace.

Kubeflow's launcher copies a task's inputs from a bucket and its outputs there. Here the steps share a volume, as their
record of the run, the champion and the served models do, and the files stay where the next step and the server find
them: Kubeflow notes the artifacts and their lineage, and its bucket stays empty.
"""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

VALUE_TYPE = "tfx.String"  # a file; all other artifacts are folders


class Invocation:
    """An ExecutorInput.

    Args:
        text: The ExecutorInput as JSON.
        home: Folder of the artifacts.
    """

    def __init__(self, text: str, home: Path) -> None:
        self.document = json.loads(text)
        self._home = home

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters by name; to be changed before `local` is called."""
        values: dict[str, Any] = self.document["inputs"]["parameterValues"]
        return values

    @property
    def output_file(self) -> Path:
        """Where Kubeflow looks for the ExecutorOutput."""
        return Path(self.document["outputs"]["outputFile"])

    def path(self, uri: str) -> str:
        """Returns the folder of an artifact's files."""
        return str(self._home / uri.partition("://")[2])

    def outputs(self) -> dict[str, str]:
        """Paths of the outputs by name."""
        return {name: self.path(artifact["uri"]) for name, artifact in _artifacts(self.document["outputs"])}

    def local(self) -> str:
        """The same as JSON with paths for URIs."""
        document = copy.deepcopy(self.document)
        for _, artifact in [*_artifacts(document["inputs"]), *_artifacts(document["outputs"])]:
            artifact["uri"] = self.path(artifact["uri"])
        return json.dumps(document)

    def prepare(self) -> None:
        """Creates empty places for the outputs, and removes files of a killed task."""
        for _, artifact in _artifacts(self.document["outputs"]):
            path = Path(self.path(artifact["uri"]))
            shutil.rmtree(path, ignore_errors=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            if VALUE_TYPE not in str(artifact.get("type")):
                path.mkdir()

    def finish(self) -> None:
        """Replaces paths by Kubeflow's URIs in what the executor has written."""
        document = json.loads(self.output_file.read_text())
        uris = {name: artifact["uri"] for name, artifact in _artifacts(self.document["outputs"])}
        for name, artifact in _artifacts(document):
            artifact["uri"] = uris[name]
        self.output_file.write_text(json.dumps(document))

    def skip(self) -> None:
        """Tells Kubeflow of a step that was not needed: its outputs stay empty."""
        self.prepare()
        self.output_file.parent.mkdir(parents=True, exist_ok=True)
        self.output_file.write_text("{}")


def _artifacts(part: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, entry in part.get("artifacts", {}).items():
        for artifact in entry.get("artifacts", []):
            yield name, artifact
