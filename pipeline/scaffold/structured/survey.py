"""What the annotated pictures of a path are: how many of which split and size, and which cannot be used."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.features import image
from pipeline.formats import base
from pipeline.scaffold import choices, profile
from pipeline.scaffold.render import Code, safe_name

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.formats.base import Example


@dataclass
class Survey:
    """What the annotated pictures are: counts by split and class, sizes, faults."""

    splits: Counter[str] = field(default_factory=Counter)
    boxes: Counter[str] = field(default_factory=Counter)
    pictures: Counter[str] = field(default_factory=Counter)
    most: int = 0
    sizes: list[tuple[int, int]] = field(default_factory=list)
    faults: int = 0
    first: str = ""
    reasons: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    first_repeated: str = ""

    def add(self, example: Example, names: tuple[str, ...] = ()) -> bool:
        """Counts a picture; returns whether it can be used."""
        if example.fault:
            self.faults += 1
            self.reasons[base.fault_kind(example.fault)] += 1
            self.first = self.first or f"{example.source}: {example.fault}"
            return False
        features: Any = example.features
        kinds = Counter(names[kind] for kind in features.get("classes", ()))
        self.splits[example.split] += 1
        self.repeated += example.repeated
        self.first_repeated = self.first_repeated or example.source * bool(example.repeated)
        self.boxes.update(kinds)
        self.pictures.update(kinds.keys())
        self.most = max(self.most, kinds.total())
        self.sizes.append(image.upright_size(features["image_bytes"]))
        return True

    def facts(self, path: Path, what: str) -> dict[str, Any]:
        """Returns the values for the templates that do not depend on the kind of the annotation."""
        count = self.splits.total()
        official = bool(self.splits["test"] and self.splits["train"])
        faults = profile.fault_facts(path, count, self.faults, self.first, self.reasons)
        sizes = choices.choose_sizes(count)
        hashed = f"Hash(eval={sizes.eval}, test={sizes.test})"
        return {
            "path": str(path),
            "file": safe_name(path.name),
            "rows": f"{count:,}",
            "classes": (),
            "sizes": sizes,
            "split": Code(f"Official(eval={sizes.eval})" if official else hashed),
            "split_words": "with the test split of its own" if official else "split by hash of the content",
            "what": what,
            **faults,
        }

    def notes(self) -> list[str]:
        """Returns notes about sizes and what cannot be used."""
        known = Counter(self.sizes).most_common(3)
        more = f" and {len(set(self.sizes)) - 3} more" if len(set(self.sizes)) > 3 else ""  # noqa: PLR2004
        sizes = f"Sizes {', '.join(f'{width}x{height}' for (width, height), _ in known)}{more}."
        faults = profile.describe_faults(self.splits.total(), self.faults, self.first, self.reasons)
        again = f"{self.repeated:,} boxes that are there twice are kept once; the first in {self.first_repeated}."
        return [sizes, *faults, *([again] if self.repeated else [])]
