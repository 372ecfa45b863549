"""What pre-training on 1.1 billion pairs costs, by arithmetic from figures that are measured or cited: docs/scale.md.

python benchmarks/scale.py
python benchmarks/scale.py --count    # the U-Net's operations, on tensors without storage
"""

import sys
from dataclasses import dataclass
from pathlib import Path

PAIRS = 1.1e9  # arXiv 2309.15807, section 3.2
BATCH = 2048  # pictures an optimizer step, as `configs/pretraining/stages.yaml`
PARAMETERS = 2.792e9  # of the U-Net of configs/new/emu-2.8b.yaml
TOKENS = 128 + 77  # of T5-XXL and CLIP ViT-L
WAYS = 4  # times the way there: there, the inside of blocks again, and twice that back
MATMUL = 798e12  # FLOP/s: a bfloat16 product on one H100, measured
LATENT = 16  # channels, at an eighth of the side
GPUS = (8, 64, 512)
IN_NODE, BETWEEN = 450e9, 50e9  # byte/s a GPU, one way: NVLink of H100, InfiniBand of 400 Gbit/s
BYTES_A_PIXEL = 0.28  # of JPEGs: 240 TB of 5.85e9 pictures, taken as 384 x 384
STORED = 1365 * 1024  # pixels of a file
SHARD = 10_000  # pictures
WORKERS = 8  # a GPU
EFFICIENCY = {"U-Net": (0.28, 0.40), "autoencoder": (0.15, 0.30), "text": (0.40, 0.60)}


@dataclass(frozen=True)
class Stage:
    """Steps, side in pixels, and TFLOP a picture: the U-Net's way there, the autoencoder's, texts."""

    steps: int
    side: int
    unet: float
    encode: float
    rate: float | None  # pictures a CPU second, of files of 1365 x 1024: docs/results/stream.md
    text: float = 1.203

    def seconds(self, which: int) -> float:
        """Of one GPU for one picture, at the lower or the higher efficiency."""
        parts = {"U-Net": WAYS * self.unet, "autoencoder": self.encode, "text": self.text}
        return sum(1e12 * flop / (MATMUL * EFFICIENCY[name][which]) for name, flop in parts.items())


STAGES = (
    Stage(600_000, 256, unet=0.595, encode=0.279, rate=171),
    Stage(200_000, 512, unet=2.143, encode=1.117, rate=None),
    Stage(100_000, 1024, unet=9.024, encode=4.88, rate=None),
)


