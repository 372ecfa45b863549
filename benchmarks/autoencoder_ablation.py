"""The paper's ablation of its autoencoder: 4, 8 and 16 channels, and 16 with Fourier features (2309.15807, Table 1).

    python benchmarks/autoencoder_ablation.py world --out runs/ablation               # the simulated web
    python benchmarks/autoencoder_ablation.py my/photos --out runs/ablation-photos    # a folder's, cut in squares

An arm is `emu new`, `emu fit -c latent/autoencoder` and a look at pictures that no arm has seen: every tenth, or of a
world of another seed. All arms have the same widths, steps and order of pictures. Killed, the same command goes on.
OUT/reconstructions.png shows ten, as they are and as each arm gives them back. LPIPS, and the Frechet distance of
photographs without --embedder, are left out where their weights are not.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import yaml
from einops import rearrange
from PIL import Image, ImageOps
from torch import Tensor
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

from emu.errors import first_line
from emu.judges import embedder
from emu.judges.sets import frechet_distance
from emu.models import Autoencoder, load_model
from emu.models.reconstruction import psnr, similarity
from emu.untrained import new
from emu.world import World

ARMS = {"4": (4, 0), "8": (8, 0), "16": (16, 0), "16 + Fourier": (16, 2)}
"""Name -> channels of the latents, frequencies of the Fourier features."""
NEW = Path(__file__).parents[1] / "configs" / "new"
WORLD, UNSEEN = 0, 5  # seeds
SHOWN = 10  # pictures
WORLD_FEATURES = "emu.judges.world.WorldFeatures"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", help="`world`, or a folder of pictures")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--side", type=int, default=64, help="of the squares, in pixels")
    parser.add_argument("--number", type=int, default=4000, help="of a world's pictures to learn from")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--embedder", help="for the Frechet distance; of a world its judge's, else left out")
    given = parser.parse_args()
    prepare(given)
    real = unseen(given)
    rows = [real[:SHOWN]]
    print("| autoencoder | channels | PSNR, dB | SSIM | LPIPS | Frechet |\n|---|---|---|---|---|---|")
    for name, (channels, frequencies) in ARMS.items():
        run = given.out / name.replace(" ", "")
        train(given, run, pipeline(given, run, channels, frequencies))
        made = given_back(run, real)
        print(f"| {name} | {channels} | {' | '.join(measured(made, real, given))} |", flush=True)
        rows.append(made[:SHOWN])
    show(rows, given.out / "reconstructions.png")


def prepare(given: argparse.Namespace) -> None:
    """OUT/seen and OUT/unseen: PNGs of one side, with captions, which nothing reads."""
    if (given.out / "unseen" / "metadata.jsonl").exists():
        return
    for part in ("seen", "unseen"):
        (given.out / part).mkdir(parents=True, exist_ok=True)
        names = []
        for i, picture in enumerate(pictures(given, seen=part == "seen")):
            picture.save(given.out / part / f"{i:05d}.png")
            names.append(f'{{"file_name": "{i:05d}.png", "text": "a picture"}}\n')
        (given.out / part / "metadata.jsonl").write_text("".join(names))


def pictures(given: argparse.Namespace, *, seen: bool) -> Iterator[Image.Image]:
    """Squares of one side: of the world's haystack, or of a folder's pictures, cut and half as large as they are."""
    if given.pictures == "world":
        world, number = World(WORLD if seen else UNSEEN), given.number if seen else given.number // 5
        yield from (world.haystack(i).render(given.side) for i in range(number))
        return
    files = sorted(path for path in Path(given.pictures).rglob("*") if path.suffix in Image.registered_extensions())
    place = 0
    for file in files:
        picture = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
        picture.thumbnail((16 * given.side, 16 * given.side))
        for top in range(0, picture.height - given.side + 1, given.side):
            for left in range(0, picture.width - given.side + 1, given.side):
                place += 1
                if (place % 10 > 0) == seen:
                    yield picture.crop((left, top, left + given.side, top + given.side))


def pipeline(given: argparse.Namespace, run: Path, channels: int, frequencies: int) -> Path:
    """OUT/ARM-untrained: the autoencoder of new/emu-tiny with these channels, in the pipeline of new/latent-tiny."""
    folder, config = run.with_name(f"{run.name}-untrained"), run.with_name(f"{run.name}.yaml")
    document, paper = (yaml.safe_load((NEW / f"{name}.yaml").read_text()) for name in ("latent-tiny", "emu-tiny"))
    parts = document["components"]
    lifted = {"latent_channels": channels, "in_channels": 3 * (1 + 2 * frequencies)}
    parts["vae"] = paper["components"]["vae"] | lifted | {"sample_size": given.side}
    parts["unet"] |= {"in_channels": channels, "out_channels": channels, "sample_size": given.side // 8}
    config.write_text(yaml.safe_dump(document | {"resolution": given.side}))
    if not folder.exists():
        new(config, folder, captions=["a picture"], learn_steps=1)
    return folder


def train(given: argparse.Namespace, run: Path, untrained: Path) -> None:
    """`emu fit`, or on from where it was; without a critic, which Table 1 has in its last row alone."""
    settings = {
        "seed_everything": 0,
        "trainer.default_root_dir": run,
        "trainer.enable_progress_bar": "false",
        "model.init_args.pretrained": untrained,
        "model.init_args.adversarial_weight": 0,
        "data.root": given.out / "seen",
        "data.resolution": given.side,
        "data.batch_size": given.batch,
        "data.held_out": 64,
        "data.num_workers": 0,
        "quality.batch": given.batch,
        "quality.max_steps": given.steps,
        "quality.check_every": max(1, given.steps // 4),
    }
    words = [f"--{key}={value}" for key, value in settings.items()]
    with run.with_suffix(".log").open("a") as log:
        subprocess.run(
            [sys.executable, "-m", "emu", "fit", "-c", "latent/autoencoder", *words], stdout=log, stderr=log, check=True
        )


def unseen(given: argparse.Namespace) -> Tensor:
    """float (n,3,h,w) in [0,1], pictures that no arm has learned from."""
    files = sorted((given.out / "unseen").glob("*.png"))
    return torch.from_numpy(np.stack([np.asarray(Image.open(file)) for file in files])).permute(0, 3, 1, 2) / 255


@torch.no_grad()
def given_back(run: Path, real: Tensor) -> Tensor:
    """What a run's autoencoder gives back of pictures, in the 256 levels that a file has."""
    model = load_model(run)
    assert isinstance(model, Autoencoder)
    made = torch.cat([(model.given_back(some * 2 - 1) / 2 + 0.5).clamp(0, 1) for some in real.split(64)])
    return (made * 255).round() / 255


