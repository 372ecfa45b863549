"""Muse's second stage: a transformer that fills in the tokens of a larger picture beside those of a small one.

Chang et al. 2023, arXiv 2301.00704, section 2.4: the small picture's tokens pass through layers of self-attention, and
what comes out stands beside the caption in the cross-attention of the layers that fill in the large picture's. Notable:
no weights of Muse were ever published, nor a class for them; diffusers' blocks are what it is made of. A place is told
by waves of its row and column (arXiv 1706.03762) in units of the large grid, so any size and shape of picture can be
drawn, and a token finds the one that it lies on.

    from emu.parts.token_upscaler import TokenUpscalingPipeline
    pipeline = TokenUpscalingPipeline.from_pretrained("my-model")
    pipeline("a red boat at noon", image=small_picture).images[0]
"""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import AmusedScheduler, ConfigMixin, DiffusionPipeline, ImagePipelineOutput, ModelMixin, VQModel
from diffusers.configuration_utils import register_to_config
from diffusers.image_processor import VaeImageProcessor
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.embeddings import get_2d_sincos_pos_embed_from_grid
from torch import Tensor, nn
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from emu.parts import masked

# diffusers loads a class by a base that its file names.
__all__ = ["ModelMixin", "TokenUpscaler2DModel", "TokenUpscalingPipeline"]