def storage() -> None:
    print("| side | a file | all files | latents of a picture | of all | all texts' states of T5-XXL |")
    print("|---|---|---|---|---|---|")
    for stage in STAGES:
        jpeg, latents = BYTES_A_PIXEL * stage.side**2, 2 * 2 * LATENT * (stage.side // 8) ** 2
        states = 2 * 128 * 4096
        print(
            f"| {stage.side} | {jpeg / 1e3:,.0f} kB | {PAIRS * jpeg / 1e12:,.0f} TB | {latents / 1e3:,.0f} kB "
            f"| {PAIRS * latents / 1e12:,.0f} TB | {PAIRS * states / 1e12:,.0f} TB |"
        )


def stages() -> None:
    print("| stage | pictures | of all pairs | GPU ms a picture | GPU hours |")
    print("|---|---|---|---|---|")
    total = [0.0, 0.0]
    for stage in STAGES:
        pictures = stage.steps * BATCH
        slow, fast = (stage.seconds(which) for which in (0, 1))
        hours = [pictures * each / 3600 for each in (slow, fast)]
        total = [before + more for before, more in zip(total, hours, strict=True)]
        print(
            f"| {stage.steps:,} steps of {stage.side} px | {pictures / 1e9:.2f} billion | {pictures / PAIRS:.0%} "
            f"| {1e3 * fast:.1f} to {1e3 * slow:.1f} | {hours[1]:,.0f} to {hours[0]:,.0f} |"
        )
    print(f"| all | | | | {total[1]:,.0f} to {total[0]:,.0f} |")


def traffic(gpus: int, micro: float) -> tuple[float, float]:
    """Seconds of one step: sharded over all GPUs, and over those of a machine with a copy in each.

    A micro-batch gathers weights twice, in 2 bytes each, and scatters gradients, in 4. Copies also sum up their shares
    of the gradients, which sends them twice.
    """
    within, between = (PARAMETERS * 8 / speed * max(1.0, micro) for speed in (IN_NODE, BETWEEN))
    return (within, within) if gpus == 8 else (between, within + between / 8)


def machines() -> None:
    columns = "GPUs", "stage", "pictures a GPU and step", "computing", "sharded over all", "in a machine", "step"
    print("| " + " | ".join([*columns, "all steps", "pictures a second", "read", "CPU cores a GPU"]) + " |")
    print("|---" * (len(columns) + 4) + "|")
    most = {256: 64, 512: 16, 1024: 4}
    for gpus in GPUS:
        days = 0.0
        for stage in STAGES:
            own = BATCH / gpus
            computing, (sharded, copies) = own * stage.seconds(1), traffic(gpus, own / most[stage.side])
            step = max(computing, min(sharded, copies))
            own_days, rate = stage.steps * step / 86400, BATCH / step
            days += own_days
            read = rate * BYTES_A_PIXEL * STORED / 1e6
            cores = f"{rate / gpus / stage.rate:.1f}" if stage.rate else "not measured"
            print(
                f"| {gpus} | {stage.side} px | {own:.0f} | {computing:.2f} s | {sharded:.2f} s | {copies:.2f} s "
                f"| {step:.2f} s | {own_days:.1f} days | {rate:,.0f} | {read:,.0f} MB/s | {cores} |"
            )
        print(f"| {gpus} | all | | | | | | {days:.1f} days | | | |")


def rest() -> None:
    checkpoint, steps = 16 * PARAMETERS, sum(stage.steps for stage in STAGES)
    print(f"checkpoint: 16 bytes x {PARAMETERS / 1e9:.3f} G = {checkpoint / 1e9:.1f} GB")
    print(f"with the best, the two newest and the one being written: {4 * checkpoint / 1e9:.0f} GB")
    print(f"saved each 10,000 steps: {steps // 10_000} times, {steps / 10_000 * checkpoint / 1e12:.1f} TB written")
    for gpus in GPUS:
        lanes = gpus * WORKERS
        shards, share = PAIRS / SHARD / lanes, checkpoint / gpus / 1e9
        print(f"{gpus} GPUs: {lanes:,} lanes, {shards:,.0f} shards of {SHARD:,} each; {share:.2f} GB of a checkpoint")


def count() -> None:
    """TFLOP of the U-Net's way there, for one picture."""
    import torch
    import yaml
    from diffusers import UNet2DConditionModel
    from torch.utils.flop_counter import FlopCounterMode

    path = Path(__file__).parents[1] / "configs/new/emu-2.8b.yaml"
    config = yaml.safe_load(path.read_text())["components"]["unet"]
    with torch.device("meta"):
        network = UNet2DConditionModel.from_config(config)
        print(f"{sum(weight.numel() for weight in network.parameters()):,} parameters")
        text = torch.zeros(1, TOKENS, config["encoder_hid_dim"])
        pooled = config["projection_class_embeddings_input_dim"] - 6 * config["addition_time_embed_dim"]
        added = {"text_embeds": torch.zeros(1, pooled), "time_ids": torch.zeros(1, 6)}
        for stage in STAGES:
            latents = torch.zeros(1, LATENT, stage.side // 8, stage.side // 8)
            with FlopCounterMode(display=False) as counter:
                network(latents, torch.ones(1), text, added_cond_kwargs=added)
            print(f"{stage.side} px: {counter.get_total_flops() / 1e12:.3f} TFLOP")


def main() -> None:
    if "--count" in sys.argv:
        count()
        return
    for part in (storage, stages, machines, rest):
        part()
        print()


if __name__ == "__main__":
    main()
