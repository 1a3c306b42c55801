"""Splits of a data set: its own, those given by lists, and random ones."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from visiontasks.data.datamodules.layouts import LayoutError
from visiontasks.data.index.cache import load_index
from visiontasks.data.index.joining import join_indexes
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.problems import Parsed, Problem
from visiontasks.data.index.source import AnnotationSource
from visiontasks.data.index.splits import split_by_fractions, split_by_list
from visiontasks.errors import ArgumentError, DataError

SPLITS = ("train", "val", "test")
ALL: Literal["all"] = "all"
"""What :meth:`Splits.score` takes in place of a split for the images of all of them."""
FRACTIONS = (0.8, 0.1, 0.1)
"""Fractions of train, val and test by default."""

FindSource = Callable[[str, tuple[str, ...] | None], AnnotationSource | None]
"""Finds the annotations of a split, given the names of the classes; None for a split that does not exist."""


class Splits:
    """The annotations of each split, read when they are first asked for.

    A data set without a validation split has both validation and test split off its training images at random, unless
    it has its own test split. A data set with a validation split but no test split is tested on the validation split.
    One without images to train on is for evaluation: its validation and test split stand in for each other.

    Args:
        find: Finds the annotations of a split.
        class_names: Classes in the order of the labels; None takes those of the training split, or of the first that
            there is.
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
        fractions: Sequence[float] = FRACTIONS,
        seed: int = 0,
        select: Callable[[ImageIndex], ImageIndex] = lambda index: index,
        strict: bool = True,
    ) -> None:
        if lists is not None and not set() < set(lists) <= set(SPLITS):
            message = f"lists names files for {sorted(lists)}; expected some of train, val and test."
            raise ArgumentError(message)
        if len(fractions) != len(SPLITS) or not (min(fractions) >= 0 and sum(fractions) > 0):
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
        self.named = class_names
        self._scored = ""
        self._missing = ""
        self._sources: dict[str, AnnotationSource | None] = {}
        self._parsed: dict[str, Parsed] = {}
        self._dealt: dict[str, ImageIndex] = {}

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the labels."""
        return self.named or self.own(self.first).index.class_names

    @property
    def first(self) -> str:
        """The split that says what the classes are: that of training, or the first that there is."""
        return next((split for split in SPLITS if self.has(split)), "train")

    @property
    def undivided(self) -> bool:
        """Whether neither the data set nor the user says which images are for what."""
        stated = self.lists or self.has("val") or self.has("test") or tuple(self.fractions) != FRACTIONS
        return self.has("train") and not stated

    def name_classes(self, class_names: tuple[str, ...]) -> None:
        """Find classes by these names from now on, and take labels in their order; any other class is an error."""
        self.named = class_names
        self._sources, self._parsed, self._dealt = {}, {}, {}

    def score(self, instead: str) -> None:
        """Let validation and test stand for the images of one split, or with ``"all"`` for those of every split."""
        self._scored = instead

    def stands_for(self, split: str) -> str:
        """Return which images a split stands for: those of itself, of another split, or all."""
        split = split if split == "train" else self._scored or split
        if split in ("val", "test") and not self.lists and not self.has(split) and not self.has("train"):
            return self.first
        return split

    def origin(self, split: str) -> str:
        """Return the origin of the images of a split.

        ``"own"``; ``"list"``; ``"rest"``: what no list names; ``"dealt"``: drawn at random from those of training;
        ``"val"``: those of validation; ``"all"``: those of every split.
        """
        split = self.stands_for(split)
        return ALL if split == ALL else self._origin(split)

    @property
    def scores_training(self) -> bool:
        """Whether validation or test stands for images to train on, or there are no such images."""
        return self._scored in ("train", ALL) or not self.has("train")

    def describe(self, split: str) -> str:
        """Say in a few words which images a split stands for."""
        instead, origin = self.stands_for(split), self.origin(split)
        if origin == ALL:
            return "all of them" + (", which have no splits" if self.undivided else "")
        named = {"dealt": f"those drawn for {instead} at random", "val": "those for val, as there are none for test"}
        return named.get(origin, f"those for {instead}")

    @property
    def distinct(self) -> tuple[str, ...]:
        """The splits that hold images of their own."""
        there = [split for split in SPLITS if self.lists or self.has("train") or self.has(split)]
        return tuple(split for split in there if self._origin(split) != "val")

    def _origin(self, split: str) -> str:
        if self.lists:
            if "val" not in self.lists and split != "test":
                return "dealt"
            return "list" if split in self.lists else {"train": "rest", "test": "val"}[split]
        if split == "train":
            return "dealt" if self.has("train") and not self.has("val") else "own"
        if self.has(split):
            return "own"
        return "val" if self.has("val") else "dealt"

    def __getitem__(self, split: str) -> Parsed:
        """Return the images of a split and the problems of its annotations.

        Raises:
            DataError: If the annotations have errors and ``strict`` is set, or the data set has no such images.
        """
        split = self.stands_for(split)
        return self._everything() if split == ALL else self._images(split)

    def _images(self, split: str) -> Parsed:
        origin = self._origin(split)
        if origin == "val":
            return self._images("val")
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
            if source is None:
                there = ", ".join(other for other in SPLITS if self.has(other))
                message = f"{str(self.root)!r} has no images for {split}, only for {there}.{self._missing}"
                raise DataError(message)
            parsed = load_index(source, strict=self.strict)
            names = parsed.index.class_names
            expected = self._expected_names(split)
            if expected is not None and names != expected:
                remedy = f"Expected those of the {self.first} split, in the same order: {', '.join(expected)}."
                where = str((source.sources() or [parsed.index.root])[0])
                problem = Problem("error", "classes differ between splits", where, "", ", ".join(names), remedy)
                parsed = Parsed(parsed.index, [*parsed.problems, problem])
                if self.strict:
                    parsed.require()
            self._parsed[split] = parsed
        return self._parsed[split]

    def has(self, split: str) -> bool:
        """Return whether the data set itself has a split; for training also where nothing says which images are."""
        return self.source(split) is not None

    def source(self, split: str) -> AnnotationSource | None:
        """Find the annotations of a split, once: it may mean a search through folders and large files."""
        if split not in self._sources:
            try:
                self._sources[split] = self.find(split, self._expected_names(split))
            except LayoutError as error:
                self._sources[split], self._missing = None, f" {error}"
                if not any(map(self.has, SPLITS)):
                    del self._sources[split]
                    raise
        return self._sources[split]

    def _expected_names(self, split: str) -> tuple[str, ...] | None:
        """Return the classes that a split has to have; None for the split that says what they are.

        If that one is so wrong that none are left to compare with, it is None as well.
        """
        earlier = SPLITS[: SPLITS.index(split)]
        if self.named or not any(map(self.has, earlier)):
            return self.named
        first = self.own(self.first)
        broken = any(problem.severity == "error" for problem in first.problems)
        return first.index.class_names or (None if broken else ())

    def _everything(self) -> Parsed:
        """Return the images of all splits, each once."""
        if self.undivided:
            everything = self.own("train")
            return Parsed(self.select(everything.index), everything.problems)
        parsed = [self._images(split) for split in self.distinct]
        problems = dict.fromkeys(problem for each in parsed for problem in each.problems)
        return Parsed(join_indexes([each.index for each in parsed]), list(problems))

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
            names = [split for split in SPLITS if split != "test" or not (self.lists or self.has("test"))]
            shares = [share for split, share in zip(SPLITS, self.fractions, strict=True) if split in names]
            if not sum(shares):
                message = f"fractions is {list(self.fractions)}, which leaves no image for {' and '.join(names)}."
                raise ArgumentError(message)
            parts = split_by_fractions(index, [share / sum(shares) for share in shares], self.seed)
            self._dealt = dict(zip(names, parts, strict=True))
        return self._dealt
