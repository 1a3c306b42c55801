"""``visiontasks fit``, ``validate`` and ``test``, and the entry point of recipes: LightningCLI without its pitfalls."""

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from visiontasks.callbacks import LastCheckpoint, RunLogger, checkpoints
from visiontasks.callbacks.stopping import Interruption
from visiontasks.callbacks.wandb_run import WandbRun, finish_runs
from visiontasks.cli import COMMANDS, fast
from visiontasks.cli.annotations import check_annotations
from visiontasks.cli.checkpoint_model import with_checkpoint
from visiontasks.cli.choices import DATA_MODULES, TASKS, arguments_for
from visiontasks.cli.collectives import add_flag, limit_waiting
from visiontasks.cli.compilation import add_compile_flag, prepare_network
from visiontasks.cli.default_callbacks import add_flags_of_what_is_shown, default_callbacks
from visiontasks.cli.failures import run_to_exit_code, without_debug
from visiontasks.cli.from_data import FROM_DATA, check_given, given_arguments
from visiontasks.cli.hardware import choose_precision, keep_freed_memory
from visiontasks.cli.help import SCORES, TRAINS, TrainerHelp
from visiontasks.cli.length import MOST_EPOCHS, Length, is_length_given
from visiontasks.cli.messages import refusal
from visiontasks.cli.named_parts import name_parts
from visiontasks.cli.optimizers import with_full_names, with_own_options
from visiontasks.cli.parser import Parser, chosen_class, flag_value
from visiontasks.cli.runs import add_flags as add_flags_of_run
from visiontasks.cli.runs import begin_anew, choose_run, line_that_goes_on, placed_loggers
from visiontasks.cli.saved_config import SaveConfig, check_goes_on
from visiontasks.cli.scoring import add_split_flag, match_checkpoint
from visiontasks.cli.screen import screen_callbacks
from visiontasks.cli.start import describe_start
from visiontasks.cli.summary import PrintedFigures, print_summary
from visiontasks.cli.tracking import add_flags, leave_out_unset, prepare_loggers
from visiontasks.data.lightning_modules import VisionDataModule
from visiontasks.errors import ArgumentError
from visiontasks.import_paths import import_class, import_path
from visiontasks.tasks.process_group import explained
from visiontasks.tasks.reading import read_checkpoint
from visiontasks.tasks.task import Task


