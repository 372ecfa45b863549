"""A model from where it lies: a pipeline folder, a hub name, a checkpoint of a run, or a run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jsonargparse import ArgumentError, ArgumentParser

from emu import loras as lora_files
from emu import models, single_files
from emu.checkpoints import gathered, is_sharded, verify
from emu.checkpoints.durable import read_file
from emu.checkpoints.state import Checkpoint
from emu.class_paths import named, trust
from emu.errors import UserError
from emu.layouts import runs
from emu.loras.file import LoRAFile
from emu.module import TextToImageModule
from emu.networks.nf4 import KIND
from emu.pipeline_folders import folders
from emu.storage import documents, shapes
from emu.storage.records import fault
from emu.storage.shapes import Arguments, Config
from emu.terminal.counted import an

OPTIMIZER = "optimizer"  # the one argument of a model that names a class, and no picture needs it
TRAINING = {OPTIMIZER, "weights_dtype", "encoders_dtype", "average_on"}
"""No picture needs these: what is drawn or exported is in float32. What a run had in 4 bits is drawn so, and said."""


def load_model(
    path: str | Path,
    *,
    architecture: str | None = None,
    config: str | None = None,
    vae: str | None = None,
    loras: Sequence[str] = (),
) -> TextToImageModule:
    """The model with its weights, in evaluation mode, ready to encode and sample.

    Args:
        path: a pipeline folder, `emu://NAME`, hub name or single .safetensors; or a checkpoint in a run folder, or the
            run folder for its best one.
        architecture: a pipeline folder's class, as "my_models.Mine"; None for the one that exported it or, where no
            run did, the one of `emu.models` for its kind of pipeline.
        config, vae: as in `emu.module.loaded_pipeline.LoadedPipeline`; a run has its own.
        loras: files of LoRAs, FILE or FILE:STRENGTH, merged into all that they are for; on a checkpoint too.

    Raises UserError where there is none, or where it does not fit.
    """
    if is_of_a_run(path):
        _require_its_own(path, architecture=architecture, config=config, vae=vae)
        return load_checkpoint(find_checkpoint(Path(path)), loras=loras)
    model = find_model(path, architecture=architecture, config=config, vae=vae)
    with _merging(model, loras):
        model.configure_model()
    return model.eval()


def find_model(
    path: str | Path, *, architecture: str | None = None, config: str | None = None, vae: str | None = None
) -> TextToImageModule:
    """As `load_model`, and no weights are read yet; of a run its model as it began."""
    if is_of_a_run(path):
        _require_its_own(path, architecture=architecture, config=config, vae=vae)
        return from_config(read_config(runs.run_of(find_checkpoint(Path(path)))))
    given: Arguments = {key: value for key, value in {"config": config, "vae": vae}.items() if value is not None}
    return _typed(architecture)(str(path), **given) if architecture else _of_folder(str(path), given)


def _require_its_own(path: str | Path, **given: str | None) -> None:
    for name, value in given.items():
        if value is not None:
            raise UserError(f"--{name} {value}: the config of {path} names its own; leave it out")


def is_of_a_run(path: str | Path) -> bool:
    """Whether it is a run folder or a checkpoint, and no pipeline."""
    return _is_checkpoint(Path(path)) or (Path(path) / runs.CONFIG).is_file()


@contextmanager
def _merging(model: TextToImageModule, given: Sequence[str]) -> Iterator[None]:
    """Hold files against the model before its weights are read inside, and merge them afterwards."""
    opened = [LoRAFile(one) for one in given]
    if not opened:
        yield
        return
    lora_files.check(opened, single_files.describing(model.pretrained, model.config), slot=model.slot)
    yield
    lora_files.warn_of_another_base(opened, model.folder, slot=model.slot, merged=model.merged_loras)
    lora_files.merge(opened, model.pipeline, slot=model.slot, encoders=True)


def _typed(architecture: str) -> type[TextToImageModule]:
    return named.find(
        architecture, TextToImageModule, where="--architecture", like="emu.models.LatentDiffusion", typed=True
    )


def _of_folder(path: str, given: Arguments) -> TextToImageModule:
    """The model of a pipeline folder: of the class that exported it, or of emu's for its kind of pipeline."""
    folder = single_files.describing(path, given.get("config"))
    origin = folder / folders.MODEL
    if origin.is_file():
        described = documents.read_mapping(origin, keys=("class_path", "init_args"))
    else:
        described = {"class_path": _architecture_of(folders.read_index(folder)["_class_name"], where=path)}
    given = {**(described.get("init_args") or {}), "pretrained": path, **given}
    return from_config({"model": {**described, "init_args": given}}, origin=str(origin))


