"""Small autoencoders of the bases, trained; and from one a quantised one for masked models."""

import math
from collections.abc import Iterator

import torch
from diffusers import AutoencoderKL, VQModel
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

Images = Iterator[Tensor]  # batches of float (b,3,h,w) in [-1,1]


def reconstruction_loss(output: Tensor, images: Tensor) -> Tensor:
    """Squared and absolute error, of edges too, and of what the three colours differ by.

    Squared error alone leaves edges soft. Without the last term red against green, which varies least in pictures of
    skies and ground, was the one axis of colour that a small autoencoder had not learned when brightness was right.
    """
    edges = sum((output.diff(dim=d) - images.diff(dim=d)).abs().mean() for d in (2, 3))
    difference = output - images
    chroma = difference - difference.roll(1, dims=1)  # R - B, G - R, B - G
    return F.mse_loss(output, images) + 0.5 * F.l1_loss(output, images) + 0.5 * edges + chroma.abs().mean()


def train_kl(vae: AutoencoderKL, images: Images, *, steps: int, lr: float = 2e-3) -> Iterator[float]:
    """Yields the reconstruction loss of each step; at the end the scaling factor makes latents of unit variance."""
    recent: list[Tensor] = []
    for output, batch, posterior in _steps(vae, images, steps, lr, lambda x: _kl_step(vae, x)):
        recent = [*recent[-19:], posterior.mean.detach()]
        yield float(F.mse_loss(output, batch))
    vae.register_to_config(scaling_factor=float(1 / torch.cat(recent).std()))


def vq_from(vae: AutoencoderKL, codebook_size: int, images: Images) -> VQModel:
    """A `VQModel` that begins with the weights of `vae` and a codebook of k-means centres of its latents.

    It takes and gives pictures in [0,1], as aMUSEd's does.
    """
    config = vae.config
    vq = VQModel(
        block_out_channels=config.block_out_channels,
        down_block_types=config.down_block_types,
        up_block_types=config.up_block_types,
        layers_per_block=config.layers_per_block,
        latent_channels=config.latent_channels,
        norm_num_groups=config.norm_num_groups,
        sample_size=config.sample_size,
        num_vq_embeddings=codebook_size,
        lookup_from_codebook=True,  # `decode` then takes token ids, as aMUSEd's pipeline has it
    )
    vq.decoder.load_state_dict(vae.decoder.state_dict())
    vq.post_quant_conv.load_state_dict(vae.post_quant_conv.state_dict())
    half = config.latent_channels  # the mean; `VQModel` has no log-variance
    encoder = {k: v[:half] if k.startswith("conv_out") else v for k, v in vae.encoder.state_dict().items()}
    vq.encoder.load_state_dict(encoder)
    nn.init.dirac_(vq.quant_conv.weight)
    nn.init.zeros_(vq.quant_conv.bias)
    with torch.no_grad():
        first, last = (
            vq.encoder.conv_in,
            vq.decoder.conv_out,
        )  # from [-1,1] to [0,1]: x -> 2x - 1 before, x / 2 + 1/2 after
        first.bias -= first.weight.sum(dim=(1, 2, 3))
        first.weight *= 2
        last.weight /= 2
        last.bias.mul_(0.5).add_(0.5)
        latents = torch.cat([_rows(vq.encode(next(images) / 2 + 0.5).latents) for _ in range(40)])
        vq.quantize.embedding.weight.copy_(_kmeans(latents, codebook_size))
    return vq


def train_vq(vq: VQModel, images: Images, *, steps: int, lr: float = 1e-3) -> Iterator[float]:
    """Yields the reconstruction loss of each step. A code unused for 200 steps moves onto a latent of the batch."""
    idle = torch.zeros(vq.config.num_vq_embeddings)
    for output, batch, (latents, codes) in _steps(vq, images, steps, lr, lambda x: _vq_step(vq, x)):
        idle += 1
        idle[codes.unique()] = 0
        dead = (idle > 200).nonzero().flatten()
        if len(dead):
            rows = _rows(latents)
            with torch.no_grad():
                vq.quantize.embedding.weight[dead] = rows[torch.randint(len(rows), (len(dead),))]
            idle[dead] = 0
        yield float(F.mse_loss(output, batch))


def _steps(model: nn.Module, images: Images, steps: int, lr: float, step):  # type: ignore[no-untyped-def]
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min(1, (i + 1) / 100) * (0.02 + 0.98 * (1 + math.cos(math.pi * i / steps)) / 2)
    )
    for _ in range(steps):
        batch = next(images)
        output, penalty, extra = step(batch)
        loss = reconstruction_loss(output, batch) + penalty
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        yield output.detach(), batch, extra


def _kl_step(vae: AutoencoderKL, x: Tensor, kl_weight: float = 1e-4):  # type: ignore[no-untyped-def]
    posterior = vae.encode(x).latent_dist
    return (
        vae.decode(posterior.sample()).sample,
        kl_weight * posterior.kl().mean() / posterior.mean[0].numel(),
        posterior,
    )


def _vq_step(vq: VQModel, x: Tensor):  # type: ignore[no-untyped-def]
    latents = vq.encode(x / 2 + 0.5).latents
    quantised, commitment, (_, _, codes) = vq.quantize(latents)
    return vq.decoder(vq.post_quant_conv(quantised)) * 2 - 1, commitment, (latents.detach(), codes)


def _rows(latents: Tensor) -> Tensor:
    return rearrange(latents, "b c h w -> (b h w) c")


def _kmeans(points: Tensor, count: int, rounds: int = 12) -> Tensor:
    centres = points[torch.randperm(len(points))[:count]]
    for _ in range(rounds):
        nearest = torch.cat([torch.cdist(chunk, centres).argmin(1) for chunk in points.split(8192)])
        total = torch.zeros_like(centres).index_add_(0, nearest, points)
        size = torch.bincount(nearest, minlength=count)
        centres = torch.where(
            size[:, None] > 0, total / size.clamp(min=1)[:, None], points[torch.randint(len(points), (count,))]
        )
    return centres
