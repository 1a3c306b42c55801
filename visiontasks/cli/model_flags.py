"""Flags by which commands take what a checkpoint cannot hold: instances of classes of the user's."""

from collections.abc import Sequence

FLAG = "--model."
HELP = (
    "A checkpoint that was made with an instance of your own class needs it again, as in 'visiontasks test': "
    "--model.backbone my_module.Strided, if need be with its options, --model.backbone.OPTION VALUE, or all of them by "
    "--config FILE, such as the config.yaml of the run."
)


def take_model_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Divide a command line into flags of the model, with their values, and all else.

    Example:
        >>> take_model_flags(["a.ckpt", "--model.backbone", "my.Strided", "--model.backbone.width=8", "b.jpg"])
        (['--model.backbone=my.Strided', '--model.backbone.width=8'], ['a.ckpt', 'b.jpg'])
    """
    flags: list[str] = []
    others: list[str] = []
    words = iter(arguments)
    for word in words:
        if not word.startswith(FLAG):
            others.append(word)
        else:
            flags.append(word if "=" in word else f"{word}={next(words, '')}")
    return flags, others