class TokenUpscaler2DModel(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers gives its classes no types
    """Logits of a large picture's tokens by those that are known of it, a caption and the small picture's tokens.

    Args:
        codebook_size: of the large picture's tokens; the number after the last stands for a hidden one.
        low_codebook_size: of the small picture's.
        hidden_size: a multiple of 4, for the waves of rows and columns.
        encoder_hidden_size: of the caption's tokens.
        num_hidden_layers: that fill in; num_low_layers: that read the small picture.
        sample_size: side in tokens of the pictures that it was made for.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules = ["BasicTransformerBlock"]
    _repeated_blocks = ["BasicTransformerBlock"]

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        codebook_size: int = 8192,
        low_codebook_size: int = 8192,
        hidden_size: int = 1024,
        encoder_hidden_size: int = 768,
        num_hidden_layers: int = 16,
        num_low_layers: int = 4,
        num_attention_heads: int = 16,
        sample_size: int = 64,
    ) -> None:
        super().__init__()
        width, head = hidden_size, hidden_size // num_attention_heads

        def block(cross: int | None) -> BasicTransformerBlock:
            return BasicTransformerBlock(width, num_attention_heads, head, cross_attention_dim=cross)

        self.embed = nn.Embedding(codebook_size + 1, width)
        self.low_embed = nn.Embedding(low_codebook_size, width)
        self.text_proj = nn.Linear(encoder_hidden_size, width)
        self.low_blocks = nn.ModuleList(block(None) for _ in range(num_low_layers))
        self.low_norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(block(width) for _ in range(num_hidden_layers))
        self.norm = nn.LayerNorm(width)
        self.proj_out = nn.Linear(width, codebook_size)
        self.gradient_checkpointing = False

    def forward(
        self, hidden_states: Tensor, encoder_hidden_states: Tensor, low_tokens: Tensor, return_dict: bool = True
    ) -> Any:
        """int64 (b,h,w), float (b,n,width), int64 (b,h/r,w/r) -> (b,codes,h,w), in a tuple as diffusers has it."""
        batch, height, width = hidden_states.shape
        ratio = height // low_tokens.shape[1]
        low = self._placed(self.low_embed(low_tokens), every=ratio)
        for block in self.low_blocks:
            low = self._through(block, low, None)
        context = torch.cat([self.text_proj(encoder_hidden_states), self.low_norm(low)], dim=1)
        hidden = self._placed(self.embed(hidden_states), every=1)
        for block in self.blocks:
            hidden = self._through(block, hidden, context)
        logits = self.proj_out(self.norm(hidden))
        return (logits.transpose(1, 2).reshape(batch, -1, height, width),)

    def _placed(self, embedded: Tensor, *, every: int) -> Tensor:
        """(b,h,w,c) -> (b,hw,c) with its places; one that stands for `every` rows and columns has their middle."""
        rows, columns = (torch.arange(n, device=embedded.device) * every + (every - 1) / 2 for n in embedded.shape[1:3])
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
        waves = get_2d_sincos_pos_embed_from_grid(embedded.shape[-1], grid)
        placed: Tensor = embedded.flatten(1, 2) + waves.to(embedded.dtype)
        return placed

    def _through(self, block: nn.Module, hidden: Tensor, context: Tensor | None) -> Tensor:
        again = self.gradient_checkpointing and torch.is_grad_enabled()
        through: Tensor = (
            self._gradient_checkpointing_func(block, hidden, None, context) if again else block(hidden, None, context)
        )
        return through


class TokenUpscalingPipeline(DiffusionPipeline):  # type: ignore[misc]
    """Makes a picture `factor` times as large.

    Args:
        vqvae: of the large picture's tokens.
        low_vqvae: of the small one's; it may be the same.
        factor: sides of what it draws over those of the picture that it starts from.
    """

    model_cpu_offload_seq = "text_encoder->low_vqvae->transformer->vqvae"

    def __init__(
        self,
        vqvae: VQModel,
        low_vqvae: VQModel,
        tokenizer: CLIPTokenizer,
        text_encoder: CLIPTextModelWithProjection,
        transformer: TokenUpscaler2DModel,
        scheduler: AmusedScheduler,
        factor: int = 2,
    ) -> None:
        super().__init__()
        self.register_modules(
            vqvae=vqvae, low_vqvae=low_vqvae, tokenizer=tokenizer, text_encoder=text_encoder, transformer=transformer,
            scheduler=scheduler,
        )  # fmt: skip
        self.register_to_config(factor=factor)

    @property
    def ratio(self) -> int:
        """Sides of the large picture's grid of tokens over those of the small one's."""
        low, high = (masked.token_size(part) for part in (self.low_vqvae, self.vqvae))
        return int(self.config.factor * low // high)

    def encode_prompt(self, prompts: Sequence[str]) -> Tensor:
        """float (b,n,width): the text encoder's last layer but one, as aMUSEd has it."""
        ids = self.tokenizer(
            list(prompts), padding="max_length", truncation=True, max_length=self.tokenizer.model_max_length,
            return_tensors="pt",
        ).input_ids  # fmt: skip
        read: Tensor = self.text_encoder(ids.to(self.text_encoder.device), output_hidden_states=True).hidden_states[-2]
        return read

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | list[str] | None = None,
        image: Any = None,
        negative_prompt: str | list[str] | None = None,
        *,
        num_inference_steps: int = 8,
        guidance_scale: float = 10.0,
        guidance_scale_start: float | None = None,
        temperature: Any = (2, 0),
        generator: torch.Generator | list[torch.Generator] | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> Any:
        """One picture a prompt, `factor` times as large as the one it starts from.

        Args:
            image: the pictures to start from: PIL, or a tensor (b,3,h,w) in [0,1].
            guidance_scale_start: the first step's, from where guidance rises to `guidance_scale`; None: even.
            generator: one, or one a picture.
        """
        device, network = self._execution_device, self.transformer
        text = self._text(prompt, prompt_embeds).to(device, network.dtype)
        away = self._text(negative_prompt or "", negative_prompt_embeds).to(text).expand_as(text)
        images = VaeImageProcessor(do_resize=False, do_normalize=False).preprocess(image)
        images = images.to(device, self.low_vqvae.dtype)  # which may stay in float32 beside a network in bfloat16
        low = masked.tokens_of(self.low_vqvae, images * 2 - 1).expand(len(text), -1, -1)
        draws = generator if isinstance(generator, list) else [generator] * len(text)

        def predict(tokens: Tensor, scale: float) -> Tensor:
            if scale <= 1:
                alone: Tensor = network(tokens, text, low)[0]
                return alone
            both: Tensor = network(torch.cat([tokens] * 2), torch.cat([away, text]), torch.cat([low] * 2))[0]
            without, with_text = both.chunk(2)
            return without + scale * (with_text - without)

        tokens = masked.fill_in(
            predict, (len(text), *(self.ratio * side for side in low.shape[1:])), scheduler=self.scheduler,
            scales=masked.scales(num_inference_steps, guidance_scale, guidance_scale_start), generators=draws,
            temperature=temperature, device=device,
        )  # fmt: skip
        drawn = VaeImageProcessor(do_normalize=False).postprocess(masked.pixels(self.vqvae, tokens), output_type)
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(drawn) if return_dict else (drawn,)

    def _text(self, prompt: str | list[str] | None, embeds: Tensor | None) -> Tensor:
        if embeds is not None:
            return embeds
        return self.encode_prompt([prompt or ""] if prompt is None or isinstance(prompt, str) else prompt)
