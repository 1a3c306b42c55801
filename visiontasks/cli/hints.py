"""Which flag is meant by a name that other libraries use, or by the last part of a flag."""

import inspect
from collections.abc import Sequence
from difflib import get_close_matches

_MEANT = {
    "trainer.max_epochs": "epochs num_epochs n_epochs max_epoch num_train_epochs",
    "trainer.max_steps": "steps num_steps iterations max_iter max_iters",
    "data.batch_size": "batch batch_size batchsize bs train_batch_size samples_per_gpu",
    "data.num_workers": "workers num_workers n_workers",
    "data.image_size | data.shorter": "image_size img_size imgsz img input_size size resolution crop_size",
    "data.root": "root path dataset data_dir data_path data_root dataset_dir",
    "model.optimizer": "opt optim optimizer",
    "model.optimizer.lr": "lr lr0 learning_rate base_lr",
    "model.optimizer.weight_decay": "wd weight_decay",
    "model.optimizer SGD --model.optimizer.momentum": "momentum",
    "model.lr_scheduler": "sched scheduler lr_schedule",
    "model.lr_scheduler cosine": "cos_lr cosine",
    "data.augmentation default+copy-paste": "copy_paste",
    "data.augmentation": "aug augment augmentations auto_augment transforms mosaic degrees fliplr flipud",
    "model.warmup": "warmup_epochs warmup_steps warmup_ratio",
    "model.backbone": "arch architecture encoder encoder_name model_name net network",
    "model.backbone_weights imagenet": "pretrained encoder_weights",
    "trainer.devices": "gpu gpus num_gpus n_gpu nproc_per_node",
    "trainer.devices | trainer.accelerator": "device",
    "trainer.num_nodes": "nodes nnodes num_machines",
    "trainer.precision 16-mixed": "amp fp16 half mixed_precision",
    "trainer.accumulate_grad_batches": "accumulate grad_accum accum_iter gradient_accumulation_steps",
    "trainer.gradient_clip_val": "clip clip_grad clip_grad_norm grad_clip max_grad_norm",
    "trainer.callbacks+=EarlyStopping --trainer.callbacks.monitor val/loss --trainer.callbacks.patience 5": (
        "patience early_stopping"
    ),
    "trainer.logger": "logger",
    "seed_everything": "seed random_seed manual_seed",
    "ckpt_path last": "resume auto_resume",
    "ckpt_path": "resume_from resume_from_checkpoint ckpt checkpoint checkpoint_path",
    "run": "name exp_name experiment_name run_name",
    "runs": "output output_dir out_dir save_dir log_dir logdir work_dir project",
}
"""Flags, or those that may be meant, with names in other libraries: torchvision, timm, Ultralytics, MMDetection, ..."""


def meant_flag(flag: str, known: Sequence[str]) -> str | None:
    """Find the flag that is meant by one that does not exist.

    Args:
        flag: The flag that was given.
        known: The flags that exist.

    Returns:
        A question, or None if no flag is near.

    Example:
        >>> meant_flag("--epochs", ["--trainer.max_epochs", "--trainer.min_epochs"])
        "Did you mean '--trainer.max_epochs'?"
        >>> meant_flag("--data.max_epoch", ["--trainer.max_epochs", "--data.root"])
        "Did you mean '--trainer.max_epochs'?"
    """
    flags = [*dict.fromkeys(known)]
    last = _last(flag)
    for words, names in _MEANT.items():
        target, *others = (f"--{one}" for one in words.split(" | "))
        # Arguments of a class within the task, such as those of its optimiser, are no flags of the parser.
        if last in names.split() and target != flag and {_flag(target), _flag(target).rpartition(".")[0]} & {*flags}:
            return _question([target, *(other for other in others if other in flags)])
    same = [name for name in flags if _last(name) == last]
    if same:
        return _question(same)
    near = get_close_matches(flag.lower(), flags, n=3, cutoff=0.8)
    if not near:
        lasts = get_close_matches(last, {_last(name) for name in flags}, n=3, cutoff=0.75)
        near = [name for close in lasts for name in flags if _last(name) == close]
    return _question(near[:3]) if near else None


def owners_of(key: str, argument: str) -> list[str]:
    """Name the data modules (key ``"data"``) or tasks (key ``"model"``) that have an argument."""
    from visiontasks.cli.choices import DATA_MODULES, TASKS  # all of them, which only such an error needs

    kinds: dict[str, Sequence[type]] = {"data": DATA_MODULES, "model": TASKS}
    return [kind.__name__ for kind in kinds.get(key, ()) if argument in arguments_of(kind)]


def arguments_of(kind: type) -> set[str]:
    """Name the arguments of the constructors of a class and of those that it passes keywords on to."""
    names: set[str] = set()
    for parent in kind.__mro__:
        if "__init__" not in vars(parent):
            continue
        parameters = inspect.signature(vars(parent)["__init__"]).parameters
        names |= {name for name, one in parameters.items() if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}
        if not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
            break
    return names - {"self"}


def _flag(words: str) -> str:
    return words.partition(" ")[0].partition("+=")[0]


def _last(flag: str) -> str:
    return flag.lstrip("-").rpartition(".")[2].replace("-", "_").lower()


def _question(flags: Sequence[str]) -> str:
    return f"Did you mean {' or '.join(repr(flag) for flag in flags)}?"
