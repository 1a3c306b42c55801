"""Private names of other libraries that the package uses: an upgrade that changes one fails here first, by name."""

import ast
import inspect
import os
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from lightning.pytorch.loops import _EvaluationLoop
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from lightning.pytorch.trainer.connectors.accelerator_connector import _AcceleratorConnector
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassStatScores
from torchvision import tv_tensors
from torchvision.transforms import v2

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "visiontasks").rglob("*.py"))
NAMED_TUPLE = {"_asdict", "_fields", "_make", "_replace"}
"""Documented, with an underscore only to leave the names of fields free."""


def takes(function: Callable[..., Any], *names: str) -> bool:
    """Whether a function has these parameters, in this order and no others without a default."""
    parameters = list(inspect.signature(function).parameters.values())
    needed = [each.name for each in parameters if each.default is each.empty and each.name != "self"]
    return tuple(needed) == names


def has_class(module: str, name: str) -> Callable[[Trainer], bool]:
    """Make the check that a module has a class of this name."""
    return lambda _: isinstance(getattr(import_module(module), name), type)


def launcher_of_processes(_: Trainer) -> bool:
    return _SubprocessScriptLauncher(LightningEnvironment(), num_processes=1, num_nodes=1).procs == []


def union_of_numbers() -> bool:
    parser = LightningArgumentParser()
    parser.add_argument("--share", type=int | float)
    return [getattr(action, "_typehint", None) for action in parser._actions][-1] == int | float


def iterator_of_workers(_: Trainer) -> bool:
    loader: Any = DataLoader([0, 1], num_workers=1, persistent_workers=True)  # type: ignore[arg-type]  # a list is enough
    assert loader._iterator is None
    iterator: Any = iter(loader)
    processes, kept = iterator._workers, loader._iterator
    same = kept is iterator and all(process.pid > 0 for process in processes)
    iterator._shutdown_workers()
    return same


def fill_of_a_mask(_: Trainer) -> bool:
    turn: Any = v2.RandomRotation((45, 45))
    turn._fill = {**turn._fill, tv_tensors.Mask: 7}
    return set(turn(tv_tensors.Mask(torch.zeros(9, 9, dtype=torch.uint8))).unique().tolist()) == {0, 7}


def metric() -> Any:  # noqa: ANN401 - with attributes that Metric does not declare
    return MulticlassStatScores(num_classes=3, average=None)


RELIED_ON: dict[str, Callable[[Any], Any]] = {
    "_C": lambda _: callable(import_module("torch._C")._error_if_any_worker_fails),
    "_IndexBatchSamplerWrapper": has_class("lightning.pytorch.overrides.distributed", "_IndexBatchSamplerWrapper"),
    "_LRCallback": has_class("lightning.pytorch.tuner.lr_finder", "_LRCallback"),
    "_SubprocessScriptLauncher": launcher_of_processes,
    "_WrappingCheckpointIO": has_class("lightning.pytorch.plugins.io.wrapper", "_WrappingCheckpointIO"),
    "_accelerator_connector": lambda trainer: (
        isinstance(trainer._accelerator_connector, _AcceleratorConnector)
        and trainer._accelerator_connector.cluster_environment is not None
    ),
    "_actions": lambda _: all(hasattr(action, "dest") for action in LightningArgumentParser()._actions),
    "_active_loop": lambda trainer: isinstance(inspect.getattr_static(Trainer, "_active_loop"), property),
    "_average_model": lambda _: (
        import_module("lightning.pytorch.callbacks").EMAWeightAveraging()._average_model is None
    ),
    "_batches_that_stepped": lambda trainer: (
        trainer.fit_loop.epoch_loop._batches_that_stepped == 0
        and "_batches_that_stepped" in trainer.fit_loop.epoch_loop.on_save_checkpoint()
    ),
    "_callback_metrics": lambda trainer: isinstance(trainer._logger_connector._callback_metrics, dict),
    "_checkpoint_connector": lambda trainer: trainer._checkpoint_connector is not None,
    "_checkpoint_io": lambda _: (
        import_module("lightning.pytorch.plugins.io").AsyncCheckpointIO(checkpoint := object())._checkpoint_io
        is checkpoint
    ),
    "_combined_loader": lambda trainer: trainer.test_loop._combined_loader is None,
    "_compiled_call_impl": lambda _: torch.nn.Module()._compiled_call_impl is None,
    "_forward_hooks": lambda _: not torch.nn.Module()._forward_hooks,
    "_data_fetcher": lambda trainer: (
        trainer.fit_loop._data_fetcher is None
        and trainer.validate_loop._data_fetcher is None
        and import_module("lightning.pytorch.loops.fetchers")._PrefetchDataFetcher().batches == []
    ),
    "_error_if_any_worker_fails": lambda _: callable(import_module("torch._C")._error_if_any_worker_fails),
    "_evaluation_loop": lambda trainer: (
        isinstance(inspect.getattr_static(Trainer, "_evaluation_loop"), property)
        and isinstance(trainer.test_loop, _EvaluationLoop)
        and hasattr(trainer.test_loop.batch_progress, "is_last_batch")
        and isinstance(inspect.getattr_static(_EvaluationLoop, "num_dataloaders"), property)
        and isinstance(inspect.getattr_static(_EvaluationLoop, "max_batches"), property)
    ),
    "_exit": lambda _: takes(os._exit, "status"),
    "_final_state": lambda _: takes(metric()._final_state) and len(metric()._final_state()) == 4,
    "_foreach_mul_": lambda _: (
        torch._foreach_mul_(values := [torch.tensor([3.0, 4.0])], torch.tensor(0.5)),
        values[0].tolist() == [1.5, 2.0],
    )[1],
    "_foreach_norm": lambda _: [size.item() for size in torch._foreach_norm([torch.tensor([3.0, 4.0])], 2)] == [5.0],
    "_get_next_version": lambda _: takes(CSVLogger._get_next_version),
    "_is_training_done": lambda trainer: trainer.fit_loop.epoch_loop._is_training_done in (True, False),
    "_iterator": iterator_of_workers,
    "_loaded_checkpoint": lambda trainer: trainer._checkpoint_connector._loaded_checkpoint == {},
    "_logger_connector": lambda trainer: (
        callable(inspect.getattr_static(type(trainer._logger_connector), "should_update_logs").fget)
        and isinstance(inspect.getattr_static(type(trainer._logger_connector), "metrics"), property)
    ),
    "_model_class": lambda _: "self._model_class = " in inspect.getsource(LightningCLI.__init__),
    "_new_shared": lambda _: len(torch.UntypedStorage._new_shared(8, device="cpu")) == 8,
    "_num_ready_batches_reached": lambda trainer: takes(trainer.fit_loop.epoch_loop._num_ready_batches_reached),
    "_python_dispatch": has_class("torch.utils._python_dispatch", "TorchDispatchMode"),
    "_pytree": lambda _: import_module("torch.utils._pytree").tree_leaves({"a": [1, (2,)]}) == [1, 2],
    "_reductions": lambda _: metric()._reductions.keys() == metric()._defaults.keys(),
    "_restarting": lambda trainer: trainer.fit_loop._restarting is False,
    "_results": lambda trainer: isinstance(inspect.getattr_static(Trainer, "_results"), property),
    "_should_accumulate": lambda trainer: takes(trainer.fit_loop.epoch_loop._should_accumulate),
    "_should_check_val_fx": lambda trainer: takes(trainer.fit_loop.epoch_loop._should_check_val_fx, "data_fetcher"),
    "_timeout": lambda _: isinstance(DDPStrategy()._timeout, timedelta),
    "_typehint": lambda _: union_of_numbers(),
    "_update_learning_rates": lambda trainer: takes(
        trainer.fit_loop.epoch_loop._update_learning_rates, "interval", "update_plateau_schedulers"
    ),
    "_wandb_init": lambda _: "_wandb_init: dict[str, Any] = {" in inspect.getsource(WandbLogger.__init__),
    "_workers": iterator_of_workers,
    "_shutdown_workers": iterator_of_workers,
    "_fill": fill_of_a_mask,
    "_step_supports_amp_scaling": lambda _: (
        torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], fused=True)._step_supports_amp_scaling is True
    ),
}


