"""Files of other programs: by which names, of which layers, and what is refused before any weights are read."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import pipelines
from architectures import make
from emu import originals
from emu.errors import UserError
from emu.formats.comfyui_lora import ComfyUILoRA
from emu.formats.kohya import KohyaLoRA
from emu.formats.lora import LoRA
from emu.loras import known
from emu.loras.file import LoRAFile
from emu.loras.written import load
from emu.models.loading import load_model
from emu.module import TextToImageModule
from emu.networks import adapters
from emu.networks.adapters import Adapter
from emu.pipeline_folders import components

Folder = Callable[[str], Path]

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ATTENTION = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
NAMES = [
    f"unet.{ATTENTION}",
    f"base_model.model.{ATTENTION}",
    f"unet.base_model.model.{ATTENTION}",
    ATTENTION,
    f"lora_unet_{ATTENTION.replace('.', '_')}",
    f"lycoris_{ATTENTION.replace('.', '_')}",
    "lora_unet_input_blocks_3_1_transformer_blocks_0_attn1_to_q",
    "diffusion_model.input_blocks.3.1.transformer_blocks.0.attn1.to_q",
    "model.diffusion_model.input_blocks.3.1.transformer_blocks.0.attn1.to_q",
]


def parts(rows: int, columns: int, *, rank: int = 2) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(0)
    return {
        "lora_down.weight": torch.randn(rank, columns, generator=g),
        "lora_up.weight": torch.randn(rows, rank, generator=g),
    }


@pytest.mark.parametrize("name", NAMES)
def test_one_layer_has_many_names(name: str, tiny_folder: Folder, tmp_path: Path) -> None:
    path = tmp_path / "style.safetensors"
    base = make("latent", tiny_folder("latent")).backbone.get_parameter(f"{ATTENTION}.weight").detach()
    own = parts(*base.shape)
    save_file({f"{name}.{end}": one for end, one in own.items()} | {f"{name}.alpha": torch.tensor(5.0)}, path)
    model = make("latent", tiny_folder("latent"), loras=[f"{path}:0.5"])
    wanted = base + 0.5 * 5 / 2 * own["lora_up.weight"] @ own["lora_down.weight"]
    for network in (model.backbone, model.ema):
        torch.testing.assert_close(network.get_parameter(f"{ATTENTION}.weight"), wanted)


OUT = ATTENTION.replace("to_q", "to_out.0")
SELF = "text_model.encoder.layers.1.self_attn"
BEFORE = {  # how diffusers wrote files until 0.22 and, of text encoders, until 0.30 -> layer
    f"unet.{ATTENTION.replace('to_q', 'processor.to_q_lora')}": ("unet", ATTENTION),
    ATTENTION.replace("to_q", "processor.to_q_lora"): ("unet", ATTENTION),
    f"unet.{ATTENTION.replace('to_q', 'processor.to_out_lora')}": ("unet", OUT),
    f"text_encoder.{SELF}.to_k_lora": ("text_encoder", f"{SELF}.k_proj"),
    f"text_encoder.{SELF}.to_out_lora": ("text_encoder", f"{SELF}.out_proj"),
    f"text_encoder.{SELF}.v_proj.lora_linear_layer": ("text_encoder", f"{SELF}.v_proj"),
}


@pytest.mark.parametrize("spelled", BEFORE)
def test_files_of_earlier_diffusers(spelled: str, tiny_folder: Folder, tmp_path: Path) -> None:
    path, (component, layer) = tmp_path / "style.safetensors", BEFORE[spelled]
    before = weight(load_model(tiny_folder("latent")), component, layer)
    down, up = parts(*before.shape).values()
    save_file({f"{spelled}.down.weight": down, f"{spelled}.up.weight": up}, path)
    after = weight(load_model(tiny_folder("latent"), loras=[str(path)]), component, layer)
    torch.testing.assert_close(after, before + up @ down)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "pytorch_lora_weights.safetensors"])
def test_a_folder_stands_for_the_file_that_is_saved_into_it(name: str, tiny_folder: Folder, tmp_path: Path) -> None:
    """With the alpha that peft keeps beside it."""
    folder = tmp_path / "style:2"
    folder.mkdir()
    before = weight(load_model(tiny_folder("latent")), "unet", ATTENTION)
    down, up = parts(*before.shape).values()
    save_file(
        {f"base_model.model.{ATTENTION}.lora_{end}.weight": one for end, one in (("A", down), ("B", up))}, folder / name
    )
    (folder / "adapter_config.json").write_text('{"r": 2, "lora_alpha": 8}')
    scale = 4 if name.startswith("adapter") else 1
    for given, strength in ((f"{folder}", 1), (f"{folder}:0.5", 0.5)):
        after = weight(load_model(tiny_folder("latent"), loras=[given]), "unet", ATTENTION)
        torch.testing.assert_close(after, before + strength * scale * up @ down)


def weight(model: TextToImageModule, component: str, layer: str) -> Tensor:
    own = dict(getattr(model.pipeline, component).named_parameters())
    found: Tensor = own.get(f"{layer}.weight", own.get(f"{layer.removeprefix('text_model.')}.weight"))
    return found.detach().clone()


def test_the_first_layout_of_flux(tiny_folder: Folder, tmp_path: Path) -> None:
    """XLabs' names are of what BFL calls img_attn and txt_attn (diffusers: _convert_xlabs_flux_lora_to_diffusers)."""
    model = make("flux", tiny_folder("flux"))
    block = model.backbone.get_submodule("transformer_blocks.0.attn")
    fused = {"qkv_lora1": ("to_q", "to_k", "to_v"), "proj_lora2": ("to_add_out",)}
    tensors, wanted = {}, {}
    for name, layers in fused.items():
        own = [block.get_submodule(layer).weight.detach() for layer in layers]
        down, up = parts(sum(map(len, own)), own[0].shape[1]).values()
        tensors |= {f"double_blocks.0.processor.{name}.{end}.weight": one for end, one in (("down", down), ("up", up))}
        wanted |= dict(zip(layers, (torch.cat(own) + up @ down).split([len(one) for one in own]), strict=True))
    save_file(tensors, tmp_path / "style.safetensors")
    merged = make("flux", tiny_folder("flux"), loras=[str(tmp_path / "style.safetensors")])
    for layer, expected in wanted.items():
        found = merged.backbone.get_parameter(f"transformer_blocks.0.attn.{layer}.weight")
        torch.testing.assert_close(found, expected)


