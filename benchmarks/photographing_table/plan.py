# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tried: the rows of each section of the page."""

from collections.abc import Iterable
from typing import Literal, get_args

from benchmarks.photographing_table.shoots import MIXED, Shoot
from benchmarks.photographing_table.trial import Poses, Trial

Section = Literal["shares", "poses", "focus", "aperture", "views"]
SECTIONS: tuple[Section, ...] = get_args(Section)

SHARE_SCENES = ("beetle", "coin")
POSE_SHOOTS = (  # from strong to mild blur
    Shoot("beetle", 5.6),
    Shoot("beetle"),
    Shoot("beetle", 16.0),
    Shoot("coin"),
    Shoot("coin", 16.0),
)
POSES: tuple[Poses, ...] = ("known", "found", "refined")
FOCUS_SHOOTS = (
    Shoot("beetle"),
    Shoot("beetle", focus="bracket", bracket_size=3),
    Shoot("beetle", focus=MIXED),
    Shoot("beetle", focus="same"),
    Shoot("beetle", focus="subject"),
    Shoot("coin"),
    Shoot("coin", focus="bracket", bracket_size=3),
    Shoot("coin", focus=MIXED),
)
APERTURE_SHOOTS = (
    Shoot("beetle", 2.8),
    Shoot("beetle", 5.6),
    Shoot("beetle"),
    Shoot("beetle", 16.0),
    Shoot("coin"),
    Shoot("coin", 16.0),
)
VIEW_SHOOTS = (*(Shoot("beetle", views=views) for views in (8, 12, 24, 48)),)

_TRIALS: dict[Section, tuple[Trial, ...]] = {
    "shares": (),
    "poses": tuple(Trial(shoot, poses) for shoot in POSE_SHOOTS for poses in POSES),
    "focus": tuple(Trial(shoot) for shoot in FOCUS_SHOOTS),
    "aperture": tuple(Trial(shoot) for shoot in APERTURE_SHOOTS),
    "views": tuple(Trial(shoot) for shoot in VIEW_SHOOTS),
}


def trials_of(sections: Iterable[Section]) -> list[Trial]:
    """The reconstructions that these sections tell of, each once."""
    return list(dict.fromkeys(trial for section in sections for trial in _TRIALS[section]))
