"""Published layouts: diffusers' own conversion gives back what they are made of; their names are the published ones."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES
from torch import Tensor

from emu.errors import UserError
from emu.originals import Piece, layout
from emu.originals.checkpoints import stored
from emu.originals.inverse import Guess, inverse
from emu.pipeline_folders import tensor_files
from pipelines import build

TRANSFORMERS = [
    "flow", "z_image", "flux", "chroma", "flux2_klein", "qwen_image", "krea2", "lumina2", "sana", "auraflow",
    "qwen_image_21", "ernie_image", "hidream",
]  # fmt: skip
DROPPED = {"sana": {"pos_embed": torch.zeros(1), "y_embedder.y_embedding": torch.zeros(1)}}
# Rows of what diffusers cuts at the published sizes alone.
PUBLISHED = {
    "flux": {"single_transformer_blocks": (3072, 12288)},
    "chroma": {"single_transformer_blocks": (3072, 12288)},
    "lumina2": {"attn.to_q": (2304, 0), "attn.to_k": (768, 0), "attn.to_v": (768, 0)},
}


def network(name: str, part: str) -> tuple[str, dict[str, Tensor], Mapping[str, Any]]:
    """Class, weights and config of a tiny network; rows that diffusers counts are as many as it counts."""
    one = getattr(build(name), part)
    state = {key: torch.randn_like(tensor) for key, tensor in one.state_dict().items()}
    for inside, (rows, wide) in PUBLISHED.get(name, {}).items() if part != "vae" else ():
        for key, tensor in state.items():
            if inside in key and (".to_" in key or ".proj_mlp." in key):
                state[key] = torch.randn(wide if ".proj_mlp." in key else rows, *tensor.shape[1:])
    return type(one).__name__, state, dict(one.config)


@pytest.mark.parametrize(
    ("name", "part"),
    [*((name, "transformer") for name in TRANSFORMERS), ("latent", "unet"), ("latent_xl", "unet"), ("latent", "vae")],
)
def test_what_is_published_becomes_what_it_was_made_of(name: str, part: str) -> None:
    kind, state, config = network(name, part)
    held = {key: tensor_files.of(tensor) for key, tensor in state.items()}
    made = {key: stored(original, held).read() for key, original in layout(kind, state, config).items()}
    prefix = "model.diffusion_model." if part == "unet" else ""
    published = {prefix + key: tensor.clone() for key, tensor in made.items()} | DROPPED.get(name, {})
    back = SINGLE_FILE_LOADABLE_CLASSES[kind]["checkpoint_mapping_fn"](checkpoint=published, config=config)
    torch.testing.assert_close({key: back[key] for key in state}, state, rtol=0, atol=0)


# Some names of each family, written down from the published files and from ComfyUI's detection of models.
NAMES = {
    ("latent", "unet"): "time_embed.0.weight input_blocks.0.0.weight input_blocks.1.0.in_layers.0.weight "
    "input_blocks.2.0.op.weight input_blocks.3.1.transformer_blocks.0.attn2.to_k.weight "
    "middle_block.1.proj_in.weight middle_block.2.out_layers.3.bias output_blocks.1.2.conv.weight "
    "output_blocks.3.0.skip_connection.weight out.2.bias",
    ("latent_xl", "unet"): "label_emb.0.0.weight label_emb.0.2.bias",
    ("latent", "vae"): "encoder.down.0.block.0.norm1.weight encoder.mid.attn_1.q.weight encoder.mid.block_2.conv1.bias "
    "decoder.up.1.upsample.conv.weight decoder.up.0.block.1.conv2.weight decoder.norm_out.weight quant_conv.weight",
    ("flow", "transformer"): "joint_blocks.0.context_block.attn.qkv.weight joint_blocks.0.x_block.mlp.fc1.weight "
    "x_embedder.proj.weight y_embedder.mlp.0.weight context_embedder.weight pos_embed final_layer.linear.weight "
    "joint_blocks.1.context_block.adaLN_modulation.1.bias",
    ("flux", "transformer"): "double_blocks.0.img_attn.norm.key_norm.scale img_in.weight guidance_in.in_layer.bias "
    "vector_in.in_layer.weight single_blocks.0.linear1.weight single_blocks.0.modulation.lin.bias txt_in.weight "
    "double_blocks.0.txt_mlp.2.weight final_layer.adaLN_modulation.1.weight time_in.out_layer.weight",
    ("chroma", "transformer"): "distilled_guidance_layer.in_proj.bias distilled_guidance_layer.norms.0.scale "
    "distilled_guidance_layer.layers.0.in_layer.weight double_blocks.0.img_attn.qkv.bias final_layer.linear.weight",
    ("flux2_klein", "transformer"): "double_stream_modulation_img.lin.weight single_stream_modulation.lin.weight "
    "double_blocks.0.img_attn.norm.key_norm.scale img_in.weight single_blocks.0.linear2.weight",
    ("z_image", "transformer"): "cap_embedder.1.weight layers.0.attention.qkv.weight layers.0.attention.k_norm.weight "
    "noise_refiner.0.attention.out.weight x_embedder.weight final_layer.linear.weight x_pad_token cap_pad_token "
    "layers.0.adaLN_modulation.0.weight context_refiner.0.attention_norm1.weight layers.0.feed_forward.w1.weight",
    ("lumina2", "transformer"): "cap_embedder.1.weight layers.0.attention.qkv.weight layers.0.feed_forward.w3.weight "
    "noise_refiner.0.attention.k_norm.weight t_embedder.mlp.0.weight layers.0.adaLN_modulation.1.weight "
    "context_refiner.0.attention_norm1.weight context_refiner.0.attention_norm2.weight x_embedder.weight",
    ("sana", "transformer"): "blocks.0.cross_attn.kv_linear.weight blocks.0.mlp.point_conv.conv.weight t_block.1.bias "
    "attention_y_norm.weight y_embedder.y_proj.fc1.weight final_layer.scale_shift_table",
    ("auraflow", "transformer"): "double_layers.0.attn.w1q.weight cond_seq_linear.weight positional_encoding "
    "single_layers.0.modCX.1.weight modF.1.weight init_x_linear.weight register_tokens",
    ("krea2", "transformer"): "txtfusion.projector.weight blocks.0.attn.wq.weight blocks.0.mod.lin first.weight "
    "last.modulation.lin tproj.1.weight blocks.0.prenorm.scale",
    ("qwen_image_21", "transformer"): "transformer_blocks.0.img_mlp.gate_up.weight img_in.weight",
}  # fmt: skip


@pytest.mark.parametrize(("name", "part"), list(NAMES))
def test_names_are_those_that_are_published(name: str, part: str) -> None:
    kind, state, config = network(name, part)
    assert set(NAMES[name, part].split()) <= layout(kind, state, config).keys()


def test_rows_are_cut_swapped_turned_and_laid_behind_each_other() -> None:
    def convert(published: dict[str, Tensor]) -> dict[str, Tensor]:
        q, rest = published["fused"].split([3, 9])
        shift, scale = published["modulation"].chunk(2)
        return {
            "q": q, "rest": rest, "turned": published["projection"].T, "table": published["flat"].reshape(3, 4),
            "swapped": torch.cat([scale, shift]), "of_no_use": published["guess"],
        }  # fmt: skip

    names = ["fused", "modulation", "projection", "guess"]
    guesses = [*(Guess(name, (12, 2)) for name in names), Guess("flat", (12,))]
    found = inverse(guesses, convert, ["q", "rest", "turned", "table", "swapped"])
    assert found.keys() == {"fused", "modulation", "projection", "flat"}
    assert found["fused"].pieces == (Piece("q"), Piece("rest"))
    half = Fraction(1, 2)
    assert found["modulation"].pieces == (Piece("swapped", half, Fraction(1)), Piece("swapped", Fraction(0), half))
    assert (found["projection"].form, found["flat"].form) == ("transposed", "flat")


def test_what_no_conversion_makes_is_named() -> None:
    with pytest.raises(ValueError, match="makes no q, nor 0 others"):
        inverse([Guess("fused", (12, 2))], lambda published: {"k": published["fused"]}, ["q"])
    with pytest.raises(ValueError, match="makes more of a tensor than q"):
        inverse([Guess("fused", (12, 2))], lambda published: {"q": published["fused"][:6]}, ["q"])
    kind, state, config = network("prx", "transformer")
    with pytest.raises(UserError, match="reads no single file of a PRXTransformer2DModel"):
        layout(kind, state, config)
