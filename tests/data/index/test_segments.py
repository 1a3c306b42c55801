import numpy as np
import pytest

from visiontasks.data.index.segments import pack_coordinates, unpack_coordinates


@pytest.mark.parametrize(
    ("low", "high", "decimals", "dtype"),
    [
        (0, 640, 2, "uint16"),
        (-5, 640, 2, "int32"),
        (0, 9000, 1, "int32"),
        (0, 640, 3, "float64"),
        (0, 1e9, 2, "float64"),
    ],
)
def test_coordinates_come_back_bit_for_bit(low: float, high: float, decimals: int, dtype: str) -> None:
    values = np.round(np.random.default_rng(0).uniform(low, high, 20_000), decimals)
    values[0] = low if low < 0 else high  # the range is used
    packed = pack_coordinates(values)
    assert packed.dtype == dtype
    np.testing.assert_array_equal(unpack_coordinates(packed), values)


def test_every_hundredth_of_a_pixel_is_exact() -> None:
    written = np.array([float(f"{number // 100}.{number % 100:02d}") for number in range(65_536)])
    packed = pack_coordinates(written)
    assert packed.dtype == np.uint16
    np.testing.assert_array_equal(unpack_coordinates(packed), written)


def test_no_coordinates() -> None:
    assert len(unpack_coordinates(pack_coordinates(np.zeros(0)))) == 0
