"""Pre-trains the three tiny bases and the two judges that ship in the package, on the simulated web.

    python scripts/make_bases.py                 every stage, in order
    python scripts/make_bases.py latent muse     some of them
    python scripts/make_bases.py --go-on latent pack    the shipped base is trained further
    python scripts/make_bases.py --subjects pixel pack    ... on pictures with more to see (scripts/subjects.py)
    python scripts/make_bases.py --subjects --anew muse pack    from nothing, on these
    python scripts/make_bases.py --subjects vq pack    the decoder of the shipped tokens alone; vae: of the latents

Each stage writes into --work and can be run again; `pack` lays the float16 pipelines and the judges into src/emu/demo.
Nothing a judge learned from is ever shown to a model: the haystack is World(0), the judges' renderings are of World(2)
and World(3).
"""

import argparse
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from decoders import sharpen
from diffusers import DiffusionPipeline
from images import batches, degraded, to_tensor
from pretraining import RATE, pretrain, progress
from safetensors.torch import save_file
from small_networks import train_kl
from small_tokens import train_tokens
from subjects import SHARES, scene, where
from torch import Tensor
from torch.nn import functional as F
from untrained import ARCHITECTURES, plan, teach_readers, untrained_autoencoder

from emu.check import check
from emu.check.reference import SHIPPED
from emu.judges.world import ATTRIBUTES, WorldReader
from emu.world import QUALITIES, World

PICTURES = 48_000
PACKAGE = Path(__file__).parent.parent / "src/emu/demo"


def _render(job: tuple[int, int, int]) -> np.ndarray:
    seed, start, stop = job
    world = World(seed)
    return np.stack([np.asarray(world.haystack(i).render()) for i in range(start, stop)])


def pictures(work: Path, seed: int, number: int) -> np.ndarray:
    """uint8 (number,64,64,3): the first pictures of a world's haystack, rendered once."""
    path = work / f"world-{seed}-{number}.npy"
    if not path.exists():
        jobs = [(seed, i, min(i + 500, number)) for i in range(0, number, 500)]
        with ProcessPoolExecutor(2) as pool:
            np.save(path, np.concatenate(list(pool.map(_render, jobs))))
    return np.load(path, mmap_mode="r")


def stage_text(work: Path) -> None:
    teach_readers(work, [World(0).haystack(i).caption for i in range(8000)])


def stage_vae(work: Path) -> None:
    vae = untrained_autoencoder().to(memory_format=torch.channels_last)
    progress("vae", train_kl(vae, batches(pictures(work, 0, PICTURES), 8), steps=6000))
    vae.save_pretrained(work / "vae")


def stage_vq(work: Path) -> None:
    train_tokens(work, pictures(work, 0, PICTURES), steps=6000)


