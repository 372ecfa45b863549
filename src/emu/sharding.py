"""FSDP2: what trains and its average, sharded over all devices from outside of the model.

    emu fit -c latent/sdxl -c multi-gpu/fsdp2 --data.root my/needles

Notable: each block of the network (`emu.networks.blocks`) is a unit of `torch.distributed.fsdp.fully_shard`, the rest
is one more. Weights, gradients, moments and the average are kept in float32, a share a device; blocks compute in
`compute_dtype`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import lightning as L
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, distributed, nn
from torch.distributed.checkpoint import state_dict as shards
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, OffloadPolicy, fully_shard

from emu.checkpoints import Durable, gathered, sharded, verify
from emu.checkpoints.state import Checkpoint, Saved
from emu.errors import UserError
from emu.networks import nf4
from emu.networks.blocks import blocks


class FSDP2(ModelParallelStrategy):
    """Lightning's strategy for FSDP2, which shards by itself and over all devices.

    Lightning's own leaves sharding to the model, and its "auto" shares data among nodes alone.

    Args:
        shard: devices that hold one copy of the weights together; the groups hold one copy each, and average their
            gradients. None for all of a node, so that only gradients travel between nodes.
        reshard_after_forward: drop gathered weights until the backward pass asks for them again (ZeRO-3), but for the
            last block's, which it asks for first; False saves that gather, and costs the memory of all weights.
        compute_dtype: of the blocks' weights and activations; gradients are summed in float32 whichever it is.
        save_distributed_checkpoint: each process writes its shares into a folder; else the first gathers everything in
            its host memory and writes one file. Any number of devices, sharded or not, goes on from either.
        timeout_minutes: how long a device waits for the others before it gives up.
    """

    def __init__(
        self,
        *,
        shard: int | None = None,
        reshard_after_forward: bool = True,
        compute_dtype: Literal["bfloat16", "float32"] = "bfloat16",
        save_distributed_checkpoint: bool = True,
        timeout_minutes: float = 30,
    ) -> None:
        super().__init__(
            tensor_parallel_size=1,
            save_distributed_checkpoint=save_distributed_checkpoint,
            timeout=timedelta(minutes=timeout_minutes),
        )
        self.shard = shard
        self.reshard_after_forward = reshard_after_forward
        self.compute_dtype: torch.dtype = getattr(torch, compute_dtype)
        self._savers: Any = None  # the processes, as a group whose messages do not mix with those of training

    def setup_environment(self) -> None:
        """Join the other processes. UserError: they cannot be divided into groups of `shard`."""
        self._data_parallel_size = world = self.num_nodes * self.num_processes
        shard = self.shard or self.num_processes
        if world % shard:
            raise UserError(f"trainer.strategy.init_args.shard {shard}: {world} devices are no multiple of it")
        super().setup_environment()
        self._checkpoint_io = self._checkpoint_io or Durable()
        self.mesh = mesh(self.root_device.type, copies=world // shard, shard=shard)

    def setup(self, trainer: L.Trainer) -> None:
        """Shard, then as Lightning's: the optimizer is made of what is sharded."""
        networks = dict(self._networks())
        require_shardable(networks["backbone"])
        for name, network in networks.items():
            if isinstance(network, FSDPModule):  # of an earlier fit or validation with the same model
                continue
            # Of the average no backward pass would drop the gathered weights.
            reshard = name == "ema" or self.reshard_after_forward
            on_host = name == "ema" and self.mesh.device_type == "cuda" and self._average_on_host()
            apply(network, self.mesh, reshard=reshard, dtype=self.compute_dtype, on_host=on_host)
        share_frozen(networks["ema"], networks["backbone"])
        super().setup(trainer)

    def _average_on_host(self) -> bool:
        """UserError where a checkpoint of one file is asked for: between GPUs, nothing on the host is put together."""
        wanted: bool = getattr(self.lightning_module, "average_on_host", False)
        if wanted and not self._save_distributed_checkpoint:
            raise UserError(
                "model.init_args.average_on host: takes checkpoints of shares; leave "
                "trainer.strategy.init_args.save_distributed_checkpoint at true, or the average on the devices"
            )
        return wanted

    def _networks(self) -> Iterator[tuple[str, nn.Module]]:
        assert self.lightning_module is not None
        return self.lightning_module.named_children()

    def save_checkpoint(self, checkpoint: Saved, filepath: Any, storage_options: Any = None) -> None:
        """On all processes. UserError as for `Durable.save_checkpoint`, on all alike where they write shares."""
        io, path = self.checkpoint_io, Path(self.broadcast(filepath))
        if not self._save_distributed_checkpoint:
            if self.is_global_zero:
                io.save_checkpoint(checkpoint, path, storage_options)
            return
        if not isinstance(io, Durable):
            raise UserError("plugins: FSDP2 writes shares by emu.checkpoints.Durable alone; name no other CheckpointIO")
        if self._savers is None:
            self._savers = distributed.new_group(backend="gloo", timeout=self._timeout)
        save, state = partial(sharded.write, path=path, group=self._savers), cast(Checkpoint, checkpoint)
        io.carry_out(save, state, storage_options, alone=False)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> Saved:
        """On all processes, of a file or of shares by any number of processes; UserError where it is damaged."""
        path = Path(self.broadcast(checkpoint_path))
        if not sharded.is_sharded(path):
            return super().load_checkpoint(path, weights_only)
        verify(path, share=(self.global_rank, self.world_size))
        assert self.model is not None
        own: Any = {
            "state_dict": shards.get_model_state_dict(self.model),
            "optimizer_states": [shards.get_optimizer_state_dict(self.model, one) for one in self.optimizers],
        }
        tensors, _ = sharded.parted(own)
        rest = gathered.read_into(tensors, path)
        shards.set_model_state_dict(self.model, tensors["state_dict"])
        for i, optimizer in enumerate(self.optimizers):
            read = rest["optimizer_states"][i]
            state = {name: {**read["state"].get(name, {}), **of} for name, of in tensors[f"optimizer_{i}"].items()}
            whole: Any = {**read, "state": state}
            shards.set_optimizer_state_dict(self.model, optimizer, whole)
        return rest

    @contextmanager
    def block_backward_sync(self) -> Iterator[None]:
        """Inside, gradients are summed up where they are: between the batches of one optimizer step nothing travels."""
        backbone: Any = dict(self._networks())["backbone"]
        backbone.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            backbone.set_requires_gradient_sync(True)


