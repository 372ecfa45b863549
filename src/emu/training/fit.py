"""`emu fit`, `validate`, `encode`: Lightning's command line, its keys trainer, model, data, quality, checkpoint.

A run lives in one folder, `--trainer.default_root_dir`: pictures, verdicts, checkpoints, logs and its config. The same
command again goes on where it stopped.
"""

import gc
import os
import shlex
import warnings
from contextlib import ExitStack
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

import torch
from jsonargparse import Namespace, set_parsing_settings
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_info

from emu.checkpoints import Checkpoints, Durable, is_sharded, newest, step_of, verify
from emu.class_paths import trust
from emu.data import CuratedData
from emu.data.buckets import Bucket
from emu.errors import UserError, printable
from emu.layouts import runs
from emu.module import TextToImageModule
from emu.quality import QualityTuning
from emu.storage import documents, files, locks
from emu.storage.shapes import Config
from emu.training import captions, console
from emu.training.ahead import look_ahead
from emu.training.encode import encode as encode_into
from emu.training.resume import changed, changes, finished, rule_of
from emu.training.same_set import SameSet, require_same_contents, require_same_set
from emu.training.stages import OF_STEP_0, SIZE, Setting, Stage, require_no_lower, stage_at, stages_of

# What our classes rely on: "before" pictures at step 0, checks counted in steps, ranks dealt to by CuratedData.
TRAINER = {
    "num_sanity_val_steps": -1,
    "check_val_every_n_epoch": None,
    "use_distributed_sampler": False,
    "max_epochs": -1,
    "log_every_n_steps": 10,
    "default_root_dir": "runs/emu",
    "enable_checkpointing": False,  # of Lightning's own kind, which may tear
    "enable_model_summary": False,  # of Lightning's own kind: 0 FLOPs, and an average that does not train
}
# Lightning's warnings of what is so by design.
QUIET = (
    "Checkpoint directory .* exists and is not empty",  # a run lives in one folder
    "The dirpath has changed from",  # a run's folder may be moved
    "The number of training batches .* is smaller than the logging interval",  # a set is small, an epoch short
    "`isinstance.treespec, LeafSpec.` is deprecated",  # its own, against newer torch
)

PLACES_OF_SET = ("data.root", "data.prompts")


