"""Where two components meet: each joint has a number on either side, and the two have to agree.

What no joint knows is found by `Sizes`, which passes a picture and a caption through.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from diffusers import SD3Transformer2DModel, UNet2DConditionModel, UVit2DModel

from emu.errors import UserError
from emu.parts.token_upscaler import TokenUpscaler2DModel

Parts = dict[str, Any]


@dataclass(frozen=True)
class Joint:
    """Two settings by their names, such as `vae.latent_channels`, and their numbers."""

    left: str
    a: int
    right: str
    b: int
    at_most: bool = False
    """The left number may be smaller."""

    def check(self) -> None:
        """Raises UserError, with both numbers, where they do not agree."""
        if self.a > self.b if self.at_most else self.a != self.b:
            relation = "more than" if self.at_most else "not"
            raise UserError(f"components.{self.left} is {self.a:,}, {relation} {self.right}, which is {self.b:,}")


def check(parts: Parts, slot: str, *, beside: int = 0) -> None:
    """Raises UserError at the first joint that does not hold.

    slot: the component that trains; beside: the channels that it takes of a picture that it starts from.
    """
    for joint in (*texts(parts), *backbone(parts, slot, beside)):
        joint.check()


def texts(parts: Parts) -> Iterator[Joint]:
    """What a tokenizer gives, its text encoder reads."""
    for name, encoder in encoders(parts):
        tokenizer = name.replace("text_encoder", "tokenizer")
        if (reader := parts.get(tokenizer)) is None:
            continue
        yield Joint(f"{tokenizer} entries", len(reader), f"{name}.vocab_size", encoder.vocab_size, at_most=True)
        if rows := getattr(encoder, "rows", None):  # of a sequence that it shares with others
            yield Joint(f"{tokenizer}.max_length", reader.model_max_length, f"{name}.rows[1]", rows[1])
        if positions := getattr(encoder, "max_position_embeddings", None):
            yield Joint(
                f"{tokenizer}.max_length", reader.model_max_length, f"{name}.max_position_embeddings", positions, True
            )


def encoders(parts: Parts) -> list[tuple[str, Any]]:
    """The text encoders that are there with their configs."""
    return [(n, part.config) for n, part in parts.items() if n.startswith("text_encoder") and part is not None]


def backbone(parts: Parts, slot: str, beside: int) -> Iterator[Joint]:
    """What encoders give, the network that trains reads."""
    network: Any = parts[slot]
    if isinstance(network, UNet2DConditionModel):
        yield from _unet(parts, network.config, slot, beside)
    for kind, joints in TRANSFORMERS.items():
        if isinstance(network, kind):
            yield from joints(parts, network.config, slot)


def _unet(parts: Parts, config: Any, slot: str, beside: int) -> Iterator[Joint]:
    drawn, name = config.in_channels - beside, f"{slot}.in_channels" + f" - {beside}" * bool(beside)
    if vae := parts.get("vae"):
        yield Joint("vae.latent_channels", vae.config.latent_channels, name, drawn)
        yield Joint(f"{slot}.out_channels", config.out_channels, name, drawn)
    else:
        # a second half, where there is one, is the variance
        shown = config.out_channels if config.out_channels != 2 * drawn else drawn
        yield Joint(f"{slot}.out_channels", shown, name, drawn)
    reads = "encoder_hid_dim" if config.encoder_hid_dim else "cross_attention_dim"
    names = [name for name, _ in encoders(parts)]
    together = sum(text.hidden_size for _, text in encoders(parts))
    yield Joint(f"{' + '.join(names)}.hidden_size", together, f"{slot}.{reads}", config[reads])


def _uvit(parts: Parts, config: Any, slot: str) -> Iterator[Joint]:
    vq, text = parts["vqvae"].config, parts["text_encoder"].config
    yield Joint("vqvae.num_vq_embeddings", vq.num_vq_embeddings, f"{slot}.codebook_size", config.codebook_size)
    mask = parts["scheduler"].config.mask_token_id
    yield Joint("scheduler.mask_token_id", mask, f"{slot}.vocab_size - 1", config.vocab_size - 1, at_most=True)
    yield Joint(f"{slot}.codebook_size", config.codebook_size, "scheduler.mask_token_id", mask, at_most=True)
    hidden, pooled = config.encoder_hidden_size, config.cond_embed_dim
    yield Joint("text_encoder.hidden_size", text.hidden_size, f"{slot}.encoder_hidden_size", hidden)
    yield Joint("text_encoder.projection_dim", text.projection_dim, f"{slot}.cond_embed_dim", pooled)


def _token_upscaler(parts: Parts, config: Any, slot: str) -> Iterator[Joint]:
    for name, setting in (("vqvae", "codebook_size"), ("low_vqvae", "low_codebook_size")):
        yield Joint(
            f"{name}.num_vq_embeddings", parts[name].config.num_vq_embeddings, f"{slot}.{setting}", config[setting]
        )
    mask = parts["scheduler"].config.mask_token_id
    yield Joint("scheduler.mask_token_id", mask, f"{slot}.codebook_size", config.codebook_size)
    width = parts["text_encoder"].config.hidden_size
    yield Joint("text_encoder.hidden_size", width, f"{slot}.encoder_hidden_size", config.encoder_hidden_size)


def _sd3(parts: Parts, config: Any, slot: str) -> Iterator[Joint]:
    latents = parts["vae"].config.latent_channels
    yield Joint("vae.latent_channels", latents, f"{slot}.in_channels", config.in_channels)
    pooled = sum(text.projection_dim for name, text in encoders(parts) if name != "text_encoder_3")
    reads = config.pooled_projection_dim
    yield Joint("text_encoder + text_encoder_2.projection_dim", pooled, f"{slot}.pooled_projection_dim", reads)
    if parts.get("text_encoder_3") is not None:
        width = parts["text_encoder_3"].config.hidden_size
        yield Joint("text_encoder_3.hidden_size", width, f"{slot}.joint_attention_dim", config.joint_attention_dim)


TRANSFORMERS: dict[type[Any], Callable[[Parts, Any, str], Iterator[Joint]]] = {
    UVit2DModel: _uvit,
    TokenUpscaler2DModel: _token_upscaler,
    SD3Transformer2DModel: _sd3,
}
