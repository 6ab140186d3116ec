"""The file for Kubeflow, by Kubeflow's own messages; and its containers' commands, run as Kubeflow's driver would."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2 as messages

from pipeline import cli
from pipeline.kubeflow import compiler
from pipeline.kubeflow import task as kubeflow_task
from pipeline.kubeflow.invocation import Invocation
from pipeline.recipes import catalog, hyperparameters
from pipeline.runs import run
from pipeline.settings import Settings
from pipeline.store import fileio
from pipeline.store.layout import Workspace

if TYPE_CHECKING:
    from pathlib import Path

STEPS = [step.replace("_", "-") for step in run.STEPS]
RUN = "0f8b7f2e-5d43-4a55-9a39-2d4b6c3e1a11"


@dataclass
class Kubeflow:
    """What Kubeflow's driver and launcher do: inputs into an ExecutorInput, the container's command, its output."""

    spec: dict
    folder: Path
    environment: dict
    made: dict = field(default_factory=dict)

    def run(self, task: str) -> subprocess.CompletedProcess:
        """Runs one task and keeps its artifacts."""
        task_spec, component = self.spec["root"]["dag"]["tasks"][task], self.spec["components"][task]
        container = self.spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        output = self.folder / task / "output_metadata.json"
        given = messages.ExecutorInput()
        for name, one in task_spec["inputs"].get("parameters", {}).items():
            value = one["runtimeValue"]["constant"]
            json_format.ParseDict(
                RUN if value == compiler.RUN_ID_PLACEHOLDER else value, given.inputs.parameter_values[name]
            )
        for name, one in task_spec["inputs"].get("artifacts", {}).items():
            source = one["taskOutputArtifact"]
            artifact = self.made[source["producerTask"]][source["outputArtifactKey"]]
            given.inputs.artifacts[name].artifacts.append(artifact)
        for name, one in component.get("outputDefinitions", {}).get("artifacts", {}).items():
            artifact = given.outputs.artifacts[name].artifacts.add(name=f"{task}/{name}")
            artifact.uri = f"minio://mlpipeline/v2/artifacts/digits/{RUN}/{task}/{name}"
            json_format.ParseDict(one["artifactType"], artifact.type)
        given.outputs.output_file = str(output)
        text = json_format.MessageToJson(given)
        command = [*container["command"], *(text if word == "{{$}}" else word for word in container["args"])]
        variables = {one["name"]: one["value"] for one in container["env"]} | self.environment
        assert "python" == command[0]
        done = subprocess.run(
            [sys.executable, *command[1:]], env={**os.environ, **variables}, capture_output=True, text=True, check=False
        )
        self.made[task] = {name: one.artifacts[0] for name, one in given.outputs.artifacts.items()}
        found = json_format.Parse(output.read_text(), messages.ExecutorOutput()) if output.exists() else None
        for name, one in found.artifacts.items() if found else ():
            self.made[task][name].uri = one.artifacts[0].uri
            self.made[task][name].metadata.MergeFrom(one.artifacts[0].metadata)
        return done


def compiled(home: Path, name: str = "digits", **chosen) -> dict:
    """The pipeline with folders of this machine, so that its commands can be run here."""
    source = catalog.find_recipe(name, Settings())
    settings = Settings(workspace=Workspace(home / "workspace"), data=home / "data")
    request = run.RunRequest(source, settings, {**hyperparameters.resolve(source, []), **chosen}, quick=True)
    return compiler.compile_pipeline(request, catalog.pin_recipe(source), compiler.Cluster(tracking_uri=""))[0]


@pytest.fixture(scope="module")
def documents(tmp_path_factory) -> list[dict]:
    """What `keraspipe compile` writes: the pipeline, and what its pods have of Kubernetes."""
    out = tmp_path_factory.mktemp("compile") / "digits.yaml"
    options = ["--gpus", "2", "--root", "gs://bucket/runs", "--image", "registry.example.com/pipeline:7"]
    assert 0 == cli.main(["compile", "digits", "--to", "kubeflow", "--out", str(out), "--set", "epochs=3", *options])
    return list(yaml.safe_load_all(out.read_text()))


@pytest.fixture(scope="module")
def tasks(documents) -> dict:
    return documents[0]["root"]["dag"]["tasks"]


@pytest.fixture(scope="module")
def containers(documents, tasks) -> dict:
    """The container of each step."""
    executors, components = documents[0]["deploymentSpec"]["executors"], documents[0]["components"]
    return {task: executors[components[task]["executorLabel"]]["container"] for task in tasks}


def test_kubeflow_knows_every_field(documents):
    pipeline, platform = documents
    found = json_format.ParseDict({"pipelineSpec": pipeline}, messages.PipelineJob()).pipeline_spec
    parsed = json_format.ParseDict(json_format.MessageToDict(found), messages.PipelineSpec())
    assert ("digits", "2.1.0") == (parsed.pipeline_info.name, parsed.schema_version)
    assert "gs://bucket/runs" == parsed.default_pipeline_root
    json_format.ParseDict(pipeline["deploymentSpec"], messages.PipelineDeploymentConfig())
    json_format.ParseDict(platform, messages.PlatformSpec())


def test_the_tasks_are_the_steps_of_a_run(documents, tasks, containers):
    assert set(STEPS) == set(tasks) == set(documents[0]["components"]) == set(containers)
    assert [f"--step={step}" for step in run.STEPS] == [containers[task]["command"][3] for task in STEPS]


def test_each_task_waits_for_what_it_reads(tasks):
    order = list(
        TopologicalSorter({name: task.get("dependentTasks", []) for name, task in tasks.items()}).static_order()
    )
    assert STEPS == order


def test_inputs_are_outputs_of_the_same_type(documents, tasks):
    components, seen = documents[0]["components"], 0
    for name, task in tasks.items():
        for key, one in task["inputs"].get("artifacts", {}).items():
            source = one["taskOutputArtifact"]
            made = components[source["producerTask"]]["outputDefinitions"]["artifacts"][source["outputArtifactKey"]]
            assert source["producerTask"] in task["dependentTasks"]
            assert components[name]["inputDefinitions"]["artifacts"][key]["artifactType"] == made["artifactType"]
            seen += 1
        assert set(task["inputs"]["parameters"]) == set(components[name]["inputDefinitions"]["parameters"])
    assert seen > len(tasks)


def test_nothing_is_taken_from_a_cache_that_does_not_see_the_data(tasks):
    assert not any(task.get("cachingOptions", {}).get("enableCache") for task in tasks.values())


def test_only_the_training_asks_for_gpus(containers):
    train = containers.pop("train")
    assert {"type": "nvidia.com/gpu", "count": "2"} == train["resources"]["accelerator"]
    assert "keraspipe/trainer:local" == train["image"]
    assert {"registry.example.com/pipeline:7"} == {one["image"] for one in containers.values()}
    assert not any("accelerator" in one["resources"] for one in containers.values())


def test_all_steps_know_how_the_training_is_done(containers):
    environments = [container["env"] for container in containers.values()]
    assert all(environments[0] == one for one in environments)
    found = {entry["name"]: entry["value"] for entry in environments[0]}
    assert ("mixed_bfloat16", "auto") == (found["KERASPIPE_MIXED_PRECISION"], found["KERASPIPE_DISTRIBUTION"])


def test_containers_find_their_folders_and_mlflow(documents, containers):
    for container in containers.values():
        found = {entry["name"]: entry["value"] for entry in container["env"]}
        assert ("/workspace", "/data") == (found["KERASPIPE_WORKSPACE"], found["KERASPIPE_DATA"])
        assert "http://mlflow:5000" == found["MLFLOW_TRACKING_URI"]
    executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(documents[0]["deploymentSpec"]["executors"]) == set(executors)
    mounts = [{"constant": claim, "mountPath": path} for path, claim in compiler.CLAIMS.items()]
    assert all(mounts == one["pvcMount"] for one in executors.values())


def test_recipe_and_hyperparameters_are_those_of_the_image(documents, tasks, containers):
    found = tasks["ingest"]["inputs"]["parameters"]["recipe"]["runtimeValue"]["constant"]
    assert "/app/models/digits.py" == found
    (request,) = {one["command"][4] for one in containers.values()}
    assert 3 == json.loads(request.removeprefix("--request="))["params"]["epochs"]


def test_nothing_of_this_machine_gets_in(tmp_path):
    assert str(tmp_path / "workspace/schemas/digits/schema.pbtxt") in json.dumps(compiled(tmp_path))
    assert [] == list(tmp_path.iterdir())


def test_names_are_such_as_kubernetes_takes(tmp_path):
    pipeline = compiled(tmp_path, "mnist_mlp")
    assert "mnist-mlp" == pipeline["pipelineInfo"]["name"]
    names = {*pipeline["root"]["dag"]["tasks"], *pipeline["components"]}
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) for name in names)


def test_equal_requests_give_equal_files(documents):
    source = catalog.find_recipe("digits", Settings())
    request = compiler.image_request(run.RunRequest(source, Settings(), hyperparameters.resolve(source, ["epochs=3"])))
    where = compiler.Cluster("registry.example.com/pipeline:7", root="gs://bucket/runs", gpus=2)
    assert documents == compiler.compile_pipeline(request, catalog.pin_recipe(source), where)


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["digit"], 2, "did you mean digits?"),
        (["digits", "--root", "/workspace/artifacts"], 2, "gs://BUCKET/FOLDER"),
        (["digits", "--root", "gs://"], 2, "gs://BUCKET/FOLDER"),
        (["digits", "--gpus", "-1"], 2, "--gpus 0 or more"),
        (["digits", "--set", "epoch=1"], 2, "did you mean epochs?"),
        (["digits", "--out", "{folder}/file/digits.yaml"], 1, "--out FILE"),
        (["digits", "--out", "{folder}"], 1, "--out FILE"),
    ],
)
def test_an_error_says_what_to_do(words, code, expected, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    words = [word.format(folder=tmp_path) for word in words]
    assert code == cli.main(["compile", "--to", "kubeflow", "--out", str(tmp_path / "out.yaml"), *words])
    assert expected in capsys.readouterr().err
    assert ["file"] == [path.name for path in tmp_path.iterdir()]


def test_a_recipe_that_fails_leaves_the_file_of_before(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(compiler, "ROOT", tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/mine.py").write_text(
        catalog.find_recipe("digits", Settings()).text + "\nraise ValueError('broken')\n"
    )
    monkeypatch.setenv("KERASPIPE_RECIPES", str(tmp_path / "models"))
    out = tmp_path / "mine.yaml"
    out.write_text("before")
    assert 1 == cli.main(["compile", "mine", "--to", "kubeflow", "--out", str(out)])
    assert "broken" in capsys.readouterr().err
    assert "before" == out.read_text()


def test_a_recipe_that_is_not_in_the_image_is_refused(tmp_path, capsys, monkeypatch):
    (tmp_path / "mine.py").write_text(catalog.find_recipe("digits", Settings()).text)
    monkeypatch.setenv("KERASPIPE_RECIPES", str(tmp_path))
    assert 2 == cli.main(["compile", "mine", "--to", "kubeflow", "--out", str(tmp_path / "out.yaml")])
    assert "build the image again" in capsys.readouterr().err


def test_a_request_comes_back_from_its_container():
    settings = Settings()
    source = catalog.find_recipe("digits", settings)
    request = run.RunRequest(
        source, settings, {"filters": (8, 16), "rate": 0.1}, quick=True, seed=3, alias="challenger"
    )
    found = kubeflow_task.parse_request(compiler.request_json(request), settings)
    assert request == replace(found, source=source)
    assert source.path == found.source.path


def test_outputs_start_empty_and_get_kubeflows_names_back(tmp_path):
    uri = "minio://bucket/run/train/model"
    outputs = {"model": {"artifacts": [{"uri": uri, "type": {"schemaTitle": "tfx.Model"}}]}}
    given = {"inputs": {"parameterValues": {}}, "outputs": {"artifacts": outputs, "outputFile": str(tmp_path / "out")}}
    call = Invocation(json.dumps(given), tmp_path)
    model = tmp_path / "bucket/run/train/model"
    model.mkdir(parents=True)
    (model / "half").write_text("of a task that was killed")
    call.prepare()
    assert ({"model": str(model)}, []) == (call.outputs(), list(model.iterdir()))
    (tmp_path / "out").write_text(json.dumps({"artifacts": json.loads(call.local())["outputs"]["artifacts"]}))
    assert str(model) in call.output_file.read_text()
    call.finish()
    assert {"artifacts": outputs} == json.loads(call.output_file.read_text())


@pytest.mark.long
@pytest.mark.process
def test_the_first_commands_run(tmp_path):
    kubeflow = Kubeflow(compiled(tmp_path), tmp_path / "tasks", {})
    for task in ("ingest", "statistics"):
        done = kubeflow.run(task)
        assert 0 == done.returncode, done.stderr
    assert f"minio://mlpipeline/v2/artifacts/digits/{RUN}/ingest/examples" == kubeflow.made["ingest"]["examples"].uri
    assert '["train", "eval", "test"]' == kubeflow.made["ingest"]["examples"].metadata["split_names"]
    (found,) = (tmp_path / "workspace").glob(f"artifacts/digits/**/{RUN}/statistics/statistics")
    assert {"Split-train", "Split-eval", "Split-test"} == {path.name for path in found.iterdir()}
    result = fileio.read_json(tmp_path / f"workspace/runs/digits-{RUN}/result.json")
    assert ["ingest", "statistics"] == [step["name"] for step in result["steps"]]


@pytest.mark.process
def test_a_step_that_fails_says_why(tmp_path):
    kubeflow = Kubeflow(compiled(tmp_path), tmp_path / "tasks", {})
    (tmp_path / "workspace").write_text("no folder")
    done = kubeflow.run("ingest")
    assert 1 == done.returncode
    assert "Next: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.process
def test_a_whole_run_publishes_and_is_recorded(tmp_path):
    kubeflow = Kubeflow(compiled(tmp_path, epochs=25), tmp_path / "tasks", {})
    for task in STEPS:
        done = kubeflow.run(task)
        assert 0 == done.returncode, (task, done.stderr)
    workspace = tmp_path / "workspace"
    assert (workspace / "serving/digits/1/saved_model.pb").exists()
    recorded = fileio.read_json(workspace / f"runs/digits-{RUN}/recorded.json")
    assert (True, "1") == (recorded["complete"], recorded["model_version"])


@pytest.mark.slow
@pytest.mark.process
def test_a_model_that_is_not_blessed_ends_the_run(tmp_path):
    kubeflow = Kubeflow(compiled(tmp_path, epochs=1), tmp_path / "tasks", {})
    codes = [kubeflow.run(task).returncode for task in STEPS[: STEPS.index("gate") + 1]]
    assert [*[0] * (len(codes) - 1), 3] == codes
    assert not (tmp_path / "workspace/serving/digits").exists()