class RunConfig(SaveConfigCallback):
    """Writes config.yaml into the run folder, whichever logger there is."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            config, path = self.config.clone(), Path(trainer.default_root_dir) / runs.CONFIG
            config.ckpt_path = None  # where this command went on from is not where the next one does
            # Not the parser's own `save`, which may leave half a file: the next command would read another run in it.
            written = self.parser.dump(config, skip_unset=False)
            head = origin(path, self.config.ckpt_path, documents.parse(written, where=str(path)))
            files.write(path, "".join([*head, written]))


def origin(path: Path, checkpoint: str | None, config: Config) -> list[str]:
    """Comments for the head of config.yaml: of which other run it goes on, and what is another from there on."""
    other = runs.run_of(Path(checkpoint)) if checkpoint else path.parent
    if checkpoint and other.resolve() != path.parent.resolve():
        others = [f"{key}: {now} from there on, {before} before" for key, before, now in changes(other, config)]
        return [f"# {printable(line)}\n" for line in (f"went on from {checkpoint}", *others)]
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return list(takewhile(lambda line: line.startswith("#"), lines))


class EmuCLI(LightningCLI):
    """LightningCLI over one model, one datamodule, one callback; builds them and runs nothing.

    `held` gets the lock of the folder that `emu fit` runs in.
    """

    def __init__(self, args: list[str], *, command: str, held: ExitStack | None = None) -> None:
        console.tidy()
        self.command, self.held, self.given = command, held, args
        self.stage: Stage | None = None
        self.ahead: set[Bucket] = set()
        # Plain `omegaconf` resolves ${...} in each file before the command line is read, so that an override of one
        # number leaves what refers to it at the old value, silently; `omegaconf+` resolves after.
        set_parsing_settings(omegaconf_absolute_to_relative_paths=True)
        trust.restrict()
        super().__init__(
            TextToImageModule,
            CuratedData,
            args=args,
            run=False,
            subclass_mode_model=True,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            seed_everything_default=0,
            trainer_defaults={**TRAINER, "callbacks": [captions.CutCaptions(), SameSet()]},
            save_config_callback=RunConfig,
            save_config_kwargs={"save_to_log_dir": False},
            parser_kwargs={"parser_mode": "omegaconf+", "exit_on_error": False, "prog": f"emu {command}"},
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(QualityTuning, "quality")
        parser.add_lightning_class_args(Checkpoints, "checkpoint")
        parser.add_argument("--ckpt_path", type=str | None, default=None, help="the checkpoint to continue from")
        parser.add_argument("--resume", type=Literal["auto", "never"], default="auto", help="go on with a run begun")
        parser.add_argument("--stages", type=list[dict[str, Setting]], default=[], help="docs/pretraining.md")
        parser.link_arguments("quality.check_every", "checkpoint.every")
        parser.link_arguments("data.resolution", "model.init_args.resolution")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        # Lightning's own warns about arguments given in Python beside those of the process; ours always are.
        self.config = parser.parse_args(args)

    def before_instantiate_classes(self) -> None:
        """Find the checkpoint to go on from. UserError: it is missing, or the folder holds another run."""
        run, checkpoint = Path(self.config.trainer.default_root_dir), self.config.ckpt_path
        if self.held and self.command == "fit" and locks.first_process():
            self.held.enter_context(locks.alone(run, "emu fit"))
        if checkpoint:
            if not (Path(checkpoint).is_file() or is_sharded(Path(checkpoint))):
                raise UserError(f"--ckpt_path {checkpoint}: no such checkpoint")
            verify(Path(checkpoint))
        self.finished, self.another = None, False
        if self.command != "fit":
            return
        begun = bool(runs.checkpoints(run)) or (run / runs.BEST).exists()
        found = Path(checkpoint) if checkpoint else newest(run) if begun else None
        self._enter(found)
        now = documents.parse(self.parser.dump(self.config, skip_unset=False), where=f"emu {self.command}")
        if begun:
            self._require_same(run, now)
        if checkpoint:
            require_step_0(Path(checkpoint), now)
        elif found:
            self.finished = finished(run, found, rule_of(self.config))
            self.another = any(key in PLACES_OF_SET for key, _, _ in changes(run, now))
            self.config.ckpt_path = str(found)

    def _enter(self, checkpoint: Path | None) -> None:
        """Set what the stage says in which a run goes on from a checkpoint. UserError: it would restart lower."""
        if not (stages := stages_of(self.config.stages, resolution=self.config.data.resolution)):
            return
        self.stage = stage_at(step_of(checkpoint) if checkpoint else 0, stages)
        left = stages[self.stage.number - 1 :]
        self.config, *later = (self.parser.parse_args([*self.given, *stage.flags]) for stage in left)
        self.ahead = look_ahead(left, [self.config, *later])
        then = runs.read_config(runs.run_of(checkpoint)) if checkpoint else None
        if then:
            require_no_lower(self.stage.number, then["data"].get("resolution"), self.config.data.resolution)
        rank_zero_info(str(self.stage))

    def _require_same(self, run: Path, now: Config) -> None:
        if self.config.resume == "never":
            raise UserError(
                f"--trainer.default_root_dir {run}: holds a run already, and --resume is never; name another"
            )
        if difference := changed(run, now):
            raise UserError(
                f"--trainer.default_root_dir {run}: its run began with {difference}; give that, or name another folder"
            )

    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        self.datamodule.ahead, self.datamodule.captioned = self.ahead, self.model.reads_captions

    def unread(self) -> str:
        """Of a run that has ended: what it was given and does not read. UserError: another set than it began with."""
        if not self.another:
            return ""
        data = self.datamodule
        data.setup("fit")
        then, _ = require_same_set(Path(self.config.trainer.default_root_dir), data)
        if then:
            require_same_contents(then, data)
        return f"; nothing of data.root {data.root} was trained on" if data.stream else ""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        given: Namespace = self.config_init["trainer"]
        if given.logger in (None, True):
            folder = str(given.default_root_dir)
            kwargs["logger"] = [TensorBoardLogger(folder, name="tensorboard"), CSVLogger(folder, name="csv")]
        own = list(given.callbacks or [])
        if given.enable_progress_bar is not False and not any(isinstance(one, ProgressBar) for one in own):
            kwargs["callbacks"] = [*own, console.StepBar()]
        return super().instantiate_trainer(**kwargs, plugins=[*(given.plugins or []), Durable()])


def require_step_0(checkpoint: Path, now: Config) -> None:
    """Say what is another from a checkpoint on. UserError: what the run's checks are held against would be, too."""
    for key, before, after in changes(runs.run_of(checkpoint), now):
        if key.startswith((*OF_STEP_0, SIZE)):
            raise UserError(f"--ckpt_path {checkpoint}: its run began with {key} {before}, not {after}; give that")
        rank_zero_info(f"--ckpt_path {checkpoint}: {key} is {after} from there on, {before} before")


