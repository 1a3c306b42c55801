"""The optimiser and the schedule that a command line names: which options are theirs, and short names."""

import json
from collections.abc import Sequence
from itertools import islice, pairwise

from lightning.pytorch.cli import LightningArgumentParser

from visiontasks.cli.parser import flag_value

_OPTIMIZER, _SCHEDULE = "--model.optimizer", "--model.lr_scheduler"
_PLATEAU = "ReduceLROnPlateau"


def with_own_options(parser: LightningArgumentParser, words: Sequence[str], *, nested: bool) -> list[str]:
    """Let options of an optimiser apply to its own class only.

    Otherwise jsonargparse keeps all that another class takes as well, such as the weight decay of the default.

    Args:
        parser: The parser; its default becomes the chosen class without options, if that is another one.
        words: The command line.
        nested: Whether the task is chosen by ``--model``, too.

    Returns:
        The command line to parse.
    """
    # Without any of them it is the default.
    if not any(word.startswith(("--config", "-c", "--model={", "{", _OPTIMIZER)) for word in words):
        return list(words)
    key = "model.init_args.optimizer" if nested else "model.optimizer"
    flags, rest = _split(words, _OPTIMIZER)
    named = [group for group in flags if _names(group)][-1:]
    options = [word for group in flags if not _names(group) for word in group]
    default = parser.get_defaults().get(key).class_path
    config = parser.parse_args(_silent(words))
    after = config.get(key).class_path
    before = parser.parse_args(_silent(rest)).get(key).class_path if named else after
    if after != default:
        bare = {"class_path": after}
        task = {"class_path": config.model.get("class_path"), "init_args": {"optimizer": bare}}
        parser.set_defaults({"model": task} if nested else {key: bare})
    if after == before:
        return list(words)
    own = json.dumps(parser.get_defaults().get(key).as_dict(), default=str)
    return [*rest, f"{_OPTIMIZER}={own}", *named[0], *options]


def with_full_names(words: Sequence[str]) -> list[str]:
    """Replace the short name of ``ReduceLROnPlateau``, of which there are two, by the path of the one that is meant.

    Lightning's takes the metric to look at (``monitor``), torch's has every other option as well.

    Args:
        words: The command line.
    """
    monitored = bool(flag_value(f"{_SCHEDULE}.monitor", words))
    path = f"{'lightning.pytorch.cli' if monitored else 'torch.optim.lr_scheduler'}.{_PLATEAU}"
    named = [f"{_SCHEDULE}={path}" if word == f"{_SCHEDULE}={_PLATEAU}" else word for word in words]
    pairs = pairwise(["", *named])
    return [path if (flag, word) == (_SCHEDULE, _PLATEAU) else word for flag, word in pairs]


def _split(words: Sequence[str], flag: str) -> tuple[list[list[str]], list[str]]:
    """Split off a flag and those below it, each with its value."""
    flags: list[list[str]] = []
    rest: list[str] = []
    left = iter(words)
    for word in left:
        if not (word == flag or word.startswith((f"{flag}=", f"{flag}."))):
            rest.append(word)
        elif "=" in word:
            flags.append([word])
        else:
            flags.append([word, *islice(left, 1)])
    return flags, rest


def _names(group: Sequence[str]) -> bool:
    return group[0].partition("=")[0] == _OPTIMIZER


def _silent(words: Sequence[str]) -> list[str]:
    return [word for word in words if not word.startswith("--print_config")]
