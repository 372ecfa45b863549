"""A class of a user's own that gives something other than its contract asks for: a line names it, and what is asked."""

import io
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor

from architectures import images, prompt_batch, training_batch
from emu import answers
from emu.curate.config import Funnel
from emu.curate.decide import STAYED, decide
from emu.curate.flow import Flow, Passenger
from emu.curate.picture import Picture
from emu.curate.stage import Choice, Selection, Stage
from emu.curate.work import Work
from emu.data.sources import Entry
from emu.errors import UserError
from emu.formats import Format, find
from emu.guards import Evidence, Finding, Guard, Side, at_a_check
from emu.judges import Embedder, Judge, judge_card, judge_pixels
from emu.models import LatentDiffusion
from emu.module import TextToImageModule
from emu.module.settings import draw
from emu.objectives import ddpm_loss, flow_matching_loss, masked_token_loss
from emu.planning import footprint
from emu.planning.outline import Outline
from emu.quality.drawing import Drawn
from emu.quality.evidence import try_out
from haystack import pixels, stored

Folder = Callable[[str], Path]

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def made(kind: type[TextToImageModule], folder: Path) -> TextToImageModule:
    model = kind(str(folder), resolution=32, sampler={"num_inference_steps": 1})
    model.configure_model()
    return model


# ---- architectures


class Latent(LatentDiffusion):
    """Gives what `change` makes of it."""

    change: Any = staticmethod(lambda given: given)


class Loss(Latent):
    def loss(self, x: Tensor, cond: Any) -> Any:
        return self.change(super().loss(x, cond))


class Pictures(Latent):
    def encode_images(self, images: Tensor) -> Any:
        return self.change(super().encode_images(images))


class Prompts(Latent):
    def encode_prompts(self, prompts: list[str]) -> Any:
        return self.change(super().encode_prompts(prompts))


class Ragged(Latent):
    def encode_prompts(self, prompts: list[str]) -> Any:
        length = max(map(len, prompts)) % 3 + 2
        return {"prompt_embeds": super().encode_prompts(prompts)["prompt_embeds"][:, :length]}


class Drawing(Latent):
    def sample(self, *args: Any, **kwargs: Any) -> Any:
        return self.change(super().sample(*args, **kwargs))


WRONG_LOSSES: dict[str, Any] = {
    r"a float32 tensor of \(\)": Tensor.mean,
    r"a float32 tensor of \(3, 2\)": lambda given: given[:, None].expand(-1, 2),
    r"a float32 tensor of \(1,\)": lambda given: given[:1],
    "None": lambda given: None,
    "a dict of loss": lambda given: {"loss": given},
    r"a int64 tensor of \(3,\)": Tensor.long,
}


