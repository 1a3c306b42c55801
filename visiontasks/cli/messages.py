"""Rewriting of jsonargparse errors about a wrong flag or value into one readable message."""

import re
from collections.abc import Sequence
from importlib import import_module

from visiontasks.cli.class_paths import explain_path
from visiontasks.cli.hints import arguments_of, meant_flag, owners_of
from visiontasks.errors import ArgumentError, VisiontasksError, near_matches

_NUMBER = re.compile(r"\b(int|float)\b")


def explain(message: str, options: Sequence[str]) -> str:
    """Rewrite an error of the parser.

    Args:
        message: The message of jsonargparse.
        options: The flags that exist, those of the chosen task and data included.

    Returns:
        What was found, what was expected, and near matches; the message itself if its form is unknown.

    Example:
        >>> explain("Unrecognized arguments: --trainer.max_epoch 3", ["--trainer.max_epochs", "--data.root"])
        "There is no option '--trainer.max_epoch'. Did you mean '--trainer.max_epochs'?"
    """
    rules = (_unknown_flag, _unknown_argument, _missing_argument, _wrong_path, _wrong_number, _unknown_class)
    for rewrite in (*rules, _wrong_literal, _wrong_value):
        text = rewrite(message, options)
        if text is not None:
            return text
    return innermost(message)


def refusal(error: Exception) -> ArgumentError:
    """Return what a constructor said against its arguments, which jsonargparse wraps in its own message."""
    cause = error.__cause__
    return ArgumentError(str(cause) if isinstance(cause, VisiontasksError) else innermost(str(error)))


def innermost(message: str) -> str:
    """Take what a constructor said out of the message in which jsonargparse tells of all classes that it tried.

    Args:
        message: The message.

    Returns:
        The name of the class and its own message; the whole message if it has another form.

    Example:
        >>> innermost('''Does not validate against any of the Union subtypes
        ... Subtypes: [<class 'bool'>, <class 'Logger'>]
        ... Errors:
        ...   - Expected a <class 'bool'>
        ...   - Problem with given class_path 'lightning.pytorch.loggers.MLFlowLogger':
        ...       Requirement 'mlflow>=1.0.0' not met.
        ... Given value: Namespace()''')
        "MLFlowLogger: Requirement 'mlflow>=1.0.0' not met."
    """
    problem = re.compile(r"Problem with given class_path '([^']+)':\n((?: +.*\n?)+?)(?= *- |Given value|\Z)")
    found = problem.search(message)
    if found is None or "Problem with given class_path" in found[2]:
        # Beside the class there may be nothing, which says no more.
        own = re.findall(r"^  - (?!Expected )(.*(?:\n    .*)*)", message, re.MULTILINE)
        return (own[0] if len(own) == 1 else message).strip()
    said = " ".join(line.strip() for line in found[2].strip().splitlines())
    return f"{_name(found[1])}: {said}"


def _unknown_flag(message: str, options: Sequence[str]) -> str | None:
    match = re.search(r"[Uu]nrecognized arguments?: (\S+)", message)
    if match is None:
        return None
    flag = match[1].partition("=")[0]
    if flag.endswith((".num_classes", ".in_channels")) or flag in ("--num_classes", "--nc"):
        return f"{flag} cannot be given: it is taken from the data module."
    argument = flag.removeprefix("--")
    for key in ("data", "model"):
        having = owners_of(key, argument)
        if having and f"--{key}" in options and f"--{key}.{argument}" not in options:
            return f"There is no option {flag!r}. With --{key} {' or '.join(having)} there is --{key}.{argument}."
    meant = meant_flag(flag, options) or f"{near_matches(flag, options)} --help describes them."
    return f"There is no option {flag!r}. {meant}"


def _unknown_argument(message: str, options: Sequence[str]) -> str | None:
    match = re.search(r"Option '([^']+)' is not accepted(?:\. Got value: Namespace\(class_path='([^']+)')?", message)
    # What was tried before may have had the argument, and refused its value.
    if match is None or "Got value: " in message[: match.start()]:
        return None
    owners = [match[2]] if match[2] else re.findall(r"Problem with given class_path '([^']+)'", message)
    if not owners:
        return None
    key, argument = _full_key(message), match[1]
    flag, said = f"--{key}.{argument}", f"--{key}.{argument}: {_name(owners[0])} has no argument {argument!r}."
    having = owners_of(key, argument)
    if having:
        return f"{said} {', '.join(having)} {'have' if len(having) > 1 else 'has'} it: choose by --{key}."
    own = [f"--{key}.{name}" for name in arguments_of(_import(owners[0]))]
    return f"{said} {meant_flag(flag, [*own, *options]) or near_matches(argument, map(_name, own))}"


def _missing_argument(message: str, options: Sequence[str]) -> str | None:
    match = re.search(r"Problem with given class_path '([^']+)':\s+the following arguments are required: (.+)", message)
    if match is None:
        return None
    key = _full_key(message)
    flags = " and ".join(f"--{key}.{name}" for name in match[2].split(", "))
    return f"--{key} {_name(match[1])}: give {flags}."


