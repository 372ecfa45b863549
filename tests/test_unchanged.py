"""What a network makes of arguments that stay the same is made once, and is what it would make again."""

import pytest
import torch
from torch import Tensor, nn

from emu import unchanged


class Layer(nn.Linear):
    """A layer that counts its work."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


class Reader(nn.Module):
    """Reads a text by projection, norm and key."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.norm, self.key, self.query = nn.Linear(4, 4), nn.LayerNorm(4), Layer(4, 4), nn.Linear(4, 4)

    def forward(self, noisy: Tensor, text: Tensor) -> Tensor:
        key: Tensor = self.key(self.norm(self.into(text.view(-1, 4))))
        scores: Tensor = self.query(noisy) @ key.T
        return scores


@pytest.fixture
def reader() -> Reader:
    torch.manual_seed(0)
    return Reader().eval().requires_grad_(False)


def test_a_chain_of_layers_reads_a_text_once(reader: Reader) -> None:
    text, noise = torch.randn(2, 3, 4), [torch.randn(5, 4) for _ in range(4)]
    plain = [reader(noisy, text) for noisy in noise]
    before = reader.key.calls
    with unchanged.once(reader):
        again = [reader(noisy, text) for noisy in noise]
        assert reader.key.calls == before + 1
    assert all(torch.equal(a, b) for a, b in zip(plain, again, strict=True))
    reader(noise[0], text)
    assert reader.key.calls == before + 2
    assert "forward" not in vars(reader.key)


def test_another_text_is_read_anew_and_so_is_one_changed_in_place(reader: Reader) -> None:
    noisy, text, other = torch.randn(5, 4), torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    wanted = reader(noisy, other)
    with unchanged.once(reader):
        reader(noisy, text)
        assert torch.equal(reader(noisy, other), wanted)
        reader(noisy, text)
        text.copy_(other)
        assert torch.equal(reader(noisy, text), wanted)


def test_what_was_kept_goes_with_its_text(reader: Reader) -> None:
    noisy = torch.randn(5, 4)
    with unchanged.once(reader):
        for _ in range(20):  # new tensors may lie where the old ones did
            text = torch.randn(2, 3, 4)
            made = reader(noisy, text)
            assert torch.equal(made, reader.query(noisy) @ reader.key(reader.norm(reader.into(text.view(-1, 4)))).T)


def test_an_output_changed_in_place_is_made_again(reader: Reader) -> None:
    class Spoiling(Reader):
        def forward(self, noisy: Tensor, text: Tensor) -> Tensor:
            key: Tensor = self.key(text.view(-1, 4))
            key.mul_(2)
            return key

    spoiling = Spoiling().eval().requires_grad_(False)
    text = torch.randn(2, 3, 4)
    wanted = spoiling(text, text)
    with unchanged.once(spoiling):
        assert all(torch.equal(spoiling(text, text), wanted) for _ in range(3))


def test_layers_in_training_and_under_a_wrapped_forward_are_left_alone(reader: Reader) -> None:
    noisy, text = torch.randn(5, 4), torch.randn(2, 3, 4)
    reader.train()
    with unchanged.once(reader):
        assert not any("forward" in vars(layer) for layer in reader.modules())
    reader.eval().forward = reader.forward
    with unchanged.once(reader):
        reader(noisy, text), reader(noisy, text)
    assert reader.key.calls == 2
