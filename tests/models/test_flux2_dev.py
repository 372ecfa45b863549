"""FLUX.2-dev, whose folder has a processor of pictures that transformers makes beside torchvision alone."""

from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, Flux2Pipeline
from transformers import Mistral3Config, Mistral3ForConditionalGeneration, PixtralImageProcessor, PixtralProcessor

import tokens
from architectures import PROMPTS, SEEDS, images, sizes
from emu.models import Flux2
from flow_pipelines import DYNAMIC, VOCABULARY, flux2_autoencoder, flux2_transformer
from pipelines import WIDTH

pytest.importorskip("torchvision")

PARTS = ["[IMG]", "[IMG_BREAK]", "[IMG_END]"]
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}{{ part.text }}{% endfor %}<|im_end|>\n{% endfor %}"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Flux2:
    torch.manual_seed(0)
    words = tokens.qwen()
    words.add_special_tokens({"additional_special_tokens": PARTS})
    text = {
        "model_type": "mistral", "vocab_size": VOCABULARY + len(PARTS), "hidden_size": WIDTH, "head_dim": 16,
        "intermediate_size": WIDTH, "num_hidden_layers": 31, "num_attention_heads": 2, "num_key_value_heads": 1,
    }  # fmt: skip
    eyes = {
        "model_type": "pixtral", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 8,
        "intermediate_size": 16, "image_size": 28, "patch_size": 14,
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("base")
    Flux2Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**DYNAMIC),
        vae=flux2_autoencoder(),
        text_encoder=Mistral3ForConditionalGeneration(Mistral3Config(text_config=text, vision_config=eyes)),
        tokenizer=PixtralProcessor(image_processor=PixtralImageProcessor(), tokenizer=words, chat_template=CHAT),
        transformer=flux2_transformer(3, guidance=True),
    ).save_pretrained(folder)
    made = Flux2(str(folder), resolution=32, sampler={"num_inference_steps": 2, "max_sequence_length": 48})
    made.configure_model()
    return made


@torch.no_grad()
def test_it_draws_as_the_plain_pipeline_does_and_from_its_export_too(model: Flux2, tmp_path: Path) -> None:
    drawn = model.sample(model.encode_prompts(PROMPTS), model.negative_prompt(), SEEDS)
    model.save_pipeline(tmp_path / "exported")
    for folder in (model.folder, tmp_path / "exported"):
        plain = Flux2Pipeline.from_pretrained(folder)
        plain.set_progress_bar_config(disable=True)
        seeded = torch.Generator().manual_seed(int(SEEDS[0]))
        arguments = {**model.plain_arguments(PROMPTS[0]), "height": 32, "width": 32, "output_type": "pt"}
        torch.testing.assert_close(plain(**arguments, generator=seeded)[0][0], drawn[0], rtol=0, atol=1e-4)


@torch.no_grad()
def test_its_velocity_is_that_of_the_script(model: Flux2) -> None:
    """train_dreambooth_lora_flux2.py: as klein's, with a guidance scale, which is 1 in tuning."""
    cond = {**model.encode_prompts(PROMPTS), "size": sizes("flux2_klein")}
    latents = model.latents(model.encode_images(images("flux2_klein")))
    noisy, sigmas = torch.randn(latents.shape), torch.tensor([0.2, 0.5, 0.9])
    ids = Flux2Pipeline._prepare_latent_ids(noisy)
    found = model.backbone(
        hidden_states=Flux2Pipeline._pack_latents(noisy),
        timestep=sigmas,
        guidance=torch.ones(3),
        encoder_hidden_states=cond["prompt_embeds"],
        txt_ids=Flux2Pipeline._prepare_text_ids(cond["prompt_embeds"]),
        img_ids=ids,
        return_dict=False,
    )[0]
    expected = Flux2Pipeline._unpack_latents_with_ids(found, ids)
    torch.testing.assert_close(model.velocity(noisy, sigmas, cond), expected, rtol=1e-4, atol=1e-5)
    assert model.loss(model.encode_images(images("flux2_klein")), cond).shape == (3,)
