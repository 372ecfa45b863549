"""Pipeline folders as they are published, at tiny widths: indices, configs, names of files and of weights.

    publish("sd15", folder)

Written after the published repositories' own model_index.json and configs. What the newest libraries would write
otherwise is put back: text encoders' weights have the prefix of transformers 4, CLIP's tokenizers are vocab.json and
merges.txt, T5's is a sentencepiece model, and the autoencoder of SD 1.5 has the names of diffusers 0.2.
"""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import sentencepiece
import torch
from diffusers import DiffusionPipeline, UNet2DConditionModel
from diffusers.pipelines.deepfloyd_if import IFSafetyChecker, IFWatermarker
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
)

import pipelines
from pipelines import CAPTIONS, WIDTH, unet

SD = {
    "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": False,
    "num_train_timesteps": 1000, "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1,
    "trained_betas": None,
}  # fmt: skip
V = {**SD, "prediction_type": "v_prediction"}
ZERO_SNR = {**V, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
XL = {
    **SD, "interpolation_type": "linear", "prediction_type": "epsilon", "sample_max_value": 1.0,
    "timestep_spacing": "leading", "use_karras_sigmas": False,
}  # fmt: skip
PLAYGROUND = {
    "algorithm_type": "dpmsolver++", "dynamic_thresholding_ratio": 0.995, "euler_at_final": False,
    "final_sigmas_type": "zero", "lower_order_final": True, "num_train_timesteps": 1000, "prediction_type": "epsilon",
    "rho": 7.0, "sample_max_value": 1.0, "sigma_data": 0.5, "sigma_max": 80.0, "sigma_min": 0.002, "solver_order": 2,
    "solver_type": "midpoint", "thresholding": False,
}  # fmt: skip
IF = {
    "beta_end": 0.02, "beta_schedule": "squaredcos_cap_v2", "beta_start": 0.0001, "clip_sample": True,
    "clip_sample_range": 1.0, "dynamic_thresholding_ratio": 0.95, "num_train_timesteps": 1000,
    "prediction_type": "epsilon", "sample_max_value": 1.5, "thresholding": True, "trained_betas": None,
    "variance_type": "learned_range",
}  # fmt: skip
FLOW = {"num_train_timesteps": 1000, "shift": 3.0}
CHECKER = ["stable_diffusion", "StableDiffusionSafetyChecker"]


def if_unet(**config: Any) -> UNet2DConditionModel:
    """The blocks of stage I, which conditions on pooled text and shifts and scales by time."""
    return UNet2DConditionModel(
        sample_size=16, in_channels=config.pop("in_channels", 3), out_channels=6, block_out_channels=(16, 32),
        layers_per_block=1, attention_head_dim=8, norm_num_groups=8, cross_attention_dim=32, encoder_hid_dim=WIDTH,
        encoder_hid_dim_type="text_proj", addition_embed_type="text", addition_embed_type_num_heads=4, act_fn="gelu",
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn", resnet_time_scale_shift="scale_shift",
        cross_attention_norm="group_norm", **config,
    )  # fmt: skip


def checker(kind: Callable[[CLIPConfig], Any]) -> Any:
    """A safety checker, which flags at random."""
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "vocab_size": 100, "bos_token_id": 0, "eos_token_id": 1}
    vision = {**small, "image_size": 32, "patch_size": 16, "projection_dim": 16}
    return kind(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))


def as_transformers_4(folder: Path) -> None:
    """A text encoder of CLIP with its weights under the names that they were published by."""
    weights = folder / "model.safetensors"
    tensors = {k if k.startswith("text_") else f"text_model.{k}": v for k, v in load_file(weights).items()}
    tensors["text_model.embeddings.position_ids"] = torch.arange(12)[None]  # was stored until transformers 4.31
    save_file(tensors, weights, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config |= {"torch_dtype": config.pop("dtype"), "transformers_version": "4.22.0", "_name_or_path": "openai/clip"}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "clip_text_model"}))


