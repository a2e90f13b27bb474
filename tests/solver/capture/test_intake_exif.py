# SPDX-License-Identifier: GPL-3.0-or-later
"""What photos say of exposure, time and focus, and sensor widths that contradict each other."""

import csv
from datetime import datetime

import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from solver.capture import sensors
from solver.capture.exif import focal_length_px, read_exif
from solver.capture.sensors import sensor_width_of_model

FOCAL_LENGTH, EQUIVALENT = 0x920A, 0xA405
WIDTH, HEIGHT, RESOLUTION, UNIT = 0xA002, 0xA003, 0xA20E, 0xA210


@pytest.fixture
def read(tmp_path):
    """What is read of a photo with these entries in its Exif folder."""

    def write_and_read(tags, size=(1600, 1067), suffix="jpg", model=("Nobody", "")):
        exif = Image.Exif()
        exif[0x010F], exif[0x0110] = model
        exif.get_ifd(0x8769).update(tags)
        Image.new("RGB", size).save(tmp_path / f"photo.{suffix}", exif=exif.tobytes())
        return read_exif(tmp_path / f"photo.{suffix}")

    return write_and_read


@pytest.mark.parametrize(
    ("model", "size", "width"),
    [
        (("Canon", "Canon EOS 600D"), (5184, 3456), 22.3),
        (("Canon", "Canon EOS 600D"), (5184, 2912), 22.3),  # 16:9 leaves out rows
        (("Canon", "Canon EOS 600D"), (4608, 3456), 22.3 * 8 / 9),  # 4:3 leaves out columns
        (("Canon", "Canon EOS 600D"), (3456, 3456), 22.3 * 2 / 3),
        (("Canon", "Canon EOS 600D"), (864, 648), 22.3 * 8 / 9),  # exported smaller
        (("Canon", "Canon EOS 600D"), (648, 864), 22.3 * 8 / 9),  # and upright
        (("OLYMPUS CORPORATION", "E-M1MarkII"), (5184, 3888), 17.3),
        (("OLYMPUS CORPORATION", "E-M1MarkII"), (5184, 3456), 17.3),
        (("OLYMPUS CORPORATION", "E-M1MarkII"), (3888, 3888), 17.3 * 3 / 4),
        (("NIKON CORPORATION", "NIKON D850"), (8256, 5504), 35.9),
        (("NIKON CORPORATION", "NIKON D850"), (6880, 5504), 35.9 * 5 / 6),  # 5:4
    ],
)
def test_photos_of_another_shape_use_less_of_a_listed_sensor(read, model, size, width):
    small = (size[0] // 8, size[1] // 8)
    assert read({FOCAL_LENGTH: 60.0}, model=model, size=small).sensor_width_mm == pytest.approx(width, rel=2e-3)
    # The 35 mm equivalent, which some cameras leave as it is, changes nothing.
    equivalent = round(60 * 36 / sensor_width_of_model(*model))
    exif = read({FOCAL_LENGTH: 60.0, EQUIVALENT: equivalent}, model=model, size=small)
    assert exif.sensor_width_mm == pytest.approx(width, rel=2e-3)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_every_format_tells(read, suffix):
    exif = read({0x829A: IFDRational(3, 5), 0x9003: "2026:05:04 03:02:01", 0x829D: 13.0}, suffix=suffix)
    assert exif.exposure_s == pytest.approx(0.6)
    assert exif.taken == datetime(2026, 5, 4, 3, 2, 1)
    assert exif.f_number == 13


def test_values_in_other_places(read):
    """APEX numbers and the index that stands in for sensitivities too large for 16 bits."""
    exif = read({0x9202: IFDRational(6, 1), 0x9201: IFDRational(-2, 1), 0x8827: 65535, 0x8832: 102_400})
    assert exif.f_number == 8
    assert exif.exposure_s == 4
    assert exif.iso == 102_400
    assert read({0x9201: IFDRational(0, 1)}).exposure_s == 1


@pytest.mark.parametrize(
    ("metres", "expected"),
    [((3, 10), 300), ((0, 1), None), ((2**32 - 1, 1), None), ((5, 0), None), ((2000, 1), None)],
)
def test_focus_distance(read, metres, expected):
    assert read({0x9206: IFDRational(*metres)}).focus_distance_mm == expected


@pytest.mark.parametrize(
    "date", ["0000:00:00 00:00:00", "    :  :     :  :  ", "2026-05-04", "2026:13:01 00:00:00", "x"]
)
def test_no_date(read, date):
    assert read({0x9003: date}).taken is None
    assert read({0x9003: date, 0x9004: "2026:05:04 03:02:01"}).taken == datetime(2026, 5, 4, 3, 2, 1)


def test_a_unit_that_cannot_be(read):
    """Pixels per centimetre that the file calls pixels per inch: the sensor would be 57 or 91 mm wide."""
    for sensor in (22.3, 35.9):
        tags = {WIDTH: 5184, HEIGHT: 3456, RESOLUTION: 5184 / sensor * 10, UNIT: 2}
        assert read(tags).sensor_width_mm == pytest.approx(sensor, rel=1e-3)
    # Pixels per inch that the file calls per centimetre: 8.8 mm, which the equivalent contradicts.
    tags = {WIDTH: 5184, HEIGHT: 3456, RESOLUTION: 5184 / 22.3 * 25.4, UNIT: 3, FOCAL_LENGTH: 50.0, EQUIVALENT: 80}
    assert read(tags).sensor_width_mm == pytest.approx(22.3, rel=1e-3)


def test_an_exporter_that_rewrites_the_size(read):
    """The camera's pixels per length with the copy's width: a sensor that nobody builds, or that the lens denies."""
    tags = {WIDTH: 1600, HEIGHT: 1067, RESOLUTION: 5184 / 22.3 * 25.4, UNIT: 2, FOCAL_LENGTH: 55.0}
    assert read(tags).sensor_width_mm is None
    assert focal_length_px(read(tags), 1600, 1067) is None
    right = 55 / (43.27 * 55 / 88 * 1600 / (1600**2 + 1067**2) ** 0.5) * 1600
    assert focal_length_px(read({**tags, EQUIVALENT: 88}), 1600, 1067) == pytest.approx(right, rel=1e-3)


@pytest.mark.parametrize(("equivalent", "width"), [(60, 35.9), (66, 35.9), (40, 35.9), (0, 35.9), (90, 24.0)])
def test_a_part_of_a_sensor_that_is_listed(read, equivalent, width):
    """The equivalent is believed where it tells of a crop, to APS-C here, and in nothing else."""
    exif = read(
        {FOCAL_LENGTH: 60.0, EQUIVALENT: equivalent}, size=(540, 360), model=("NIKON CORPORATION", "NIKON D850")
    )
    assert exif.sensor_width_mm == pytest.approx(width, abs=0.05)


def test_the_table_of_sensors():
    with sensors._TABLE.open(encoding="utf-8", newline="") as file:
        rows = [(row["make"], row["model"], float(row["width_mm"])) for row in csv.DictReader(file)]
    assert len(rows) > 500
    assert rows == sorted(rows)
    assert len({row[:2] for row in rows}) == len(rows)
    for make, model, width in rows:
        assert make == make.lower().split()[0]
        assert model == " ".join(model.lower().split())
        assert not model.startswith(f"{make} ")
        assert 13 <= width <= 44, model
        assert sensor_width_of_model(make.upper(), f"{make} {model}".upper()) == width
    for make, model, width in (
        ("Canon", "Canon EOS REBEL T3i", 22.3),
        ("RICOH IMAGING COMPANY, LTD.", "PENTAX K-1 Mark II", 35.9),
        ("OM Digital Solutions", "OM-1MarkII", 17.4),
        ("Panasonic", "DC-G9M2", 17.3),
        ("LEICA CAMERA AG", "LEICA Q2", 36.0),
        ("SONY", "ILCE-6100", 23.5),
    ):
        assert sensor_width_of_model(make, model) == width
