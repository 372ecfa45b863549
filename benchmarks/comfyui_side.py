"""The half of comfyui.py that runs in ComfyUI's own Python: loads what emu wrote, and predicts with it."""

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

LORAS = ("lora", "lora-comfyui", "lora-kohya")


class Said(logging.Handler):
    """What ComfyUI warns of: weights that it misses, does not know, or does not load."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage()[:300])

    def taken(self) -> list[str]:
        lines, self.lines = self.lines, []
        return lines


@torch.no_grad()
def clean(patcher: Any, given: dict[str, Any]) -> Tensor:
    """The clean latents that ComfyUI's model predicts."""
    import comfy.model_management

    comfy.model_management.load_models_gpu([patcher], force_full_load=True)
    model, noisy = patcher.model, given["noisy"]
    shaped = noisy[:, :, None] if model.latent_format.latent_dimensions == 3 else noisy
    conds = model.extra_conds(**given["text"], noise=shaped, device=torch.device("cpu"), width=1, height=1)
    inputs = {name: cond.process_cond(batch_size=1, area=None).cond for name, cond in conds.items()}
    predicted: Tensor = model.apply_model(shaped, given["sigma"], transformer_options={}, **inputs)
    return predicted.reshape(noisy.shape)


class Server:
    """What ComfyUI's executor tells of its progress, to nobody."""

    client_id = last_node_id = None

    def send_sync(self, *_: Any) -> None:
        pass


def workflows(place: Path, said: Said) -> dict[str, Any]:
    """What ComfyUI says of each workflow, and how far the picture that it draws is from emu's, where that is there."""
    import execution
    import folder_paths
    import nodes

    for kind in ("checkpoints", "diffusion_models", "text_encoders", "vae"):
        folder_paths.add_model_folder_path(kind, str(place), is_default=True)
    folder_paths.set_output_directory(str(place))
    asyncio.run(nodes.init_extra_nodes(init_custom_nodes=False, init_api_nodes=False))
    found: dict[str, Any] = {}
    said.taken()  # of nodes that lack a package
    for path in sorted(place.glob("*.json")):
        graph = json.loads(path.read_text())
        for text in [text for node in graph.values() for text in node["inputs"].values() if isinstance(text, str)]:
            if text.endswith(".safetensors"):
                (place / text).touch()
        valid, error, outputs, wrong = asyncio.run(execution.validate_prompt("1", graph, None))
        found[path.stem] = "valid" if valid else [error, wrong]
        if valid and path.with_suffix(".npy").exists():
            kept = {"lru": 0, "ram": 0, "ram_inactive": 0}
            executor = execution.PromptExecutor(Server(), execution.CacheType.CLASSIC, kept)
            executor.execute(graph, "1", {}, outputs)
            if not executor.success:
                raise SystemExit(str(executor.status_messages[-1]))
            drawn = np.asarray(Image.open(next(place.glob(f"{path.stem}*.png")))).astype(int)
            apart = np.abs(drawn - np.load(path.with_suffix(".npy")))
            found[path.stem] = f"{apart.mean():.3f} levels apart, at most {apart.max()}, of {drawn.std():.0f}"
    return found | {"warnings": said.taken()}


def main() -> None:
    place = Path(sys.argv[2])
    sys.path.insert(0, sys.argv[1])
    from comfy.cli_args import args

    args.cpu = args.fp32_text_enc = True
    import comfy.sd  # noqa: F401  (before its log is listened to)

    said = Said()
    logging.getLogger().handlers = [said]
    if not (place / "predicted.pt").exists():
        print(json.dumps(workflows(place, said)))
        return
    given = torch.load(place / "predicted.pt")
    found: dict[str, Any] = {}

    def told(name: str, patcher: Any, wanted: str) -> None:
        moved = (given["tuned" if wanted == "base" else wanted] - given["base"]).abs().max()
        found[name] = {
            "model": f"{type(patcher.model).__name__} {patcher.model.model_type.name}",
            "apart": float((clean(patcher, given) - given[wanted]).abs().max() / moved),
            "warnings": said.taken(),
        }

    base, encoders = loaded(place / "base.safetensors", given)
    told("base", base, "base")
    told("tuned", loaded(place / "tuned.safetensors", given)[0], "tuned")
    for name in LORAS:
        told(name, with_lora(base, None, place / f"{name}.safetensors")[0], "tuned")
    if encoders is not None:
        patched, read = with_lora(base, encoders, place / "trainer.safetensors")
        told("trainer", patched, "trainer")
        found["texts"] = {"apart": texts_apart(read, given), "warnings": said.taken()}
    print(json.dumps(found))


def loaded(path: Path, given: dict[str, Any]) -> tuple[Any, Any]:
    """ComfyUI's network and, of a file that has them, its text encoders."""
    import comfy.sd

    if "prompt" not in given:
        return comfy.sd.load_diffusion_model(str(path)), None
    return tuple(comfy.sd.load_checkpoint_guess_config(str(path), output_vae=False)[:2])


def with_lora(network: Any, encoders: Any, path: Path) -> tuple[Any, Any]:
    """Both with a LoRA file on them, as ComfyUI's node for LoRAs has it."""
    import comfy.sd
    import comfy.utils

    state, header = comfy.utils.load_torch_file(str(path), return_metadata=True)
    patched: tuple[Any, Any] = comfy.sd.load_lora_for_models(network, encoders, state, 1.0, 1.0, lora_metadata=header)
    return patched


def texts_apart(encoders: Any, given: dict[str, Any]) -> float:
    """How far ComfyUI's encoding of the prompt is from emu's, over how far the file moved that."""
    encoded = encoders.encode_from_tokens(encoders.tokenize(given["prompt"]))
    moved = (given["encoded"] - given["text_before"]).abs().max()
    return float((encoded - given["encoded"]).abs().max() / moved)


if __name__ == "__main__":
    main()
