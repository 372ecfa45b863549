"""What emu exports, loaded by the real ComfyUI: are all weights read, and does its network predict what emu's does?

    OMP_NUM_THREADS=1 python benchmarks/comfyui.py COMFYUI_FOLDER [--python ITS_PYTHON] [FAMILY ...]

Each family's network at the widths by which ComfyUI knows it, with few layers and random weights, beside a tiny
autoencoder and tiny text encoders, is written as --format single-file, before and after an adapter is merged into it,
and the adapter as lora, lora-comfyui and lora-kohya. A second process, `comfyui_side.py`, loads them by ComfyUI's own
code and predicts the clean latents of the same noise and text. Told are the differences, as fractions of how far the
adapter moves the prediction: 0 is the same, 1 is an adapter that was not read. Notable: ComfyUI counts Chroma's
modulations by its published depth, so that with few layers it predicts otherwise than diffusers, whatever the file.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import diffusers
import numpy as np
import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))

import comfyui_unets  # noqa: E402
from comfyui_unets import UNETS  # noqa: E402

from architectures import CLASSES  # noqa: E402
from emu.exporting.export import draw_plain  # noqa: E402
from emu.formats.comfyui import ComfyUI, workflow  # noqa: E402
from emu.formats.comfyui_lora import ComfyUILoRA  # noqa: E402
from emu.formats.kohya import KohyaLoRA  # noqa: E402
from emu.formats.lora import LoRA  # noqa: E402
from emu.formats.single_file import SingleFile  # noqa: E402
from emu.module.module import TextToImageModule  # noqa: E402
from emu.networks import adapters  # noqa: E402
from emu.networks.adapters import Adapter  # noqa: E402
from pipelines import build  # noqa: E402
from single_files import WHOLE  # noqa: E402

WORKFLOWS = "workflows"
TEXT = 8  # tokens
LORAS = {"lora": LoRA, "lora-comfyui": ComfyUILoRA, "lora-kohya": KohyaLoRA}


@dataclass(frozen=True)
class Family:
    """A network at its published widths, and the texts that it reads.

    Args:
        tiny: the key of the pipeline that brings all but the network.
        network: builds it.
        channels: of its latents.
        text: width of the text's tokens.
        pooled: width of the pooled text; 0 where it reads none.
        mask: what `predict` calls the mask of the text's tokens.
        tokens: how many.
    """

    tiny: str
    network: Callable[[], nn.Module]
    channels: int = 16
    text: int = 4096
    pooled: int = 0
    mask: str = ""
    tokens: int = TEXT


def of(name: str, **config: Any) -> Callable[[], nn.Module]:
    return lambda: getattr(diffusers, name)(**config)


FLUX = {"num_layers": 1, "num_single_layers": 1}
SD3 = {"num_layers": 4, "num_attention_heads": 4, "caption_projection_dim": 256}  # ComfyUI: as many layers as heads
FAMILIES = {
    "sd3": Family("flow", of("SD3Transformer2DModel", **SD3, pos_embed_max_size=192), pooled=2048),
    "sd3.5-medium": Family(
        "flow",
        of("SD3Transformer2DModel", **SD3, qk_norm="rms_norm", dual_attention_layers=(0, 1), pos_embed_max_size=384),
        pooled=2048,
    ),
    "flux.1-dev": Family("flux", of("FluxTransformer2DModel", **FLUX, guidance_embeds=True), pooled=768),
    "flux.1-schnell": Family("flux", of("FluxTransformer2DModel", **FLUX), pooled=768),
    "chroma": Family("chroma", of("ChromaTransformer2DModel", **FLUX), mask="prompt_attention_mask"),
    "flux.2-klein": Family(
        "flux2_klein",
        of("Flux2Transformer2DModel", **FLUX, num_attention_heads=4, joint_attention_dim=7680, guidance_embeds=False),
        channels=128,
        text=7680,
        tokens=512,
    ),
    "z-image": Family("z_image", of("ZImageTransformer2DModel", n_layers=1), text=2560, mask="prompt_mask"),
    "lumina-2": Family(
        "lumina2",
        of("Lumina2Transformer2DModel", num_layers=1, cap_feat_dim=2304),
        text=2304,
        mask="prompt_attention_mask",
    ),
    "qwen-image": Family(
        "qwen_image", of("QwenImageTransformer2DModel", num_layers=1), text=3584, mask="prompt_embeds_mask"
    ),
    "krea-2": Family("krea2", of("Krea2Transformer2DModel", num_layers=1), text=12 * 2560, mask="prompt_embeds_mask"),
    "auraflow": Family(
        "auraflow",
        of("AuraFlowTransformer2DModel", num_mmdit_layers=1, num_single_dit_layers=1),
        channels=4,
        text=2048,
    ),
}


def drawn(network: Callable[[], nn.Module]) -> nn.Module:
    """Random weights, from a list that repeats: a billion numbers take minutes to draw."""
    with mock.patch.multiple(nn.init, kaiming_uniform_=lambda *_, **__: None, uniform_=lambda *_, **__: None):
        made = network()
    some = 0.02 * torch.randn(1_000_003)  # a prime: no two rows are the same
    for name, weight in made.named_parameters():
        flat = weight.view(-1)
        for part in flat.split(len(some)):
            part.copy_(some[: len(part)])
        if weight.ndim == 1 and name.endswith("weight"):
            flat.add_(1)  # a norm's
    return made


def texts(family: Family) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """One text as emu's `predict` takes it, and as ComfyUI does."""
    embeds = torch.randn(1, family.tokens, family.text)
    mine: dict[str, Tensor] = {"prompt_embeds": embeds}
    theirs: dict[str, Any] = {"cross_attn": embeds}
    if family.tiny == "krea2":
        mine = {"prompt_embeds": embeds.view(1, family.tokens, 12, 2560)}
    if family.tiny == "flux":
        theirs["guidance"] = 1.0  # emu's in training
    if family.pooled:
        mine["pooled_prompt_embeds"] = theirs["pooled_output"] = torch.randn(1, family.pooled)
    if family.mask:
        mine[family.mask] = torch.ones(1, family.tokens, dtype=torch.bool)
    return mine, theirs