def test_a_loss_is_a_number_a_picture_that_gradients_flow_from(
    tiny_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made(Loss, tiny_folder("latent"))
    for shown, change in WRONG_LOSSES.items():
        monkeypatch.setattr(Loss, "change", staticmethod(change))
        with pytest.raises(UserError, match=rf"^test_answers\.Loss\.loss gave {shown}; give a number a picture"):
            model.training_step(training_batch("latent"), 0)
    monkeypatch.setattr(Loss, "change", staticmethod(Tensor.detach))
    with pytest.raises(UserError, match=r"test_answers\.Loss\.loss gave numbers that no gradient flows back from"):
        model.training_step(training_batch("latent"), 0)


def test_a_plan_finds_it_before_any_weight_loads(tiny_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Loss, "change", staticmethod(Tensor.mean))
    outline = Outline(Loss(str(tiny_folder("latent")), resolution=32))
    with pytest.raises(UserError, match=r"test_answers\.Loss\.loss gave a float32 tensor of \(\)"):
        footprint.step(outline, footprint.Work(2, (32, 32)))


def test_encoded_pictures_and_prompts_have_a_row_each(tiny_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made(Pictures, tiny_folder("latent"))
    wrong: list[tuple[str, Any]] = [("None", lambda given: None), ("a DiagonalGaussianDistribution", distribution)]
    for shown, change in wrong:
        monkeypatch.setattr(Pictures, "change", staticmethod(change))
        with pytest.raises(UserError, match=rf"test_answers\.Pictures\.encode_images gave {shown}; give a tensor with"):
            model.encode_pictures(images("latent"))
    other = made(Prompts, tiny_folder("latent"))
    wrong = [
        (r"encode_prompts gave a float32 tensor of \(1, 12, 32\)", lambda given: given["prompt_embeds"]),
        ("encode_prompts gave a tuple", lambda given: (given["prompt_embeds"], None)),
        ("encode_prompts, as prompt_embeds, gave a list", lambda given: {"prompt_embeds": [*given["prompt_embeds"]]}),
        (
            r"encode_prompts, as prompt_embeds, gave a float32 tensor of \(12, 32\)",
            lambda given: {"prompt_embeds": given["prompt_embeds"][0]},
        ),
    ]
    for said, change in wrong:
        monkeypatch.setattr(Prompts, "change", staticmethod(change))
        for negative in (False, True):
            with pytest.raises(UserError, match=rf"test_answers\.Prompts\.{said}; give a dict"):
                other.encode(["a boat"], negative=negative)


def distribution(given: Tensor) -> Any:
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    return DiagonalGaussianDistribution(given)


def test_prompts_are_of_one_shape(tiny_folder: Folder) -> None:
    model = made(Ragged, tiny_folder("latent"))
    with pytest.raises(UserError, match=r"Ragged\.encode_prompts gave .* for one prompt and .* for another; pad"):
        model.encode(["a", "ab", "abc"])


def test_prompts_that_the_pipeline_is_not_given_are_no_prompts(
    tiny_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Prompts, "change", staticmethod(lambda given: {"promt_embeds": given["prompt_embeds"]}))
    said = "gave promt_embeds, and StableDiffusionPipeline's call takes none of them; .*; did you mean prompt_embeds"
    with pytest.raises(UserError, match=rf"test_answers\.Prompts\.encode_prompts {said}"):
        draw(made(Prompts, tiny_folder("latent")), prompt_batch())  # type: ignore[arg-type]


def test_what_is_drawn_is_pictures_between_0_and_1(tiny_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made(Drawing, tiny_folder("latent"))
    wrong: list[tuple[str, Any]] = [
        ("a float32 ndarray", Tensor.numpy),
        (r"a float32 tensor of \(3, 32, 32, 3\)", lambda given: given.permute(0, 2, 3, 1)),
        (r"a float32 tensor of \(1, 3, 32, 32\)", lambda given: given[:1]),
        ("a uint8 tensor", lambda given: (given * 255).byte()),
        ("values from -1", lambda given: given - given.min() - 1),
    ]
    for shown, change in wrong:
        monkeypatch.setattr(Drawing, "change", staticmethod(change))
        with (
            torch.no_grad(),
            pytest.raises(UserError, match=rf"Drawing\.sample gave {shown}.*; give pictures in \[0,1\]"),
        ):
            draw(model, prompt_batch())  # type: ignore[arg-type]


def test_a_class_says_its_pipeline_and_what_of_it_trains(tiny_folder: Folder) -> None:
    class Unsaid(TextToImageModule):
        pipeline_class = LatentDiffusion.pipeline_class
        encode_images, encode_prompts = LatentDiffusion.encode_images, LatentDiffusion.encode_prompts
        loss = LatentDiffusion.loss

    with pytest.raises(UserError, match=r"Unsaid says no slot; give it: the pipeline's component that trains"):
        Unsaid("base")  # type: ignore[abstract]

    class Elsewhere(LatentDiffusion):
        slot = "transformer"

        def untrainable(self, pipeline: Any) -> str | None:
            return None

    with pytest.raises(UserError, match="says that transformer trains, which StableDiffusionPipeline has no network"):
        made(Elsewhere, tiny_folder("latent"))


def test_without_a_tokenizer_it_is_told_what_to_have_instead(tiny_folder: Folder) -> None:
    class Bytes(LatentDiffusion):
        tokenizer_name = "reader"

    model = Bytes(str(tiny_folder("latent")))
    with pytest.raises(UserError, match="has no reader; let the class say its tokenizer_name, or have token_ids"):
        model.token_counts(["a boat"])
    Bytes.token_ids = lambda self, prompts: [list(prompt.encode()) for prompt in prompts]  # type: ignore[method-assign]
    assert model.token_counts(["a boat"]) == [6]


def test_a_network_that_is_none_of_x_is_not_spread_over_it() -> None:
    x, one = torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 4, 4)
    scheduler = LatentSchedule()
    for learn in (flow_matching_loss, lambda predict, x: ddpm_loss(predict, x, scheduler)):
        with pytest.raises(UserError, match=r"predict gave a float32 tensor of \(2, 1, 4, 4\), where a tensor of"):
            learn(lambda noisy, t: one, x)
        with pytest.raises(UserError, match="predict gave a tuple"):
            learn(lambda noisy, t: (noisy,), x)
    with pytest.raises(UserError, match=r"predict gave a float32 tensor of \(2, 4, 4, 8\) for tokens of \(2, 4, 4\)"):
        masked_token_loss(lambda tokens: torch.zeros(2, 4, 4, 8), torch.zeros(2, 4, 4, dtype=torch.int64), mask_id=8)


def LatentSchedule() -> Any:
    from diffusers import DDPMScheduler

    return DDPMScheduler()


# ---- judges and embedders


class Mine(Judge):
    name, family, tie = "mine", "colour", 0.01
    change: Any = staticmethod(lambda given: given)

    def score(self, images: Tensor, prompts: list[str]) -> Any:
        return self.change(images.mean((1, 2, 3)))

    def describe(self) -> Any:
        return {"how": "mean"}


def test_a_judge_gives_a_score_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    for shown, change in {
        "a list": Tensor.tolist,
        r"a float32 tensor of \(\)": Tensor.mean,
        r"a float32 tensor of \(2, 1\)": lambda given: given[:, None],
        r"a float32 tensor of \(1,\)": lambda given: given[:1],
    }.items():
        monkeypatch.setattr(Mine, "change", staticmethod(change))
        with pytest.raises(UserError, match=rf"test_answers\.Mine\.score gave {shown}; give a score a picture: \(2,\)"):
            judge_pixels(pixels, ["a", "b"], judges={"appeal": Mine()})
        if change is not Tensor.mean:
            continue
        with pytest.raises(UserError, match=r"test_answers\.Mine\.score gave"):
            Mine().score_many([torch.ones(3, 4, 4)], ["a"])
    for change in (Tensor.numpy, Tensor.bfloat16, lambda given: given.requires_grad_() * 1):
        monkeypatch.setattr(Mine, "change", staticmethod(change))
        assert judge_pixels(pixels, ["a", "b"], judges={"appeal": Mine()}) == [{"appeal": 1.0}] * 2


@pytest.mark.parametrize(
    ("described", "said"),
    [
        (None, r"\.describe gave None; give a dict of words and numbers"),
        ({"accuracy": torch.tensor(0.5)}, r"\.describe: accuracy is tensor\(0\.5000\), not text"),
        ({"layers": [1, 2]}, r"\.describe: layers is \[1, 2\], not text"),
    ],
)
def test_a_judge_describes_itself_in_words_and_numbers(
    described: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mine, "describe", lambda self: described)
    with pytest.raises(UserError, match=r"^test_answers\.Mine" + said):
        judge_card(Mine())


def test_a_judge_has_a_name_and_a_tie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mine, "tie", "0.1")
    with pytest.raises(UserError, match="tie is '0.1', not a number"):
        judge_card(Mine())
    monkeypatch.delattr(Mine, "tie")
    with pytest.raises(UserError, match=r"test_answers\.Mine says no tie; give it"):
        judge_card(Mine())


def test_scores_and_vectors_do_not_outlive_the_code_that_gave_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from test_answers import Mine, Seeing\nclass Other(Mine): factor = {}\nclass Eye(Seeing): of = {}\n"
    cards, prints = [], []
    for factor in ("1", "2", "2  # twice"):
        (tmp_path / "of_mine.py").write_text(source.format(factor, factor))
        module = ModuleType("of_mine")
        module.__file__ = str(tmp_path / "of_mine.py")
        monkeypatch.setitem(sys.modules, "of_mine", module)
        exec((tmp_path / "of_mine.py").read_text(), vars(module))
        cards.append(judge_card(module.Other()))
        prints.append(module.Eye().fingerprint)
    assert cards[0] != cards[1] == cards[2]
    assert prints[0] != prints[1] == prints[2]


class Seeing(Embedder):
    change: Any = staticmethod(lambda given: given)

    def images(self, images: Any) -> Any:
        return self.change(torch.stack([image.mean((1, 2)) for image in images]))

    def describe(self) -> Any:
        return {"model": "mean", "preprocessing": "none"}


def test_an_embedder_gives_a_finite_vector_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    for shown, change in {
        "a float32 ndarray": Tensor.numpy,
        "a list": list,
        r"a float32 tensor of \(3,\)": lambda given: given[0],
        r"a float32 tensor of \(1, 3\)": lambda given: given * float("nan"),
    }.items():
        monkeypatch.setattr(Seeing, "change", staticmethod(change))
        with pytest.raises(UserError, match=rf"test_answers\.Seeing\.images gave {shown}.*; give a vector a picture"):
            Seeing().see(Image.new("RGB", (8, 8)))


# ---- guards


@dataclass(frozen=True)
class Watching(Guard):
    threshold: float = 0.8
    kind, unit = "at_least", "times before"

    def __call__(self, evidence: Evidence) -> Any:
        return self.given(self.found("mine", "it is so", np.float32(1), (np.float32(0.9), np.float64(1.1))))  # type: ignore[arg-type]

    def given(self, found: Finding) -> Any:
        return [found]


NOTHING = Evidence([], Side(), Side())


def test_a_guard_gives_a_list_of_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = Watching().findings(NOTHING)
    assert [type(one) for one in (found.value, *(found.ci95 or ()))] == [float] * 3
    wrong: dict[str, Any] = {"a Finding": lambda found: found, "None": lambda found: None, "True": lambda found: True}
    for shown, change in wrong.items():
        monkeypatch.setattr(Watching, "given", lambda self, found, change=change: change(found))
        with pytest.raises(UserError, match=rf"test_answers\.Watching\.__call__ gave {shown}; give a list of findings"):
            Watching().findings(NOTHING)
    parts = {"share": torch.tensor(1)}
    monkeypatch.setattr(Watching, "given", lambda self, found: [self.found("mine", "so", 1, (0, 2), parts=[parts])])
    with pytest.raises(UserError, match=r"test_answers\.Watching: in the finding 'mine' parts\[0\]"):
        Watching().findings(NOTHING)
    with pytest.raises(UserError, match=r"test_answers\.Watching\.found, as ci95, gave a tuple; give the lower"):
        Watching().found("mine", "so", 1, (0, 1, 2))  # type: ignore[arg-type]


def test_a_guard_says_what_its_numbers_are_held_against(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watching, "kind", "at least")
    with pytest.raises(UserError, match=r"Watching: kind is 'at least'; give at_least, at_most or within"):
        at_a_check([Watching()])
    monkeypatch.delattr(Watching, "unit")
    with pytest.raises(UserError, match=r"Watching says no unit; give it"):
        at_a_check([Watching()])


def test_a_guard_that_cannot_look_is_found_at_step_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Drawn([], {}, [], [], torch.zeros(0, 3), None)
    try_out([Watching()], drawn, tmp_path)
    monkeypatch.setattr(Watching, "given", lambda self, found: found)
    with pytest.raises(UserError, match="give a list of findings"):
        try_out([Watching()], drawn, tmp_path)


# ---- stages


class Measuring(Stage):
    name, columns, side = "measuring", {"mine": "float32"}, 32

    def measure(self, picture: Picture) -> Any:
        return self.given(float(picture.size[0]))

    def given(self, value: float) -> Any:
        return {"mine": value}


class Unmeasured(Stage):
    name, columns = "unmeasured", {"mine": "float32"}


class Unknown(Measuring):
    columns = {"mine": "flot32"}


def funnel(kind: str) -> Funnel:
    return Funnel({"stages": [{"class_path": "emu.curate.stages.Readable"}, {"class_path": f"test_answers.{kind}"}]})


def test_a_stage_gives_its_own_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = stored(pixels(0), "PNG")
    made = funnel("Measuring")
    entry = Entry("name.png", "a text", lambda: io.BytesIO(content), {})

    def measured() -> dict[str, Any]:
        row: dict[str, Any] = {}
        picture = Picture(entry, content, side=0, max_pixels=10**6)
        Flow(made, lambda places: None, lambda one: None).enter(Passenger(0, picture, row))
        return row

    kind = type(made.steps[1].stage)
    for shown, change in {
        "3.5": lambda self, value: 3.5,
        "None": lambda self, value: None,
        "a dict of mien": lambda self, value: {"mien": value},
        "a dict of mine, more": lambda self, value: {"mine": value, "more": 1.0},
    }.items():
        monkeypatch.setattr(kind, "given", change)
        with pytest.raises(UserError, match=rf"^test_answers\.Measuring\.measure gave {shown}; give a dict of mine$"):
            measured()
    monkeypatch.setattr(kind, "given", lambda self, value: {"mine": "very"})
    with pytest.raises(UserError, match=r"^test_answers\.Measuring\.measure: mine is no float \("):
        Work(made, tmp_path).table([measured()])


class Choosing(Selection):
    name, reads = "choosing", ("width",)

    def choose(self, scores: Any, there: Any) -> Any:
        return self.given(there)

    def given(self, there: Any) -> Any:
        return Choice(there, {0: "all leave"})


def test_a_selection_lets_go_of_those_who_are_there_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {"left": pa.array([STAYED, 0], pa.int16()), "failed": [False] * 2, "reason": [None, "x"], "width": [1, 2]}
    pq.write_table(pa.table(table), tmp_path / "shard.parquet")
    made = funnel("Choosing")
    assert decide(made, [tmp_path / "shard.parquet"]).left.tolist() == [1, 0]
    for said, change in {
        "gave a bool ndarray of": lambda self, there: there,
        "as leaves, gave a int64 ndarray of": lambda self, there: Choice(there.astype(int), {0: "x"}),
        "as leaves, gave a list": lambda self, there: Choice(there.tolist(), {0: "x"}),
        "let go of pictures that are gone": lambda self, there: Choice(~there, {1: "x"}),
        "1 pictures leave, with reasons for 0": lambda self, there: Choice(there, {}),
    }.items():
        monkeypatch.setattr(type(made.steps[1].stage), "given", change)
        with pytest.raises(UserError, match=rf"^test_answers\.Choosing\.choose.* {said}"):
            decide(made, [tmp_path / "shard.parquet"])


def test_a_stage_is_whole_before_anything_is_measured() -> None:
    with pytest.raises(UserError, match=r"test_answers\.Unmeasured says no measure; give it: what mine are"):
        funnel("Unmeasured")
    with pytest.raises(UserError, match=r"^test_answers\.Unknown\.columns: No type alias for flot32"):
        funnel("Unknown")


# ---- formats


class Silent(Format):
    def write(self, model: Any, out: Path, about: Any) -> None: ...

    def load(self, model: Any, out: Path) -> Any: ...


def test_a_format_says_what_it_writes() -> None:
    with pytest.raises(UserError, match=r"test_answers\.Silent says no says; give it"):
        find("test_answers.Silent")


def test_things_are_shown_in_words() -> None:
    told = {answers.shown(one) for one in (None, 3, "x", {}, {"a": 1}, [1], np.zeros(2), torch.zeros(2))}
    assert told == {"None", "3", "'x'", "a dict of nothing", "a dict of a", "a list", "a float64 ndarray of (2,)"} | {
        "a float32 tensor of (2,)"
    }
    assert re.fullmatch(r"test_answers\.Mine", answers.name_of(Mine()))
