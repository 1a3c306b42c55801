"""Settings of every test and doctest: annotations checked, no network, no GPU unless asked for, fixed threads."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest
from beartype import BeartypeConf, FrozenDict, beartype
from jaxtyping import install_import_hook

# These are read once, when the libraries that heed them are first imported.
if not os.environ.get("VISIONTASKS_GPU"):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
# Two threads: of one process, or one of each of the two that pytest-xdist starts.
os.environ["OMP_NUM_THREADS"] = "1" if "PYTEST_XDIST_WORKER" in os.environ else "2"
os.environ["WANDB_ERROR_REPORTING"] = "false"

# The hook decorates methods one by one, where beartype cannot know what Self is. It takes no NamedTuple for a class,
# and only with the numeric tower an int for a float.
check = beartype(
    conf=BeartypeConf(hint_overrides=FrozenDict({Self: Any, NamedTuple: tuple}), is_pep484_tower=True),
)

CHECKED = os.environ.get("JAXTYPING_DISABLE", "0") in {"", "0"}
if CHECKED:
    install_import_hook("visiontasks", "conftest.check")

import torch  # noqa: E402 - after the environment above


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests that cannot run under the checks of jaxtyping."""
    skip = pytest.mark.skip(reason="runs without the checks of jaxtyping: JAXTYPING_DISABLE=1 pytest -m unchecked")
    for item in items:
        if CHECKED and item.get_closest_marker("unchecked"):
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def seed() -> None:
    """Start every test from the same random state of torch; pytest-randomly does so for Python and NumPy."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    """Fail a test that looks up or connects to anything but this machine, even where the code swallows the error."""
    attempts: list[str] = []

    def refuse(host: object) -> None:
        if host not in {None, "", "localhost", "::1"} and not str(host).startswith("127."):
            attempts.append(str(host))
            message = f"a test tried to reach {host!r}; tests run without network"
            raise OSError(message)

    connect, getaddrinfo = socket.socket.connect, socket.getaddrinfo

    def local_connect(self: socket.socket, address: Any) -> None:  # noqa: ANN401 - a path or a tuple, by family
        if self.family != socket.AF_UNIX:
            refuse(address[0])
        connect(self, address)

    def local_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the function it stands in for
        refuse(host.decode() if isinstance(host, bytes) else host)
        return getaddrinfo(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", local_connect)
        patch.setattr(socket, "getaddrinfo", local_getaddrinfo)
        yield
    assert not attempts, f"the test tried to reach {attempts}"


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real data sets; the tests that need it are skipped where it is not given."""
    folder = os.environ.get("VISIONTASKS_DATA")
    if not folder:
        pytest.skip("needs real data: set VISIONTASKS_DATA to a folder that holds MNIST/raw/*.gz and the other sets")
    root = Path(folder).resolve()
    if not root.is_dir():
        pytest.fail(f"VISIONTASKS_DATA names {root}, which is not a folder")
    return root
