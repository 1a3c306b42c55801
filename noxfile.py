"""The one entry point of every check: ``nox`` runs what a change must pass, ``nox --list`` shows the rest.

Sessions without a virtual environment of their own run in the one that nox itself runs in: a second copy of torch and
its CUDA libraries takes 6 GB.
"""

import shutil
import sys
from pathlib import Path

import nox

# The longest last, whose failures are then the last lines.
nox.options.sessions = ["lint", "types", "docs", "recipes", "tests"]

# Tests that have a session of their own.
APART = ["--ignore=tests/recipes", "--ignore=tests/site"]

# What the session `build` looks for, in an environment that holds the wheel without its dependencies.
WHEEL_CHECK = """
from importlib.metadata import distribution, entry_points
files = {str(file) for file in distribution("visiontasks").files}
(command,) = entry_points(group="console_scripts", name="visiontasks")
assert command.value == "visiontasks.cli:main", command.value
expected = {"visiontasks/py.typed", "visiontasks/recipes/quickstart.py", "visiontasks/recipes/cluster/train.slurm"}
missing = expected - files
assert not missing, f"not in the wheel: {missing}"
unwanted = {file for file in files if file.startswith(("tests/", "docs/", "benchmarks/", "conftest"))}
assert not unwanted, f"should not be in the wheel: {unwanted}"
"""


def run(session: nox.Session, module: str, *arguments: str, **env: str) -> None:
    """Run a Python module in the environment of nox itself, whatever is on PATH."""
    session.run(sys.executable, "-m", module, *arguments, env=env, external=True)


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Lint and check the format."""
    run(session, "ruff", "check", ".")
    run(session, "ruff", "format", "--check", ".")


@nox.session(python=False)
def types(session: nox.Session) -> None:
    """Check the types of the package, its tests and its scripts."""
    run(session, "mypy", *session.posargs)


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """Run the fast tests and doctests, then those that need the annotations unchecked."""
    run(session, "pytest", "--numprocesses=2", *APART, *session.posargs)
    run(
        session,
        "pytest",
        "--numprocesses=2",
        "-m",
        "unchecked and not slow and not gpu",
        "tests",
        JAXTYPING_DISABLE="1",
    )


@nox.session(python=False)
def coverage(session: nox.Session) -> None:
    """Run the fast tests and doctests with the coverage of lines and branches, which takes half as long again."""
    run(session, "pytest", "--numprocesses=2", "--cov", *APART, *session.posargs)


@nox.session(python=False)
def slow(session: nox.Session) -> None:
    """Run the slow tests, on the package as users have it: without run-time checks of the annotations."""
    run(session, "pytest", "-m", "slow and not gpu", *session.posargs, JAXTYPING_DISABLE="1")


@nox.session(python=False)
def gpu(session: nox.Session) -> None:
    """Run the tests that need a CUDA device, on the package as users have it."""
    available = "import torch; print(torch.cuda.is_available())"
    found = session.run(sys.executable, "-c", available, external=True, silent=True)
    if "True" not in str(found):
        session.skip("no CUDA device here")
    run(session, "pytest", "-m", "gpu", *session.posargs, JAXTYPING_DISABLE="1", VISIONTASKS_GPU="1")


@nox.session(python=False)
def recipes(session: nox.Session) -> None:
    """Run every recipe for a few batches, as a user would start it."""
    run(session, "pytest", "tests/recipes", *session.posargs)


@nox.session(python=False)
def docs(session: nox.Session) -> None:
    """Build the site; any warning is an error. Then test its pages, also in a browser if there is Chromium."""
    shutil.rmtree("docs/_build", ignore_errors=True)  # with pages that are gone
    options = ["-q", "-W", "--keep-going", "--jobs=2", "-E", "-b", "html"]
    run(session, "sphinx", *options, "docs", "docs/_build/html")
    run(session, "pytest", "tests/site", *session.posargs)


@nox.session(python="3.11", venv_backend="uv")
def minimum(session: nox.Session) -> None:
    """Run the fast tests with the lowest supported versions of Python and of each dependency."""
    lowest = str(Path(session.create_tmp()) / "lowest.txt")
    options = ["--resolution=lowest-direct", "--python-version=3.11", "--quiet", f"--output-file={lowest}"]
    run(session, "uv", "pip", "compile", "pyproject.toml", *options)
    session.install("-e", ".[dev]", "--constraint", lowest)
    session.run("python", "-m", "pytest", *APART, *session.posargs)


@nox.session(venv_backend="virtualenv")
def build(session: nox.Session) -> None:
    """Build the source distribution and the wheel, and look into the wheel as installed."""
    folder = Path(session.create_tmp()).resolve()
    dist = folder / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.install("build")
    session.run("python", "-m", "build", "--outdir", str(dist))
    (wheel,) = dist.glob("*.whl")
    session.install("--no-deps", "--force-reinstall", str(wheel))
    session.chdir(folder)
    session.run("python", "-c", WHEEL_CHECK)
    session.run("visiontasks", "--help")  # needs none of the dependencies