@torch.no_grad()
def measured(made: Tensor, real: Tensor, given: argparse.Namespace) -> list[str]:
    """PSNR, SSIM, LPIPS and the Frechet distance."""
    means = [f"{float(psnr(made, real).mean()):.2f}", f"{float(similarity(made, real).mean()):.3f}"]
    return [*means, perceptual(made, real), frechet(made, real, given)]


def show(rows: list[Tensor], file: Path) -> None:
    """The first pictures as they are, and below them what each arm gives back, twice as large."""
    sheet = rearrange(torch.stack(rows), "arms n c h w -> (arms h) (n w) c")
    picture = Image.fromarray((sheet * 255).round().byte().numpy())
    picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.NEAREST).save(file)


def frechet(made: Tensor, real: Tensor, given: argparse.Namespace) -> str:
    """The Frechet distance in an embedder's features, where there is one for such pictures."""
    name = given.embedder or (WORLD_FEATURES if given.pictures == "world" else None)
    if name is None:
        return "-"
    features = embedder.load(name, where="--embedder", typed=True)
    seen = [torch.cat([features.images(list(some)) for some in of.split(64)]) for of in (made, real)]
    return f"{frechet_distance(*seen):.4f}"


def perceptual(made: Tensor, real: Tensor) -> str:
    """LPIPS by AlexNet, whose weights torchvision fetches; why not, where it cannot."""
    try:
        metric = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)
    except (OSError, RuntimeError, ModuleNotFoundError) as error:
        print(f"LPIPS is left out: {first_line(error)}", file=sys.stderr)
        return "-"
    for some in zip(made.split(64), real.split(64), strict=True):
        metric.update(*some)
    return f"{float(metric.compute()):.4f}"


if __name__ == "__main__":
    main()
