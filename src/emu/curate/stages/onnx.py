"""How models of ONNX are run here: with little memory, and without threads that turn while they wait."""

from pathlib import Path
from typing import Any


def options() -> Any:
    """`onnxruntime.SessionOptions` of one thread, whose waiting takes no processor, without an arena: a session would
    keep what the largest picture took."""
    import onnxruntime

    made = onnxruntime.SessionOptions()
    made.enable_cpu_mem_arena = False
    made.intra_op_num_threads = made.inter_op_num_threads = 1
    made.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return made


def session(model: Path, *, threads: int) -> Any:
    """An `onnxruntime.InferenceSession` on so many cores."""
    import onnxruntime

    given = options()
    given.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(model), given, providers=["CPUExecutionProvider"])