def run(command: str, args: list[str]) -> None:
    """Runs `emu fit ARGS` or `emu validate ARGS`."""
    for message in QUIET:
        warnings.filterwarnings("ignore", message)
    while run_stage(command, args):
        args = [each for each in args if not each.startswith("--ckpt_path")]  # the next goes on from this one's end
        gc.collect()  # its model, before there is another


def run_stage(command: str, args: list[str]) -> bool:
    """Run a stage to its end, or all of what has none; whether another one follows."""
    with ExitStack() as held:
        cli = EmuCLI(args, command=command, held=held)
        if cli.finished:
            rank_zero_info(f"{cli.config.trainer.default_root_dir}: {cli.finished}{cli.unread()}")
            say_next(Path(cli.config.trainer.default_root_dir))
            return False
        action = cli.trainer.fit if command == "fit" else cli.trainer.validate
        held.enter_context(console.above_bars())
        action(cli.model, datamodule=cli.datamodule, ckpt_path=cli.config.ckpt_path, weights_only=True)
        stage = cli.stage
        another = stage is not None and stage.number < stage.of and cli.trainer.global_step == stage.ends
        if command == "fit" and not another:
            say_next(Path(cli.trainer.default_root_dir))
        return another


def say_next(run: Path) -> None:
    """The command that shows before against after, where a run has drawn both."""
    if len(runs.complete_steps(run)) > 1:
        rank_zero_info(f"see before against after: emu compare {shlex.quote(str(run))} --out report.html")


class Settings(EmuCLI):
    """The model and the data of a config, without a Trainer: no accelerator is asked for, no run folder touched."""

    def before_instantiate_classes(self) -> None:
        # The cache is what `emu encode` fills and what `emu plan` does not need: the data is read as it is.
        self.cache: str | None = self.config.data.cache
        stages = stages_of(self.config.stages, resolution=self.config.data.resolution)
        configs = [self.parser.parse_args([*self.given, *stage.flags]) for stage in stages]
        for config in (self.config, *configs):
            config.data.cache = None
        if stages:
            self.ahead, self.config = look_ahead(stages, configs), configs[-1]  # the last one takes the most

    def instantiate_classes(self) -> None:
        # No callback, logger, strategy or judge is built, whatever the config names.
        wanted = self.config.clone()
        for section in {key.partition(".")[0] for key in wanted.keys()} - {"data", "model"}:  # noqa: SIM118  (nested)
            wanted.pop(section)
        self.config_init = self.parser.instantiate(wanted)
        self.datamodule = self.config_init.data
        self.model = self.config_init.model
        self.datamodule.ahead, self.datamodule.captioned = self.ahead, self.model.reads_captions


def encode(args: list[str]) -> None:
    """Runs `emu encode ARGS`; under torchrun every process does its share."""
    settings = Settings(args, command="encode")
    if settings.cache is None:
        raise UserError("--data.cache: name the folder to encode into; emu fit then takes the same flag")
    rank, world, local = (int(os.environ.get(name, default)) for name, default in runs.PROCESS.items())
    settings.model.configure_model()
    settings.model.to(torch.device("cuda", local) if torch.cuda.is_available() else "cpu")
    settings.datamodule.setup("fit")
    captions.warn(settings.model, settings.datamodule)
    encode_into(settings.model, settings.datamodule, settings.cache, rank=rank, world=world)
