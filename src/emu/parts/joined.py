"""CLIP and T5 read together: what each says of a caption, one after the other (arXiv 2309.15807, section 3.1).

The paper does not say how its two encoders are joined. Along the channels, as SDXL joins two CLIPs, the i-th token of
one would stand beside the i-th of the other; CLIP's pieces of words and T5's are no such pairs, and there are 77 of one
and more of the other. So they are joined along the sequence, and attention finds what it needs in either.

Notable: the pipeline is plain diffusers' StableDiffusionXLPipeline, with its size and crop conditions. That puts
encoders side by side, so each of these leaves zeros where the other speaks:

    rows of T5    0 ... 0   t5 ... t5
    rows of CLIP  clip ...  0  ...  0

The U-Net's own `encoder_hid_dim` layer, which reads both widths, then projects either with weights of its own.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, PreTrainedModel, T5Config, T5EncoderModel
from transformers.modeling_outputs import BaseModelOutput

__all__ = ["JoinedCLIPTextModel", "JoinedT5EncoderModel", "PreTrainedModel"]  # diffusers finds a class by that base


class JoinedT5Config(T5Config):
    """`rows`: of zeros before, of T5's own tokens, of zeros after."""

    rows: Any = (0, 128, 0)


class JoinedCLIPTextConfig(CLIPTextConfig):
    """`rows`: of zeros before, of CLIP's own tokens, of zeros after."""

    rows: Any = (0, 77, 0)


class JoinedT5EncoderModel(T5EncoderModel):
    """T5's last layer in its rows of the joint sequence; zeros beyond the caption's end, which T5 does not read."""

    config_class = JoinedT5Config

    def forward(self, input_ids: Tensor, **ignored: Any) -> BaseModelOutput:
        """int64 (b,n) -> its tokens as the last state, and (b, sum of rows, width) as the hidden ones."""
        config: Any = self.config
        tokens = own_tokens(input_ids, config)
        read: Tensor = tokens != config.pad_token_id
        said: Tensor = super().forward(tokens, attention_mask=read.long()).last_hidden_state * read[..., None]
        joined = in_rows(said, config.rows)
        return BaseModelOutput(last_hidden_state=said, hidden_states=(joined, joined))  # SDXL takes the last but one


class JoinedCLIPTextModel(CLIPTextModelWithProjection):
    """CLIP's last layer but one in its rows of the joint sequence, and its summary of the whole caption."""

    config_class = JoinedCLIPTextConfig

    def forward(self, input_ids: Tensor, **ignored: Any) -> Any:
        """int64 (b,n) -> as the base's, the hidden states (b, sum of rows, width)."""
        said = super().forward(own_tokens(input_ids, self.config), output_hidden_states=True)
        said.hidden_states = tuple(in_rows(state, self.config.rows) for state in said.hidden_states)
        return said


def own_tokens(ids: Tensor, config: Any) -> Tensor:
    """At most the encoder's own number of tokens: SDXL's pipeline pads what it leads away from to the joint length."""
    number = config.rows[1]
    cut = ids[:, :number].clone()
    if ids.shape[1] > number:
        last = cut[:, -1]
        cut[:, -1] = torch.where(last == config.pad_token_id, last, config.eos_token_id)
    return cut


def in_rows(said: Tensor, rows: list[int]) -> Tensor:
    """(b,n,w) -> (b, sum of rows, w), zeros before and after."""
    before, own, after = rows
    return F.pad(said, (0, 0, before, own - said.shape[1] + after))