def _architecture_of(pipeline: str, *, where: str) -> str:
    """The class path of emu's architecture for a class of pipelines: the one that names that class itself."""
    classes = {name: vars(getattr(models, name)) for name in models.__all__}
    known = {own["pipeline_class"].__name__: name for name, own in classes.items() if "pipeline_class" in own}
    if pipeline not in known:
        raise UserError(
            f"{where}: holds {an(pipeline)}; emu.models knows {', '.join(known)}; name a class of your own by "
            "--architecture CLASS_PATH"
        )
    return f"emu.models.{known[pipeline]}"


def describe(config: Config, model: TextToImageModule) -> shapes.ModelConfig:
    """What `load_model` reads in an exported folder: the run's class, and how it draws."""
    section = config["model"]
    # What was trained lies there, merged into the weights as they were.
    apart = TRAINING | {"base_dtype", "pretrained", "config", "vae", "adapter", "loras"}
    given = {key: value for key, value in (section.get("init_args") or {}).items() if key not in apart}
    return {"class_path": section["class_path"], "init_args": given | {"resolution": model.resolution}}


def find_checkpoint(path: Path) -> Path:
    """A checkpoint as it is; of a run folder the best one, else the newest."""
    if _is_checkpoint(path):
        return path
    found = [path / runs.BEST] if _is_checkpoint(path / runs.BEST) else runs.checkpoints(path)
    if not found:
        raise UserError(f"{path}: neither {runs.BEST} nor a checkpoint in {runs.CHECKPOINTS}; name a checkpoint file")
    return found[-1]


def _is_checkpoint(path: Path) -> bool:
    """Whether it is one file or a folder of shards; emu writes no .safetensors, which single-file models are."""
    return (path.is_file() and path.suffix != ".safetensors") or is_sharded(path)


def load_checkpoint(path: Path, *, loras: Sequence[str] = (), original: bool = False) -> TextToImageModule:
    """The model that `config.yaml` beside the checkpoint describes, with the checkpoint's weights; `loras` on top.

    original: what is frozen as it was published, though the run rounded it or had it in 4 bits.
    """
    verify(path)
    model = from_config(read_config(runs.run_of(path)))
    if original or loras:
        model.encoders_dtype = "float32"
    if original:
        model.base_dtype = None
    elif model.base_dtype is not None and loras:
        raise UserError(
            f"{path}: its base is in {model.base_dtype}, which takes in no LoRA; export the run and draw with both"
        )
    with _merging(model, loras):
        model.configure_model()
        checkpoint = read_checkpoint(path)
        model.on_load_checkpoint({**checkpoint})
        state = checkpoint["state_dict"]
        if original and model.adapter is not None:
            state = {**state, **{key: own for key, own in model.named_buffers() if key in state}}
        model.load_state_dict(state)
    return model.eval()


def read_checkpoint(path: Path) -> Checkpoint:
    """What Lightning wrote: "state_dict", "global_step", ...; no code in it is run. A file is memory-mapped."""
    return gathered.read(path, parts={"state_dict"}) if is_sharded(path) else read_file(path)


def read_config(run: Path) -> Config:
    """The configuration that the run folder was made with."""
    config = runs.read_config(run)
    if config is None:
        raise UserError(
            f"{run / runs.CONFIG}: no such file; a checkpoint is read beside the config of its run, and a "
            "single-file model of another tool is first made a folder (diffusers: from_single_file, save_pretrained)"
        )
    return config


def from_config(config: Config, *, origin: str = runs.CONFIG) -> TextToImageModule:
    """The model of a run's configuration, without weights; of what else the config names nothing is built.

    `origin`: the file that it is from, for messages.

    UserError: it names no model, or one whose code the user has not trusted (`emu.class_paths.trust`).
    """
    if wrong := fault(config, shapes.RunConfig):
        raise UserError(f"{origin}: {wrong}; give the config of a run that `emu fit` made")
    model = config["model"]
    trust.require(model["class_path"], where=f"{origin}:")
    trust.restrict()
    given = {
        name: value for name, value in (model.get("init_args") or {}).items() if name not in TRAINING or value == KIND
    }
    if given.get("resolution") is None:  # `emu fit` links it to the data's, and does not save it twice
        given["resolution"] = (config.get("data") or {}).get("resolution")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(TextToImageModule, "model", required=True, skip={OPTIMIZER})
    try:
        parsed = parser.parse_object({"model": {"class_path": model["class_path"], "init_args": given}})
    except ArgumentError as error:
        raise UserError(f"{origin}: model does not fit ({' '.join(str(error).split())[:300]})") from error
    built: TextToImageModule = parser.instantiate(parsed).model
    return built
