"""``visiontasks fit``, ``validate`` and ``test``, and the entry point of recipes: LightningCLI without its pitfalls."""

import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from visiontasks.callbacks.pictures import run_folder
from visiontasks.callbacks.wandb_run import WandbRun, finish_runs
from visiontasks.cli import COMMANDS
from visiontasks.cli.annotations import check_annotations
from visiontasks.cli.choices import DATA_MODULES, TASKS
from visiontasks.cli.collectives import add_flag, limit_waiting
from visiontasks.cli.default_callbacks import add_flags_of_what_is_shown, best_and_last, default_callbacks
from visiontasks.cli.hardware import default_precision, keep_freed_memory
from visiontasks.cli.parser import Parser, chosen_class, flag_value
from visiontasks.cli.quiet import quiet
from visiontasks.cli.summary import print_summary
from visiontasks.cli.tracking import add_flags, leave_out_unset, prepare_loggers
from visiontasks.data.base import VisionDataModule
from visiontasks.errors import ArgumentError, VisiontasksError
from visiontasks.prediction import find_task, import_class, import_path
from visiontasks.tasks.base import Task
from visiontasks.tasks.checkpoint import read_checkpoint
from visiontasks.tasks.process_group import explained

FROM_DATA = ("num_classes", "in_channels", "image_size")


class _SaveConfig(SaveConfigCallback):
    """Saves the configuration in the run folder if there is one."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if run_folder(trainer) is not None:
            super().setup(trainer, pl_module, stage)


class TrainingCLI(LightningCLI):
    """One command: creates a task, a data module and a Trainer from flags and YAML.

    Args:
        command: ``"fit"``, ``"validate"``, ``"test"``, or the name of a recipe.
        arguments: The command line after the command.
        task: The task class; if None, it is chosen by ``--model``.
        data: The data module class; if None, it is chosen by ``--data``.
        defaults: Defaults by dotted name, such as ``{"trainer.max_epochs": 10}``.
    """

    def __init__(
        self,
        command: str,
        arguments: Sequence[str],
        task: type[Task] | None = None,
        data: type[VisionDataModule] | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        self.command = command
        self.evaluates = command in ("validate", "test")
        self.defaults = defaults or {}
        program = ["visiontasks", command] if command in COMMANDS else ["python", sys.argv[0]]
        self.line = shlex.join([*program, *arguments])
        # Classes chosen on the command line, so that help and defaults show their arguments.
        self.chosen: tuple[tuple[str, type], ...] = ()
        if task is None:
            self.chosen += (("model", chosen_class("--model", arguments, TASKS)),)
        if data is None:
            self.chosen += (("data", chosen_class("--data", arguments, DATA_MODULES)),)
        logger = {
            "class_path": "lightning.pytorch.loggers.CSVLogger",
            "init_args": {"save_dir": "runs", "name": command},
        }
        super().__init__(
            task or Task,
            data or VisionDataModule,
            save_config_callback=None if self.evaluates else _SaveConfig,
            trainer_defaults={"logger": logger},
            seed_everything_default=0,
            parser_class=Parser,
            parser_kwargs={"allow_abbrev": False},
            subclass_mode_model=task is None,
            subclass_mode_data=data is None,
            args=_with_checkpoint_model(arguments) if task is None else list(arguments),
            run=False,
            auto_configure_optimizers=False,
            # Our tasks save their arguments themselves, in the same way here as from Python.
            load_from_checkpoint_support=False,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the checkpoint, the defaults, and the arguments that are passed from the data to the task."""
        parser.add_argument(
            "--ckpt_path",
            type=str | None,
            default=None,
            help="Checkpoint to score, or to go on from with its optimiser and epoch ('last': the newest of the run).",
        )
        add_flags(parser)
        add_flag(parser)
        add_flags_of_what_is_shown(parser)
        for key, owner in self.chosen:
            parser.set_defaults({key: {"class_path": import_path(owner)}})
        parser.set_defaults({"trainer.max_epochs": 10, **self.defaults})
        target = "model.init_args." if self.subclass_mode_model else "model."
        taken = {action.dest for action in parser._actions}
        for name in FROM_DATA:
            # A recipe's task may have no classes.
            if self.subclass_mode_model or target + name in taken:
                parser.link_arguments(f"data.{name}", target + name, apply_on="instantiate")
        if isinstance(parser, Parser):
            parser.chosen, parser.outermost = self.chosen, True

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:  # noqa: ANN401 (LightningCLI's type)
        """Parse the arguments as those of the command line, although they are passed explicitly."""
        self.config = parser.parse_args(args)
        # The configuration of a run contains null, which must not override a flag before it.
        given = flag_value("--ckpt_path", args)
        if self.config.ckpt_path is None and given not in ("", "null"):
            self.config.ckpt_path = given

    def before_instantiate_classes(self) -> None:
        """Choose the precision by the hardware unless the user does.

        Raises:
            ArgumentError: If there is no checkpoint to evaluate.
        """
        if self.evaluates and self.config.ckpt_path is None:
            message = f"visiontasks {self.command} scores a checkpoint: give --ckpt_path FILE."
            raise ArgumentError(message)
        checkpoint: dict[str, Any] = {}
        if self.config.ckpt_path not in (None, "last", "best"):
            # Before anything is built or a run folder is made.
            checkpoint = read_checkpoint(self.config.ckpt_path)
        trainer = self.config.trainer
        resumed = {} if self.evaluates else checkpoint.get("callbacks", {}).get(WandbRun.__qualname__, {})
        prepare_loggers(self.config, self.command, resumed)
        if trainer.precision is None:
            trainer.precision = default_precision(str(trainer.accelerator))
            reason = "has" if trainer.precision == "bf16-mixed" else "has no"
            because = f"the hardware {reason} bf16 arithmetic (--trainer.precision chooses another)"
            rank_zero_only(print)(f"Precision {trainer.precision}, channels-last: {because}.")

    def instantiate_classes(self) -> None:
        """Create the objects; a value given by the user that differs from that of the data is an error.

        Raises:
            ArgumentError: If a class refuses its arguments.
        """
        given = {name: self._given(name) for name in FROM_DATA}
        try:
            super().instantiate_classes()
        except (ValueError, TypeError, MisconfigurationException) as error:
            # jsonargparse wraps errors of a constructor in its own message.
            cause = error.__cause__ if isinstance(error.__cause__, VisiontasksError) else error
            raise ArgumentError(str(cause)) from error
        for name, value in given.items():
            expected = getattr(self.datamodule, name)
            if value is not None and value != expected:
                message = (
                    f"--model.{name} is {value}, but {type(self.datamodule).__name__} has {expected}. Leave it out: "
                    "it comes from the data."
                )
                raise ArgumentError(message)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:  # noqa: ANN401 (the arguments of a Trainer)
        """Create the Trainer, with the callbacks that the user has not replaced; make the network channels-last."""
        self.model.to(memory_format=torch.channels_last)
        config = self.config_init.trainer
        described = yaml.safe_load(self.parser.dump(self.config, skip_none=False, skip_validation=True))
        command = self.line if self.config_init.report else None
        callbacks = default_callbacks(config.callbacks or [], described, command, self.config_init.shown)
        replaced = any(isinstance(callback, ModelCheckpoint) for callback in config.callbacks or [])
        kept = config.enable_checkpointing is not False and not config.fast_dev_run
        if kept and not self.evaluates and not replaced:
            callbacks.append(best_and_last(self.model))
        self.trainer_defaults["callbacks"] = callbacks
        trainer = super().instantiate_trainer(**kwargs)
        if isinstance(config.strategy, str):
            limit_waiting(trainer, self.config_init.collective_timeout)
        return trainer

    def run(self) -> None:
        """Train or evaluate, depending on the command; a recipe trains, then tests its best checkpoint."""
        leave_out_unset(self.trainer.loggers)
        try:
            with explained():
                self._run(self.config_init.ckpt_path)
        finally:
            finish_runs(self.trainer)

    def _run(self, path: str | None) -> None:
        if self.evaluates:
            score = self.trainer.validate if self.command == "validate" else self.trainer.test
            score(self.model, self.datamodule, ckpt_path=path, verbose=False)
            print_summary(self.trainer)
            return
        self.model.check_data(self.datamodule)
        check_annotations(self.datamodule, tests=self.command != "fit")
        start = time.perf_counter()
        self.trainer.fit(self.model, self.datamodule, ckpt_path=path)
        seconds = time.perf_counter() - start
        if self.command != "fit":
            # A trial run saves no checkpoint; a run that ends before its first validation has no best one.
            best = "best" if getattr(self.trainer.checkpoint_callback, "best_model_path", "") else None
            self.trainer.test(self.model, self.datamodule, ckpt_path=best, verbose=False)
        print_summary(self.trainer, seconds)

    def _given(self, name: str) -> Any:  # noqa: ANN401 (the type of the argument)
        """Find the value of a linked argument that the user gave; None for the task's default."""
        model = self.config.model
        if self.subclass_mode_model:
            owner: Any = import_class(model.class_path)
            arguments = model.init_args
        else:
            owner, arguments = self._model_class, model
        parser = LightningArgumentParser()
        parser.add_class_arguments(owner, fail_untyped=False)
        value = arguments.get(name)
        return None if value == parser.get_defaults().get(name) else value


