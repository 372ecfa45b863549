import pytest

from emu.data.buckets import assign, list_buckets


@pytest.mark.parametrize(("resolution", "step"), [(1024, 64), (512, 64), (256, 32), (128, 16), (64, 64)])
def test_buckets_are_multiples_of_the_step_and_nearly_equal_in_area(resolution: int, step: int) -> None:
    buckets = list_buckets(resolution, step=step)
    assert (resolution, resolution) in buckets
    for height, width in buckets:
        assert height % step == width % step == 0
        assert 0.8 * resolution**2 <= height * width <= resolution**2
        assert (width, height) in buckets


def test_a_resolution_off_the_step_is_refused() -> None:
    with pytest.raises(ValueError, match="500 is not a multiple of 64"):
        list_buckets(500)


def test_a_picture_of_a_bucket_s_shape_gets_that_bucket() -> None:
    buckets = list_buckets(1024)
    assert [assign(3 * height, 3 * width, buckets) for height, width in buckets] == buckets


def test_assigning_loses_least_of_the_picture() -> None:
    buckets = list_buckets(512)
    for height, width in [(333, 1000), (480, 640), (1000, 999), (4000, 500)]:

        def kept(bucket: tuple[int, int], height: int = height, width: int = width) -> float:
            ratio = (bucket[0] / bucket[1]) / (height / width)
            return min(ratio, 1 / ratio)

        assert kept(assign(height, width, buckets)) == max(map(kept, buckets))
