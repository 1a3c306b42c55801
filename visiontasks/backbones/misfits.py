"""Why weights do not fit a backbone, and which backbone they do fit."""

import difflib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from visiontasks.backbones import create_backbone, list_backbones
from visiontasks.backbones.backbone import Backbone
from visiontasks.backbones.matching import COUNTER, match_names
from visiontasks.backbones.timm_backbone import TIMM, TimmBackbone
from visiontasks.backbones.weight_files import WeightsSource
from visiontasks.errors import listed

_TRIED = 30
_FEW = 0.3
_NEAR = 0.9


def explain_misfit(
    backbone: Backbone, source: WeightsSource, found: Mapping[str, Tensor], problems: Sequence[str]
) -> str:
    """Explain why weights do not fit a backbone.

    Args:
        backbone: The backbone.
        source: The weights.
        found: Those that have names of the backbone, or belong into its modules.
        problems: A line for each tensor that differs.

    Returns:
        A message: the likely cause, the first differences, and the backbone that the weights are of, if it is known.
    """
    title = type(backbone).__name__ if not isinstance(backbone, TimmBackbone) else f"{TIMM}{backbone.name}"
    lines = listed(problems, separator="\n  ")
    return (
        f"The weights from {source.origin} are not those of this {title}; nothing was loaded. They are of "
        f"{likely_cause(backbone.state_dict(), found, source.weights)}.\n  {lines}\n"
        f"{_origin(backbone, source)}"
    )


def likely_cause(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], names: Iterable[str] = ()) -> str:
    """Tell what kind of network weights are of instead, from their names and shapes.

    Args:
        expected: Tensors of the backbone by name.
        found: Tensors with names of the backbone, or that belong into its modules.
        names: All names in the file.

    Returns:
        What they are of, such as ``"another width (layer1.0.conv1.weight has 96 channels instead of 64)"``.

    Example:
        >>> ours = {"conv.weight": torch.zeros(8, 3, 3, 3), "last.weight": torch.zeros(9, 8)}
        >>> likely_cause(ours, {**ours, "conv.weight": torch.zeros(4, 3, 3, 3)})
        'another width (conv.weight has 4 channels instead of 8)'
    """
    shared = expected.keys() & found.keys()
    if len(shared) < _FEW * len(expected):
        first = ", ".join(itertools.islice(names, 2))
        return f"another architecture ({len(shared)} of {len(expected)} names are the same; theirs are {first}, ...)"
    causes = []
    missing = [name for name in expected if name not in found and not name.endswith(COUNTER)]
    surplus = [name for name in found if name not in expected]
    if missing or surplus:
        causes.append(_depth(expected, found, missing, surplus))
    wide = next((name for name in expected if name in shared and _other_channels(expected[name], found[name])), None)
    if wide is not None:
        # Of a first convolution the inputs may differ, of any other layer the outputs do as well.
        axis = 0 if expected[wide].shape[0] != found[wide].shape[0] else 1
        channels = "channels" if axis == 0 else "input channels"
        counts = f"{found[wide].shape[axis]} {channels} instead of {expected[wide].shape[axis]}"
        causes.append(f"another width ({wide} has {counts})")
    other = next((name for name in expected if name in shared and expected[name].shape != found[name].shape), None)
    if wide is None and other is not None:
        shapes = f"{list(found[other].shape)} instead of {list(expected[other].shape)}"
        causes.append(f"another kind of layer ({other} is {shapes})")
    return " and of ".join(causes)


def _other_channels(ours: Tensor, theirs: Tensor) -> bool:
    return ours.ndim == theirs.ndim and ours.shape[:2] != theirs.shape[:2]


def _depth(
    expected: Mapping[str, Tensor], found: Mapping[str, Tensor], missing: Sequence[str], surplus: Sequence[str]
) -> str:
    """Describe layers that only one of two networks has: more or fewer of a numbered sequence, or others."""
    for name in (*surplus, *missing):
        parts = name.split(".")
        for position, part in enumerate(parts):
            sequence = ".".join(parts[:position])
            ours, theirs = (_length(names, sequence) for names in (expected, found))
            if part.isdecimal() and ours != theirs and min(ours, theirs) > 0:
                return f"another depth ({sequence} has {theirs} blocks instead of {ours})"
    if surplus:
        return f"a network with more layers ({surplus[0]})"
    return f"a network with fewer layers (without {missing[0]})"


def _length(names: Mapping[str, Tensor], sequence: str) -> int:
    start = f"{sequence}." if sequence else ""
    inside = {name.removeprefix(start).partition(".")[0] for name in names if name.startswith(start)}
    return len({part for part in inside if part.isdecimal()})


def _origin(backbone: Backbone, source: WeightsSource) -> str:
    """Say what the weights were made with, as the file says or by trying what is known."""
    arguments = source.contents.get("hyper_parameters")
    if isinstance(arguments, Mapping) and isinstance(arguments.get("backbone"), str):
        options = {key: arguments[key] for key in ("backbone", "backbone_options", "in_channels") if arguments.get(key)}
        return f"They were made with {', '.join(f'{key}={value!r}' for key, value in options.items())}."
    best, share = "", 0.0
    for name, expected in _candidates(backbone, source):
        keys = match_names(source.weights, expected)
        same = sum(source.weights[key].shape == expected[one].shape for one, key in keys.keys.items())
        fits = (same - len(keys.surplus)) / len(expected)
        if fits > share:
            best, share = name, fits
        if share == 1:
            break
    if share == 1:
        return f"They are those of {best!r}: choose it as the backbone."
    if share > _NEAR:
        return f"The nearest that is known is {best!r}, with {share:.0%} of its tensors."
    if source.architecture:
        return f"The file says that they are of {source.architecture!r}."
    return "Create the backbone with the name and the options that the weights were made with."


def _candidates(backbone: Backbone, source: WeightsSource) -> Iterator[tuple[str, Mapping[str, Tensor]]]:
    """Yield the tensors of backbones that the weights might be of."""
    if not isinstance(backbone, TimmBackbone):
        for name in list_backbones():
            yield name, _tensors(partial(create_backbone, name))
    try:
        import timm
    except ImportError:
        return
    near: list[str] = []
    if isinstance(backbone, TimmBackbone):
        family = timm.model_entrypoint(backbone.name).__module__.rpartition(".")[2]
        near = difflib.get_close_matches(backbone.name, timm.list_models(module=family), _TRIED, 0)
    # Files that timm's users keep have the name of the model.
    told = [name for name in (source.architecture, Path(source.origin).stem) if name and timm.is_model(name)]
    for name in (*told, *near):
        with suppress(Exception):  # of a model that gives no feature maps
            yield f"{TIMM}{name}", _tensors(partial(timm.create_model, name, features_only=True))


def _tensors(build: Callable[[], nn.Module]) -> Mapping[str, Tensor]:
    with torch.device("meta"):  # shapes without memory
        network = build()
    return {name: value for name, value in network.state_dict().items() if not name.endswith(COUNTER)}