def _wrong_number(message: str, options: Sequence[str]) -> str | None:
    """Explain a value that is no number, which is then taken for the path of a class."""
    _, union, begun = message.rpartition("Subtypes: [")  # the innermost union is the last to be begun
    given = re.search(r"Given value: (.*)", begun)
    words = sorted((_in_words(kind) for kind in _split(begun.partition("]\n")[0])), key=_is_constant)
    if not union or given is None or not _NUMBER.search(" ".join(words)):
        return None
    key, value = _full_key(message), _short(given[1])
    nested = re.fullmatch(r"NestedArg\(key='(.*)', val='?(.*?)'?\)", value)
    if nested:
        key, value, words = f"{key}.{nested[1]}", nested[2], [word for word in words if word.startswith("dict")]
    elif value.isidentifier() and any(word.startswith("'") for word in words):
        return None  # a misspelt name
    return f"--{key} {value}: expected {' or '.join(filter(None, words))}."


def _wrong_path(message: str, options: Sequence[str]) -> str | None:
    return explain_path(message, _full_key(message))


def _unknown_class(message: str, options: Sequence[str]) -> str | None:
    match = re.search(r"Expected a dot import path string: (\S+)", message)
    if match is None:
        return None
    key = _full_key(message)
    # The type is given only if it is one of several; optimisers and schedules are callables that create them.
    bases = re.findall(r"<class '([\w.]+)'>|Union\[([\w.]+)|\], ([\w.]+)\]", message[: match.start()])
    names = {name for base in bases for part in base if "." in part for name in _subclasses(_import(part))}
    if key.endswith("optimizer"):
        names = _subclasses(_import("torch.optim.Optimizer"))
    literals = {
        name for listed in re.findall(r"Literal\[([^\]]+)\]", message) for name in re.findall(r"'(\w+)'", listed)
    }
    near = near_matches(match[1], names | literals)
    remedy = "A class of your own is given by its import path, such as 'my_module.MyClass'."
    return f"--{key} {match[1]}: unknown. {near} {remedy}"


def _wrong_literal(message: str, options: Sequence[str]) -> str | None:
    match = re.search(r"Expected a typing\.Literal\[([^\]]+)\]\. Got value: (.*)", message)
    if match is None:
        return None
    known = re.findall(r"'([^']+)'", match[1])
    return f"--{_full_key(message)} {match[2]}: unknown. {near_matches(match[2], known)}"


def _wrong_value(message: str, options: Sequence[str]) -> str | None:
    # In a nested message, the innermost "Got value" counts; the outer ones repeat the whole class.
    given = re.search(r"Got value: (.*)", message) or re.search(r"Given value: (.*)", message)
    expected = re.findall(r"Expected an? (?:<class '(?:\w+\.)*)?(\w+(?='>)|tuple with \d+ elements)", message)
    if given is None or not expected:
        return None
    keys = _full_key(message)
    if "." in keys and len(expected) > 1 and expected[-1] == "NoneType":
        # The outermost alternative is the class itself or nothing.
        expected = expected[:-1] if re.search(r"<class '[\w.]+'>, <class 'NoneType'>\]", message) else expected
    literals = [value for listed in re.findall(r"Literal\[([^\]]+)\]", message) for value in listed.split(", ")]
    if literals and set(expected) <= ({"NoneType", "dict"} if given[1].isidentifier() else {"NoneType"}):
        known = list(dict.fromkeys(name.strip("'") for name in literals))
        return f"--{keys} {given[1]}: unknown. {near_matches(given[1], known)}"
    if " with " in expected[0]:
        expected = expected[:1]
    kinds = " or ".join(dict.fromkeys([*expected, *literals])).replace("NoneType", "null")
    return f"--{keys} {_short(given[1])}: expected {kinds}."


def _split(listed: str) -> list[str]:
    """Split a list at the commas outside brackets."""
    return [part.strip() for part in re.findall(r"(?:[^,\[\]]|\[[^\]]*\])+", listed)]


def _in_words(kind: str) -> str:
    """Say which values a type has: ``<class 'int'>`` is an int, ``tuple[int, int]`` is [int, int]."""
    if kind.startswith("typing.Literal["):
        return " or ".join(_split(kind.removeprefix("typing.Literal[").removesuffix("]")))
    name = kind.removeprefix("<class '").removesuffix("'>")
    if name == "NoneType":
        return "null"
    if name.startswith("tuple["):
        return name.removeprefix("tuple")
    outer, _, inner = name.partition("[")
    if inner:
        return f"{outer.rpartition('.')[2].lower()} of {inner.removesuffix(']')}"
    # Others cannot be written on a command line.
    return name if "." not in name else ""


def _is_constant(words: str) -> int:
    return 2 if words == "null" else int(words.startswith("'"))


def _short(value: str) -> str:
    """Leave out the class with all its arguments that stands after a value."""
    return value.partition(". Got value: ")[0]


def _name(path: str) -> str:
    return path.rpartition(".")[2]


def _full_key(message: str) -> str:
    return ".".join(re.findall(r'Parser key "([^"]+)"', message)).replace(".init_args", "") or "?"


def _import(path: str) -> type:
    module, _, name = path.rpartition(".")
    imported: type = getattr(import_module(module), name)
    return imported


def _subclasses(parent: type) -> set[str]:
    """Return the names of the concrete subclasses, at any depth."""
    names: set[str] = set()
    children: list[type] = parent.__subclasses__()
    for child in children:
        names |= _subclasses(child)
        if not getattr(child, "__abstractmethods__", None) and not child.__name__.startswith("_"):
            names.add(child.__name__)
    return names
