"""What each stage measures, on pictures whose answer is known."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from emu.curate.picture import Picture, reduced
from emu.curate.stages import Borders, Caption, Duplicates, Judged, Language, Popularity, Readable, Shape, Technical
from emu.curate.stages.borders import inside
from emu.data.pictures import BadPicture, decode
from emu.data.sources import Entry
from emu.errors import UserError
from haystack import pixels, stored


def picture(image: Image.Image, kind: str = "PNG", *, text: str = "a text", side: int = 0, **more: Any) -> Picture:
    content = stored(image, kind, **more.pop("options", {}))
    entry = Entry("name.png", text, lambda: io.BytesIO(content), more)
    return Picture(entry, content, side=side, max_pixels=10_000_000)


def texture(size: tuple[int, int] = (160, 128)) -> Image.Image:
    """Detail at every scale, as a photograph has it."""
    layers = [pixels(i, size).resize((size[0] // n, size[1] // n)).resize(size) for i, n in ((1, 1), (2, 4), (3, 2))]
    fine = np.random.default_rng(0).integers(0, 256, (size[1] // 2, size[0] // 2, 3), dtype=np.uint8)
    layers.append(Image.fromarray(fine).resize(size, Image.Resampling.BICUBIC))
    return Image.fromarray(np.mean([np.asarray(layer, dtype=float) for layer in layers], axis=0).astype(np.uint8))


def test_a_header_is_told_upright_and_with_its_frames() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    row = Readable().measure(picture(pixels(0, (48, 40)), "JPEG", options={"exif": exif}))
    assert (row["width"], row["height"], row["format"], row["animated"]) == (40, 48, "JPEG", False)
    moving = picture(pixels(0), "GIF", options={"save_all": True, "append_images": [pixels(1)]})
    assert Readable().measure(moving)["animated"] is True
    assert Shape().measure(picture(pixels(0, (90, 30)))) == {"short_side": 30, "aspect": 3.0}


def test_a_jpeg_is_scaled_while_it_is_decoded_and_no_further_than_asked() -> None:
    content = stored(texture((1000, 800)), "JPEG")
    for least, size in ((None, (1000, 800)), (400, (500, 400)), (401, (1000, 800)), (100, (125, 100))):
        assert decode(lambda: io.BytesIO(content), max_pixels=10**6, least=least).size == size
    cut = content[: len(content) // 2]
    with pytest.raises(BadPicture):
        decode(lambda: io.BytesIO(cut), max_pixels=10**6, least=100)


def technical(image: Image.Image, kind: str = "PNG", **options: Any) -> dict[str, float]:
    return Technical().measure(picture(image, kind, options=options))


def test_each_fault_moves_its_own_measure() -> None:
    clean = technical(texture())
    rng = np.random.default_rng(1)
    noisy = np.asarray(texture(), dtype=float) + rng.normal(0, 20, (128, 160, 3))
    assert technical(texture().filter(ImageFilter.GaussianBlur(3)))["blur"] > 3 * clean["blur"]
    assert technical(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)))["noise"] > clean["noise"] + 8
    assert technical(texture(), "JPEG", quality=5)["blocks"] > 1 > 0.5 > clean["blocks"]
    dark, bright = (texture().point(lambda v, f=f, o=o: v * f + o) for f, o in ((0.01, 0), (0.01, 253)))
    assert technical(dark)["dark"] > 0.99
    assert technical(bright)["clipped"] > 0.99 > 0.01 > clean["clipped"]
    assert technical(texture().point(lambda v: v // 4 + 90))["contrast"] < clean["contrast"] / 2
    grey = texture().convert("L").convert("RGB")
    assert technical(grey)["colour"] == pytest.approx(0, abs=1e-6)
    assert clean["colour"] > 10


def test_the_noise_that_was_put_in_is_measured() -> None:
    levels = 128 + np.random.default_rng(0).normal(0, 10, (200, 200, 1)).repeat(3, axis=2)
    assert technical(Image.fromarray(levels.round().astype(np.uint8)))["noise"] == pytest.approx(10, rel=0.15)


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (9, 2), (3, 3)])
def test_the_smallest_pictures_have_measures_too(size: tuple[int, int]) -> None:
    assert all(np.isfinite(value) for value in technical(Image.new("RGB", size, "teal")).values())


def framed(colour: str, box: tuple[int, int, int, int], size: tuple[int, int] = (160, 128)) -> Image.Image:
    image = Image.new("RGB", size, colour)
    image.paste(texture(size).crop(box), box)
    return image


@pytest.mark.parametrize("colour", ["black", "white", "teal"])
@pytest.mark.parametrize("box", [(10, 0, 160, 128), (0, 20, 160, 100), (12, 9, 141, 120), (0, 0, 160, 128)])
def test_borders_are_found_and_cut(colour: str, box: tuple[int, int, int, int]) -> None:
    assert inside(np.asarray(framed(colour, box))) == box
    one = picture(framed(colour, box))
    row = Borders(cut=True).measure(one)
    left, top, right, bottom = box  # and two lines more where there is a border
    bitten = left + 2 * (left > 0), top + 2 * (top > 0), right - 2 * (right < 160), bottom - 2 * (bottom < 128)
    assert one.image.size == (bitten[2] - bitten[0], bitten[3] - bitten[1])
    assert row["crop"] == (None if row["border"] == 0 else ",".join(map(str, bitten)))


def test_an_even_sky_and_a_plain_ground_are_no_borders() -> None:
    sky = np.zeros((128, 160, 3), dtype=np.uint8)
    sky[:] = np.linspace(90, 200, 128).astype(np.uint8)[:, None, None]
    sky[90:, 40:90] = 30
    assert inside(sky) == (0, 0, 160, 128)
    icon = Image.new("RGB", (160, 128), "white")
    icon.paste(texture().crop((0, 0, 40, 40)), (60, 44))
    assert inside(np.asarray(icon)) == (0, 0, 160, 128)
    assert Borders().measure(picture(Image.new("RGB", (20, 20), "red")))["border"] == 0


@pytest.mark.parametrize("turns", range(4))
def test_a_frame_goes_all_around_where_the_picture_begins_in_its_colour(turns: int) -> None:
    image = framed("black", (40, 40, 600, 472), (640, 512))
    ImageDraw.Draw(image).rectangle((40, 40, 600, 90), fill=(6, 6, 6))
    ImageDraw.Draw(image).rectangle((300, 60, 420, 120), fill="gold")
    assert inside(np.rot90(np.asarray(image), turns)) == tuple(
        [(40, 40, 600, 472), (40, 40, 472, 600), (40, 40, 600, 472), (40, 40, 472, 600)][turns]
    )


def test_two_even_halves_have_no_border() -> None:
    """Each half would be a border, and nothing would be left between them."""
    halves = Image.new("RGB", (160, 128), "navy")
    halves.paste("white", (0, 60, 160, 128))
    assert inside(np.asarray(halves)) == (0, 0, 160, 128)
    assert Borders(cut=True).measure(picture(halves)) == {"border": 0, "crop": None}


def apart(a: Image.Image, b: Image.Image, kind: str = "PNG", **options: Any) -> int:
    hashes = [int(Duplicates().measure(picture(a))["phash"]),
              int(Duplicates().measure(picture(b, kind, options=options))["phash"])]  # fmt: skip
    return (hashes[0] ^ hashes[1]).bit_count()


def test_copies_look_alike_and_other_pictures_do_not() -> None:
    assert apart(texture(), texture(), "JPEG", quality=40) <= 6
    assert apart(texture(), texture().resize((320, 256), Image.Resampling.LANCZOS)) <= 6
    assert apart(texture(), pixels(9, (160, 128))) > 10


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a red fox in the snow", (6, 1.0, False)),
        ("IMG_2041.jpg", (2, 1.0, True)),
        ("write to me@example.org", (5, 1.0, True)),
        ("see https://example.org", (4, 1.0, True)),
        ("una volpe rossa, \u043b\u0438\u0441\u0430", (4, 13 / 17, False)),
        ("", (0, 0.0, False)),
    ],
)
def test_captions(text: str, wanted: tuple[int, float, bool]) -> None:
    row = Caption().measure(picture(pixels(0), text=text))
    assert (row["caption_words"], pytest.approx(row["caption_latin"]), row["caption_junk"]) == wanted
    assert Caption().measure(picture(pixels(0), text="Buy buy BUY now"))["caption_repeats"] == 0.5


def test_likes_are_numbers_or_none() -> None:
    assert Popularity().measure(picture(pixels(0), likes=7)) == {"popularity": 7.0}
    assert Popularity("votes", "votes_up").measure(picture(pixels(0), likes=7, votes="many")) == {"votes_up": None}


def test_a_judge_is_named_as_compare_names_it() -> None:
    row = Judged("emu.judges.world.WorldAppeal", column="appeal", side=64).measure(picture(texture()))
    assert 0 <= row["appeal"] <= 1
    for wrong in ("pathlib.Path", "nowhere.Judge", "emu.judges.world.WorldAppeal:a:b:c/none", "Judge"):
        with pytest.raises(UserError, match="stage appeal"):
            Judged(wrong, column="appeal").measure(picture(texture()))


def test_a_judge_is_shown_no_more_than_it_asks_for() -> None:
    assert [reduced(Image.new("RGB", size), 100).size for size in ((99, 400), (250, 300), (1000, 400))] == [
        (99, 400),
        (125, 150),
        (250, 100),
    ]


@pytest.mark.parametrize(
    ("text", "language", "wanted"),
    [
        ("a red fox in the snow", "en", True),
        ("two dogs at a window", "en", True),
        ("eine Tasse Kaffee auf einem Holztisch", "de", False),
        ("un renard roux dans la neige", "fr", False),
        ("una taza de cafe sobre la mesa", "es", False),
        ("\u043a\u0440\u0430\u0441\u043d\u0430\u044f \u043b\u0438\u0441\u0430", "ru", False),
    ],
)
def test_the_language_of_a_caption(text: str, language: str, wanted: bool) -> None:
    one = picture(pixels(0), text=text)
    row = Language().measure(one)
    assert row["language"] == language
    assert (row["language_wanted"] >= 0.5) is wanted
    both = Language(["en", language] if language != "en" else ["en"]).measure(one)["language_wanted"]
    assert 1 >= both >= row["language_wanted"]
    assert both > 0.5


def test_a_language_that_is_none_is_named_and_no_caption_is_no_trouble() -> None:
    with pytest.raises(UserError, match="no language english; there are ace, af, "):
        Language(["english"]).require()
    for text in ("", "1234", "\x00", "\U0001f98a" * 3, "word " * 5000):
        assert 0 <= Language().measure(picture(pixels(0), text=text))["language_wanted"] <= 1


def scene(size: tuple[int, int] = (640, 512)) -> Image.Image:
    """Shapes with sharp edges before a soft ground."""
    drawn = Image.new("RGB", (size[0] * 2, size[1] * 2), "slategray")
    pen, rng = ImageDraw.Draw(drawn), np.random.default_rng(1)
    for _ in range(40):
        x, y, r = int(rng.integers(drawn.width)), int(rng.integers(drawn.height)), int(rng.integers(20, 120))
        pen.ellipse((x - r, y - r, x + r, y + r), fill=tuple(int(v) for v in rng.integers(30, 200, 3)))
    return drawn.resize(size, Image.Resampling.LANCZOS)


@pytest.mark.parametrize("times", [1, 2, 4])
def test_blur_is_told_in_shares_of_the_picture_at_any_size(times: int) -> None:
    image = scene((640 * times, 512 * times))
    assert technical(image)["blur"] < 0.2
    for percent in (0.4, 0.7):
        blurred = image.filter(ImageFilter.GaussianBlur(percent / 100 * 512 * times))
        assert technical(blurred)["blur"] > 0.7 * percent  # where edges become slopes, the widest that is told


def test_a_sharp_subject_before_a_soft_ground_is_sharp() -> None:
    image = scene().filter(ImageFilter.GaussianBlur(8))
    image.paste(scene().crop((200, 150, 400, 350)), (200, 150))
    assert technical(image)["blur"] < 0.2


@pytest.mark.parametrize("shift", [(0, 0), (3, 5), (7, 1)])
def test_blocks_are_seen_wherever_their_grid_lies(shift: tuple[int, int]) -> None:
    image = texture((640, 512)).filter(ImageFilter.GaussianBlur(2))
    spoilt = decode(lambda: io.BytesIO(stored(image, "JPEG", quality=8)), max_pixels=10**6)
    again = spoilt.crop((*shift, *spoilt.size))
    assert technical(again, "JPEG", quality=92)["blocks"] > 1 > 0.3 > technical(image, "JPEG", quality=92)["blocks"]


def test_grass_is_no_noise_where_something_is_calm() -> None:
    image = Image.new("RGB", (640, 512), "teal")
    image.paste(pixels_of_noise((640, 300)), (0, 212))
    assert technical(image)["noise"] < 1 < 15 < technical(pixels_of_noise((640, 512)))["noise"]


def pixels_of_noise(size: tuple[int, int]) -> Image.Image:
    levels = 128 + np.random.default_rng(0).normal(0, 30, (size[1], size[0], 3))
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def test_a_white_sky_and_lamps_at_night_are_not_over_exposed() -> None:
    sky = scene()
    sky.paste("white", (0, 0, 640, 170))
    night = Image.new("RGB", (640, 512), (12, 12, 16))
    night.paste("white", (100, 300, 300, 480))
    washed = scene().point(lambda v: min(255, v * 3))
    assert max(technical(sky)["clipped"], technical(night)["clipped"]) < 0.05 < 0.3 < technical(washed)["clipped"]


def test_a_vivid_colour_is_not_blown_out() -> None:
    """One of three values of yellow is lost, where all of white are."""
    yellow, white = (scene().copy() for _ in range(2))
    box = (100, 200, 500, 500)
    yellow.paste((255, 220, 40), box)
    white.paste("white", box)
    assert 0 < technical(yellow)["clipped"] < 0.4 * technical(white)["clipped"]


LAMPS = ["#dc3c3c", "#288c28", "#4664f0", "#966432", "#9646be", "#00828c", "#e63c8c", "#6e6e6e"]


def drawings() -> list[Image.Image]:
    """A lamp in eight colours of about equal lightness, and line drawings around a circle."""
    found = []
    for colour in LAMPS:
        image = Image.new("RGB", (256, 256), "white")
        pen = ImageDraw.Draw(image)
        pen.ellipse((40, 60, 216, 200), fill=colour)
        pen.rectangle((110, 20, 146, 120), fill=colour)
        found.append(image)
    for more in ([], [(128, 128, 128, 70), (128, 128, 170, 128)], [(128, 48, 128, 208), (48, 128, 208, 128)],
                 [(116, 118, 116, 130), (124, 118, 124, 130), (124, 118, 130, 118)]):  # fmt: skip
        image = Image.new("RGB", (256, 256), "white")
        pen = ImageDraw.Draw(image)
        pen.ellipse((48, 48, 208, 208), outline="black", width=4)
        for line in more:
            pen.line(line, fill="black", width=4)
        found.append(image)
    return found


def stay_after_duplicates(images: list[Image.Image]) -> list[int]:
    rows = [Readable().measure(picture(one)) | Duplicates().measure(picture(one)) for one in images]
    scores = {name: np.array([row[name] for row in rows]) for name in rows[0] if name != "layout"}
    scores["layout"] = np.array([row["layout"] for row in rows], dtype=object)
    choice = Duplicates().choose(scores, np.ones(len(rows), dtype=bool))
    return np.flatnonzero(~choice.leaves).tolist()


def test_colours_of_a_thing_and_drawings_that_share_a_circle_are_no_copies() -> None:
    images = drawings()
    assert stay_after_duplicates(images) == list(range(len(images)))


def test_copies_of_drawings_and_of_photographs_are_found() -> None:
    originals = [*drawings(), scene(), texture((640, 512))]
    copies = [one.resize((one.width * 3 // 4, one.height * 3 // 4), Image.Resampling.LANCZOS) for one in originals]
    for one in [*originals[:8], *originals[-2:]]:  # of a circle, half of the hash's bits are a matter of rounding
        content = stored(one, "JPEG", quality=60)
        copies.append(decode(lambda content=content: io.BytesIO(content), max_pixels=10**6))
    assert stay_after_duplicates([*originals, *copies]) == list(range(len(originals)))


def test_a_short_caption_is_judged_by_what_the_source_is_like_and_capitals_do_not_count() -> None:
    def wanted(text: str, share: float = 0.8) -> float:
        return float(Language(share=share).measure(picture(pixels(0), text=text))["language_wanted"])

    names = ("Taj Mahal", "Hawa Mahal", "Rio de Janeiro", "Plaza Mayor", "Zanzibar", "Duomo di Milano")
    assert min(map(wanted, (*names, "Red Fox", "Fort Sumter", "A Golden Temple", "two owls"))) > 0.1
    assert wanted("A Red Fox In The Snow") == wanted("a red fox in the snow") > 0.99
    assert wanted("Red Fox", 0.01) < 0.5 < wanted("a red fox sleeps in the snow of the old garden", 0.01)
    with pytest.raises(UserError, match="share 1: between 0 and 1"):
        Language(share=1)


@pytest.mark.parametrize(
    "text",
    [
        "Zwei Kinder spielen im Garten",
        "Le chien dort devant la chemin\u00e9e",
        "Una donna legge un libro in giardino",
        "Twee kinderen spelen op straat",
        "Stary kamienny most nad rzek\u0105",
        "En gammal stenbro \u00f6ver floden",
        "El perro duerme frente a la chimenea",
    ],
)
def test_a_sentence_in_another_language_is_no_name(text: str) -> None:
    assert float(Language().measure(picture(pixels(0), text=text))["language_wanted"]) < 0.1


@pytest.mark.parametrize("colour", ["black", "white", "darkslategray"])
@pytest.mark.parametrize("quality", [92, 60])
def test_nothing_of_a_border_is_left_in_a_jpeg(colour: str, quality: int) -> None:
    whole = framed(colour, (37, 29, 603, 483), (640, 512))
    content = stored(whole, "JPEG", quality=quality)
    left, top, right, bottom = inside(np.asarray(decode(lambda: io.BytesIO(content), max_pixels=10**6)))
    assert 36 <= left <= 45  # `cut` takes two lines more
    assert 28 <= top <= 37
    assert 595 <= right <= 604
    assert 475 <= bottom <= 484


def test_all_pixels_of_a_large_picture_are_averaged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is smaller still is made of the smaller one: each time costs as much as all measures together."""
    sizes: list[tuple[int, int]] = []
    reduce = Image.Image.reduce

    def counted(image: Image.Image, *arguments: Any, **more: Any) -> Image.Image:
        sizes.append(image.size)
        return reduce(image, *arguments, **more)

    monkeypatch.setattr(Image.Image, "reduce", counted)
    large = picture(texture((2100, 1700)))
    Technical().measure(large)
    Duplicates().measure(large)
    assert sizes.count((2100, 1700)) == 1
    assert [min(large.small(side).size) // side for side in (512, 256, 144, 128)] == [1, 1, 1, 1]
