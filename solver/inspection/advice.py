# SPDX-License-Identifier: GPL-3.0-or-later
"""What a photographer should change or leave out, each in one sentence with a number in it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from solver.capture.exif import Exif
from solver.capture.photos import SharedCamera, usual_camera
from solver.inspection.focus_variety import ALIKE
from solver.inspection.folder import Findings
from solver.inspection.photos import INSPECTED_SIZE_PX, InspectedPhoto

_FEW_VIEWS = 20
_BLURRED_SHARE = 0.01  # in focus, below which a photo counts as blurred all over: leaves under 4 px discs measure that
_UNTEXTURED_SHARE = 0.03  # of the area whose blur shows, below which nothing is said of a photo's blur
_DEEP_SHARE = 0.85  # in focus, from which little blur is left to measure
_WANTED_SHARP = 3.0  # photos that each part of the subject should be in focus in
_EXPOSURE_STOPS = 0.4
_BRIGHTNESS_STOPS = 0.5
_SMALL_F_STOP = 16.0
_WAVELENGTH_MM = 550e-6
_NOISY_ISO = 3200
_SMALL_SIDE_PX = 1000
_SAME_FOCAL_LENGTH = 0.02  # relative difference; a lens may round it
_LISTED = 3  # names in a sentence


@dataclass(frozen=True)
class Advice:
    """One sentence, and the photos it is about; none where it is about the whole folder."""

    kind: str  # for programs; see docs/formats.md
    message: str
    photos: tuple[str, ...] = ()


def advise(findings: Findings) -> tuple[Advice, ...]:
    """All that is to be said about a folder of photos, the most pressing first."""
    rules = (_unreadable, _blurred, _shaken, _focus, _exposure, _cameras, _count, _repeats, _lens, _metadata, _quality)
    return tuple(advice for rule in rules for advice in rule(findings))


def blurred_all_over(photo: InspectedPhoto) -> bool:
    """Whether a photo is in focus nowhere, as far as shows."""
    known = photo.in_focus_share is not None and photo.known_share >= _UNTEXTURED_SHARE
    return known and photo.in_focus_share < _BLURRED_SHARE  # type: ignore[operator]


def viewpoints(findings: Findings) -> int:
    """The number of photos, those of one pose counted once."""
    views = findings.views
    merged = _joined([*views.brackets, *views.copies, *views.repeats])
    return len(findings.photos) - len(views.stacks) - sum(len(group) - 1 for group in merged)


def odd_cameras(findings: Findings) -> dict[int, SharedCamera]:
    """The photos that are not of the camera and size that most are of, and so would be left out, by index."""
    cameras = [photo.camera for photo in findings.photos]
    usual = usual_camera(cameras)
    return {index: camera for index, camera in enumerate(cameras) if not usual.agrees(camera)}


def inspected_size(photo: InspectedPhoto) -> int:
    """The longest side of a photo, px, at the size that its blur was measured at."""
    return min(INSPECTED_SIZE_PX, max(photo.width, photo.height))


def _unreadable(findings: Findings) -> Iterator[Advice]:
    for photo in findings.unreadable:
        yield Advice(
            "unreadable", f"{photo.name} cannot be used: {photo.reason}; copy it again, or remove it", (photo.name,)
        )


def _blurred(findings: Findings) -> Iterator[Advice]:
    # In a bracket, one that is focused before or behind the subject is no mistake.
    bracketed = {index for bracket in findings.views.brackets for index in bracket}
    blurred = [
        photo for index, photo in enumerate(findings.photos) if index not in bracketed and blurred_all_over(photo)
    ]
    if not blurred:
        return
    sizes = [photo.sharpest_px for photo in blurred if photo.sharpest_px is not None]
    pixels = f"{min(sizes):.0f}" if round(min(sizes)) == round(max(sizes)) else f"{min(sizes):.0f} to {max(sizes):.0f}"
    width = inspected_size(blurred[0])
    subject = f"{blurred[0].name} is" if len(blurred) == 1 else f"{len(blurred)} photos ({_listed(blurred)}) are"
    even = "its sharpest parts" if len(blurred) == 1 else "their sharpest parts"
    it = "it" if len(blurred) == 1 else "them"
    yield Advice(
        "blurred",
        f"{subject} blurred all over, even {even} by about {pixels} of {width} pixels: "
        f"shake or missed focus; leave {it} out",
        _names(blurred),
    )


def _shaken(findings: Findings) -> Iterator[Advice]:
    photos = [findings.photos[index] for index in findings.shaken]
    blurs = [photo.directional_blur for photo in photos if photo.directional_blur is not None]
    if not blurs:
        return
    worst = max(blurs, key=lambda blur: blur.stops)
    one = len(photos) == 1
    subject = f"{photos[0].name} looks" if one else f"{len(photos)} photos ({_listed(photos)}) look"
    yield Advice(
        "shaken",
        f"{subject} shaken: along one direction, {worst.angle_degrees:.0f} degrees from the horizontal, detail has "
        f"{2**worst.stops:.1f} times less energy than across it, unlike in the other photos: use a tripod and a remote "
        f"release, or flash, and leave {'it' if one else 'them'} out",
        _names(photos),
    )


def _focus(findings: Findings) -> Iterator[Advice]:
    textured = [photo for photo in findings.photos if photo.known_share >= _UNTEXTURED_SHARE]
    plain = [photo for photo in findings.photos if photo.known_share < _UNTEXTURED_SHARE]
    if plain:
        yield Advice(
            "no_texture",
            f"{len(plain)} of {len(findings.photos)} photos ({_listed(plain)}) show too little texture to tell sharp "
            "from blurred: light the subject from the side, and check the exposure",
            _names(plain),
        )
    shares = [photo.in_focus_share for photo in textured if photo.in_focus_share is not None]
    if not shares:
        return
    middle = float(np.median(shares))
    distances = [photo.exif.focus_distance_mm for photo in findings.photos if photo.exif.focus_distance_mm]
    if middle >= _DEEP_SHARE:
        yield Advice(
            "deep_focus",
            f"{100 * middle:.0f} % of a typical photo is in focus at {inspected_size(textured[0])} pixels: "
            "good for detail, but little blur is left to measure the scale from: give a known distance, "
            "or open the aperture",
        )
    elif not findings.views.brackets and findings.focus_likeness is not None and findings.focus_likeness >= ALIKE:
        told = f" (EXIF: {distances[0]:.0f} mm)" if distances and max(distances) < 1.02 * min(distances) else ""
        yield Advice(
            "same_focus",
            f"all photos focus at about the same distance{told}, the same part of the frame being sharp in each "
            f"(correlation {findings.focus_likeness:.2f}): move the focus between shots, "
            "through the depth of the subject",
        )
    repeated = [*findings.views.stacks, *(i for g in (*findings.views.copies, *findings.views.repeats) for i in g[1:])]
    sharp = sum(photo.in_focus_share or 0.0 for i, photo in enumerate(findings.photos) if i not in repeated)
    if sharp < _WANTED_SHARP and viewpoints(findings) >= _FEW_VIEWS:  # with fewer, that is what is told
        yield Advice(
            "little_in_focus",
            f"a typical photo has {100 * middle:.0f} % in focus, so that each part of the subject is sharp in about "
            f"{sharp:.1f} photos at most, and 3 are better: close the aperture, or take more photos with focus stepped",
        )


def _exposure(findings: Findings) -> Iterator[Advice]:
    settings, brightness = findings.exposure.settings_spread_stops, findings.exposure.brightness_spread_stops
    if settings is not None and settings >= _EXPOSURE_STOPS:
        yield Advice(
            "exposure",
            f"exposure changes by {settings:.1f} stops between the photos: "
            "fix shutter, f-number and ISO in manual mode",
        )
    elif brightness is not None and brightness >= _BRIGHTNESS_STOPS:
        same = " though the settings are the same" if settings is not None else ""
        yield Advice(
            "brightness",
            f"like content is up to {brightness:.1f} stops lighter in one photo than in another{same}: "
            + ("use constant light" if settings is not None else "fix the exposure in manual mode, in constant light"),
        )


def _cameras(findings: Findings) -> Iterator[Advice]:
    odd, total = odd_cameras(findings), len(findings.photos)
    if odd:
        photos = [findings.photos[index] for index in odd]
        yield Advice(
            "cameras",
            f"{len(odd)} of {total} photos ({_listed(photos)}: {next(iter(odd.values()))}) are of another camera or "
            f"size than the rest ({usual_camera([photo.camera for photo in findings.photos])}): keep one camera a "
            "folder; they would be left out",
            _names(photos),
        )
    lenses = Counter(photo.exif.lens for photo in findings.photos if photo.exif.lens)
    if len(lenses) > 1:
        (usual, _), (other, count) = lenses.most_common(2)
        yield Advice(
            "lenses",
            f"{count} of {total} photos are taken with {other}, most with {usual}: keep one lens a folder",
            _names(photo for photo in findings.photos if photo.exif.lens == other),
        )
    lengths = [photo.exif.focal_length_mm for photo in findings.photos if photo.exif.focal_length_mm]
    if lengths and max(lengths) > (1 + _SAME_FOCAL_LENGTH) * min(lengths):
        yield Advice(
            "focal_lengths",
            f"the focal length goes from {min(lengths):g} to {max(lengths):g} mm: leave the zoom alone, "
            "all photos are taken to have one",
        )
    stops = Counter(photo.exif.f_number for photo in findings.photos if photo.exif.f_number)
    if len(stops) > 1:
        told = ", ".join(f"f/{stop:g} in {count}" for stop, count in sorted(stops.items())[:4])
        yield Advice(
            "f_numbers",
            f"{len(stops)} f-numbers are mixed ({told} photos): each makes a pupil to find, "
            "so keep one unless you mean it",
        )


def _count(findings: Findings) -> Iterator[Advice]:
    count = viewpoints(findings)
    if count < _FEW_VIEWS:
        photos = "photo" if count == 1 else "photos"
        told = (
            f"only {count} {photos}"
            if count == len(findings.photos)
            else f"only {count} viewpoint{'' if count == 1 else 's'} in {len(findings.photos)} photos"
        )
        yield Advice("few", f"{told}; 20 to 60 from all sides work well")


def _repeats(findings: Findings) -> Iterator[Advice]:
    photos, views = findings.photos, findings.views
    for group in views.copies:
        names = _names(photos[index] for index in group)
        yield Advice("copies", f"{_listed(names)} are {len(group)} copies of one photo: keep one", names)
    for group in views.repeats:
        names = _names(photos[index] for index in group)
        yield Advice(
            "repeats",
            f"{_listed(names)} show one view with one focus {len(group)} times: keep the best, or change the focus",
            names,
        )
    for index, bracket in views.stacks.items():
        share = photos[index].in_focus_share or 0.0
        yield Advice(
            "stack",
            f"{photos[index].name} looks like a stack made of others ({100 * share:.0f} % in focus, those of its "
            f"bracket of {len(bracket)} at most {100 * max(photos[i].in_focus_share or 0.0 for i in bracket):.0f} %): "
            "leave it out, the blur is what is needed",
            (photos[index].name,),
        )


def _lens(findings: Findings) -> Iterator[Advice]:
    closed = [photo for photo in findings.photos if (photo.exif.f_number or 0) >= _SMALL_F_STOP]
    if closed:
        stop = max(photo.exif.f_number or 0.0 for photo in closed)
        spread = _airy_px(closed[0].exif, max(closed[0].width, closed[0].height), stop)
        told = f" (over {spread:.0f} pixels of the photo)" if spread else ""
        yield Advice(
            "diffraction",
            f"f/{stop:g}: diffraction softens everything{told}, and little blur is left to measure the scale from; "
            "f/5.6 to f/11 work better",
            _names(closed) if len(closed) < len(findings.photos) else (),
        )


def _metadata(findings: Findings) -> Iterator[Advice]:
    total = len(findings.photos)
    lacking = {
        ("f-number", "--f-number"): [photo for photo in findings.photos if not photo.exif.f_number],
        ("focal length", "--focal-length-mm"): [photo for photo in findings.photos if not photo.exif.focal_length_mm],
        ("sensor width", "--sensor-width-mm"): [photo for photo in findings.photos if not photo.exif.sensor_width_mm],
    }
    lacking = {key: photos for key, photos in lacking.items() if photos}
    if lacking:
        most = max(lacking.values(), key=len)
        told = _listed([f"the {what} of {len(photos)}" for (what, _), photos in lacking.items()])
        options = _listed([option for _, option in lacking])
        yield Advice(
            "metadata",
            f"EXIF lacks {told} of {total} photos: give {options} if you know {'it' if len(lacking) == 1 else 'them'}",
            _names(most) if len(most) < total else (),
        )


def _quality(findings: Findings) -> Iterator[Advice]:
    small = [photo for photo in findings.photos if max(photo.width, photo.height) < _SMALL_SIDE_PX]
    if small:
        yield Advice(
            "small",
            f"{len(small)} of {len(findings.photos)} photos are only {small[0].width} x {small[0].height} pixels: "
            "use the camera's originals",
            _names(small) if len(small) < len(findings.photos) else (),
        )
    noisy = [photo for photo in findings.photos if (photo.exif.iso or 0) >= _NOISY_ISO]
    if noisy:
        yield Advice(
            "noise",
            f"ISO {max(photo.exif.iso or 0 for photo in noisy):.0f}: noise hides the finest detail; "
            "use a tripod and a lower ISO",
            _names(noisy) if len(noisy) < len(findings.photos) else (),
        )
    masked = sum(photo.masked for photo in findings.photos)
    if 0 < masked < len(findings.photos):
        yield Advice(
            "masks",
            f"{len(findings.photos) - masked} of {len(findings.photos)} photos have no mask: "
            "make the missing ones, or remove all",
            _names(photo for photo in findings.photos if not photo.masked),
        )


def _airy_px(exif: Exif, longest: int, stop: float) -> float | None:
    """Diameter of the Airy disc, 2.44 wavelengths times the f-number, in px of a photo focused at infinity; at macro
    distances it is larger, by 1 + magnification.
    """
    return 2.44 * _WAVELENGTH_MM * stop / exif.sensor_width_mm * longest if exif.sensor_width_mm else None


def _joined(groups: Sequence[Sequence[int]]) -> list[set[int]]:
    """Groups that share a member, as one."""
    joined: list[set[int]] = []
    for group in map(set, groups):
        touching = [other for other in joined if other & group]
        joined = [other for other in joined if not other & group] + [group.union(*touching)]
    return joined


def _names(photos: Iterable[InspectedPhoto]) -> tuple[str, ...]:
    return tuple(photo.name for photo in photos)


def _listed(photos: Sequence[InspectedPhoto] | Sequence[str]) -> str:
    names = [photo if isinstance(photo, str) else photo.name for photo in photos]
    if len(names) > _LISTED:
        return ", ".join(names[:_LISTED]) + f" and {len(names) - _LISTED} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
