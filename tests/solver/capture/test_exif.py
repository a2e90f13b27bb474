# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from solver.capture.exif import focal_length_px, read_exif
from solver.capture.sensors import sensor_width_of_model

EXIF_FOLDER = 0x8769


@pytest.fixture
def write(tmp_path):
    """Writes a photo with metadata: names at the top level, numbers in the Exif folder."""

    def save(size=(1600, 1067), make=None, model=None, **tags):
        codes = {
            "focal_length": 0x920A,
            "f_number": 0x829D,
            "iso": 0x8827,
            "width": 0xA002,
            "height": 0xA003,
            "resolution": 0xA20E,
            "unit": 0xA210,
            "equivalent": 0xA405,
            "lens": 0xA434,
        }
        exif = Image.Exif()
        if make:
            exif[0x010F] = make
        if model:
            exif[0x0110] = model
        exif.get_ifd(EXIF_FOLDER).update({codes[key]: value for key, value in tags.items()})
        Image.new("RGB", size).save(tmp_path / "photo.jpg", exif=exif)
        return tmp_path / "photo.jpg"

    return save


def test_everything_a_camera_writes(write):
    exif = read_exif(
        write(make="Canon", model="Canon EOS 600D", lens="EF100mm f/2.8L", focal_length=100.0, f_number=5.6, iso=200)
    )
    assert (exif.make, exif.model, exif.lens) == ("Canon", "Canon EOS 600D", "EF100mm f/2.8L")
    assert (exif.focal_length_mm, exif.f_number, exif.iso) == (100, pytest.approx(5.6), 200)
    assert exif.sensor_width_mm == 22.3


def test_resolution_of_the_camera_is_not_set_against_a_resized_image(write):
    # The pixels per inch of a 5184 pixel sensor 22.3 mm wide, kept in a copy that is 1600 pixels wide.
    trap = {"resolution": 5184 / 22.3 * 25.4, "unit": 2, "focal_length": 55.0}
    honest = read_exif(write(width=5184, height=3456, **trap))
    assert honest.sensor_width_mm == pytest.approx(22.3, rel=1e-3)
    assert focal_length_px(honest, 1600, 1067) == pytest.approx(55 / 22.3 * 1600, rel=1e-3)
    # An exporter that rewrote the size too would give a sensor of 6.9 mm; a listed model overrules it.
    listed = read_exif(write(make="Canon", model="Canon EOS 600D", width=1600, height=1067, **trap))
    assert listed.sensor_width_mm == 22.3
    # Without the camera's own size nothing is concluded.
    assert focal_length_px(read_exif(write(**trap)), 1600, 1067) is None


def test_resolution_in_centimetres_and_nonsense(write):
    metric = {"unit": 3, "resolution": 6000 / 3.59, "width": 6000, "height": 4000}
    assert read_exif(write(**metric)).sensor_width_mm == pytest.approx(35.9, rel=1e-3)
    assert read_exif(write(unit=2, resolution=72.0, width=6000, height=4000)).sensor_width_mm is None


def test_portrait_counts_the_longer_side(write):
    exif = read_exif(write(make="Canon", model="Canon EOS 600D", focal_length=55.0))
    assert focal_length_px(exif, 1067, 1600) == focal_length_px(exif, 1600, 1067)


def test_equivalent_focal_length_is_the_last_resort(write):
    exif = read_exif(write(size=(1500, 1000), focal_length=50.0, equivalent=75))
    assert exif.sensor_width_mm == pytest.approx(36 * 50 / 75, rel=1e-3)


def test_padding_is_stripped(write):
    exif = read_exif(write(make="Canon\0\0\0", model="Canon EOS 600D \0\0\0\0", lens="\0\0\0"))
    assert (exif.make, exif.model, exif.lens) == ("Canon", "Canon EOS 600D", None)
    assert exif.sensor_width_mm == 22.3


def test_garbage_is_nothing(write, tmp_path):
    exif = read_exif(write(f_number=IFDRational(1, 0), focal_length=IFDRational(0, 0), iso=0))
    assert (exif.f_number, exif.focal_length_mm, exif.iso) == (None, None, None)
    exif = read_exif(write(focal_length=IFDRational(0, 5)))
    assert exif.focal_length_mm is None
    path = write(make="Canon", model="Canon EOS 600D", focal_length=55.0)
    whole = path.read_bytes()
    start = whole.index(b"Exif\0\0")
    for offset in range(start + 6, start + 100):  # no byte of the metadata may matter to reading the photo
        path.write_bytes(whole[:offset] + b"\xff" + whole[offset + 1 :])
        read_exif(path)
    Image.new("RGB", (4, 4)).save(tmp_path / "plain.png")
    assert read_exif(tmp_path / "plain.png").focal_length_mm is None


def test_sensor_table():
    assert sensor_width_of_model("NIKON CORPORATION", "NIKON D850") == 35.9
    assert sensor_width_of_model("OLYMPUS CORPORATION", "E-M1MarkII") == 17.3
    assert sensor_width_of_model("SONY", "ILCE-7M3") == 35.6
    assert sensor_width_of_model("Canon", "Canon EOS 9999D") is None
    assert sensor_width_of_model(None, "EOS 600D") is None