class TrainingParser(Parser, LightningArgumentParser):
    """The parser of commands that have a Trainer."""


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
        self.arguments = arguments
        self.line = shlex.join([*program, *arguments])
        description = COMMANDS[command][1] if command in COMMANDS else f"The recipe {command}: fit, with its defaults."
        self.named = chosen_class("--model", arguments, TASKS) if flag_value("--model", arguments) else None
        # Classes chosen on the command line, so that help and defaults show their arguments.
        self.chosen: tuple[tuple[str, type], ...] = ()
        if task is None:
            self.chosen += (("model", chosen_class("--model", arguments, TASKS)),)
        if data is None:
            self.chosen += (("data", chosen_class("--data", arguments, DATA_MODULES)),)
        # Its folder is chosen once the flags are known.
        logger = {"class_path": import_path(RunLogger), "init_args": {"save_dir": "", "name": None}}
        self.knows_task = self.evaluates and flag_value("--ckpt_path", arguments) not in ("", "null")
        super().__init__(
            task or Task,
            data or VisionDataModule,
            save_config_callback=None if self.evaluates else SaveConfig,
            trainer_defaults={"logger": logger},
            seed_everything_default=0,
            parser_class=TrainingParser,
            parser_kwargs={"allow_abbrev": False, "prog": shlex.join(program), "description": description},
            subclass_mode_model=task is None,
            subclass_mode_data=data is None,
            args=with_checkpoint(arguments, scored=self.evaluates) if task is None else list(arguments),
            run=False,
            auto_configure_optimizers=False,
            # Our tasks save their arguments themselves, in the same way here as from Python.
            load_from_checkpoint_support=False,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the checkpoint, the defaults, and the arguments that are passed from the data to the task."""
        add_flags_of_run(parser, self.evaluates)
        add_flags(parser)
        add_flag(parser)
        add_compile_flag(parser)
        add_flags_of_what_is_shown(parser)
        if self.command not in COMMANDS:
            parser.add_argument(fast.FLAG, action="store_true", help=fast.HELP)
        for key, owner in self.chosen:
            init_args = arguments_for(owner, self.named) if key == "data" else {}
            parser.set_defaults({key: {"class_path": import_path(owner), "init_args": init_args}})
        parser.set_defaults(dict(self.defaults))
        if self.evaluates:
            add_split_flag(parser)
        target = "model.init_args." if self.subclass_mode_model else "model."
        taken = {action.dest for action in parser._actions}
        for name in FROM_DATA:
            # A recipe's task may have no classes, and a checkpoint that a configuration names is not known yet.
            if not self.knows_task and (self.subclass_mode_model or target + name in taken):
                parser.link_arguments(f"data.{name}", target + name, apply_on="instantiate")
        assert isinstance(parser, Parser)
        parser.chosen, parser.outermost, parser.first = self.chosen, True, SCORES if self.evaluates else TRAINS
        parser.add_argument("--trainer.help", action=TrainerHelp)
        parser.count_in_integers()

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:  # noqa: ANN401 (LightningCLI's type)
        """Parse the arguments as those of the command line, although they are passed explicitly."""
        words = with_own_options(parser, with_full_names(args), nested=self.subclass_mode_model)
        self.config = parser.parse_args(words)
        name_parts(self.config.model.init_args if self.subclass_mode_model else self.config.model)
        # The configuration of a run contains null, which must not override a flag before it.
        given = flag_value("--ckpt_path", args)
        if self.config.ckpt_path is None and given not in ("", "null"):
            self.config.ckpt_path = given

    def before_instantiate_classes(self) -> None:
        """Choose the precision by the hardware unless the user does.

        Raises:
            ArgumentError: If there is no checkpoint to evaluate, or the run that goes on is of another task or data.
        """
        if self.evaluates and self.config.ckpt_path is None:
            message = f"visiontasks {self.command} scores a checkpoint: give --ckpt_path FILE."
            raise ArgumentError(message)
        # Before anything is built or a run folder is made.
        self.chosen_run = choose_run(self.config, self.command, self.evaluates)
        path = self.chosen_run.checkpoint
        if self.chosen_run.folder is not None and path is not None:
            check_goes_on(self.chosen_run.folder, self.config)
        self._say(self.chosen_run.message)
        checkpoint = {} if path is None else read_checkpoint(path, keep=True)
        resumed = {} if self.evaluates else checkpoint.get("callbacks", {}).get(WandbRun.__qualname__, {})
        prepare_loggers(self.config, self.chosen_run, resumed)
        choose_precision(self.config.trainer)

    def instantiate_classes(self) -> None:
        """Create the objects; a value given by the user that differs from that of the data is an error.

        Raises:
            ArgumentError: If a class refuses its arguments.
        """
        model = self.config.model
        nested = self.subclass_mode_model
        owner: Any = import_class(model.class_path) if nested else self._model_class
        given = given_arguments(owner, model.init_args if nested else model)
        written = self.config.trainer.logger
        self.config.trainer.logger = placed_loggers(self.config, self.chosen_run)
        try:
            super().instantiate_classes()
        except (ValueError, TypeError, MisconfigurationException) as error:
            raise refusal(error) from error
        finally:
            # The configuration of a run names no folder, so that another run can be started from it.
            self.config.trainer.logger = written
        if self.evaluates:
            checkpoint, split = str(self.chosen_run.checkpoint), self.config_init.split
            match_checkpoint(self.datamodule, self.model, checkpoint, split, self.arguments)
            return
        check_given(given, self.datamodule)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:  # noqa: ANN401 (the arguments of a Trainer)
        """Create the Trainer, with the callbacks that the user has not replaced; make the network channels-last."""
        prepare_network(self.model, compiled=self.config_init.compile)
        config = self.config_init.trainer
        described = yaml.safe_load(self.parser.dump(self.config, skip_none=False, skip_validation=True))
        command = self.line if self.config_init.report else None
        shown, keep = self.config_init.shown, self.config_init.keep_pictures
        callbacks = default_callbacks(config.callbacks or [], described, command, shown, keep)
        if config.enable_checkpointing is not False and not config.fast_dev_run and not self.evaluates:
            best, last = checkpoints(self.model, self.config_init.save_minutes)
            assert isinstance(last, LastCheckpoint)
            last.command = line_that_goes_on(self.line)
            for callback, kind in ((best, ModelCheckpoint), (last, LastCheckpoint)):
                if not any(isinstance(other, kind) for other in config.callbacks or []):
                    callbacks.append(callback)
        # Lightning looks there for checkpoints of SLURM's jobs, and takes those of any other job.
        kwargs["default_root_dir"] = str(self.chosen_run.root / self.chosen_run.name)
        callbacks += screen_callbacks(config, config.callbacks or [], self.evaluates)
        if not self.evaluates:
            given = is_length_given(config)
            callbacks.append(Length(given=given, records=[self.config.trainer, described["trainer"]]))
            # Lightning warns of its own default.
            kwargs |= {} if given else {"max_epochs": MOST_EPOCHS}
        if not config.barebones:
            # Lightning's own, beside ours.
            kwargs["enable_model_summary"] = False
        self.trainer_defaults["callbacks"] = callbacks
        trainer = super().instantiate_trainer(**kwargs)
        trainer.callbacks.insert(0, PrintedFigures())  # type: ignore[attr-defined]  # out of mypy's sight
        if isinstance(config.strategy, str):
            limit_waiting(trainer, self.config_init.collective_timeout)
        return trainer

    @rank_zero_only
    def _say(self, text: str | None) -> None:
        if text:
            print(text, flush=True)

    def run(self) -> None:
        """Train or evaluate, depending on the command; a recipe trains, then tests its best checkpoint."""
        leave_out_unset(self.trainer.loggers)
        try:
            with explained():
                self._run(self.chosen_run.checkpoint)
        except Interruption:  # the upload has been waited for
            raise
        except BaseException:
            finish_runs(self.trainer)
            raise
        finish_runs(self.trainer)

    def _run(self, path: str | None) -> None:
        if self.evaluates:
            score = self.trainer.validate if self.command == "validate" else self.trainer.test
            score(self.model, self.datamodule, ckpt_path=path, verbose=False)
            print_summary(self.trainer)
            return
        self.model.check_data(self.datamodule)
        check_annotations(self.datamodule, tests=self.command != "fit")
        if path is None:
            begin_anew(self.chosen_run, self.trainer.loggers)
            self._say(describe_start(self.model, self.datamodule.image_size))
        start = time.perf_counter()
        self.trainer.fit(self.model, self.datamodule, ckpt_path=path)
        seconds = time.perf_counter() - start
        if self.command != "fit":
            # A trial run saves no checkpoint; a run that ends before its first validation has no best one.
            best = getattr(self.trainer.checkpoint_callback, "best_model_path", "") or None
            self.trainer.test(self.model, self.datamodule, ckpt_path=best, verbose=False)
        print_summary(self.trainer, seconds)


def main(command: str, arguments: Sequence[str]) -> int:
    """Run ``fit``, ``validate`` or ``test`` with the command line after it; return the exit code, 0."""
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
    words, debug = without_debug(sys.argv[1:] if arguments is None else arguments)

    def run() -> int:
        keep_freed_memory()
        short = fast.FLAG in words
        TrainingCLI(name, words, task, data, fast.shortened(data, defaults, words) if short else defaults).run()
        if short:
            fast.remind()
        return 0

    if code := run_to_exit_code(run, debug):
        sys.exit(code)
