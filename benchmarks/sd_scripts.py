"""What emu exports as lora-kohya, merged by kohya's sd-scripts: does its network become what emu's is?

    OMP_NUM_THREADS=1 python benchmarks/sd_scripts.py SD_SCRIPTS_FOLDER [FAMILY ...]

Run by a Python that has torchvision beside emu's packages. Networks and files are those of comfyui.py. sd-scripts makes
a LoRA network from the file (`create_network_from_weights`), on its own class of transformer or on diffusers' U-Net,
and merges it (`merge_to`). Told are the layers that it found, and how far its weights are from those that emu merged,
as a fraction of how far the adapter moves them. SDXL's network is of one size there: without weights, names alone.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import comfyui
import comfyui_unets
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor

State = dict[str, Tensor]
PREFIX = "model.diffusion_model."
SHAPE = {"in_channels": 64, "vec_in_dim": 768, "context_in_dim": 4096, "hidden_size": 3072, "mlp_ratio": 4.0}
SHAPE |= {"num_heads": 24, "depth": 1, "depth_single_blocks": 1, "axes_dim": [16, 56, 56], "theta": 10000}


def transformer(path: Path) -> State:
    """The network's tensors of a single file."""
    state = load_file(path)
    if any(name.startswith(PREFIX) for name in state):
        return {name.removeprefix(PREFIX): one for name, one in state.items() if name.startswith(PREFIX)}
    return state


def flux(place: Path) -> tuple[Any, Any]:
    """sd-scripts' module of LoRAs, and its network with the base's weights."""
    from library.flux_models import Flux, FluxParams
    from networks import lora_flux

    network = Flux(FluxParams(**SHAPE, qkv_bias=True, guidance_embed=True))
    network.load_state_dict(transformer(place / "base.safetensors"))
    return lora_flux, network


def sd3(place: Path) -> tuple[Any, Any]:
    """The same."""
    from library.sd3_utils import load_mmdit
    from networks import lora_sd3

    return lora_sd3, load_mmdit(load_file(place / "base.safetensors"), torch.float32, "cpu")


def sd15(place: Path) -> tuple[Any, Any]:
    """The same; it trains SD 1.5 under diffusers' names."""
    from networks import lora

    return lora, UNet2DConditionModel.from_pretrained(place / "base" / "unet")


def sdxl(_: Path) -> tuple[Any, Any]:
    """The same without weights."""
    from library.sdxl_original_unet import SdxlUNet2DConditionModel
    from networks import lora

    with torch.device("meta"):
        return lora, SdxlUNet2DConditionModel()


KINDS = {"sd1.5": sd15, "sdxl": sdxl, "flux.1-dev": flux, "sd3": sd3, "sd3.5-medium": sd3}


def wanted(name: str, place: Path, file: str) -> State:
    """A file's network, by the names of the one that sd-scripts has."""
    if name != "sd1.5":
        return transformer(place / file)
    config = {"config": str(place / "base"), "subfolder": "unet", "local_files_only": True}
    found: State = UNet2DConditionModel.from_single_file(str(place / file), **config).state_dict()
    return found


@torch.no_grad()
def held(name: str, place: Path) -> str:
    """What sd-scripts makes of a family's file."""
    loras, network = KINDS[name](place)
    state = load_file(place / "lora-kohya.safetensors")
    given = sum("lora_down" in key for key in state)
    made, _ = loras.create_network_from_weights(1.0, None, None, [], network, weights_sd=state, for_inference=True)
    said = f"{len(made.unet_loras)} of {given}"
    if name == "sdxl":
        return f"{said} |"
    made.merge_to([], network, state, None, None)
    merged, base, tuned = (
        network.state_dict(),
        *(wanted(name, place, f"{one}.safetensors") for one in ("base", "tuned")),
    )
    moved = max(float((tuned[key] - base[key]).abs().max()) for key in tuned)
    apart = max(float((tuned[key] - merged[key]).abs().max()) for key in tuned)
    return f"{said} | {apart / moved:.0e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sd_scripts", type=Path)
    parser.add_argument("--comfyui", type=Path, required=True, help="for its tokenizer")
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=", ".join(KINDS))
    given = parser.parse_intermixed_args()
    sys.path.insert(0, str(given.sd_scripts))
    print("| family | layers found | weights apart |\n|---|---|---|")
    # It shows pictures by OpenCV and by nothing that is used here.
    with mock.patch.dict(sys.modules, {"cv2": ModuleType("cv2")}):
        for name in given.families or KINDS:
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                if name in comfyui.UNETS:
                    formats = {"drawn": comfyui.drawn, "write_formats": comfyui.write_formats}
                    comfyui_unets.write(name, place, given.comfyui, **formats)
                else:
                    comfyui.write(comfyui.FAMILIES[name], place)
                print(f"| {name} | {held(name, place)} |", flush=True)


if __name__ == "__main__":
    main()
