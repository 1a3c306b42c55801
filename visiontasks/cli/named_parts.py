"""Backbones and decoders of a user's own: classes with flags become paths and options, which checkpoints save."""

from jsonargparse import Namespace

_PARTS = {"backbone": ("in_channels",), "decoder": ("channels", "strides", "num_outputs")}
"""Arguments that are chosen by path, with those of their classes that the task passes itself."""


def name_parts(task: Namespace) -> None:
    """Replace classes with plain options by the path of the class and its options; a checkpoint then needs no flag.

    Classes with instances of others in their options are left as they are.

    Args:
        task: The arguments of a task; changed in place.
    """
    for part, passed in _PARTS.items():
        chosen = task.get(part)
        if not isinstance(chosen, Namespace):
            continue
        options = chosen.get("init_args", Namespace()).as_dict() | dict(chosen.get("dict_kwargs", {}))
        if not any(isinstance(value, dict) and "class_path" in value for value in options.values()):
            task[part] = chosen.class_path
            task[f"{part}_options"] = {name: value for name, value in options.items() if name not in passed}
