"""The critic of an adversarial autoencoder: PatchGAN (Isola et al. 2017, arXiv 1611.07004), with the hinge loss."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Discriminator(nn.Sequential):
    """Pictures, float (b,3,h,w) in [-1,1] -> how real each patch looks, (b,1,h/8,w/8) or about.

    Notable: groups are normalised, not batches, so that no picture is judged by its neighbours.

    Args:
        width: channels after the first layer; twice and four times as many follow.
    """

    def __init__(self, width: int = 64) -> None:
        def block(before: int, after: int, stride: int) -> list[nn.Module]:
            convolution = nn.Conv2d(before, after, 4, stride, 1, bias=False)
            return [convolution, nn.GroupNorm(8, after), nn.LeakyReLU(0.2)]

        super().__init__(
            nn.Conv2d(3, width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            *block(width, 2 * width, 2),
            *block(2 * width, 4 * width, 2),
            nn.Conv2d(4 * width, 1, 3, 1, 1),
        )


def deceive(critic: nn.Module, pictures: Tensor) -> Tensor:
    """How unreal the critic finds pictures, (b,), with a gradient for the pictures and none for the critic."""
    weights = {name: parameter.detach() for name, parameter in critic.named_parameters()}
    patches: Tensor = torch.func.functional_call(critic, weights, (pictures,))
    return -patches.mean(dim=(1, 2, 3))


def hinge(critic: nn.Module, real: Tensor, made: Tensor) -> Tensor:
    """The critic's own loss, (b,), with no gradient for the pictures."""
    of_real, of_made = F.relu(1 - critic(real.detach())), F.relu(1 + critic(made.detach()))
    loss: Tensor = (of_real + of_made).mean(dim=(1, 2, 3)) / 2
    return loss


def balance(wanted: Tensor, opposed: Tensor, weight: Tensor) -> Tensor:
    """By how much `opposed` counts for `wanted` and it to pull equally hard at the last layer's `weight`: a number.

    Esser et al. 2021, arXiv 2012.09841, equation 7.
    """
    first, second = (torch.autograd.grad(loss, weight, retain_graph=True)[0].norm() for loss in (wanted, opposed))
    share: Tensor = (first / (second + 1e-4)).clamp(max=1e4)
    return share.detach()
