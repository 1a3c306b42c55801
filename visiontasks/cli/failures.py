"""How commands and recipes end: one message for what a user can mend, a traceback for the rest."""

import errno
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence

from visiontasks.cli.advice import in_flags
from visiontasks.cli.quiet import quiet
from visiontasks.errors import VisiontasksError
from visiontasks.files import FULL, reason, system_error

_OTHER_PLACE = "Or choose another place to write to."
_ADVICE = {
    **dict.fromkeys(FULL, f"Make room there. {_OTHER_PLACE}"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), f"Let this user read or write it. {_OTHER_PLACE}"),
    errno.EFBIG: f"The file system, or a limit ('ulimit -f'), allows no larger file. {_OTHER_PLACE}",
    **dict.fromkeys((errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST), "Choose another place to write to."),
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.EIO: f"The disk or its connection fails. {_OTHER_PLACE}",
    **dict.fromkeys(
        (errno.EMFILE, errno.ENFILE), "Raise the limit with 'ulimit -n', or use fewer workers (--data.num_workers)."
    ),
}
_LESS_MEMORY = (
    "Use a smaller batch_size (in training, --trainer.accumulate_grad_batches makes up for it), smaller images, a "
    "smaller model or fewer workers; in training also --trainer.precision bf16-mixed."
)
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def run_to_exit_code(command: Callable[[], int], debug: bool) -> int:
    """Run a command, without the warnings that its user can do nothing about; errors to mend become one message.

    Args:
        command: What to run; it returns its exit code.
        debug: Whether to show the traceback as well.

    Returns:
        The exit code: that of the command; 2 for an error in the user's input, or if the machine lacks room, memory
        or a permission; 130 if the user interrupts it. All other errors are raised.
    """
    quiet()
    try:
        return command()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        message = str(error) if isinstance(error, VisiontasksError) else explain_machine(error)
        if message is None:
            raise
        if debug:
            traceback.print_exc()
        print(f"error: {in_flags(message)}", file=sys.stderr)
        return 2


def without_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Take ``--debug``, which may stand anywhere, from a command line; return the rest and whether it was there."""
    words = [word for word in arguments if word != "--debug"]
    return words, len(words) < len(arguments)


def explain_machine(error: BaseException) -> str | None:
    """Explain an error that comes from the machine: full disk, no permission, too little memory, too many open files.

    Args:
        error: The error, which may come from a worker process.

    Returns:
        What was found, with path or size, and what to change; None for any other error.

    Example:
        >>> explain_machine(OSError(errno.EROFS, "Read-only file system", "/data/a.png"))
        "'/data/a.png': Read-only file system. Choose another place to write to. (--debug shows where it happened.)"
    """
    explanation = next((text for one in _behind(error) if (text := _of_system(one) or _of_memory(one))), None)
    return explanation and f"{explanation} (--debug shows where it happened.)"


def _behind(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and that of the system for which torch could not write or end a file."""
    yield error
    if isinstance(error, RuntimeError) and re.search(r"inline_container|PytorchStreamWriter", str(error)):
        yield system_error(error) or OSError(errno.ENOSPC, "torch could not write a file, as on a full disk")


def _of_system(error: BaseException) -> str | None:
    text = str(error)
    if isinstance(error, OSError) and error.errno is None:
        # From a worker process there is only the text of its traceback.
        numbered = re.findall(r"\[Errno (\d+)\] ([^:\n]+)(?:: '([^'\n]+)')?", text)
        error = OSError(int(numbered[-1][0]), *numbered[-1][1:]) if numbered else error
    elif isinstance(error, RuntimeError) and "Too many open files" in text:
        error = OSError(errno.EMFILE, "Too many open files")
    if not isinstance(error, OSError):
        return None
    if "No usable temporary directory" in text:
        return f"{error.strerror}. Make room there, or let TMPDIR name a folder that can be written."
    if error.errno not in _ADVICE:
        return None
    named = f"{str(error.filename)!r}: " if error.filename else ""
    return f"{named}{reason(error)}. {_ADVICE[error.errno]}"


def _of_memory(error: BaseException) -> str | None:
    text = str(error)
    last = text.strip().rpartition("\n")[2]
    if isinstance(error, MemoryError) or "MemoryError: Unable" in last or getattr(error, "errno", None) == errno.ENOMEM:
        size = last.rpartition("MemoryError")[2].strip(" :.")
        return f"Out of memory{f' ({size})' if size else ''}. {_LESS_MEMORY}"
    if not isinstance(error, RuntimeError):
        return None
    if match := re.search(r"you tried to allocate (\d+) bytes", text):
        return f"Out of memory: {_with_unit(int(match[1]))} were asked for at once. {_LESS_MEMORY}"
    if re.search(r"out of memory|_ALLOC_FAILED", text, re.IGNORECASE):
        # torch goes on with its own settings.
        told = re.search(r"Tried to allocate .*?\. .*? free\.", text, re.DOTALL)
        return f"The device is out of memory. {told[0] + ' ' if told else ''}{_LESS_MEMORY}"
    return None


def _with_unit(count: int) -> str:
    power = min((count.bit_length() - 1) // 10, len(_UNITS) - 1)
    return f"{count / 1024**power:,.{min(power, 1)}f} {_UNITS[power]}"
