"""Weights of a backbone: read from wherever they are, compared with it, and loaded."""

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from visiontasks.backbones.backbone import Backbone
from visiontasks.backbones.input_channels import adapt_first
from visiontasks.backbones.matching import COUNTER, Match, match_names, numbered
from visiontasks.backbones.misfits import explain_misfit
from visiontasks.backbones.published import PUBLISHED, download_published, published_by_timm
from visiontasks.backbones.timm_backbone import TIMM
from visiontasks.backbones.weight_files import WeightsSource, read_weights_file
from visiontasks.errors import ArgumentError, CheckpointError
from visiontasks.state_dicts import mismatches

logger = logging.getLogger(__name__)

_LISTED = 3


class LoadReport(NamedTuple):
    """What was loaded into a backbone, what was left out, and why.

    Attributes:
        origin: The file or the name of the published weights.
        prefix: What stands in front of the backbone's names there.
        loaded: Names of the backbone's tensors that were loaded, which are all of them.
        left_out: Names in the source of everything else, by what it is.
        adapted: How the first convolution was adapted; None if its channels matched.
    """

    origin: str
    prefix: str
    loaded: list[str]
    left_out: dict[str, list[str]]
    adapted: str | None

    def __str__(self) -> str:
        """Summarise the report in a few lines."""
        behind = f", where their names begin with {self.prefix!r}" if self.prefix else ""
        adapted = f"; {self.adapted}" if self.adapted else ""
        count = f"all {len(self.loaded)} tensors (arrays of numbers)"
        lines = [f"Backbone weights: {count} are from {self.origin}{behind}{adapted}."]
        lines += [f"Left out {what}: {_parts(keys, self.prefix)}." for what, keys in self.left_out.items()]
        return "\n  ".join(lines)


def read_weights(weights: str | Path, name: str | None = None) -> WeightsSource:
    """Read weights without running any code that a file may contain.

    Args:
        weights: ``"imagenet"`` for the newest weights that torchvision publishes for the architecture, or timm for one
            of its models, downloaded into the cache of ``torch.hub`` or ``huggingface_hub`` if missing there. Or a
            file, a remote address or a folder; see :func:`~visiontasks.backbones.weight_files.read_weights_file`.
        name: Name of the backbone; None for an unnamed one, which accepts only a file.

    Returns:
        The weights.

    Raises:
        ArgumentError: If the file does not exist, or no weights are published for the backbone.
        DownloadError: If the published weights are not in the cache and cannot be downloaded.
        CheckpointError: If the file is damaged, unsafe, or contains no weights.
    """
    if weights != "imagenet":
        expected = "'imagenet', or the path of a state dict, a checkpoint, or a folder of Hugging Face"
        return read_weights_file(weights, "backbone_weights", expected)
    if name is not None and name.startswith(TIMM):
        return published_by_timm(name.removeprefix(TIMM))
    if name not in PUBLISHED:
        owner = f"backbone {name!r}" if name else "a backbone that was passed as an instance"
        message = (
            f"backbone_weights is 'imagenet', but torchvision has published no weights for {owner}. It has for "
            f"{', '.join(PUBLISHED)}. A file is given by its path."
        )
        raise ArgumentError(message)
    return download_published(PUBLISHED[name])


def load_weights(backbone: Backbone, source: WeightsSource) -> LoadReport:
    """Load all weights of a backbone; the first convolution is adapted to its number of channels.

    Args:
        backbone: The backbone; changed in place.
        source: The weights, among whatever else a file holds; see :mod:`visiontasks.backbones.matching`.

    Returns:
        A report of what was loaded and what was left out; it is also logged.

    Raises:
        CheckpointError: If weights are missing or have other shapes, or the source has more of a part of the backbone
            than the backbone; in that case nothing is copied.
    """
    expected = backbone.state_dict()
    first = fit = _Fit.of(backbone, expected, source.weights)
    if fit.problems:
        forms = (*numbered(source.weights, expected), *backbone.converted(source.weights))
        fits = (_Fit.of(backbone, expected, form) for form in forms)
        fit = next((one for one in fits if not one.problems), first)
    if fit.problems:
        message = explain_misfit(backbone, source, fit.weights, fit.problems)
        raise CheckpointError(message)
    backbone.load_state_dict({**expected, **fit.weights})
    report = LoadReport(source.origin, fit.match.prefix, sorted(fit.weights), fit.left_out(), fit.adapted)
    logger.info("%s", report)
    return report


class _Fit(NamedTuple):
    """How the tensors of a source fit a backbone: what is to be loaded, and what is wrong with it."""

    tensors: Mapping[str, Tensor]
    match: Match
    weights: dict[str, Tensor]
    problems: list[str]
    adapted: str | None

    @classmethod
    def of(cls, backbone: Backbone, expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> "_Fit":
        match = match_names(tensors, expected, backbone.cut)
        weights = {name: tensors[key] for name, key in match.keys.items()}
        adapted = adapt_first(backbone, weights)
        surplus = {name: tensors[key] for name, key in match.surplus.items()}
        needed = {name: value for name, value in expected.items() if name in weights or not name.endswith(COUNTER)}
        problems = mismatches(needed, weights | surplus, "source", "backbone")
        return cls(tensors, match, weights if not problems else weights | surplus, problems, adapted)

    def left_out(self) -> dict[str, list[str]]:
        """Sort the names of everything else by what it is."""
        taken = {*self.match.keys.values(), *self.match.others}
        rest = [key for key in self.tensors if key not in taken]
        again = [key for key in rest if key.startswith(tuple(self.match.copies))]
        kinds = {
            "layers behind the backbone, in whose place this task trains its own": self.match.others,
            "another copy of these weights": again,
            "what belongs to no backbone": [key for key in rest if key not in set(again)],
        }
        return {kind: keys for kind, keys in kinds.items() if keys}


def _parts(keys: list[str], prefix: str) -> str:
    """Name the parts that keys belong to, by as much of each as tells it from a prefix; at most a few."""
    counts = Counter(_part(key.split("."), prefix.split(".")) for key in keys)
    named = [f"{name} ({count} tensor{'s' * (count > 1)})" for name, count in counts.items()]
    more = f" and {len(named) - _LISTED} more" if len(named) > _LISTED else ""
    return f"{', '.join(named[:_LISTED])}{more}"


def _part(key: list[str], prefix: list[str]) -> str:
    pairs = enumerate(zip(key, prefix, strict=False))
    return ".".join(key[: 1 + next((place for place, (one, other) in pairs if one != other), 0)])
