"""White-box attacks that a policy may name beside the corruptions; the candidate's own process computes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from harness.records import Images


@dataclass(frozen=True)
class Attack:
    """Images moved away from the candidate's own answers, in ``steps``, by at most epsilon at severities 1 to 5.

    ``norm``: the most that any pixel changes (linf), or the Euclidean length of all changes (l2), in grey levels.
    """

    name: str
    norm: Literal["linf", "l2"]
    steps: int
    epsilons: tuple[float, float, float, float, float]
    source: str

    def epsilon(self, severity: int) -> float:
        """Return the largest change at a severity, in grey levels."""
        return self.epsilons[severity - 1]

    def holds(self, images: Images, moved: Images, severity: int) -> bool:
        """Tell whether every image has moved by at most epsilon."""
        away = moved.astype(np.int64) - images
        size = abs(away) if self.norm == "linf" else np.sqrt((away * away).sum(axis=(1, 2)))
        return bool((size <= self.epsilon(severity)).all())


_LINF = (8, 16, 26, 51, 77)  # 0.03 to 0.3 of full ink
_L2 = (64, 128, 255, 383, 510)  # 0.25 to 2 of full ink
_MADRY = "Madry, Makelov, Schmidt, Tsipras & Vladu 2018"
ATTACKS: Mapping[str, Attack] = MappingProxyType(
    {
        "fgsm": Attack("fgsm", "linf", 1, _LINF, "Goodfellow, Shlens & Szegedy 2015"),
        "pgd_linf": Attack("pgd_linf", "linf", 20, _LINF, _MADRY),
        "pgd_l2": Attack("pgd_l2", "l2", 20, _L2, _MADRY),
    }
)