def as_vocabulary_and_merges(folder: Path, *, pad: str = "<|endoftext|>") -> None:
    """A tokenizer of CLIP in the files of its slow class."""
    learned = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(learned["vocab"]))
    merges = [" ".join(pair) for pair in learned["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    tokens: dict[str, Any] = {
        name: {"content": text, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
        for name, text in (("bos_token", "<|startoftext|>"), ("eos_token", "<|endoftext|>"))
    }
    tokens["unk_token"] = tokens["eos_token"]
    (folder / "special_tokens_map.json").write_text(json.dumps(tokens | {"pad_token": pad}))
    config = {"add_prefix_space": False, "do_lower_case": True, "errors": "replace", "model_max_length": 12}
    config |= {name: {"__type": "AddedToken", **token} for name, token in tokens.items()}
    config |= {"pad_token": pad, "tokenizer_class": "CLIPTokenizer", "name_or_path": "openai/clip-vit-large-patch14"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def save_sentencepiece(folder: Path) -> None:
    """A T5 tokenizer as IF has it: the model, its config and its special tokens."""
    folder.mkdir()
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CAPTIONS * 20), model_writer=model, vocab_size=64, hard_vocab_limit=False, pad_id=0,
        eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
    )  # fmt: skip
    (folder / "spiece.model").write_bytes(model.getvalue())
    tokens: dict[str, Any] = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    tokens["additional_special_tokens"] = [f"<extra_id_{i}>" for i in range(100)]
    (folder / "special_tokens_map.json").write_text(json.dumps(tokens))
    config = {
        **tokens,
        "extra_ids": 100,
        "model_max_length": 512,
        "sp_model_kwargs": {},
        "tokenizer_class": "T5Tokenizer",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def t5_encoder(width: int) -> T5EncoderModel:
    """With room for the 100 extra tokens, and the gates of T5 1.1."""
    sizes: dict[str, Any] = {"d_model": width, "d_ff": 2 * width, "d_kv": 16, "num_layers": 1, "num_heads": 2}
    return T5EncoderModel(T5Config(vocab_size=192, feed_forward_proj="gated-gelu", dropout_rate=0.0, **sizes))


def as_diffusers_02(folder: Path) -> None:
    """An autoencoder's attention by the names that it had in 2022."""
    weights, names = folder / "diffusion_pytorch_model.safetensors", {}
    for key, tensor in load_file(weights).items():
        for new, old in {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}.items():
            key = key.replace(f".{new}.", f".{old}.")
        names[key] = tensor
    save_file(names, weights, {"format": "pt"})


def edit(path: Path, **keys: Any) -> None:
    """Set keys of a JSON file, which is made where there is none."""
    found = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(found | keys, indent=2))


def save(pipeline: DiffusionPipeline, folder: Path, scheduler: str, config: dict[str, Any], **index: Any) -> None:
    """Save a pipeline with the scheduler's config and the further keys of the index as published."""
    pipeline.save_pretrained(folder)
    path = folder / "scheduler" / "scheduler_config.json"
    path.unlink()
    edit(path, _class_name=scheduler, _diffusers_version="0.6.0", **config)
    edit(folder / "model_index.json", scheduler=["diffusers", scheduler], **index)
    for number in ("", "_2"):
        encoder = pipeline.components.get(f"text_encoder{number}")
        if isinstance(encoder, CLIPTextModel | CLIPTextModelWithProjection):
            as_transformers_4(folder / f"text_encoder{number}")
            as_vocabulary_and_merges(folder / f"tokenizer{number}", pad="!" if number else "<|endoftext|>")


def save_part(part: Any, folder: Path) -> None:
    """Save a component that the pipeline of the tests lacks."""
    part.save_pretrained(folder)


def extractor(folder: Path, kind: str = "CLIPImageProcessor") -> None:
    save_part(CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}), folder)
    edit(folder / "preprocessor_config.json", feature_extractor_type=kind)


def sd15(folder: Path) -> None:
    save(
        pipelines.latent(), folder, "PNDMScheduler", SD, safety_checker=CHECKER, requires_safety_checker=True,
        feature_extractor=["transformers", "CLIPFeatureExtractor"],
    )  # fmt: skip
    save_part(checker(StableDiffusionSafetyChecker), folder / "safety_checker")
    weights = folder / "safety_checker" / "model.safetensors"
    tensors = {key.replace("vision_model.", "vision_model.vision_model."): v for key, v in load_file(weights).items()}
    save_file(tensors, weights, {"format": "pt"})
    extractor(folder / "feature_extractor", "CLIPFeatureExtractor")
    as_diffusers_02(folder / "vae")


def sd21(folder: Path, **scheduler: Any) -> None:
    pipeline = pipelines.latent()
    pipeline.register_modules(unet=unet(use_linear_projection=True, upcast_attention=True))
    save(
        pipeline, folder, "DDIMScheduler", {**V, **scheduler}, requires_safety_checker=False,
        safety_checker=[None, None], feature_extractor=["transformers", "CLIPImageProcessor"],
    )  # fmt: skip
    extractor(folder / "feature_extractor")


def sdxl(folder: Path) -> None:
    index = {"force_zeros_for_empty_prompt": True, "add_watermarker": None}
    save(pipelines.latent_xl(), folder, "EulerDiscreteScheduler", XL, **index)


def playground(folder: Path) -> None:
    sdxl(folder)
    path = folder / "scheduler" / "scheduler_config.json"
    path.unlink()
    edit(path, _class_name="EDMDPMSolverMultistepScheduler", **PLAYGROUND)
    edit(folder / "model_index.json", scheduler=["diffusers", "EDMDPMSolverMultistepScheduler"])
    means = {"latents_mean": [-1.6574, 1.886, -1.383, 2.5155], "latents_std": [8.4927, 5.9022, 6.5498, 5.2299]}
    edit(folder / "vae" / "config.json", scaling_factor=0.5, **means)