def module(family: Family, folder: Path, **settings: Any) -> TextToImageModule:
    model = CLASSES[family.tiny](str(folder), resolution=32, **settings)
    model.configure_model()
    return model


@torch.no_grad()
def write(family: Family, place: Path) -> None:
    """The files, what to predict, and what emu predicts."""
    torch.manual_seed(0)
    pipeline = WHOLE["sd3"][1]() if family.tiny == "flow" else build(family.tiny)
    pipeline.transformer = drawn(family.network)
    pipeline.save_pretrained(place / "base")
    del pipeline
    noisy, sigma = torch.randn(1, family.channels, 8, 12), torch.tensor([0.6])
    mine, theirs = texts(family)

    def clean(model: Any) -> Tensor:
        return noisy - sigma * model.velocity(noisy, sigma, mine)

    model = module(family, place / "base", adapter=Adapter(rank=4, alpha=8))
    predicted = write_formats(model, place, clean)
    torch.save({"noisy": noisy, "sigma": sigma, "text": theirs, **predicted}, place / "predicted.pt")


def write_formats(model: TextToImageModule, place: Path, clean: Callable[[Any], Tensor]) -> dict[str, Any]:
    """The files of a model with an adapter that changes nothing yet, and what it predicts before and after it does."""
    SingleFile().write(model, place / "base.safetensors", {})
    predicted = {"base": clean(model)}
    for network in (model.backbone, model.ema):
        torch.manual_seed(1)
        for _, layer in adapters.layers(network):
            nn.init.normal_(layer.lora_B["default"].weight, std=0.02)
    predicted["tuned"] = clean(model)
    SingleFile().write(model, place / "tuned.safetensors", {})
    for name, kind in LORAS.items():
        kind().write(model, place / f"{name}.safetensors", {})
    return predicted


