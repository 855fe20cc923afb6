"""The pictures that I3D sees, by the name of the crop."""

from __future__ import annotations

from collections.abc import Mapping

from tlbench.media.views import View

CROPS: Mapping[str, View] = {"whole-frame": View("whole-frame", 1, ())}
CROP_IDS: dict[str, str] = {name: view.id for name, view in CROPS.items()}  # as `Observer.views`
