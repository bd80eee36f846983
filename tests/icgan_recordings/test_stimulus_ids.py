"""Ids as float64, as pairs of integers and as names; the order files."""

import numpy as np
import pytest

from lightning_modules.icgan.recordings.stimulus_ids import (
    decode_ids,
    encode_ids,
    looks_truncated,
    names_of,
    parse_name,
    positions,
    read_order,
    write_order,
)
from lightning_modules.parts.errors import DataError

# From imageID_training.csv and imageID_test.csv of KamitaniLab/GenericObjectDecoding; the second and third are
# neighbours of their category, the fourth has the smallest image number, the fifth the largest synset.
PUBLISHED = {
    "1518878.010042": "n01518878_10042",
    "2885462.009267": "n02885462_9267",
    "2885462.009275": "n02885462_9275",
    "1664990.000065": "n01664990_65",
    "13111881.007817": "n13111881_7817",
    "3626115.019498": "n03626115_19498",
    "2766534.064673": "n02766534_64673",
}


def test_published_ids_become_the_published_names():
    pairs = decode_ids(np.array([float(number) for number in PUBLISHED]), "file")
    assert names_of(pairs) == tuple(PUBLISHED.values())
    assert [parse_name(name) for name in PUBLISHED.values()] == [tuple(pair) for pair in pairs.tolist()]


def test_every_image_number_survives_the_way_through_a_float():
    """All a million image numbers of the largest synset, where float64 has the fewest digits left."""
    pairs = np.column_stack([np.full(1_000_000, 15_000_000), np.arange(1_000_000)])
    np.testing.assert_array_equal(decode_ids(encode_ids(pairs), "file"), pairs)


def test_float32_ids_are_refused_with_a_hint():
    ids = np.array([1518878.010042, 3626115.019498])
    with pytest.raises(DataError, match=r"Subject1.h5: stimulus ids are float32(.|\n)*truncated to float32"):
        decode_ids(ids.astype(np.float32), "Subject1.h5")


def test_ids_that_went_through_float32_are_told_from_whole_ones():
    ids = np.array([float(number) for number in PUBLISHED])
    cast = ids.astype(np.float32).astype(np.float64)
    assert looks_truncated(decode_ids(cast, "file"))
    assert not looks_truncated(decode_ids(ids, "file"))


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (1518878.0100425, "1 stimulus ids lie between two images, the first is 1518878.010042500"),
        (np.nan, "1 of 2 stimulus ids are negative or missing, the first in row 1"),
        (-3.000001, "negative or missing"),
    ],
)
def test_numbers_that_are_no_ids_are_refused(number, message):
    with pytest.raises(DataError, match=message):
        decode_ids(np.array([1518878.010042, number]), "file")


@pytest.mark.parametrize(
    "name", ["n1518878_10042", "n01518878", "n01518878_10042.JPEG", "n01518878_1234567", ""]
)
def test_names_of_another_form_are_refused(name):
    with pytest.raises(DataError, match="is no stimulus name"):
        parse_name(name)


def test_places_are_found_as_a_slow_search_finds_them():
    generator = np.random.default_rng(1)
    among = np.unique(generator.integers(0, 12, (40, 2)), axis=0)
    asked = generator.integers(0, 14, (60, 2))
    slow = [next((i for i, pair in enumerate(among) if (pair == one).all()), -1) for one in asked]
    np.testing.assert_array_equal(positions(asked, among), slow)
    assert -1 in slow


def test_order_file_is_read_in_its_own_order_and_written_as_it_was(tmp_path):
    text = "".join(f'{number},"{name}.JPEG"\n' for number, name in PUBLISHED.items())
    (tmp_path / "published.csv").write_text(text)
    pairs = read_order(tmp_path / "published.csv")
    assert names_of(pairs) == tuple(PUBLISHED.values())
    write_order(pairs, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('1518878.010042,"n01518878_12028.JPEG"\n', "not an id and a file name that agree"),
        ('id,name\n1518878.010042,"n01518878_10042.JPEG"\n', "line 'id,name' is not an id"),
        ('1518878.010042,"n01518878_10042.JPEG"\n' * 2, "2 images, 1 of them more than once"),
        ("", "holds 0 images"),
    ],
)
def test_spoiled_order_files_are_refused(tmp_path, text, message):
    (tmp_path / "order.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_order(tmp_path / "order.csv")