def require_shardable(network: nn.Module) -> None:
    """UserError where it has weights in 4 bits, whose bytes FSDP2 would take for numbers."""
    if any(nf4.layers(network)):
        raise UserError(
            "model.base_dtype nf4: FSDP2 shards no weights in 4 bits; leave it out, or let each device hold them all "
            "(-c multi-gpu/ddp)"
        )


def mesh(device: str, *, copies: int, shard: int) -> DeviceMesh:
    """Of one axis where there is one copy, of two (copies, shard) where there are several."""
    if copies == 1:
        return init_device_mesh(device, (shard,), mesh_dim_names=("shard",))
    return init_device_mesh(device, (copies, shard), mesh_dim_names=("copies", "shard"))


def apply(network: nn.Module, over: DeviceMesh, *, reshard: bool, dtype: torch.dtype, on_host: bool = False) -> None:
    """Shard `network` in place, block by block; the shares lie in the host's memory where that is asked for."""
    place = CPUOffloadPolicy() if on_host else OffloadPolicy()
    inner = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    # What enters the network keeps its precision until a layer reads it: a timestep of 937 is 936 in bfloat16.
    outer = MixedPrecisionPolicy(
        param_dtype=dtype, reduce_dtype=torch.float32, output_dtype=torch.float32, cast_forward_inputs=False
    )
    for part in (*blocks(network), network):
        part.register_forward_hook(_own)
    parts = list(blocks(network))
    trains = any(weight.requires_grad for weight in network.parameters())
    for block in parts:
        dropped = reshard and not (trains and block is parts[-1])
        fully_shard(block, mesh=over, mp_policy=inner, reshard_after_forward=dropped, offload_policy=place)
    for layer in _outside_of_blocks(network):
        layer.register_forward_pre_hook(_cast)
    # Always dropped: the root keeps its weights gathered after a forward pass without a backward one, as in sampling.
    fully_shard(network, mesh=over, mp_policy=outer, reshard_after_forward=True, offload_policy=place)


def share_frozen(average: nn.Module, live: nn.Module) -> None:
    """Let the average hold the very shards of the weights that do not train, as before it was sharded (`adapters`)."""
    frozen = [(name, weight) for name, weight in live.named_parameters() if not weight.requires_grad]
    for name, weight in frozen:
        module, _, leaf = name.rpartition(".")
        average.get_submodule(module).register_parameter(leaf, weight)
    if frozen:
        average._apply(lambda tensor: tensor)  # FSDP2 looks again at which parameters its modules have


def _outside_of_blocks(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, FSDPModule):
            continue
        if getattr(child, "weight", None) is not None:
            yield child
        yield from _outside_of_blocks(child)


def _cast(layer: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    weight: Any = layer.weight
    return tuple(one.to(weight.dtype) if isinstance(one, Tensor) and one.is_floating_point() else one for one in given)


def _own(module: nn.Module, given: tuple[Any, ...], output: Any) -> Any:
    # Some networks return views of tensors, and an operation in place on one would lose FSDP2's hook for the way back.
    if isinstance(output, tuple):
        return tuple(_own(module, given, one) for one in output)
    return output.clone() if isinstance(output, Tensor) and output._is_view() else output
