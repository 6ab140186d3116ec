"""Files in one folder per class: which classes there are, and whether the data set has a test split of its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pipeline.baseline.even_sample import EvenSample
from pipeline.errors import PipelineError
from pipeline.formats import base
from pipeline.formats.download import list_members
from pipeline.formats.folders import is_hidden, split_of
from pipeline.scaffold import baseline, choices, profile
from pipeline.scaffold.profile import fault_facts
from pipeline.scaffold.render import Code, list_names, safe_name

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

FOLDER_HEAD = ("class", "train", "test")
SYSTEM_FILES = ("Thumbs.db", "desktop.ini")
MAX_FILES, MAX_BYTES = 2000, 128 << 20  # that a standard model gets
STRAY_RATIO = 10  # minimum ratio of files in the smallest class to files above all classes


@dataclass
class ClassFolders:
    """Counts of the files by class.

    Attributes:
        train: Usable files by class, those that no split is named for among them.
        test: Usable files of the test split by class.
        faults: Files that cannot be used.
        first_fault: The first of them, in words.
        reasons: How many there are of each kind.
        places: The folders of the files, by class.
        sample: Some of the usable ones, (split, class, content), for a standard model.
    """

    train: Counter[str] = field(default_factory=Counter)
    test: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    first_fault: str = ""
    reasons: Counter[str] = field(default_factory=Counter)
    places: dict[str, set[PurePosixPath]] = field(default_factory=dict)
    sample: EvenSample = field(default_factory=lambda: EvenSample(MAX_FILES, MAX_BYTES))

    def add(self, split: str, name: str, source: str, fault: str, content: bytes) -> None:
        """Counts one file."""
        self.places.setdefault(name, set()).add(PurePosixPath(source).parent)
        if fault:
            self.faults += 1
            self.reasons[base.fault_kind(fault)] += 1
            self.first_fault = self.first_fault or f"{source}: {fault}"
        else:
            (self.test if split == "test" else self.train)[name] += 1
            if self.sample.is_next():
                self.sample.add((split, name, content), len(content))

    @property
    def official(self) -> bool:
        """Whether the test split is the data set's own."""
        return bool(self.test and self.train)

    @property
    def both(self) -> Counter[str]:
        """Files by class, of all splits."""
        return self.train + self.test

    def pass_over(self) -> tuple[str, ...]:
        """Removes and returns the folders above those of all classes: their files, such as a README, have no class."""
        above = tuple(name for name in self.places if self._is_above(name))
        for name in above:
            del self.train[name], self.test[name]
        return above

    def _is_above(self, name: str) -> bool:
        others = [other for other in self.places if other != name]
        few = all(
            STRAY_RATIO * self.both[name] <= self.both[other] for other in others
        )  # a class within a class stays one
        below = {place for other in others for place in self.places[other]}
        return bool(others) and few and all(self.places[name] & set(place.parents) for place in below)

    def rows(self) -> list[tuple[str, ...]]:
        """Returns the table for the terminal."""
        return [
            (safe_name(name), str(self.train[name]), str(self.test[name]))
            for name in profile.sort_classes(list(self.both))
        ]


def folder_facts(path: Path, folders: ClassFolders, what: str) -> dict[str, Any]:
    """Returns the values for the templates of folders.

    Args:
        path: Folder or archive.
        folders: Its files.
        what: What a file is called: "images", "recordings", "texts".

    Raises:
        PipelineError: There is nothing to tell apart, or too little.
    """
    above = folders.pass_over()
    count = folders.both.total()
    faults = fault_facts(path, count, folders.faults, folders.first_fault)
    _require_classes(path, folders.both, what)
    sized = choices.choose_sizes(folders.train.total())
    tested = folders.test.total() if folders.official else count * sized.test
    classes = profile.sort_classes(list(folders.both))
    limits = choices.class_bounds(folders.both, tested)
    sample = baseline.gather_files(folders.sample, classes, official=folders.official, unit=what)
    limits = baseline.baseline_bounds(limits, sample, tested)
    hashed = f"Hash(eval={sized.eval}, test={sized.test})"
    return {
        "path": str(path),
        "file": safe_name(path.name),
        "rows": f"{count:,}",
        "count": count,
        "classes": classes,
        "sizes": sized,
        "bounds": limits,
        "split": Code(f"Official(eval={sized.eval})" if folders.official else hashed),
        "split_words": "with the test split of its own" if folders.official else "split by hash of the content",
        "title": f"{len(folders.both)} classes of {what} in {safe_name(path.name)}.",
        "words": limits.baseline,
        "without": above,
        "rate": 2e-3,
        "unusable": profile.describe_faults(count, folders.faults, folders.first_fault, folders.reasons),
        **faults,
    }


def folder_notes(path: Path, facts: dict[str, Any], suffixes: Collection[str]) -> list[str]:
    """Returns notes about the files that are passed over: above the classes, and with other endings."""
    above = facts["without"]
    counts, lost = _other_files(path, suffixes, (*above, *facts["classes"]))
    listed = [f"{count} {suffix}" for suffix, count in counts.most_common()]
    notes = {
        f"Files outside the folders of the classes are passed over: in {list_names(list(above))}.": above,
        f"Files of other formats are passed over: {list_names(listed)}; convert them to {min(suffixes)}.": listed,
        f"No class, for they hold such files only: {list_names(lost)}.": lost,
    }
    return [*facts["unusable"], *(note for note, holds in notes.items() if holds)]


def _other_files(path: Path, suffixes: Collection[str], known: Collection[str]) -> tuple[Counter[str], list[str]]:
    """Counts the files in folders that have other endings, and returns the folders that hold nothing else."""
    counts: Counter[str] = Counter()
    folders: dict[str, None] = {}
    for name in list_members(path):
        place = PurePosixPath(name)
        other = not place.name.lower().endswith(tuple(suffixes)) and len(place.parts) > 1 and not is_hidden(name)
        if other and place.name not in SYSTEM_FILES and not split_of(place.parent.name):
            counts[place.suffix.lower() or "without an ending"] += 1
            folders[place.parent.name] = None
    return counts, [folder for folder in folders if folder not in known]


def _require_classes(path: Path, counts: Counter[str], what: str) -> None:
    if len(counts) < 2 or "" in counts:  # noqa: PLR2004
        raise PipelineError(
            f"There is nothing to tell apart in {path}.",
            expected=f"a folder for each of at least two classes, with {what} in it",
            received=", ".join(
                f"{safe_name(name) if name else 'no folder'}: {count}" for name, count in counts.items()
            ),
            action="sort the files into a folder per class, below train/ and test/ if there is an official test",
        )