def sd15(comfyui: Path) -> Any:
    """SD 1.5 as ComfyUI knows it, with two levels of its U-Net's four."""
    blocks = {"block_out_channels": (320, 640), "layers_per_block": 1, "cross_attention_dim": 768}
    down, up = ("CrossAttnDownBlock2D", "DownBlock2D"), ("UpBlock2D", "CrossAttnUpBlock2D")
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    text = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "vocab_size": 49408}
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    return diffusers.StableDiffusionPipeline(
        unet=drawn(of("UNet2DConditionModel", **blocks, down_block_types=down, up_block_types=up)),
        vae=diffusers.AutoencoderKL(block_out_channels=(128, 256, 512, 512), layers_per_block=2, **kinds),
        text_encoder=CLIPTextModel(CLIPTextConfig(**text)),
        tokenizer=CLIPTokenizer.from_pretrained(comfyui / "comfy" / "sd1_tokenizer", model_max_length=77),
        scheduler=diffusers.DDIMScheduler(**betas, clip_sample=False, set_alpha_to_one=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@torch.no_grad()
def write_workflows(place: Path, comfyui: Path) -> None:
    """A workflow of each family, and of SD 1.5 a file and a picture too."""
    for name in ["latent_xl", *dict.fromkeys(one.tiny for one in FAMILIES.values() if one.tiny != "auraflow")]:
        pipeline = build(name)
        shift = {"mu": 1.0} if pipeline.scheduler.config.get("use_dynamic_shifting") else {}
        pipeline.scheduler.set_timesteps(4, **shift)
        row = {"prompt": "a red boat", "seed": 3, "sampler": {"width": 64, "height": 64}}
        (place / f"{name}.json").write_text(json.dumps(workflow("a.safetensors", row, pipeline)))
    torch.manual_seed(0)
    sd15(comfyui).save_pretrained(place / "base")
    model = CLASSES["latent"](str(place / "base"), resolution=64, adapter=Adapter(rank=2))
    model.configure_model()
    out, written_as = place / "sd15.safetensors", ComfyUI()
    written_as.write(model, out, {})
    sampler = {"num_inference_steps": 10, "guidance_scale": 3.0}
    row = {"prompt": "a red (boat) at noon", "seed": 3, "sampler": sampler}
    pipeline = written_as.load(model, out)
    np.save(out.with_suffix(".npy"), draw_plain(pipeline, row, model, torch.device("cpu")))
    written_as.accompany(model, out, row | {"sampler": sampler | {"width": 64, "height": 64}}, pipeline)


def line(name: str, found: dict[str, dict[str, Any]]) -> str:
    """One family's, of the table."""
    cells = []
    for one in found.values():
        cells.append(f"{one['apart']:.0e}")
        if said := one["warnings"]:
            cells[-1] += f", {len(said)} warnings: {said[0]:.60}"
    return f"| {name} | {found['base']['model']} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comfyui", type=Path)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=", ".join([*FAMILIES, *UNETS, WORKFLOWS]))
    parser.add_argument("--python", default=sys.executable, help="the one that ComfyUI runs with")
    parser.add_argument("--folder", type=Path, default=None, help="for up to 14 GB; a temporary folder")
    given = parser.parse_intermixed_args()  # families stand behind options too
    columns = ["taken for", "file", "with the adapter merged", *LORAS, "a trainer's", "its texts"]
    print(f"| family | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    side = Path(__file__).with_name("comfyui_side.py")
    for name in given.families or [*FAMILIES, *UNETS, WORKFLOWS]:
        place = Path(tempfile.mkdtemp(dir=given.folder))
        try:
            if name == WORKFLOWS:
                write_workflows(place, given.comfyui)
            elif name in UNETS:
                comfyui_unets.write(name, place, given.comfyui, drawn=drawn, write_formats=write_formats)
            else:
                write(FAMILIES[name], place)
            done = subprocess.run([given.python, side, given.comfyui, place], capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{name}: {done.stderr[-3000:]}")
            found = json.loads(done.stdout.splitlines()[-1])
            print(json.dumps(found, indent=1) if name == WORKFLOWS else line(name, found), flush=True)
        finally:
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
