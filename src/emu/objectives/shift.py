"""How far a scheduler moves noise levels to the noisy side when it draws: a flow-matching model learns at the same."""

import math
from typing import Any

from emu.errors import UserError


def shift_of(scheduler: Any, tokens: int) -> float:
    """The shift s of sigma -> s sigma / (1 + (s - 1) sigma) with which `scheduler` draws.

    It is static ("shift" of the flow-matching schedulers, "flow_shift" of the multistep solvers) or, where
    "use_dynamic_shifting" is set, grows with the picture (Esser et al. 2024, arXiv 2403.03206, section 5.3.2).

    Args:
        scheduler: of a diffusers pipeline.
        tokens: that the transformer makes of a picture.

    Raises UserError where the scheduler is none of flow matching.
    """
    config = scheduler.config
    # Multistep solvers have the flag and no range: unless a pipeline says how far, they draw at "flow_shift".
    if config.get("use_dynamic_shifting") and "max_shift" in config:
        slope = (config["max_shift"] - config["base_shift"]) / (
            config["max_image_seq_len"] - config["base_image_seq_len"]
        )
        mu = config["base_shift"] + slope * (tokens - config["base_image_seq_len"])
        return float(mu) if config.get("time_shift_type") == "linear" else math.exp(mu)
    if "shift" in config:
        return float(config["shift"])
    if config.get("prediction_type") == "flow_prediction":
        return float(config["flow_shift"])
    raise UserError(
        f"model.pretrained: its {type(scheduler).__name__} is no flow matching scheduler; see "
        "scheduler/scheduler_config.json"
    )
