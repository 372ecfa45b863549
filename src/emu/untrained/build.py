"""Config -> sizes, and where they are asked for, the pipeline with its small text encoders taught to read."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

# As in `emu.planning.outline`: plain meta tensors do not do, since transformers asks a mask of them for its values.
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from emu.errors import UserError
from emu.parts.text_encoder import learn_words, pooled
from emu.pipeline_folders import folders
from emu.untrained import components, joints, sizes
from emu.untrained.plan import Plan, read


def new(config: Path, out: Path | None, *, captions: list[str], seed: int = 0, learn_steps: int = 600) -> str:
    """Writes the pipeline folder `out`, or nothing where that is None, and returns what it consists of and costs.

    Args:
        config: as `emu.untrained.plan` has it.
        out: the folder; one that holds anything is refused.
        captions: what tokenizers and small text encoders learn from, where there are such.
        seed: of the weights.
        learn_steps: for which a small text encoder learns to read.

    Raises UserError where the config is wrong or parts do not fit, before anything is made.
    """
    if out is not None and out.exists():
        raise UserError(f"{out}: exists already; name a new folder")
    plan = read(config)
    tokenizers = {name: tokenizer(plan, name, captions) for name in plan.components if name.startswith("tokenizer")}
    report = outline(plan, tokenizers)
    if out is None:
        return report
    with folders.replacing(out) as target:  # a place that cannot be written to is said before minutes of learning
        torch.manual_seed(seed)
        rest = plan.components.keys() - tokenizers.keys()
        parts = tokenizers | {name: component(plan, name, tokenizers) for name in sorted(rest)}
        lines = [teach(plan, name, parts, captions, steps=learn_steps) for name in small_encoders(plan)]
        plan.architecture.pipeline_class(**parts).save_pretrained(target)
    return "\n".join([report, *lines])


def tokenizer(plan: Plan, name: str, captions: list[str]) -> Any:
    """One that is loaded, or learned from the captions."""
    given = plan.components[name]
    if is_made(given):
        return components.learned_tokenizer(name, given, plan.types[name], captions)
    return components.loaded(name, given, plan.types[name]) if given is not None else None


def component(plan: Plan, name: str, tokenizers: dict[str, Any], *, weights: bool = True) -> Any:
    """One that is loaded, or untrained, or a plain setting of the pipeline."""
    given = plan.components[name]
    if is_made(given):
        reader = tokenizers.get(name.replace("text_encoder", "tokenizer"))
        return components.untrained(name, given, plan.types[name], reader)
    if isinstance(given, str | dict):
        return components.loaded(name, given, plan.types[name], weights=weights)
    return given


def is_made(given: Any) -> bool:
    """Whether a component is made here, of a config, and not loaded."""
    return isinstance(given, dict) and components.PRETRAINED not in given


def outline(plan: Plan, tokenizers: dict[str, Any]) -> str:
    """The table of sizes. Raises UserError where two parts do not fit."""
    parts: dict[str, Any] = dict(tokenizers)
    for name in plan.components.keys() - tokenizers.keys():
        if name.endswith("scheduler"):  # it computes with the values of its tensors
            parts[name] = component(plan, name, tokenizers)
    with FakeTensorMode(allow_non_fake_inputs=True):
        for name in plan.components.keys() - parts.keys():
            parts[name] = component(plan, name, tokenizers, weights=False)
    model = plan.architecture("untrained", resolution=plan.resolution)
    joints.check(parts, model.slot, beside=model.beside)
    model.pipeline = plan.architecture.pipeline_class(**parts)
    model.backbone = model.ema = parts[model.slot]
    networks = {name: parts[name] for name in plan.components if isinstance(parts[name], nn.Module)}
    with FakeTensorMode(allow_non_fake_inputs=True):
        found = sizes.measure(model, networks, plan.resolution)
    classes = {name: type(network).__name__ for name, network in networks.items()}
    return found.table(model.slot, classes, plan.resolution)


def small_encoders(plan: Plan) -> list[str]:
    """The text encoders that are made here, and so know no word yet."""
    return [n for n, given in plan.components.items() if n.startswith("text_encoder") and is_made(given)]


def teach(plan: Plan, name: str, parts: dict[str, Any], captions: list[str], *, steps: int) -> str:
    """Train a text encoder until it tells which words a caption holds; says how well it does."""
    if not captions:
        raise UserError(f"components.{name}: learns to read from captions; name some with --captions")
    encoder: PreTrainedModel = parts[name]
    reader: PreTrainedTokenizerBase = parts[name.replace("text_encoder", "tokenizer")]
    found = learn_words(pooled(reader, encoder), encoder, captions, steps=steps)
    return f"{name} finds {100 * found:.1f} % of a caption's words"
