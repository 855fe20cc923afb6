"""Presets: names for the metrics of a kind of table, for ``--metrics`` and ``tlbench table --preset``.

A preset says which numbers such a table wants. What this installation can't compute is left out, and said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tlbench.errors import TlbenchError, listed, quoted

EVERYTHING = "all"


@dataclass(frozen=True)
class Preset:
    """A named choice of metrics.

    Attributes
    ----------
    name : str
        On the command line.
    description : str
    wants : tuple of str
        Keys (``lmd/paper``), or names of metrics that stand for both arithmetics (``wer1``), in the order of the
        columns. Some may not be known to this installation. () for every metric.
    """

    name: str
    description: str
    wants: tuple[str, ...]

    def asks(self, name: str, key: str) -> bool:
        """Whether it wants the metric with this name and key."""
        return not self.wants or name in self.wants or key in self.wants

    def keys_among(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that it wants, in the order of its columns, the published arithmetic first."""
        given = sorted(keys, key=lambda key: key.partition("/")[2])
        if not self.wants:
            return given
        return [key for want in self.wants for key in given if want in (key, key.partition("/")[0])]

    def absent(self, keys: Iterable[str]) -> list[str]:
        """What it wants and none of the keys is."""
        known = {word for key in keys for word in (key, key.partition("/")[0])}
        return [want for want in self.wants if want not in known]


_ALL = (
    Preset(
        "paper-talklip",
        "the tables of TalkLip (Wang et al., CVPR 2023): sync, pixels, and reading by three networks",
        ("lse_c", "lse_d", "psnr", "ssim", "wer1", "wer2", "acc"),
    ),
    Preset(
        "paper-avatar",
        "the tables of papers on avatars and portraits: distances of sets, pixels, identity, landmarks, LSE on tracked "
        "faces",
        (
            *("fid", "kid", "fvd", "psnr/sound", "ssim/sound", "lpips", "csim", "csim_arcface"),
            *("lmd/paper", "lmd_mouth/paper", "sharpness"),
            *("lse_c_track/paper", "lse_d_track/paper", "lse_c_track50/paper", "lse_d_track50/paper"),
        ),
    ),
    Preset(
        "reading",
        "how well lip readers read the videos: errors in words, characters and visemes, and accuracy of words",
        (
            *("wer1/sound", "cer1/sound", "ver/sound", "wer3/sound", "cer3/sound", "ver3/sound"),
            *("acc/sound", "acc5/sound", "acc_aligned/sound"),
        ),
    ),
    Preset(EVERYTHING, "every metric but those of a drive", ()),
)
PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _ALL})  # by name


def find_preset(name: str) -> Preset:
    """The preset with this name. Raises TlbenchError if there is none."""
    if name not in PRESETS:
        raise TlbenchError(f"no preset {quoted(name)}{listed(name, tuple(PRESETS))} (--preset)")
    return PRESETS[name]


def presets_of(name: str, key: str) -> list[str]:
    """Names of the presets that want the metric with this name and key."""
    return [preset.name for preset in _ALL if preset.asks(name, key)]
