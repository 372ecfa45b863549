"""The half of comfyui.py for U-Nets: Stable Diffusion 1.5, 2 and SDXL with all of their layers, 320 channels wide.

ComfyUI tells them by their names, depths and the width of the text, none of which is changed; their text encoders are
as large as published. Beside emu's own files there is one as kohya's trainer writes it, `trainer.safetensors`: linear
layers and convolutions of the U-Net and layers of the text encoders, with an alpha that is not the rank.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from emu import loras
from emu.loras import known
from emu.loras.file import LoRAFile
from emu.models import LatentDiffusion, LatentDiffusionXL
from emu.module import TextToImageModule
from emu.networks.adapters import Adapter

Drawn = Callable[[Callable[[], nn.Module]], nn.Module]
Write = Callable[[TextToImageModule, Path, Callable[[Any], Tensor]], dict[str, Any]]

PROMPT = "a red boat at noon"
TIME = 500
SIZE = [1, 1, 0, 0, 1, 1]
TRAINER = "trainer"
WIDE = 320  # of every level, by which ComfyUI knows them: the published ones are 1, 2 and 4 times as wide
LEVEL = ("CrossAttnDownBlock2D", "DownBlock2D"), ("CrossAttnUpBlock2D", "UpBlock2D")


@dataclass(frozen=True)
class UNet:
    """A U-Net's shape and what it reads.

    Args:
        depths: transformer blocks of each level; 0 for a level without attention.
        heads: what diffusers calls attention_head_dim, the number of heads.
        encoders: widths and layers of the text encoders, CLIP's and OpenCLIP's.
    """

    depths: tuple[int, ...]
    text: int
    heads: int
    encoders: tuple[tuple[int, int], ...]
    linear: bool = True

    @property
    def config(self) -> dict[str, Any]:
        down = tuple(LEVEL[0][not depth] for depth in self.depths)
        up = tuple(LEVEL[1][not depth] for depth in reversed(self.depths))
        found: dict[str, Any] = {
            "block_out_channels": (WIDE,) * len(self.depths),
            "down_block_types": down,
            "up_block_types": up,
            "transformer_layers_per_block": [max(depth, 1) for depth in self.depths],
            "cross_attention_dim": self.text,
            "attention_head_dim": self.heads,
            "use_linear_projection": self.linear,
        }
        if len(self.encoders) == 2:
            added = {"addition_embed_type": "text_time", "addition_time_embed_dim": 256}
            found |= {**added, "projection_class_embeddings_input_dim": 2816}
        return found


CLIP_L, OPEN_CLIP_H, OPEN_CLIP_G = (768, 12), (1024, 23), (1280, 32)
UNETS = {
    "sd1.5": UNet((1, 1, 1, 0), text=768, heads=8, encoders=(CLIP_L,), linear=False),
    "sd2": UNet((1, 1, 1, 0), text=1024, heads=5, encoders=(OPEN_CLIP_H,)),
    "sdxl": UNet((0, 2, 10), text=2048, heads=5, encoders=(CLIP_L, OPEN_CLIP_G)),
}


def encoder(width: int, layers: int, *, projected: bool) -> nn.Module:
    act = "quick_gelu" if (width, layers) == CLIP_L else "gelu"
    shape = {"hidden_size": width, "intermediate_size": 4 * width, "projection_dim": width, "vocab_size": 49408}
    heads = {"num_hidden_layers": layers, "num_attention_heads": width // 64}
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(
        CLIPTextConfig(**shape, **heads, hidden_act=act)
    )


def pipeline(unet: nn.Module, of: UNet, comfyui: Path) -> Any:
    """Around a network, in the layout that the family is published in."""
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    tokens = comfyui / "comfy" / "sd1_tokenizer"
    first, *second = of.encoders
    parts = {
        "unet": unet,
        "vae": diffusers.AutoencoderKL(block_out_channels=(128, 256, 512, 512), layers_per_block=2, **kinds),
        "text_encoder": encoder(*first, projected=False),
        "tokenizer": CLIPTokenizer.from_pretrained(
            tokens, model_max_length=77, **({} if first == CLIP_L else {"pad_token": "!"})
        ),
        "scheduler": diffusers.DDIMScheduler(**betas, clip_sample=False, set_alpha_to_one=False),
    }
    if not second:
        none = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        return diffusers.StableDiffusionPipeline(**parts, **none)
    return diffusers.StableDiffusionXLPipeline(
        **parts,
        text_encoder_2=encoder(*second[0], projected=True),
        tokenizer_2=CLIPTokenizer.from_pretrained(tokens, model_max_length=77, pad_token="!"),
        add_watermarker=False,
    )


def module(of: UNet, folder: Path, **settings: Any) -> TextToImageModule:
    kind = LatentDiffusionXL if len(of.encoders) == 2 else LatentDiffusion
    model = kind(str(folder), resolution=64, **settings)
    model.configure_model()
    return model


def clean(model: Any, noisy: Tensor, sigma: Tensor, text: dict[str, Tensor]) -> Tensor:
    """The clean latents that emu's network predicts, of noise beside a signal of 1."""
    scaled = noisy / (1 + sigma**2) ** 0.5
    predicted: Tensor = model.predict(scaled, torch.tensor([TIME]), {**text, "size": torch.tensor([SIZE])})
    return noisy - sigma * predicted