REPLACED = {
    ("RunProgress", "TQDMProgressBar", "_should_update"),
    ("BestCheckpoint", "ModelCheckpoint", "_update_best_and_save"),
    ("BatchLoader", "DataLoader", "_auto_collation"),
    ("_Rows", "_ExperimentWriter", "_check_log_dir_exists"),
    ("_Rows", "_ExperimentWriter", "_rewrite_with_new_header"),
}
"""Classes of ours, and the private methods of their bases that they replace."""


def names_of_ours(trees: list[ast.AST]) -> set[str]:
    """Collect the names that the package defines: functions, classes, variables and attributes of ``self``."""
    names = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            names.add(node.attr)
    return names


def names_used(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield every name that is taken from something else, and its line: attributes, ``getattr``, imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"getattr", "hasattr", "setattr"}:
            if isinstance(node.args[1], ast.Constant):
                yield str(node.args[1].value), node.lineno
        elif isinstance(node, ast.ImportFrom) and not str(node.module).startswith("visiontasks"):
            yield from ((name, node.lineno) for name in [*str(node.module).split("."), *(n.name for n in node.names)])


def private_names() -> dict[str, list[str]]:
    """Return the files and lines that use each private name of another library."""
    trees = {path: ast.parse(path.read_text()) for path in MODULES}
    ours = names_of_ours([*trees.values()]) | NAMED_TUPLE
    used: dict[str, list[str]] = {}
    for path, tree in trees.items():
        for name, line in names_used(tree):
            if name.startswith("_") and not name.startswith("__") and name not in ours:
                used.setdefault(name, []).append(f"{path.relative_to(ROOT)}:{line}")
    return used


USED = private_names()


def test_each_is_in_the_table() -> None:
    new = {name: USED[name] for name in USED.keys() - RELIED_ON.keys()}
    assert not new, f"private names of other libraries that the table does not check: {new}"
    unused = sorted(RELIED_ON.keys() - USED.keys())
    assert not unused, f"the table checks names that nothing uses any more: {unused}"


@pytest.mark.parametrize("name", sorted(RELIED_ON))
def test_each_is_as_the_package_needs_it(name: str, make_trainer: Callable[..., Trainer]) -> None:
    where = ", ".join(USED.get(name, []))
    try:
        holds = RELIED_ON[name](make_trainer())
    except Exception as error:
        pytest.fail(f"{name} is not there or not what it was ({error}); it is used in {where}")
    assert holds, f"{name} is not what it was; it is used in {where}"


def test_methods_that_are_replaced_are_called_by_their_library_still() -> None:
    modules = [import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)) for path in MODULES]
    ours = {kind for module in modules for kind in vars(module).values() if isinstance(kind, type)}
    replaced = {
        (kind.__name__, base.__name__, name)
        for kind in ours
        if kind.__module__.startswith("visiontasks")
        for name, value in vars(kind).items()
        if re.match("_[^_]", name) and isinstance(value, FunctionType | property)
        for base in kind.__mro__
        if not base.__module__.startswith("visiontasks") and name in vars(base)
    }
    assert replaced == REPLACED, "a private method is replaced that the table lacks, or is not there to be replaced"
