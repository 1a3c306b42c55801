"""Weights & Biases on the command line: the flag --wandb, resumed runs, and runs without an API key."""

import netrc
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from visiontasks.cli.runs import Run
from visiontasks.import_paths import import_path

_LOGGER = import_path(WandbLogger)
_SECONDS = 4.0
"""Seconds to wait for the server at the start."""


def add_flags(parser: LightningArgumentParser) -> None:
    """Add the flags that are short for a logger."""
    help_text = "Project of Weights & Biases to log to, beside the files of the run folder."
    parser.add_argument("--wandb", type=str | None, default=None, help=help_text)
    parser.add_argument("--wandb_artifacts", type=bool, default=False, help="Whether it gets the checkpoints, too.")


def prepare_loggers(config: Namespace, run: Run, saved_runs: Mapping[str, str]) -> None:
    """Create the requested Weights & Biases loggers; let them resume their runs, and work offline without a key.

    Args:
        config: The configuration; ``trainer.logger`` is changed.
        run: The run, whose name it shows.
        saved_runs: The run id by project, from the checkpoint from which training resumes.
    """
    loggers = config.trainer.logger
    entries = [entry for entry in (loggers if isinstance(loggers, list) else [loggers]) if isinstance(entry, Namespace)]
    if config.wandb is not None:
        entry = Namespace()
        entry.class_path = _LOGGER
        entry.init_args = Namespace()
        entry.init_args.project, entry.init_args.name, entry.init_args.save_dir = config.wandb, run.name, str(run.root)
        entry.init_args.log_model = config.wandb_artifacts
        entry.dict_kwargs = {}
        entries.append(entry)
        config.trainer.logger = entries
    of_wandb = [entry for entry in entries if str(entry.class_path).rpartition(".")[2] == WandbLogger.__name__]
    if not of_wandb:
        return
    if "WANDB_MODE" not in os.environ:
        if not _has_key() and not sys.stdin.isatty():
            _go_offline("There is no key of Weights & Biases, and no terminal to ask for one.")
        elif not _reachable():
            _go_offline(f"The server of Weights & Biases does not answer at {_server()}.")
    offline = os.environ.get("WANDB_MODE") == "offline"
    # Otherwise it repeats our figures at the end, and names its other products; where the run is, remains online.
    os.environ.setdefault("WANDB_SILENT" if offline else "WANDB_QUIET", "true")
    if offline:
        # Even then the client reports its own errors to its developers.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    for entry in of_wandb:
        arguments = entry.init_args
        # If it is missing, the client uses the folder for temporary files.
        Path(arguments.get("save_dir") or ".").mkdir(parents=True, exist_ok=True)
        saved = saved_runs.get(str(arguments.get("project") or os.environ.get("WANDB_PROJECT", "lightning_logs")))
        if saved and not (arguments.get("id") or arguments.get("version")):
            arguments.id = saved
        if arguments.get("id") and os.environ.get("WANDB_MODE") == "offline":
            # Offline there is nothing to resume from; the same id makes it one run once it is uploaded.
            entry.dict_kwargs = {**(entry.get("dict_kwargs") or {}), "resume": None}


def leave_out_unset(loggers: Iterable[Logger]) -> None:
    """Keep Lightning from passing on an argument that was not given, about which the client warns."""
    for logger in loggers:
        if isinstance(logger, WandbLogger) and logger._wandb_init.get("anonymous") is None:
            logger._wandb_init.pop("anonymous", None)


def _go_offline(reason: str) -> None:
    # Processes that are started later find it there and do not warn again.
    os.environ["WANDB_MODE"] = "offline"
    rank_zero_warn(
        f"{reason} The run is kept in a folder, which is named at the end, and 'wandb sync' uploads it. 'wandb login' "
        "or the variable WANDB_API_KEY gives a key; WANDB_MODE=offline chooses this without a warning."
    )


def _server() -> str:
    return os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")


def _reachable() -> bool:
    """Try to connect: the client itself would try for minutes, and for some servers wait forever."""
    if getproxies():
        return True  # only the client can connect through a proxy
    address = urlsplit(_server())
    try:
        port = address.port or (80 if address.scheme == "http" else 443)
        with socket.create_connection((address.hostname or "", port), timeout=_SECONDS):
            return True
    except (OSError, ValueError):
        return False


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(_server()).hostname or ""
    files = [os.environ.get("NETRC"), Path.home() / ".netrc", Path.home() / "_netrc"]
    for file in files:
        try:
            if file and netrc.netrc(str(file)).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False