def subjects(name: str, number: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Pictures with more to see, uint8 (2 number,64,64,3), where their subjects are, (2 number,16,16), and captions."""
    scenes = [scene(i, SHARES[name]) for i in range(number)]
    images, places = (np.stack([of(one) for one in scenes]) for of in (lambda s: np.asarray(s.render()), where))
    images, places = (np.concatenate([of, of[:, :, ::-1]]) for of in (images, places))  # and their mirror images
    return images, places, 2 * [one.caption for one in scenes]


def stage_subjects(name: str, work: Path, minutes: float, *, anew: bool, number: int, batch: int, rate: float) -> None:
    """On from the base that ships, or from nothing, by pictures and a loss in which the subject counts for more."""
    images, places, captions = subjects(name, number)
    rng, start = np.random.default_rng(0), None if anew else f"emu://bases/{name}"
    how: dict[str, Any] = {"rng": rng, "minutes": minutes, "batch": batch, "rate": rate, "caption_dropout": 0.1}
    pretrain(name, work, images, captions, start=start, where=places, **how)


def stage_decoder(name: str, work: Path, minutes: float, *, number: int) -> None:
    """The decoder of the base that ships, on such pictures."""
    images, places, _ = subjects(name, number)
    sharpen(name, work, images, places, side=plan(name).resolution, minutes=minutes)


def stage_backbone(name: str, work: Path, steps: int, minutes: float, *, go_on: bool) -> None:
    """From nothing; or on from the base that ships, with pictures in another order."""
    images, captions = pictures(work, 0, PICTURES), [World(0).haystack(i).caption for i in range(PICTURES)]
    start = f"emu://bases/{name}" if go_on else None
    rng = np.random.default_rng(int(go_on))
    pretrain(name, work, images, captions, rng=rng, steps=steps, minutes=minutes, caption_dropout=0.1, start=start)


def stage_judges(work: Path, number: int = 24_000, epochs: int = 8) -> None:
    truth = [World(2).haystack(i) for i in range(number)]
    held = [World(3).haystack(i) for i in range(4000)]
    targets = {
        "world-appeal": lambda scenes: torch.tensor([s.good for s in scenes]).float(),
        "world-faithfulness": lambda scenes: torch.tensor(
            [[values.index(getattr(s, name)) for name, values in ATTRIBUTES.items()] for s in scenes]
        ),
    }
    seen, unseen = (to_tensor(pictures(work, seed, n)) / 2 + 0.5 for seed, n in ((2, number), (3, 4000)))
    sizes = [len(values) for values in ATTRIBUTES.values()]
    for name, target in targets.items():
        reader = WorldReader(len(QUALITIES) if name == "world-appeal" else sum(sizes))
        optimizer = torch.optim.AdamW(reader.parameters(), lr=3e-3, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=epochs * (number // 64))
        goal = target(truth)

        def loss_of(logits: Tensor, want: Tensor, name: str = name) -> Tensor:
            if name == "world-appeal":
                return F.binary_cross_entropy_with_logits(logits, want)
            return sum(F.cross_entropy(part, want[:, i]) for i, part in enumerate(logits.split(sizes, 1)))

        for epoch in range(epochs):
            reader.train()
            for pick in torch.randperm(number)[: number // 64 * 64].split(64):
                images = seen[pick] if torch.rand(()) < 0.3 else degraded(seen[pick])
                flipped = images.flip(3) if torch.rand(()) < 0.5 else images
                loss = loss_of(reader(flipped), goal[pick])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
            print(name, epoch, float(loss.detach()), flush=True)
        reader.eval()
        with torch.no_grad():
            logits = torch.cat([reader(part) for part in unseen.split(500)])
        if name == "world-appeal":
            right = ((logits > 0) == (target(held) > 0.5)).float().mean(0)
            accuracy = dict(zip(QUALITIES, right.tolist(), strict=True))
        else:
            read = torch.stack([part.argmax(1) for part in logits.split(sizes, 1)], 1)
            accuracy = dict(zip(ATTRIBUTES, (read == target(held)).float().mean(0).tolist(), strict=True))
        print(name, accuracy, flush=True)
        (work / "judges").mkdir(exist_ok=True)
        save_file(
            {k: v.half() if v.is_floating_point() else v for k, v in reader.state_dict().items()},
            work / f"judges/{name}.safetensors",
        )
        (work / f"judges/{name}.json").write_text(json.dumps({k: round(v, 4) for k, v in accuracy.items()}))


def stage_pack(work: Path) -> None:
    """Lays what is finished into the package: pipelines in float16, judges as they are."""
    for name in ARCHITECTURES:
        if (work / name).exists():
            pipeline = DiffusionPipeline.from_pretrained(work / name, torch_dtype=torch.float16, safety_checker=None)
            shutil.rmtree(PACKAGE / "bases" / name, ignore_errors=True)
            pipeline.save_pretrained(PACKAGE / "bases" / name)
            check(f"emu://bases/{name}", against=PACKAGE / "bases" / name / SHIPPED, anew=True)
    if (work / "judges").exists():
        shutil.copytree(work / "judges", PACKAGE / "judges", dirs_exist_ok=True)
    size = sum(path.stat().st_size for path in (PACKAGE / "bases").rglob("*") if path.is_file())
    print(f"bases: {size / 1e6:.1f} MB")


DECODERS = {"vae": "latent", "vq": "muse"}
STAGES: dict[str, Callable[[Path], None]] = {
    "text": stage_text,
    "judges": stage_judges,
    "vae": stage_vae,
    "vq": stage_vq,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", default=[*STAGES, *ARCHITECTURES, "pack"])
    parser.add_argument("--work", type=Path, default=Path("runs/bases"))
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--minutes", type=float, default=60, help="at most, a backbone or a decoder")
    parser.add_argument("--go-on", action="store_true", help="backbones begin with those that ship, not with nothing")
    parser.add_argument("--subjects", action="store_true", help="as --go-on, and the subject counts for more")
    parser.add_argument("--anew", action="store_true", help="with --subjects: from nothing")
    parser.add_argument("--scenes", type=int, default=20_000, help="with --subjects: so many, and their mirror images")
    parser.add_argument("--batch", type=int, default=32, help="with --subjects")
    parser.add_argument("--rate", type=float, default=RATE, help="with --subjects: the highest learning rate")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    for stage in options.stages:
        if stage in ARCHITECTURES and options.subjects:
            how = {"number": options.scenes, "batch": options.batch, "rate": options.rate}
            stage_subjects(stage, options.work, options.minutes, anew=options.anew, **how)
        elif stage in DECODERS and options.subjects:
            stage_decoder(DECODERS[stage], options.work, options.minutes, number=options.scenes)
        elif stage in ARCHITECTURES:
            stage_backbone(stage, options.work, options.steps, options.minutes, go_on=options.go_on)
        else:
            {**STAGES, "pack": stage_pack}[stage](options.work)


if __name__ == "__main__":
    main()
