"""The family's losses against the same computed by hand, draw for draw, as diffusers' own training scripts compute it.

Each function below follows the named script of diffusers' examples/dreambooth (of 2026-08, commit 58eb52c), or the
pipeline's own loop where there is no script; packing, places and shifts are the pipelines' own functions.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    ChromaPipeline,
    Flux2KleinPipeline,
    FluxPipeline,
    Krea2Pipeline,
    LongCatImagePipeline,
    OvisImagePipeline,
    QwenImage21Pipeline,
    QwenImagePipeline,
)
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu
from diffusers.pipelines.longcat_image.pipeline_longcat_image import prepare_pos_ids
from torch import Tensor

from architectures import FLOW, encoded, make

Folder = Callable[[str], Path]
Cond = dict[str, Tensor]


def sampled(moments: Tensor) -> Tensor:
    return DiagonalGaussianDistribution(moments).sample()


def shifted_and_scaled(moments: Tensor, vae: Any) -> Tensor:
    return (sampled(moments) - vae.config.shift_factor) * vae.config.scaling_factor


def by_channel(moments: Tensor, vae: Any) -> Tensor:
    """train_dreambooth_lora_qwen_image.py, 1221-1222 and 1737"""
    mean = torch.tensor(vae.config.latents_mean).view(1, vae.config.z_dim, 1, 1)
    std = 1.0 / torch.tensor(vae.config.latents_std).view(1, vae.config.z_dim, 1, 1)
    return (sampled(moments) - mean) * std


def by_batch_norm(moments: Tensor, vae: Any, eps: float = 1e-4) -> Tensor:
    """train_dreambooth_lora_flux2_klein.py, 1214-1218 and 1826-1830"""
    latents = Flux2KleinPipeline._patchify_latents(DiagonalGaussianDistribution(moments).mode())
    mean, std = vae.bn.running_mean.view(1, -1, 1, 1), torch.sqrt(vae.bn.running_var.view(1, -1, 1, 1) + eps)
    return (latents - mean) / std


CLEAN: dict[str, Callable[[Tensor, Any], Tensor]] = {
    "flux2_klein": by_batch_norm,
    "ernie_image": lambda moments, vae: by_batch_norm(moments, vae, eps=1e-5),  # pipeline_ernie_image.py, decoding
    "qwen_image": by_channel,
    "qwen_image_21": by_channel,
    "krea2": by_channel,
    "sana": lambda latents, vae: latents * vae.config.scaling_factor,  # train_dreambooth_lora_sana.py, 1391-1394
    "auraflow": lambda moments, vae: sampled(moments) * vae.config.scaling_factor,
    "cogview4": lambda moments, vae: sampled(moments) * vae.config.scaling_factor,
    "kandinsky5": lambda moments, vae: sampled(moments) * vae.config.scaling_factor,  # as its pipeline decodes
}


def z_image(model: Any, noisy: Tensor, sigmas: Tensor, cond: Cond) -> Tensor:
    """train_dreambooth_lora_z_image.py, 1749-1762"""
    texts = [text[mask] for text, mask in zip(cond["prompt_embeds"], cond["prompt_mask"], strict=True)]
    timesteps = sigmas * 1000
    found = model.backbone(list(noisy.unsqueeze(2).unbind(0)), (1000 - timesteps) / 1000, texts, return_dict=False)[0]
    return -torch.stack(found).squeeze(2)


def flux(model: Any, noisy: Tensor, sigmas: Tensor, cond: Cond) -> Tensor:
    """train_dreambooth_flux.py, 1642-1675; with its README's guidance of 1"""
    b, c, h, w = noisy.shape
    factor = model.pipeline.vae_scale_factor
    found = model.backbone(
        hidden_states=FluxPipeline._pack_latents(noisy, b, c, h, w),
        timestep=sigmas * 1000 / 1000,
        guidance=torch.tensor([1.0]).expand(b),
        pooled_projections=cond["pooled_prompt_embeds"],
        encoder_hidden_states=cond["prompt_embeds"],
        txt_ids=torch.zeros(cond["prompt_embeds"].shape[1], 3),
        img_ids=FluxPipeline._prepare_latent_image_ids(b, h // 2, w // 2, "cpu", torch.float32),
        return_dict=False,
    )[0]
    return FluxPipeline._unpack_latents(found, h * factor, w * factor, factor)


def chroma(model: Any, noisy: Tensor, sigmas: Tensor, cond: Cond) -> Tensor:
    """pipeline_chroma.py's loop"""
    b, c, h, w = noisy.shape
    factor = model.pipeline.vae_scale_factor
    packed = ChromaPipeline._pack_latents(noisy, b, c, h, w)
    found = model.backbone(
        hidden_states=packed,
        timestep=sigmas,
        encoder_hidden_states=cond["prompt_embeds"],
        txt_ids=torch.zeros(cond["prompt_embeds"].shape[1], 3),
        img_ids=ChromaPipeline._prepare_latent_image_ids(b, h // 2, w // 2, "cpu", torch.float32),
        attention_mask=model.pipeline._prepare_attention_mask(
            b, packed.shape[1], packed.dtype, cond["prompt_attention_mask"]
        ),
        return_dict=False,
    )[0]
    return ChromaPipeline._unpack_latents(found, h * factor, w * factor, factor)


def flux2_klein(model: Any, noisy: Tensor, sigmas: Tensor, cond: Cond) -> Tensor:
    """train_dreambooth_lora_flux2_klein.py, 1853-1875"""
    ids = Flux2KleinPipeline._prepare_latent_ids(noisy)
    found = model.backbone(
        hidden_states=Flux2KleinPipeline._pack_latents(noisy),
        timestep=sigmas * 1000 / 1000,
        guidance=None,
        encoder_hidden_states=cond["prompt_embeds"],
        txt_ids=Flux2KleinPipeline._prepare_text_ids(cond["prompt_embeds"]),
        img_ids=ids,
        return_dict=False,
    )[0]
    return Flux2KleinPipeline._unpack_latents_with_ids(found, ids, *noisy.shape[2:])


def qwen_image(model: Any, noisy: Tensor, sigmas: Tensor, cond: Cond) -> Tensor:
    """train_dreambooth_lora_qwen_image.py, 1763-1784"""
    b, c, h, w = noisy.shape
    factor = model.pipeline.vae_scale_factor
    found = model.backbone(
        hidden_states=QwenImagePipeline._pack_latents(noisy, b, c, h, w),
        encoder_hidden_states=cond["prompt_embeds"],
        encoder_hidden_states_mask=cond["prompt_embeds_mask"],
        timestep=sigmas * 1000 / 1000,
        img_shapes=[(1, h // 2, w // 2)] * b,
        return_dict=False,
    )[0]
    return QwenImagePipeline._unpack_latents(found, h * factor, w * factor, factor)[:, :, 0]


def qwen_image_21(model: Any, noisy: Tensor, sigmas: Tensor, cond: Cond) -> Tensor:
    """pipeline_qwenimage21.py, its loop without the cache of keys: each prompt alone"""
    _, c, h, w = noisy.shape
    rows = zip(noisy.split(1), sigmas.split(1), cond["prompt_embeds"], cond["prompt_embeds_mask"], strict=True)
    found = []
    for one, sigma, text, mask in rows:
        places = torch.cat([torch.zeros(int(mask.sum())), torch.ones(h * w // 4)]).bool()
        joined = model.backbone(
            hidden_states=QwenImage21Pipeline._pack_latents(one, 1, c, h, w),
            timestep=sigma * 1000 / 1000,
            encoder_hidden_states=text[mask][None],
            encoder_hidden_states_mask=None,
            img_shapes=[[(1, h, w)]],
            img_mask=places[None],
            return_dict=False,
        )[0]
        found.append(QwenImage21Pipeline._unpack_latents(joined[:, -h * w :], 16 * h, 16 * w, 16)[:, :, 0])
    return torch.cat(found)


def krea2(model: Any, noisy: Tensor, sigmas: Tensor, cond: Cond) -> Tensor:
    """train_dreambooth_lora_krea2.py, 1869-1905"""
    b, c, h, w = noisy.shape
    text = cond["prompt_embeds"]
    found = model.backbone(
        hidden_states=model.pipeline._pack_latents(noisy, b, c, h, w),
        encoder_hidden_states=text,
        timestep=sigmas * 1000 / 1000,
        position_ids=Krea2Pipeline.prepare_position_ids(text.shape[1], h // 2, w // 2, torch.device("cpu")),
        encoder_attention_mask=cond["prompt_embeds_mask"],
        return_dict=False,
    )[0]
    factor = model.pipeline.vae_scale_factor
    return model.pipeline._unpack_latents(found, h * factor, w * factor)[:, :, 0]


def lumina2(model: Any, noisy: Tensor, sigmas: Tensor, cond: Cond) -> Tensor:
    """train_dreambooth_lora_lumina2.py, 1393-1417: its sigma is the share of the picture, its target picture - noise"""
    reversed_sigmas = 1 - sigmas
    found = model.backbone(
        hidden_states=noisy,
        encoder_hidden_states=cond["prompt_embeds"],
        encoder_attention_mask=cond["prompt_attention_mask"],
        timestep=reversed_sigmas * 1000 / 1000,
        return_dict=False,
    )[0]
    return -found


def sana(model: Any, noisy: Tensor, sigmas: Tensor, cond: Cond) -> Tensor:
    """train_dreambooth_lora_sana.py, 1418-1425"""
    return model.backbone(
        hidden_states=noisy,
        encoder_hidden_states=cond["prompt_embeds"],
        encoder_attention_mask=cond["prompt_attention_mask"],
        timestep=sigmas * 1000,
        return_dict=False,
    )[0]


def prx(model: Any, noisy: Tensor, sigmas: Tensor, cond: Cond) -> Tensor:
    """Photoroom/PRX prx/pipeline/fm_pipeline.py, 325-326 and pipeline_prx.py's loop"""
    return model.backbone(
        hidden_states=noisy,
        timestep=sigmas * 1000 / 1000,
        encoder_hidden_states=cond["prompt_embeds"],
        attention_mask=cond["prompt_attention_mask"],
        return_dict=False,
    )[0]


def auraflow(model: Any, noisy: Tensor, sigmas: Tensor, cond: Cond) -> Tensor:
    """pipeline_aura_flow.py's loop"""
    return model.backbone(
        noisy, encoder_hidden_states=cond["prompt_embeds"], timestep=sigmas * 1000 / 1000, return_dict=False
    )[0]


def ernie_image(model: Any, noisy: Tensor, sigmas: Tensor, cond: Cond) -> Tensor:
    """pipeline_ernie_image.py's loop"""
    texts = [text[mask] for text, mask in zip(cond["prompt_embeds"], cond["prompt_mask"], strict=True)]
    padded, lengths = model.pipeline._pad_text(texts, torch.device("cpu"), torch.float32, padded_width(cond))
    return model.backbone(
        hidden_states=noisy, timestep=sigmas * 1000, text_bth=padded, text_lens=lengths, return_dict=False
    )[0]


def hidream(model: Any, noisy: Tensor, sigmas: Tensor, cond: Cond) -> Tensor:
    """train_dreambooth_lora_hidream.py, 1108 and 1605-1613: told to give pictures in training, and negated"""
    found = model.backbone(
        hidden_states=noisy,
        encoder_hidden_states_t5=cond["prompt_embeds_t5"],
        encoder_hidden_states_llama3=cond["prompt_embeds_llama3"].transpose(0, 1),
        pooled_embeds=cond["pooled_prompt_embeds"],
        timesteps=sigmas * 1000,
        return_dict=False,
    )[0]
    return found * -1


def kandinsky5(model: Any, noisy: Tensor, sigmas: Tensor, cond: Cond) -> Tensor:
    """pipeline_kandinsky_t2i.py's loop, which is given one prompt"""
    h, w = noisy.shape[2:]
    rows = []
    for i, length in enumerate(cond["prompt_mask"].sum(1)):
        found = model.backbone(
            hidden_states=noisy[i : i + 1].permute(0, 2, 3, 1).unsqueeze(1),
            encoder_hidden_states=cond["prompt_embeds_qwen"][i : i + 1, :length],
            pooled_projections=cond["prompt_embeds_clip"][i : i + 1],
            timestep=sigmas[i : i + 1] * 1000,
            visual_rope_pos=[torch.arange(1), torch.arange(h // 2), torch.arange(w // 2)],
            text_rope_pos=torch.arange(length),
            scale_factor=[1.0, 1.0, 1.0],
            sparse_params=None,
        ).sample
        rows.append(found.squeeze(1).permute(0, 3, 1, 2))
    return torch.cat(rows)


def cogview4(model: Any, noisy: Tensor, sigmas: Tensor, cond: Cond) -> Tensor:
    """pipeline_cogview4.py's loop, which is given one prompt"""
    rows = []
    for i, length in enumerate(cond["prompt_mask"].sum(1)):
        assert length % 16 == 0
        size = cond["size"][i : i + 1].float()
        found = model.backbone(
            hidden_states=noisy[i : i + 1],
            encoder_hidden_states=cond["prompt_embeds"][i : i + 1, :length],
            timestep=sigmas[i : i + 1] * 1000,
            original_size=size[:, :2],
            target_size=size[:, 4:],
            crop_coords=size[:, 2:4],
            return_dict=False,
        )[0]
        rows.append(found)
    return torch.cat(rows)


def ovis_image(model: Any, noisy: Tensor, sigmas: Tensor, cond: Cond) -> Tensor:
    """pipeline_ovis_image.py's loop"""
    b, c, h, w = noisy.shape
    factor = model.pipeline.vae_scale_factor
    _, text_ids = model.pipeline._prepare_prompt_embeds(None, cond["prompt_embeds"], 1, 48, torch.device("cpu"))
    found = model.backbone(
        hidden_states=OvisImagePipeline._pack_latents(noisy, b, c, h, w),
        timestep=sigmas * 1000 / 1000,
        encoder_hidden_states=cond["prompt_embeds"],
        txt_ids=text_ids,
        img_ids=OvisImagePipeline._prepare_latent_image_ids(b, h // 2, w // 2, torch.device("cpu"), torch.float32),
        return_dict=False,
    )[0]
    return OvisImagePipeline._unpack_latents(found, h * factor, w * factor, factor)


def longcat_image(model: Any, noisy: Tensor, sigmas: Tensor, cond: Cond) -> Tensor:
    """pipeline_longcat_image.py's loop"""
    b, c, h, w = noisy.shape
    factor = model.pipeline.vae_scale_factor
    _, text_ids = model.pipeline.encode_prompt(prompt_embeds=cond["prompt_embeds"])
    found = model.backbone(
        hidden_states=LongCatImagePipeline._pack_latents(noisy, b, c, h, w),
        timestep=sigmas * 1000 / 1000,
        encoder_hidden_states=cond["prompt_embeds"],
        txt_ids=text_ids,
        img_ids=prepare_pos_ids(1, "image", start=(512, 512), height=h // 2, width=w // 2),
        return_dict=False,
    )[0]
    return LongCatImagePipeline._unpack_latents(found, h * factor, w * factor, factor)


def padded_width(cond: Cond) -> int:
    return cond["prompt_embeds"].shape[-1]


HANDS = {
    hand.__name__: hand
    for hand in (
        z_image,
        flux,
        chroma,
        flux2_klein,
        qwen_image,
        qwen_image_21,
        krea2,
        lumina2,
        sana,
        prx,
        auraflow,
        ernie_image,
        hidream,
        kandinsky5,
        cogview4,
        ovis_image,
        longcat_image,
    )  # fmt: skip
}
# As the pipeline's call computes it from the picture's tokens, by hand from the tiny scheduler's config.
SHIFTS: dict[str, Callable[[int], float]] = {
    "z_image": lambda tokens: 6.0,
    "lumina2": lambda tokens: 6.0,
    "sana": lambda tokens: 3.0,  # "flow_shift" of DPM-Solver
    "prx": lambda tokens: 3.0,
    "auraflow": lambda tokens: 1.73,
    "ernie_image": lambda tokens: 4.0,
    "hidream": lambda tokens: 3.0,
    "cogview4": lambda tokens: 0.75 * (tokens / 256) ** 0.5 + 0.25,
    "longcat_image": lambda tokens: math.exp(calculate_shift(tokens)),
    "ovis_image": lambda tokens: math.exp(calculate_shift(tokens)),
    "kandinsky5": lambda tokens: 3.0,
    "flux": lambda tokens: math.exp(calculate_shift(tokens)),
    "chroma": lambda tokens: math.exp(calculate_shift(tokens)),
    "qwen_image": lambda tokens: math.exp(calculate_shift(tokens, 256, 8192, 0.5, 1.15)),
    "qwen_image_21": lambda tokens: math.exp(calculate_shift(tokens, 256, 8192, 0.5, 0.9)),
    "krea2": lambda tokens: math.exp(calculate_shift(tokens, 256, 6400, 0.5, 1.15)),
    "flux2_klein": lambda tokens: math.exp(compute_empirical_mu(tokens, 200)),
}
TOKENS = {"lumina2": 4, "sana": 256, "ernie_image": 64, "qwen_image_21": 4}  # of 32x32 pixels; of all others 8x8


@pytest.mark.parametrize("name", HANDS)
def test_a_loss_is_that_of_the_script(name: str, tiny_folder: Folder) -> None:
    model: Any = make(name, tiny_folder(name), logit_mean=0.3, logit_std=0.8)
    x, cond = encoded(model, name)
    torch.manual_seed(11)
    loss = model.loss(x, cond)
    torch.manual_seed(11)
    clean = CLEAN.get(name, shifted_and_scaled)(x, model.pipeline.vae)
    unshifted = torch.sigmoid(torch.distributions.Normal(0.3, 0.8).icdf(torch.rand(3)))
    shift = SHIFTS[name](TOKENS.get(name, 64))
    sigmas = shift * unshifted / (1 + (shift - 1) * unshifted)
    noise = torch.randn(clean.shape)  # whatever the order of its memory
    noisy = (1 - sigmas.view(-1, 1, 1, 1)) * clean + sigmas.view(-1, 1, 1, 1) * noise
    expected = ((HANDS[name](model, noisy, sigmas, cond) - (noise - clean)) ** 2).mean(dim=(1, 2, 3))
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)


def test_pixels_are_learned_as_by_prx_itself(tiny_folder: Folder) -> None:
    """Photoroom/PRX prx/pipeline/fm_pipeline.py, 325-345 and 379: both sides are divided by a time of at least 0.05."""
    model: Any = make("prx_pixel", tiny_folder("prx_pixel"), logit_mean=-5.0)
    x, cond = encoded(model, "prx_pixel")
    torch.manual_seed(11)
    loss = model.loss(x, cond)
    torch.manual_seed(11)
    unshifted = torch.sigmoid(torch.distributions.Normal(-5.0, 1.0).icdf(torch.rand(3)))
    sigmas = 3 * unshifted / (1 + 2 * unshifted)
    noise = 2.0 * torch.randn(x.shape)
    noisy = (1 - sigmas.view(-1, 1, 1, 1)) * x + sigmas.view(-1, 1, 1, 1) * noise
    t = torch.clamp(sigmas, min=0.05).view(-1, 1, 1, 1)
    assert sigmas.min() < 0.05
    prediction = (noisy - prx(model, noisy, sigmas, cond)) / t
    expected = ((prediction - (noisy - x) / t) ** 2).mean(dim=(1, 2, 3))
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)


def test_every_model_of_the_family_has_its_hand() -> None:
    assert FLOW.keys() == HANDS.keys() | {"prx_pixel"}