def deepfloyd(folder: Path, *, stage: Callable[[], DiffusionPipeline] = pipelines.pixel, **config: Any) -> None:
    pipeline = stage()
    pipeline.register_modules(unet=if_unet(**config), text_encoder=t5_encoder(WIDTH))
    save(
        pipeline, folder, "DDPMScheduler", IF, requires_safety_checker=True,
        safety_checker=["deepfloyd_if", "IFSafetyChecker"], watermarker=["deepfloyd_if", "IFWatermarker"],
        feature_extractor=["transformers", "CLIPImageProcessor"],
    )  # fmt: skip
    shutil.rmtree(folder / "tokenizer")
    save_sentencepiece(folder / "tokenizer")
    save_part(checker(IFSafetyChecker), folder / "safety_checker")
    save_part(IFWatermarker(), folder / "watermarker")
    extractor(folder / "feature_extractor")


def deepfloyd_2(folder: Path) -> None:
    """Stage II: a pipeline of its own, which makes pictures larger."""
    deepfloyd(folder, stage=pipelines.upscaling, in_channels=6, class_embed_type="timestep")


def pixart(folder: Path) -> None:
    """Its transformer is of the class that it had when it was published."""
    pipeline = pipelines.pixart()
    pipeline.register_modules(text_encoder=t5_encoder(WIDTH))
    config = {"beta_end": 0.02, "beta_schedule": "linear", "beta_start": 0.0001, "solver_order": 2}
    save(pipeline, folder, "DPMSolverMultistepScheduler", config, transformer=["diffusers", "Transformer2DModel"])
    older = {"_class_name": "Transformer2DModel", "double_self_attention": False, "num_vector_embeds": None}
    edit(folder / "transformer" / "config.json", **older, only_cross_attention=False, use_linear_projection=False)
    shutil.rmtree(folder / "tokenizer")
    save_sentencepiece(folder / "tokenizer")


def amused(folder: Path, *, halved: bool) -> None:
    pipeline = pipelines.muse()
    config = {**pipeline.transformer.config, "downsample": halved, "upsample": halved}
    pipeline.register_modules(transformer=diffusers.UVit2DModel.from_config(config))
    save(pipeline, folder, "AmusedScheduler", {"mask_token_id": pipelines.CODES, "masking_schedule": "cosine"})


def sd3(folder: Path, *, shift: dict[str, Any], **transformer: Any) -> None:
    pipeline = pipelines.flow()
    config = {**pipeline.transformer.config, **transformer}
    network = diffusers.SD3Transformer2DModel.from_config(config)
    pipeline.register_modules(transformer=network, text_encoder_3=t5_encoder(2 * WIDTH))
    index = {"image_encoder": [None, None], "feature_extractor": [None, None]} if transformer else {}
    save(pipeline, folder, "FlowMatchEulerDiscreteScheduler", {**FLOW, **shift}, **index)
    edit(folder / "model_index.json", tokenizer_3=["transformers", "T5TokenizerFast"])


LAYOUTS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "sd15": ("latent", sd15),
    "sd21": ("latent", sd21),
    "sd21-zero-snr": ("latent", lambda folder: sd21(folder, **ZERO_SNR)),
    "sdxl": ("latent_xl", sdxl),
    "if-m": ("pixel", deepfloyd),
    "if-l": ("pixel", lambda folder: deepfloyd(folder, resnet_skip_time_act=True, resnet_out_scale_factor=1.41)),
    "if-xl": (
        "pixel",
        lambda folder: deepfloyd(folder, mid_block_only_cross_attention=True, time_embedding_act_fn="silu"),
    ),
    "if-ii": ("upscaling", deepfloyd_2),
    "pixart-sigma": ("pixart", pixart),
    "amused-256": ("muse", lambda folder: amused(folder, halved=False)),
    "amused-512": ("muse", lambda folder: amused(folder, halved=True)),
    "sd3": ("flow", lambda folder: sd3(folder, shift={})),
    "sd3.5-large": ("flow", lambda folder: sd3(folder, shift={}, qk_norm="rms_norm")),
    "sd3.5-medium": ("flow", lambda folder: sd3(folder, shift={}, qk_norm="rms_norm", dual_attention_layers=(0,))),
}
"""Name -> the architecture of `architectures.CLASSES` that takes it, and what writes it."""

REFUSED: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "playground-2.5": ("latent_xl", playground, "its EDMDPMSolverMultistepScheduler is EDM's"),
    "if-ii in stage I": ("pixel", deepfloyd_2, "holds an IFSuperResolutionPipeline"),
}
"""Name -> architecture, what writes it, and what is said of it."""


def publish(name: str, folder: Path) -> Path:
    """Write a layout of LAYOUTS or REFUSED, with the same weights each time."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        {**LAYOUTS, **REFUSED}[name][1](folder)
    return folder
