"""What comes back of true pictures through the latents of a base: kinds that a reader sees, and PSNR.

python benchmarks/reconstructions.py [--model emu://bases/latent] [--scenes 480]

Good scenes that no model saw, 64 px; `benchmarks/muse_tokens.py` says the same of tokens.
"""

import argparse

import torch
from muse_tokens import good_scenes, kinds, rendered

from emu.models import LatentDiffusion, load_model
from emu.models.reconstruction import psnr

SIDE = 64  # pixels


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="emu://bases/latent")
    parser.add_argument("--scenes", type=int, default=480)
    options = parser.parse_args()
    torch.set_num_threads(1)
    scenes = good_scenes(options.scenes)
    true = rendered(scenes, SIDE)
    model = load_model(options.model)
    assert isinstance(model, LatentDiffusion)
    vae = model.pipeline.vae
    back = torch.cat([vae.decode(vae.encode(some * 2 - 1).latent_dist.mode()).sample for some in true.split(40)])
    back = (back / 2 + 0.5).clamp(0, 1)
    print(f"true: kinds {kinds(scenes, true):.1f} %")
    print(f"through the latents: {kinds(scenes, back):.1f} %, PSNR {psnr(back, true).mean():.1f} dB")


if __name__ == "__main__":
    main()