def test_a_file_of_encoders_alone_starts_no_run(tiny_folder: Folder, tmp_path: Path) -> None:
    path = tmp_path / "style.safetensors"
    tensors = parts(*fc1(make("latent_xl", tiny_folder("latent_xl")), "text_encoder").shape)
    save_file({f"lora_te1_text_model_encoder_layers_1_mlp_fc1.{end}": one for end, one in tensors.items()}, path)
    load_model(tiny_folder("latent_xl"), loras=[str(path)])
    with pytest.raises(UserError, match="of text encoders alone, which stay as they are where a run starts"):
        make("latent_xl", tiny_folder("latent_xl"), loras=[str(path)])


@pytest.mark.parametrize("drawing", [False, True])
def test_layers_of_text_encoders(
    drawing: bool, tiny_folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They take part in drawing; where training starts, the encoders stay as they are, and a line says so."""
    path, folder = tmp_path / "style.safetensors", tiny_folder("latent_xl")
    plain, tensors = make("latent_xl", folder), {}
    layers = {"lora_te1": "text_encoder", "lora_te2": "text_encoder_2"}
    for prefix, component in layers.items():
        weight = fc1(plain, component)
        key = f"{prefix}_text_model_encoder_layers_1_mlp_fc1"
        tensors |= {f"{key}.{end}": one for end, one in parts(*weight.shape).items()}
    tensors |= matrices("lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q", (2, 32), (32, 2))
    save_file(tensors, path)
    with caplog.at_level("INFO", logger="lightning.pytorch"):  # which a plan in this process has turned down
        model = load_model(folder, loras=[str(path)]) if drawing else make("latent_xl", folder, loras=[str(path)])
    assert ("its 2 layers of text encoders are left out" in caplog.text) != drawing
    for component in layers.values():
        assert torch.equal(fc1(plain, component), fc1(model, component)) != drawing


def test_each_component_has_the_alpha_that_diffusers_saved_for_it(tiny_folder: Folder, tmp_path: Path) -> None:
    """Of a file that diffusers wrote every layer becomes what peft merges it to."""
    pipeline: Any = StableDiffusionXLPipeline.from_pretrained(tiny_folder("latent_xl"), dtype=torch.float32)
    alphas = {"text_encoder": 3, "unet": 8, "text_encoder_2": 24}
    told: dict[str, Any] = {}
    torch.manual_seed(0)
    for name, alpha in alphas.items():
        part, config = getattr(pipeline, name), LoraConfig(r=4, lora_alpha=alpha, target_modules=["fc1", "to_q"])
        inject_adapter_in_model(config, part)
        for key, weight in part.named_parameters():
            if "lora_" in key:
                nn.init.normal_(weight, std=0.3)
        matrices = get_peft_model_state_dict(part)
        told |= {f"{name}_lora_layers": matrices, f"{name}_lora_adapter_metadata": config.to_dict()}
    StableDiffusionXLPipeline.save_lora_weights(tmp_path, **told)
    ours = load_model(tiny_folder("latent_xl"), loras=[str(tmp_path / "pytorch_lora_weights.safetensors")])
    for name in alphas:
        found, merged = getattr(ours.pipeline, name), 0
        for layer, adapted in adapters.layers(getattr(pipeline, name)):
            adapted.merge()
            wanted = adapted.get_base_layer().weight
            torch.testing.assert_close(found.get_submodule(layer).weight, wanted, rtol=0, atol=1e-5)
            merged += 1
        assert merged


def fc1(model: TextToImageModule, component: str) -> Tensor:
    layers = getattr(model.pipeline, component).named_modules()
    found: Tensor = next(layer.weight for name, layer in layers if name.endswith("layers.1.mlp.fc1"))
    return found


def matrices(layer: str, down: tuple[int, int], up: tuple[int, int]) -> dict[str, Tensor]:
    return {f"{layer}.lora_A.weight": torch.ones(down), f"{layer}.lora_B.weight": torch.ones(up)}


NOT_THIS_BASE = "give a LoRA of this model's base \\(it says that it is of sdxl_base_v1-0\\)"
BAD = {
    "of no layer": (
        matrices("lora_unet_nowhere", (2, 4), (4, 2)),
        f"1 of its 1 layers are none of this unet's, the first lora_unet_nowhere; {NOT_THIS_BASE}",
    ),
    "of another shape": (
        matrices(f"unet.{ATTENTION}", (2, 7), (9, 2)),
        rf"its unet\.down_blocks.* is for weights of \(9, 7\), and this unet has \(\d+, \d+\); {NOT_THIS_BASE}",
    ),
    "of two ranks": (matrices(f"unet.{ATTENTION}", (2, 7), (9, 3)), "the parts of its unet.* do not belong together"),
    "a half": ({f"unet.{ATTENTION}.lora_A.weight": torch.ones(2, 7)}, "the parts of its unet.* do not belong together"),
    "magnitudes of another layer": (
        {f"unet.{ATTENTION}.lora_magnitude_vector": torch.ones(9), **matrices(f"unet.{ATTENTION}", (2, 32), (32, 2))},
        "the parts of its unet.* do not belong together",
    ),
    "one layer twice": (
        {**matrices(f"unet.{ATTENTION}", (2, 32), (32, 2)), **matrices(NAMES[4], (2, 32), (32, 2))},
        f"(unet.{ATTENTION}|{NAMES[4]}) and .* are one layer of this unet; leave one out",
    ),
    "a model": (
        {"model.diffusion_model.out.2.weight": torch.ones(2, 7)},
        r"1 of its 1 keys are none of a LoRA, LoHa or LoKr, the first model\.diffusion_model\.out\.2\.weight",
    ),
    "nothing": ({}, "0 of its 0 keys are none of a LoRA"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused_before_any_weights_are_read(
    name: str, tiny_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("weights are read")

    tensors, message = BAD[name]
    path = tmp_path / "style.safetensors"
    save_file(tensors, path, {"ss_base_model_version": "sdxl_base_v1-0"})
    monkeypatch.setattr(components, "load_networks", never)
    with pytest.raises(UserError, match=f"{path}: {message}"):
        make("latent", tiny_folder("latent"), loras=[str(path)])


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent.safetensors: no such file"):
        LoRAFile(str(tmp_path / "absent.safetensors:0.5"))
    (tmp_path / "a.safetensors").write_bytes(b"none")
    with pytest.raises(UserError, match=r"no .safetensors file, or cut off"):
        LoRAFile(str(tmp_path / "a.safetensors"))
    with pytest.raises(UserError, match="a strength of inf"):
        LoRAFile(f"{tmp_path / 'a.safetensors'}:inf")


# What became of layers between a model's first publication and diffusers, from the models' own published code: written
# apart from `emu.originals`.
DOUBLE = {
    "img_attn.qkv": "attn.to_q attn.to_k attn.to_v",
    "txt_attn.qkv": "attn.add_q_proj attn.add_k_proj attn.add_v_proj",
    "img_attn.proj": "attn.to_out.0",
    "txt_attn.proj": "attn.to_add_out",
    "img_mlp.0": "ff.net.0.proj",
    "img_mlp.2": "ff.net.2",
    "txt_mlp.0": "ff_context.net.0.proj",
    "txt_mlp.2": "ff_context.net.2",
    "img_mod.lin": "norm1.linear",
    "txt_mod.lin": "norm1_context.linear",
}
SINGLE = {"linear1": "attn.to_q attn.to_k attn.to_v proj_mlp", "linear2": "proj_out", "modulation.lin": "norm.linear"}
LUMINA = {
    "attention.qkv": "attn.to_q attn.to_k attn.to_v",
    "attention.out": "attn.to_out.0",
    "feed_forward.w1": "feed_forward.linear_1",
    "feed_forward.w2": "feed_forward.linear_2",
    "feed_forward.w3": "feed_forward.linear_3",
    "adaLN_modulation.1": "norm1.linear",
}
Z_IMAGE = {"attention.qkv": "attention.to_q attention.to_k attention.to_v", "attention.out": "attention.to_out.0"}
SD3_X = {
    "x_block.attn.qkv": "attn.to_q attn.to_k attn.to_v",
    "context_block.attn.qkv": "attn.add_q_proj attn.add_k_proj attn.add_v_proj",
    "x_block.attn.proj": "attn.to_out.0",
    "context_block.attn.proj": "attn.to_add_out",
    "x_block.mlp.fc1": "ff.net.0.proj",
    "x_block.mlp.fc2": "ff.net.2",
    "context_block.mlp.fc1": "ff_context.net.0.proj",
    "context_block.mlp.fc2": "ff_context.net.2",
    "x_block.adaLN_modulation.1": "norm1.linear",
    "context_block.adaLN_modulation.1": "norm1_context.linear",
}
SANA = {
    "attn.qkv": "attn1.to_q attn1.to_k attn1.to_v",
    "attn.proj": "attn1.to_out.0",
    "cross_attn.q_linear": "attn2.to_q",
    "cross_attn.kv_linear": "attn2.to_k attn2.to_v",
    "cross_attn.proj": "attn2.to_out.0",
}
GUIDANCE = {f"{i}.{side}_layer": f"{i}.linear_{1 + (side == 'out')}" for i in range(5) for side in ("in", "out")}
BLOCKS: dict[str, dict[str, tuple[str, dict[str, str]]]] = {
    "flux": {"double_blocks": ("transformer_blocks", DOUBLE), "single_blocks": ("single_transformer_blocks", SINGLE)},
    "chroma": {
        "double_blocks": ("transformer_blocks", DOUBLE),
        "single_blocks": ("single_transformer_blocks", SINGLE),
        "distilled_guidance_layer": ("distilled_guidance_layer", GUIDANCE),
    },
    "lumina2": {name: (name, LUMINA) for name in ("layers", "noise_refiner", "context_refiner")},
    "z_image": {name: (name, Z_IMAGE) for name in ("layers", "noise_refiner", "context_refiner")},
    "flow": {"joint_blocks": ("transformer_blocks", SD3_X)},
    "sana": {"blocks": ("transformer_blocks", SANA)},
}


def trained(name: str, tiny_folder: Folder) -> TextToImageModule:
    """As if an adapter had trained; alpha is not the rank."""
    model = make(name, tiny_folder(name), adapter=Adapter(rank=3, alpha=7))
    torch.manual_seed(3)
    for _, layer in adapters.layers(model.ema):
        nn.init.normal_(layer.lora_B["default"].weight, std=0.2)
    return model


def held_to(network: nn.Module, model: TextToImageModule) -> None:
    wanted = adapters.merged(model.ema).state_dict()
    found = network.state_dict()
    assert found.keys() == wanted.keys()
    for key, weight in wanted.items():
        torch.testing.assert_close(found[key], weight, rtol=0, atol=1e-6, msg=key)


@pytest.mark.parametrize("name", BLOCKS)
def test_published_names_by_a_mapper_of_our_own(name: str, tiny_folder: Folder, tmp_path: Path) -> None:
    model = trained(name, tiny_folder)
    out = tmp_path / "style.safetensors"
    ComfyUILoRA().write(model, out, {})
    file, network = load_file(out), adapters.merged(make(name, tiny_folder(name)).backbone)
    for key in [key for key in file if key.endswith(".lora_A.weight")]:
        layer = key.removeprefix("diffusion_model.").removesuffix(".lora_A.weight")
        down, up, alpha = (
            file[f"diffusion_model.{layer}.{end}"] for end in ("lora_A.weight", "lora_B.weight", "alpha")
        )
        difference = float(alpha) / len(down) * up @ down
        kind, number, inner = layer.split(".", 2)
        if (name, number, inner) == ("flow", "1", "context_block.adaLN_modulation.1"):  # of the last, shift and scale
            difference = difference.roll(len(difference) // 2, 0)
        ours, table = BLOCKS[name][kind]
        targets = [network.get_submodule(f"{ours}.{number}.{one}") for one in table.get(inner, inner).split()]
        rows = difference.split([len(one.weight) for one in targets])  # type: ignore[arg-type]
        for one, update in zip(targets, rows, strict=True):
            one.weight.data += update.reshape(one.weight.shape)  # type: ignore[union-attr, operator]
    held_to(network, model)


DIFFUSERS_READS = {  # by converters of its own, which were written for LoRAs alone
    "latent_xl": lambda key: "lora_unet_" + KEY.sub(lambda m: m[1].replace(".", "_") + ENDS[m[2]], key),
    "flux2_klein": lambda key: None if key.endswith(".alpha") else f"diffusion_model.{key}",
    "krea2": lambda key: None if key.endswith(".alpha") else f"diffusion_model.{key}",
    "qwen_image": lambda key: f"diffusion_model.{key}",
}
KEY = re.compile(r"^(.*)(\.lora_A\.weight|\.lora_B\.weight|\.alpha)$")
ENDS = {".lora_A.weight": ".lora_down.weight", ".lora_B.weight": ".lora_up.weight", ".alpha": ".alpha"}


@pytest.mark.parametrize("name", DIFFUSERS_READS)
def test_published_names_by_diffusers_own_reader_of_loras(name: str, tiny_folder: Folder, tmp_path: Path) -> None:
    model = trained(name, tiny_folder)
    out, other = tmp_path / "style.safetensors", tmp_path / "renamed.safetensors"
    ComfyUILoRA().write(model, out, {})
    renamed = {DIFFUSERS_READS[name](key.removeprefix("diffusion_model.")): one for key, one in load_file(out).items()}
    save_file({key: one for key, one in renamed.items() if key is not None}, other)
    pipeline = LoRA().base(model)
    load(pipeline, model.slot, other)
    held_to(adapters.merged(getattr(pipeline, model.slot)), model)


@pytest.mark.parametrize("name", ["latent", "latent_xl", "z_image", "flux2_klein", "qwen_image"])
def test_kohyas_names_by_diffusers_own_reader_of_loras(name: str, tiny_folder: Folder, tmp_path: Path) -> None:
    model = trained(name, tiny_folder)
    KohyaLoRA().write(model, tmp_path / "style.safetensors", {})
    pipeline = LoRA().base(model)
    load(pipeline, model.slot, tmp_path / "style.safetensors")
    held_to(adapters.merged(getattr(pipeline, model.slot)), model)


@pytest.mark.parametrize(
    ("name", "blocks"),
    [("latent", "down_blocks|mid_block|up_blocks"), ("latent_xl", "(in|out)put_blocks|middle_block")],
)
def test_kohyas_names_of_u_nets(name: str, blocks: str, tiny_folder: Folder) -> None:
    """Its trainers call SD 1's layers as diffusers does and SDXL's as they were published, and merge no others."""
    tensors = KohyaLoRA().tensors(trained(name, tiny_folder))
    assert tensors
    assert all(re.match(rf"lora_unet_({blocks})_", key) for key in tensors)


@pytest.mark.parametrize("kind", [LoRA, ComfyUILoRA, KohyaLoRA])
@pytest.mark.parametrize("name", ["latent", "latent_xl", *BLOCKS, "auraflow", "krea2", "qwen_image_21", "ernie_image"])
def test_what_is_written_is_read(name: str, kind: type[LoRA], tiny_folder: Folder, tmp_path: Path) -> None:
    model = trained(name, tiny_folder)
    kind().write(model, tmp_path / "style.safetensors", {})
    held_to(make(name, tiny_folder(name), loras=[str(tmp_path / "style.safetensors")]).backbone, model)


def test_a_part_of_what_was_one_layer(tiny_folder: Folder, tmp_path: Path) -> None:
    """Where only the query has an adapter, the fused layer's other rows stay."""
    model = make("z_image", tiny_folder("z_image"), adapter=Adapter(rank=2, targets=["to_k"]))
    for _, layer in adapters.layers(model.ema):
        nn.init.normal_(layer.lora_B["default"].weight)
    ComfyUILoRA().write(model, tmp_path / "style.safetensors", {})
    assert {key.split(".")[-3] for key in load_file(tmp_path / "style.safetensors") if "lora_A" in key} == {"qkv"}
    held_to(make("z_image", tiny_folder("z_image"), loras=[str(tmp_path / "style.safetensors")]).backbone, model)


def test_a_model_that_was_never_published_otherwise(tiny_folder: Folder, tmp_path: Path) -> None:
    model = trained("muse", tiny_folder)
    with pytest.raises(UserError, match="layers have no name where a UVit2DModel was first published.*--format lora"):
        ComfyUILoRA().write(model, tmp_path / "style.safetensors", {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "more",
    [
        {"encoder_hid_dim": 16, "addition_embed_type": "text"},  # DeepFloyd IF's
        {"num_class_embeds": 10},
        {"time_cond_proj_dim": 8},
        {"layers_per_block": [1, 2]},
    ],
    ids=str,
)
def test_a_u_net_of_which_no_single_file_was_published_takes_files_by_its_own_names(
    more: dict[str, Any], tmp_path: Path
) -> None:
    network = pipelines.unet(**more)
    save_file(matrices(f"unet.{ATTENTION}", (2, 32), (32, 2)), tmp_path / "style.safetensors")
    held = known.of_network("unet", network)
    LoRAFile(str(tmp_path / "style.safetensors")).check({"unet": held}, slot="unet")
    assert known.published(network) == {}
    with pytest.raises(UserError, match="no single file of this UNet2DConditionModel: .*; give --format diffusers"):
        originals.layout("UNet2DConditionModel", network.state_dict(), network.config)


def test_names_that_underscores_would_confuse_are_not_read() -> None:
    """`a.b_c` and `a_b.c` are one in kohya's names."""
    network = nn.ModuleDict(
        {"a": nn.ModuleDict({"b_c": nn.Linear(2, 2)}), "a_b": nn.ModuleDict({"c": nn.Linear(2, 2)})}
    )
    layers = known.of_network("unet", network)
    assert set(layers.shapes) == {"a.b_c", "a_b.c"}
    assert layers.spellings.find("a_b_c", ["lora_unet_"]) is None
