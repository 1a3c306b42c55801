"""Splits of a data set: its own, those given by lists, and random ones."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from visiontasks.data.index.cache import load_index
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.problems import Parsed, Problem
from visiontasks.data.index.source import AnnotationSource
from visiontasks.data.index.splits import split_by_fractions, split_by_list
from visiontasks.errors import ArgumentError

SPLITS = ("train", "val", "test")

FindSource = Callable[[str, tuple[str, ...] | None], AnnotationSource | None]
"""Finds the annotations of a split, given the names of the classes; None for a split that does not exist."""


class Splits:
    """The annotations of each split, read when they are first asked for.

    A data set without a validation split has both validation and test split off its training images at random, unless
    it has its own test split. A data set with a validation split but no test split is tested on the validation split.

    Args:
        find: Finds the annotations of a split.
        class_names: Classes in the order of the labels; None takes those of the training split.
        lists: Files that list the images of some of the splits; they replace the splits of the data set. Without a list
            for it, training takes what no list names, validation is drawn from training at random, and a test takes the
            images of validation.
        root: Folder that the lists are relative to; by default the working directory.
        fractions: Fractions of train, val and test among images that are split at random.
        seed: Seed of the random splits.
        select: Selects the images of a split to use.
        strict: Whether errors in annotations are raised; otherwise they are listed among the problems.

    Raises:
        ArgumentError: If the lists are for splits other than train, val and test, or there is none.
    """

    def __init__(
        self,
        find: FindSource,
        *,
        class_names: tuple[str, ...] | None = None,
        lists: Mapping[str, str] | None = None,
        root: Path = Path(),
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        seed: int = 0,
        select: Callable[[ImageIndex], ImageIndex] = lambda index: index,
        strict: bool = True,
    ) -> None:
        if lists is not None and not set() < set(lists) <= set(SPLITS):
            message = f"lists names files for {sorted(lists)}; expected some of train, val and test."
            raise ArgumentError(message)
        if len(fractions) != len(SPLITS) or not min(fractions[:2]) > 0:
            message = (
                f"fractions is {list(fractions)}; expected the shares of train, val and test, as in [0.8, 0.1, 0.1]."
            )
            raise ArgumentError(message)
        self.find = find
        self.lists = lists
        self.root = root
        self.fractions = fractions
        self.seed = seed
        self.select = select
        self.strict = strict
        self._class_names = class_names
        self._sources: dict[str, AnnotationSource | None] = {}
        self._parsed: dict[str, Parsed] = {}
        self._dealt: dict[str, ImageIndex] = {}

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the labels."""
        return self._class_names or self.own("train").index.class_names

    def origin(self, split: str) -> str:
        """Return the origin of the images of a split.

        ``"own"``; ``"list"``; ``"rest"``: what no list names; ``"dealt"``: drawn at random from those of training;
        ``"val"``: those of validation.
        """
        if self.lists:
            if "val" not in self.lists and split != "test":
                return "dealt"
            return "list" if split in self.lists else {"train": "rest", "test": "val"}[split]
        if split == "train":
            return "dealt" if not self._has("val") else "own"
        if self._has(split):
            return "own"
        return "val" if self._has("val") else "dealt"

    def __getitem__(self, split: str) -> Parsed:
        """Return the images of a split and the problems of its annotations.

        Raises:
            DataError: If the annotations have errors and ``strict`` is set.
        """
        origin = self.origin(split)
        if origin == "val":
            return self["val"]
        if origin == "list":
            parsed = self._listed(split)
        elif origin == "rest":
            parsed = self._pool()
        elif origin == "dealt":
            pool = self._pool()
            parsed = Parsed(self._deal(pool.index)[split], pool.problems if split == "train" else [])
        else:
            parsed = self.own(split)
        return Parsed(self.select(parsed.index), parsed.problems)

    def own(self, split: str) -> Parsed:
        """Return all annotations of a split that the data set itself has.

        Raises:
            DataError: If the annotations have errors and ``strict`` is set, or the classes differ from those in
                training.
        """
        if split not in self._parsed:
            source = self.source(split)
            assert source is not None
            parsed = load_index(source, strict=self.strict)
            names = parsed.index.class_names
            expected = self._class_names or (None if split == "train" else self._trained_names())
            if expected is not None and names != expected:
                remedy = f"Expected those of the training split, in the same order: {', '.join(expected)}."
                where = str((source.sources() or [parsed.index.root])[0])
                problem = Problem("error", "classes differ between splits", where, "", ", ".join(names), remedy)
                parsed = Parsed(parsed.index, [*parsed.problems, problem])
                if self.strict:
                    parsed.require()
            self._parsed[split] = parsed
        return self._parsed[split]

    def _has(self, split: str) -> bool:
        return self.source(split) is not None

    def source(self, split: str) -> AnnotationSource | None:
        """Find the annotations of a split, once: it may mean a search through folders and large files."""
        if split not in self._sources:
            names = self._class_names or (None if split == "train" else self._trained_names())
            self._sources[split] = self.find(split, names)
        return self._sources[split]

    def _trained_names(self) -> tuple[str, ...] | None:
        """Return the classes of the training split; None if it is so wrong that none are left to compare with."""
        trained = self.own("train")
        broken = any(problem.severity == "error" for problem in trained.problems)
        return trained.index.class_names or (None if broken else ())

    def _listed(self, split: str) -> Parsed:
        assert self.lists is not None
        everything = self.own("train")
        below = self.root / self.lists[split]
        listed = split_by_list(everything.index, below if below.is_file() else Path(self.lists[split]))
        parsed = Parsed(listed.index, [*everything.problems, *listed.problems])
        if self.strict:
            parsed.require()
        return parsed

    def _pool(self) -> Parsed:
        """Return the images of training, from which those of validation may still be drawn."""
        everything = self.own("train")
        if not self.lists:
            return everything
        if "train" in self.lists:
            return self._listed("train")
        listed = {name for split in self.lists for name in self._listed(split).index.files}
        rest = [image for image, name in enumerate(everything.index.files) if name not in listed]
        return Parsed(everything.index.subset(rest), everything.problems)

    def _deal(self, index: ImageIndex) -> dict[str, ImageIndex]:
        if not self._dealt:
            names = [split for split in SPLITS if split != "test" or not (self.lists or self._has("test"))]
            shares = [share for split, share in zip(SPLITS, self.fractions, strict=True) if split in names]
            parts = split_by_fractions(index, [share / sum(shares) for share in shares], self.seed)
            self._dealt = dict(zip(names, parts, strict=True))
        return self._dealt