def main(command: str, arguments: Sequence[str]) -> int:
    """Run ``fit``, ``validate`` or ``test``.

    Args:
        command: The command.
        arguments: The command line after it.

    Returns:
        The exit code, 0.
    """
    quiet()
    keep_freed_memory()
    TrainingCLI(command, arguments).run()
    return 0


def run_recipe(
    name: str,
    task: type[Task],
    data: type[VisionDataModule],
    defaults: Mapping[str, Any],
    arguments: Sequence[str] | None = None,
) -> None:
    """Train and test with the choices of a recipe; each of them can be overridden by a flag or YAML.

    Args:
        name: Name of the recipe; its run folders are ``runs/NAME/version_N``.
        task: The task class.
        data: The data module class.
        defaults: The recipe's choices by dotted name, such as ``{"trainer.max_epochs": 10}``.
        arguments: The command line; by default that of the process.
    """
    quiet()
    keep_freed_memory()
    try:
        TrainingCLI(name, sys.argv[1:] if arguments is None else arguments, task, data, defaults).run()
    except VisiontasksError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _with_checkpoint_model(arguments: Sequence[str]) -> list[str]:
    """Insert the task of a checkpoint before the flags, so that flags override it, unless a task or file is given."""
    words = list(arguments)
    named = {word.partition("=")[0] for word in words}
    path = flag_value("--ckpt_path", words)
    if path in ("", "last", "best") or named & {"--model", "--config", "-c"}:
        return words
    checkpoint = read_checkpoint(path)
    task = find_task(checkpoint, path)
    saved = {name: value for name, value in checkpoint["hyper_parameters"].items() if name not in FROM_DATA}
    model = {"class_path": import_path(task), "init_args": saved}
    return [f"--model={json.dumps(model)}", *words]
