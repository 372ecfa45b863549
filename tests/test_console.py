"""What a run says on the terminal: steps, and no noise."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from architectures import make
from emu.networks.adapters import Adapter
from emu.training import console


class Line(L.LightningModule):
    """Seven batches an epoch, three a step: Lightning's own bar would count to seven."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        return self.layer(batch[0]).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        return DataLoader(TensorDataset(torch.ones(7, 1)), batch_size=1)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> str:
    trainer = L.Trainer(
        accelerator="cpu", max_steps=90, max_epochs=-1, accumulate_grad_batches=3, callbacks=[console.StepBar()],
        logger=False, enable_checkpointing=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(Line())
    return capsys.readouterr().out


def test_the_bar_counts_optimizer_steps_of_those_allowed(said: str) -> None:
    assert "step: 100%" in said
    assert "| 90/90 [" in said
    assert "Epoch" not in said


def test_a_log_is_not_filled(said: str) -> None:
    assert said.count("\r") < 10  # a line a step would be 90


def test_one_line_says_what_trains(tiny_folder: Callable[[str], Path]) -> None:
    whole = make("latent", tiny_folder("latent"))
    whole.configure_model()
    number = sum(weight.numel() for weight in whole.backbone.parameters())
    assert console.trained(whole) == f"LatentDiffusion: the {number:,} parameters of its unet train"
    next(whole.backbone.parameters()).requires_grad_(False)
    assert f"of the {number:,} parameters of its unet train" in console.trained(whole)
    adapted = make("latent", tiny_folder("latent"), adapter=Adapter(rank=2))
    adapted.configure_model()
    few = sum(weight.numel() for weight in adapted.backbone.parameters() if weight.requires_grad)
    assert few < number / 5
    assert console.trained(adapted) == f"LatentDiffusion: an adapter of {few:,} parameters trains beside its unet"


def test_what_ends_a_run_is_said_on_a_line_of_its_own(tmp_path: Path) -> None:
    class Broken(Line):
        def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
            raise ValueError("broken")

    bar = console.StepBar()
    trainer = L.Trainer(
        accelerator="cpu", max_steps=2, callbacks=[bar], logger=False, enable_checkpointing=False,
        enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    with pytest.raises(ValueError, match="broken"):
        trainer.fit(Broken())
    assert bar.train_progress_bar.disable  # as tqdm leaves one that is closed


def test_what_libraries_repeat_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    console.tidy()
    lightning = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    with caplog.at_level(logging.INFO, logger=lightning.name):
        lightning.info("Tip: For seamless cloud logging and experiment tracking, try this")
        lightning.info("stopped at step 5")
    assert [record.message for record in caplog.records] == ["stopped at step 5"]
    handler = logging.getLogger("diffusers").handlers[0]
    cut = "The following part of your input was truncated because CLIP can only handle sequences up to 77 tokens: %s"
    assert not handler.filter(logging.makeLogRecord({"msg": cut, "args": (["b c"],)}))
    assert handler.filter(logging.makeLogRecord({"msg": "something else"}))


def test_a_warning_of_emus_is_a_line_without_code() -> None:
    console.tidy()
    own = warnings.formatwarning("2 of 3 are cut", UserWarning, str(console.PACKAGE / "captions.py"), 33)
    assert own == "warning: 2 of 3 are cut\n"
    assert "user.py:1" in warnings.formatwarning("x", UserWarning, "user.py", 1)
