"""`emu fit`, `validate`, `encode`: Lightning's command line, its keys trainer, model, data, quality, checkpoint.

A run lives in one folder, `--trainer.default_root_dir`: pictures, verdicts, checkpoints, logs and its config.
"""

import os
import warnings
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace, set_parsing_settings
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from emu.captions import CutCaptions
from emu.data import CuratedData
from emu.encode import encode as encode_into
from emu.errors import UserError
from emu.module import TextToImageModule
from emu.quality import QualityTuning

# What our classes rely on: "before" pictures at step 0, checks counted in steps, ranks dealt to by CuratedData.
TRAINER = {
    "num_sanity_val_steps": -1,
    "check_val_every_n_epoch": None,
    "use_distributed_sampler": False,
    "max_epochs": -1,
    "log_every_n_steps": 10,
    "default_root_dir": "runs/emu",
}
# One rolling last.ckpt beside the best.ckpt that QualityTuning keeps.
CHECKPOINT = {"filename": "last", "enable_version_counter": False, "save_on_train_epoch_end": False}
# What torchrun tells each process, and what holds without it.
PROCESS = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0}

# Lightning's warnings of what is so by design.
QUIET = (
    "Checkpoint directory .* exists and is not empty",  # a run lives in one folder
    "The dirpath has changed from",  # a run's folder may be moved
    "The number of training batches .* is smaller than the logging interval",  # a set is small, an epoch short
    "`isinstance.treespec, LeafSpec.` is deprecated",  # its own, against newer torch
)


class RunConfig(SaveConfigCallback):
    """Writes config.yaml into the run folder, whichever logger there is."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            folder = Path(trainer.default_root_dir)
            folder.mkdir(parents=True, exist_ok=True)
            self.parser.save(self.config, str(folder / "config.yaml"), skip_unset=False, overwrite=True)


class EmuCLI(LightningCLI):
    """LightningCLI over one model, one datamodule, one callback; builds them and runs nothing."""

    def __init__(self, args: list[str], *, command: str) -> None:
        self.command = command
        # Plain `omegaconf` resolves ${...} in each file before the command line is read, so that an override of one
        # number leaves what refers to it at the old value, silently; `omegaconf+` resolves after.
        set_parsing_settings(omegaconf_absolute_to_relative_paths=True)
        super().__init__(
            TextToImageModule,
            CuratedData,
            args=args,
            run=False,
            subclass_mode_model=True,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            seed_everything_default=0,
            trainer_defaults={**TRAINER, "callbacks": [CutCaptions()]},
            save_config_callback=RunConfig,
            save_config_kwargs={"save_to_log_dir": False},
            parser_kwargs={"parser_mode": "omegaconf+", "exit_on_error": False, "prog": f"emu {command}"},
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(QualityTuning, "quality")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.set_defaults({f"checkpoint.{key}": value for key, value in CHECKPOINT.items()})
        parser.add_argument("--ckpt_path", type=str | None, default=None, help="the checkpoint to continue from")
        parser.link_arguments("trainer.default_root_dir", "checkpoint.dirpath")
        parser.link_arguments("data.resolution", "model.init_args.resolution")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        # Lightning's own warns about arguments given in Python beside those of the process; ours always are.
        self.config = parser.parse_args(args)

    def before_instantiate_classes(self) -> None:
        """Raises UserError where the checkpoint to go on from is missing, or where the folder holds a run already."""
        folder, checkpoint = Path(self.config.trainer.default_root_dir), self.config.ckpt_path
        if checkpoint and not Path(checkpoint).is_file():
            raise UserError(f"--ckpt_path {checkpoint}: no such file")
        if self.command == "fit" and not checkpoint and any(folder.glob("*.ckpt")):
            raise UserError(
                f"--trainer.default_root_dir {folder}: holds a run already; name another folder, "
                f"or continue it with --ckpt_path {folder}/last.ckpt"
            )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        given: Namespace = self.config_init["trainer"]
        if given.logger in (None, True):
            folder = str(given.default_root_dir)
            kwargs["logger"] = [TensorBoardLogger(folder, name="tensorboard"), CSVLogger(folder, name="csv")]
        return super().instantiate_trainer(**kwargs)


def run(command: str, args: list[str]) -> None:
    """Runs `emu fit ARGS` or `emu validate ARGS`."""
    for message in QUIET:
        warnings.filterwarnings("ignore", message)
    cli = EmuCLI(args, command=command)
    action = cli.trainer.fit if command == "fit" else cli.trainer.validate
    action(cli.model, datamodule=cli.datamodule, ckpt_path=cli.config.ckpt_path, weights_only=True)


class Settings(EmuCLI):
    """The model and the data of a config, without a Trainer: no accelerator is asked for, no run folder touched."""

    def before_instantiate_classes(self) -> None:
        # The cache is what `emu encode` fills and what `emu plan` does not need: the data is read as it is.
        self.cache: str | None = self.config.data.cache
        self.config.data.cache = None

    def instantiate_classes(self) -> None:
        self.config_init = self.parser.instantiate(self.config)
        self.datamodule = self.config_init.data
        self.model = self.config_init.model


def encode(args: list[str]) -> None:
    """Runs `emu encode ARGS`; under torchrun every process does its share."""
    settings = Settings(args, command="encode")
    if settings.cache is None:
        raise UserError("--data.cache: name the folder to encode into; emu fit then takes the same flag")
    rank, world, local = (int(os.environ.get(name, default)) for name, default in PROCESS.items())
    settings.model.configure_model()
    settings.model.to(torch.device("cuda", local) if torch.cuda.is_available() else "cpu")
    encode_into(settings.model, settings.datamodule, settings.cache, rank=rank, world=world)