def level(model: Any) -> Tensor:
    kept = model.noise_schedule.alphas_cumprod[TIME]
    return (((1 - kept) / kept) ** 0.5).view(1)


def random_text(of: UNet) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """One text as emu's `predict` takes it, and as ComfyUI does."""
    embeds, pooled = torch.randn(1, 77, of.text), torch.randn(1, 1280)
    if len(of.encoders) == 1:
        return {"prompt_embeds": embeds}, {"cross_attn": embeds}
    return {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled}, {"cross_attn": embeds, "pooled_output": pooled}


def layers(drawing: Any) -> Iterator[tuple[str, Tensor]]:
    """kohya's names of all that its trainer adapts, and the weights: of SDXL it has the published names."""
    encoders = [part for name, part in drawing.components.items() if isinstance(part, nn.Module) and "encoder" in name]
    published = {}
    if len(encoders) == 2:
        published = {pieces[0].name: name for name, pieces in known.published(drawing.unet).items()}
    for name, layer in drawing.unet.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d) and "_block" in name:
            yield f"lora_unet_{published.get(name, name)}".replace(".", "_"), layer.weight
    for number, part in enumerate(encoders, 1):
        prefix = f"lora_te{number if len(encoders) == 2 else ''}_text_model_"
        for name, layer in part.named_modules():
            if isinstance(layer, nn.Linear) and "layers." in name:
                yield (prefix + name.removeprefix("text_model.")).replace(".", "_"), layer.weight


def matrices(weight: Tensor) -> dict[str, Tensor]:
    """A layer's, at random: rank 4 and alpha 2, of convolutions rank 2 and alpha 1.5."""
    rank, alpha = (4, 2.0) if weight.ndim == 2 else (2, 1.5)
    down = 0.05 * torch.randn(rank, *weight.shape[1:])
    up = 0.05 * torch.randn(len(weight), rank, *[1] * (weight.ndim - 2))
    return {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(alpha)}


@torch.no_grad()
def write(name: str, place: Path, comfyui: Path, *, drawn: Drawn, write_formats: Write) -> None:
    """The files, what to predict and to encode, and what emu makes of that."""
    torch.manual_seed(0)
    of = UNETS[name]
    pipeline(drawn(lambda: diffusers.UNet2DConditionModel(**of.config)), of, comfyui).save_pretrained(place / "base")
    noisy, (mine, theirs) = torch.randn(1, 4, 16, 24), random_text(of)
    model = module(of, place / "base", adapter=Adapter(rank=4, alpha=8))
    sigma = level(model)
    found = write_formats(model, place, lambda one: clean(one, noisy, sigma, mine))
    del model
    model = module(of, place / "base")
    before = model.encode_prompts([PROMPT])["prompt_embeds"]
    drawing, out = model.pipeline, place / f"{TRAINER}.safetensors"
    drawing.unet = model.backbone  # the average's place, which is drawn with, and predict is the network's
    save_file({f"{one}.{end}": part for one, weight in layers(drawing) for end, part in matrices(weight).items()}, out)
    loras.merge([LoRAFile(str(out))], drawing, slot="unet", encoders=True)
    found |= {TRAINER: clean(model, noisy, sigma, mine), "prompt": PROMPT, "text_before": before}
    found["encoded"] = model.encode_prompts([PROMPT])["prompt_embeds"]
    torch.save({"noisy": noisy, "sigma": sigma, "text": theirs, **found}, place / "predicted.pt")
