"""Pipeline folders as downloads, copies and other tools leave them: what befell a sound one, and what is said of it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

UNET = "unet/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"
Damage = Callable[[Path], object]


def cut(file: str, share: float = 0.5) -> Damage:
    def damage(folder: Path) -> None:
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content[: int(len(content) * share)])

    return damage


def write(file: str, content: str | bytes) -> Damage:
    content = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / file).write_bytes(content)


def remove(path: str) -> Damage:
    return lambda folder: shutil.rmtree(folder / path) if (folder / path).is_dir() else (folder / path).unlink()


def rename(file: str, to: str) -> Damage:
    return lambda folder: (folder / file).rename(folder / to)


def edit(file: str, **keys: Any) -> Damage:
    return lambda folder: (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | keys))


def forget(name: str) -> Damage:
    def damage(folder: Path) -> None:
        index = json.loads((folder / "model_index.json").read_text())
        del index[name]
        (folder / "model_index.json").write_text(json.dumps(index))

    return damage


def weights(file: str, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Damage:
    return lambda folder: save_file(change(load_file(folder / file)), folder / file, {"format": "pt"})


def less(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return dict(list(tensors.items())[1:])


def misshapen(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return tensors | {next(iter(tensors)): torch.zeros(3, 3)}


def renamed(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"model.{key}": tensor for key, tensor in tensors.items()}


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / TEXT), folder / "text_encoder/pytorch_model.bin")
    (folder / TEXT).unlink()


def index_of(file: str, content: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / file).unlink()
        (folder / f"{file}.index.json").write_text(content)

    return damage


def both(*damages: Damage) -> Damage:
    return lambda folder: [damage(folder) for damage in damages]


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 3438167540\n"
SHARDS = '{"metadata": {}, "weight_map": {"a": "%s-00001-of-00002.safetensors"}}'
INDEX, CONFIG = "model_index.json", "scheduler/scheduler_config.json"
CHECKER = {"safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"]}

BROKEN: dict[str, tuple[Damage, str]] = {
    "no index": (remove(INDEX), "not a pipeline folder"),
    "an index that is cut off": (cut(INDEX), "not a pipeline folder"),
    "an index that is a list": (write(INDEX, "[]"), "not a pipeline folder"),
    "an index of bytes": (write(INDEX, b"\xff\xfe\x00"), "not a pipeline folder"),
    "an index without a class": (forget("_class_name"), "not a pipeline folder"),
    "a component without a class": (edit(INDEX, unet=["diffusers"]), "unet is no library and class"),
    "a component that is a number": (edit(INDEX, unet=["diffusers", 4]), "unet is no library and class"),
    "a class that nobody has": (edit(INDEX, unet=["diffusers", "UNet9"]), "no class `UNet9`"),
    "a library that nobody has": (edit(INDEX, unet=["foo", "UNet9"]), "foo is not one of the libraries"),
    "a class of another network": (edit(INDEX, text_encoder=["transformers", "T5EncoderModel"]), "are missing"),
    "no unet in the index": (forget("unet"), "names no unet"),
    "a vae that is null": (edit(INDEX, vae=[None, None]), "names no vae"),
    "another pipeline": (edit(INDEX, _class_name="StableDiffusionImg2ImgPipeline"), "holds a StableDiffusionImg2Img"),
    "no folder of a component": (remove("vae"), "vae: not there"),
    "a file for a folder": (both(remove("vae"), write("vae", "x")), "vae: not there"),
    "no tokenizer": (remove("tokenizer"), "tokenizer: not there"),
    "no vocabulary": (remove("tokenizer/tokenizer.json"), "vocab.json: no such file"),
    "half a vocabulary": (rename("tokenizer/tokenizer.json", "tokenizer/vocab.json"), "merges.txt: no such file"),
    "no config of the tokenizer": (remove("tokenizer/tokenizer_config.json"), "tokenizer_config.json: no such file"),
    "a tokenizer that is cut off": (cut("tokenizer/tokenizer.json"), "can be made of it"),
    "no scheduler": (remove("scheduler"), "scheduler: not there"),
    "no config of the scheduler": (remove(CONFIG), "can be made of it"),
    "a scheduler that is cut off": (cut(CONFIG), "can be made of it"),
    "a scheduler of words": (edit(CONFIG, beta_start="x"), "can be made of it"),
    "no weights": (remove(UNET), "no diffusion_pytorch_model.safetensors nor"),
    "no weights of the text encoder": (remove(TEXT), "no model.safetensors nor pytorch_model.bin"),
    "weights that are cut off": (cut(UNET), "damaged or cut off"),
    "a text encoder that is cut off": (cut(TEXT, 0.99), "damaged or cut off"),
    "weights of no bytes": (write(UNET, ""), "damaged or cut off"),
    "a page instead of weights": (write(UNET, "<html>404</html>" * 99), "damaged or cut off"),
    "a pointer instead of weights": (write(UNET, POINTER), "git lfs pull"),
    "a pointer instead of a text encoder": (write(TEXT, POINTER), "git lfs pull"),
    "a download that was broken off": (
        rename(UNET, f"{UNET}.incomplete"),
        "only diffusion_pytorch_model.safetensors.i",
    ),
    "weights of Flax alone": (rename(UNET, "unet/diffusion_flax_model.msgpack"), "only diffusion_flax_model.msgpack"),
    "weights of ONNX alone": (rename(UNET, "unet/model.onnx"), "only model.onnx"),
    "a link to nowhere": (
        both(remove(UNET), lambda f: (f / UNET).symlink_to("/nowhere")),
        "no diffusion_pytorch_model",
    ),
    "a shard that is not there": (
        index_of(UNET, SHARDS % "diffusion_pytorch_model"),
        "00001-of-00002.safetensors: no s",
    ),
    "a text encoder's shard": (index_of(TEXT, SHARDS % "model"), "model-00001-of-00002.safetensors: no such"),
    "an index of shards, cut off": (index_of(UNET, '{"weight_map": {'), "not an index of weights"),
    "an index of shards, a list": (index_of(UNET, '{"weight_map": ["a"]}'), "not an index of weights"),
    "a pickle that is text": (both(remove(UNET), write("unet/diffusion_pytorch_model.bin", "x")), "cannot be loaded"),
    "a pickle that is cut off": (both(pickled, cut("text_encoder/pytorch_model.bin")), "cannot be loaded"),
    "a weight too few": (weights(UNET, less), "1 are missing"),
    "a text encoder's weight too few": (weights(TEXT, less), "1 are missing"),
    "a weight of another shape": (weights(UNET, misshapen), "cannot be loaded"),
    "a text encoder's weight of another shape": (weights(TEXT, misshapen), "1 are mismatched"),
    "weights of another network": (lambda f: shutil.copy(f / UNET, f / TEXT), "are missing"),
    "weights of other names": (weights(TEXT, renamed), "are missing"),
    "no config": (remove("unet/config.json"), "config.json: no such file"),
    "no config of the text encoder": (remove("text_encoder/config.json"), "config.json: no such file"),
    "a config that is cut off": (cut("unet/config.json"), "cannot be loaded"),
    "a config that is a list": (write("text_encoder/config.json", "[]"), "cannot be loaded"),
    "a config of another width": (edit("unet/config.json", block_out_channels=[24, 32]), "cannot be loaded"),
}
"""What befell the folder of a tiny Stable Diffusion -> what does it, and what the one line says."""

SOUND: dict[str, Damage] = {
    "weights as a pickle": pickled,
    "half precision alone": both(
        rename(UNET, "unet/diffusion_pytorch_model.fp16.safetensors"),
        rename(TEXT, "text_encoder/model.fp16.safetensors"),
    ),
    "two variants": both(
        lambda f: shutil.copy(f / UNET, f / "unet/diffusion_pytorch_model.ema.safetensors"),
        rename(UNET, "unet/diffusion_pytorch_model.fp16.safetensors"),
    ),
    "a safety checker that was not fetched": edit(INDEX, **CHECKER),
    "leavings of a downloader": write(f"{UNET}.aria2", ""),
}
"""What looks broken and is not."""
