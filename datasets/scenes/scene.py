"""One synthetic image from beginning to end."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from datasets.scenes.backgrounds import backdrop
from datasets.scenes.difficulty import Level
from datasets.scenes.distractors import add_distractors
from datasets.scenes.optics import BLUR
from datasets.scenes.placing import Canvas, Target, place
from datasets.scenes.sensor import Sensor, draw_sensor, expose
from datasets.scenes.targets import draw_profile


class Scene(NamedTuple):
    """An image and all that it was made of; (H, W) each, grey levels as float32.

    Attributes:
        image: uint8 or uint16.
        mask: bool.
        background: backdrop and distractors, noise-free, without targets.
        signal: the targets alone, noise-free.
        distractors: bool, where distractors are.
        targets: in the order drawn.
        sensor: the camera.
        kind: of backdrop.
    """

    image: np.ndarray
    mask: np.ndarray
    background: np.ndarray
    signal: np.ndarray
    distractors: np.ndarray
    targets: list[Target]
    sensor: Sensor
    kind: str


def make_scene(rng: np.random.Generator, level: Level, size: int, bits: int = 8) -> Scene:
    """Draw and render one scene of `size` x `size` px: optics, backdrop, targets, sensor."""
    kind = str(rng.choice(list(level.kinds), p=list(level.kinds.values())))
    blur = rng.uniform(*BLUR)
    sensor = draw_sensor(rng, level)
    background = backdrop(rng, size, level, kind, blur)
    distractors = add_distractors(rng, background, level, kind, blur)
    canvas = Canvas(np.clip(background, 0, 255), distractors)
    for _ in range(rng.choice(len(level.counts), p=level.counts)):
        profile = draw_profile(rng, kind, blur, level.log_area)
        target = place(rng, profile, canvas, level, sensor)
        if target is not None:
            canvas.add(target)
    image = expose(rng, canvas.background + canvas.signal, canvas.mask, sensor, bits)
    return Scene(
        image, canvas.mask, canvas.background, canvas.signal, distractors, canvas.targets, sensor,
        kind,
    )  # fmt: skip
