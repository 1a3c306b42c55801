"""Which tensors of a file are those of a backbone, whatever stands in front of their names.

One rule: the names of a backbone are found as the ends of the names in a file, all behind one and the same beginning
(``module.encoder_q.`` and the like). Wrappers within a name (``_orig_mod.``) count for nothing, and a point is as good
as an underscore: timm writes ``stages_0`` where it cuts a network at ``stages.0``.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from torch import Tensor

COUNTER = "num_batches_tracked"
"""Last part of the name of what only counts: absent from older files, and not needed."""

_WRAPPER = re.compile(r"(?:(?<=\.)|^)_\w+_(?:mod|module)\.")
_AVERAGED = {"ema", "swa", "averaged", "average", "teacher"}


class Match(NamedTuple):
    """Tensors of a file that have the names of a backbone.

    Attributes:
        prefix: What stands in front of these names in the file.
        keys: Names in the file by those of the backbone, whatever the shapes.
        surplus: Names in the file, by what they would be called in the backbone, of tensors that belong into modules of
            the backbone but are none of its own.
        others: The other names in the file that have the prefix: heads.
        copies: What stands in front of further complete sets of these names.
    """

    prefix: str
    keys: dict[str, str]
    surplus: dict[str, str]
    others: list[str]
    copies: list[str]


def plain_name(key: str) -> str:
    """Leave out of a name what ``torch.compile`` and others that wrap modules put into it.

    Example:
        >>> plain_name("encoder._orig_mod.layer1._fsdp_wrapped_module.conv.weight")
        'encoder.layer1.conv.weight'
    """
    return _WRAPPER.sub("", key)


def match_names(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], cut: tuple[str, ...] = ()) -> Match:
    """Find the tensors of a backbone in a file.

    Of several sets of equally many tensors of the right shapes, averaged weights (EMA, SWA, the teacher of a
    self-distillation) are taken, otherwise the first in the file.

    Args:
        tensors: Tensors of the file by name.
        expected: Tensors of the backbone by name.
        cut: Names of modules that the network of the backbone has lost.

    Returns:
        The best match, which may be empty.
    """
    plain = {key: plain_name(key) for key in tensors}
    sets: dict[tuple[str, str], dict[str, str]] = {}
    for own in _beginnings(expected):
        names = {_canonical(name.removeprefix(own)): name for name in expected}
        for key, whole in plain.items():
            for start in _starts(whole):
                if (name := names.get(_canonical(whole[start:]))) is not None:
                    sets.setdefault((own, whole[:start]), {}).setdefault(name, key)
    fitting = {
        place: sum(tensors[key].shape == expected[name].shape for name, key in keys.items())
        for place, keys in sets.items()
    }
    if not sets:
        return Match("", {}, {}, [], [])
    # The network within the backbone, where it holds one: a head beside it then lies in no module of the backbone.
    own, prefix = best = max(
        sets,
        key=lambda place: (
            fitting[place],
            len(sets[place]),
            _is_averaged(place[1]),
            len(place[0]) if _is_network(place[0], expected) else -1,
        ),
    )
    keys = sets[best]
    copies = [there for one, there in sets if one == own and there != prefix and fitting[one, there] == fitting[best]]
    surplus, others = _rest(plain, set(keys.values()), expected, own, prefix, cut)
    return Match(prefix, keys, surplus, others, copies)


def below(tensors: Mapping[str, Tensor], mark: str) -> dict[str, Tensor]:
    """Select the tensors of a whole network from those of a file.

    Args:
        tensors: Tensors of the file by name.
        mark: Name of a module at the top of the network, such as ``"roi_heads"``.

    Returns:
        The tensors below the first place with such a module, or the place of averaged weights, by their names there;
        none if there is no such place.

    Example:
        >>> import torch
        >>> list(below({"model.module.body.weight": torch.ones(1), "optimizer.rate": torch.ones(1)}, "body"))
        ['body.weight']
    """
    plain = {key: plain_name(key) for key in tensors}
    found = (re.match(rf"((?:.*\.)?){mark}\.", name) for name in plain.values())
    prefixes = list(dict.fromkeys(one[1] for one in found if one))
    if not prefixes:
        return {}
    prefix = max(prefixes, key=_is_averaged)
    return {name.removeprefix(prefix): tensors[key] for key, name in plain.items() if name.startswith(prefix)}


def numbered(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Name the parts of a sequence in a file as a backbone does, for ``nn.Sequential(*network.children())``.

    Args:
        tensors: Tensors of the file by name.
        expected: Tensors of the backbone by name.

    Yields:
        For each sequence with enough parts, all tensors, those of the sequence named as the backbone's parts, in order.
    """
    own = [start for start in _beginnings(expected) if not start or _is_network(start, expected)][-1]
    parts = list(dict.fromkeys(name.removeprefix(own).partition(".")[0] for name in expected))
    sequences: dict[str, dict[int, list[str]]] = {}
    for key in tensors:
        for found in re.finditer(r"(?:(?<=\.)|^)(\d+)\.", key):
            sequences.setdefault(key[: found.start()], {}).setdefault(int(found[1]), []).append(key)
    for prefix, sequence in sequences.items():
        if len(sequence) >= len(parts) > 1:
            names = {
                key: f"{prefix}{part}.{key.removeprefix(f'{prefix}{number}.')}"
                for part, number in zip(parts, sorted(sequence), strict=False)
                for key in sequence[number]
            }
            yield {names.get(key, key): tensor for key, tensor in tensors.items()}


def _canonical(name: str) -> str:
    return name.replace("_", ".")


def _starts(name: str) -> Iterator[int]:
    """Yield where the parts of a dotted name start."""
    start = 0
    while start >= 0:
        yield start
        start = name.find(".", start) + 1 or -1


def _beginnings(expected: Mapping[str, Tensor]) -> list[str]:
    """List the beginnings that all names of a backbone share, the shortest first: ``""``, ``"model."``."""
    names = list(expected)
    first = names[0] if names else ""
    return [first[:start] for start in _starts(first) if all(name.startswith(first[:start]) for name in names)]


def _is_network(beginning: str, expected: Mapping[str, Tensor]) -> bool:
    """Tell whether what all names begin with is a network, and not a sequence of blocks or within one."""
    following = next(iter(expected)).removeprefix(beginning).partition(".")[0]
    return not any(part.isdecimal() for part in (*beginning.split("."), following))


def _is_averaged(prefix: str) -> bool:
    return not _AVERAGED.isdisjoint(re.split(r"[._]", prefix.lower()))


def _rest(
    plain: Mapping[str, str],
    taken: set[str],
    expected: Mapping[str, Tensor],
    own: str,
    prefix: str,
    cut: tuple[str, ...],
) -> tuple[dict[str, str], list[str]]:
    """Split what is left below a prefix into what belongs into modules of the backbone and what does not."""
    first = len(own) + _is_network(own, expected)
    modules = {_canonical(name[:start]) for name in expected for start in _starts(name) if start >= max(first, 1)}
    surplus: dict[str, str] = {}
    others: list[str] = []
    for key, whole in plain.items():
        if key in taken or not whole.startswith(prefix):
            continue
        name = own + whole.removeprefix(prefix)
        within = any(_canonical(name[:start]) in modules for start in _starts(name))
        if within and not name.startswith(tuple(f"{module}." for module in cut)) and not name.endswith(COUNTER):
            surplus[name] = key
        else:
            others.append(key)
    return surplus, others
