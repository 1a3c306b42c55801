"""Everything that is claimed of a GPU, measured on one: tests, training steps beside other libraries, loader, recipe.

Command: python benchmarks/gpu.py [--output FILE]
"""

import argparse
import contextlib
import platform
import sys
import time
from functools import cache, partial
from pathlib import Path

from gpu_report import Part, Row, missing_wheels, required_wheels, run_parts, table

BUDGET = 480.0


def parts(device_name: str, *, tiny: bool) -> tuple[list[Part], str]:
    """List the parts, the most important first, and name the device.

    Args:
        device_name: Of torch, such as ``"cuda"``.
        tiny: Whether all is as small as possible.
    """
    import torch
    from common import THREADS
    from gpu_contests import Contest, classification, detection, segmentation
    from gpu_runs import evaluation, loader_rate, mnist, tests_for_gpu
    from gpu_steps import SETTINGS, Machine, compare, where_time_goes

    device = torch.device(device_name)
    machine = Machine(device, tiny)
    if device.type == "cpu":
        torch.set_num_threads(THREADS)
    # Created when a part asks for it, once.
    contests = {
        "classification": cache(lambda: classification(device, tiny=tiny)),
        "detection, batch 8": cache(lambda: detection(device, 2 if tiny else 8, tiny=tiny)),
        "detection, batch 16": cache(lambda: detection(device, 3 if tiny else 16, tiny=tiny)),
        "segmentation": cache(lambda: segmentation(device, tiny=tiny)),
    }
    others = SETTINGS[1:]

    def steps(name: str, chosen: tuple[int, ...]) -> list[Row]:
        contest: Contest | None = contests[name]()
        if contest is None:
            return [Row("steps", name, "segmentation_models_pytorch is not installed", verdict="skipped")]
        return [row for index in chosen for row in compare(contest, SETTINGS[index], machine)]

    def profiled(name: str) -> list[Row]:
        contest: Contest | None = contests[name]()
        return [] if contest is None else where_time_goes(contest, machine)

    chosen = [Part("tests", 90, partial(tests_for_gpu, machine))]
    for name, seconds in (
        ("classification", 15),
        ("detection, batch 8", 25),
        ("detection, batch 16", 25),
        ("segmentation", 15),
    ):
        chosen.append(Part(f"steps of {name}", seconds, partial(steps, name, (0,))))
        chosen.append(Part(f"profile of {name}", 10, partial(profiled, name)))
    chosen.append(Part("MNIST", 30, partial(mnist, machine)))
    chosen.append(Part("loader", 30, partial(loader_rate, machine)))
    chosen.append(Part("evaluation", 75, partial(evaluation, machine)))
    for index, setting in enumerate(others, 1):
        for name in contests:
            seconds = 40 if setting.compiled else 15
            chosen.append(Part(f"steps of {name}: {setting.name}", seconds, partial(steps, name, (index,))))
    if tiny:
        chosen = [part._replace(seconds=1) for part in chosen]
    on_gpu = device.type == "cuda"
    return chosen, torch.cuda.get_device_name(device) if on_gpu else f"{platform.machine()} CPU, {THREADS} threads"


def main() -> int:
    """Run the parts for which there is time, and write the table."""
    started = time.monotonic()
    wheels = "\n  ".join(required_wheels())
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"An image with torch alone lacks, unless it has them:\n  {wheels}\n"
        "and for the step beside segmentation_models.pytorch: segmentation-models-pytorch>=0.5",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to see that everything runs")
    parser.add_argument("--tiny", action="store_true", help="everything as small as possible: figures mean nothing")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds; parts that do not fit are left out")
    parser.add_argument("--only", nargs="+", metavar="PART", help="the parts whose names begin so, such as loader")
    parser.add_argument("--output", type=Path, help="file for the table, besides the screen")
    options = parser.parse_args()
    missing = missing_wheels()
    device, rows = options.device, []
    if missing:
        install = f"pip install {' '.join(repr(line) for line in missing)}"
        rows.append(Row("all", "", f"not installed: {', '.join(missing)}; {install}", verdict="skipped"))
    else:
        import torch

        if device != "cpu" and not torch.cuda.is_available():
            text = "torch sees no CUDA device; --device cpu --tiny shows that everything runs"
            rows.append(Row("all", "", text, verdict="skipped"))
        else:
            sys.path.insert(0, str(Path(__file__).parents[1]))
            chosen, device = parts(options.device, tiny=options.tiny)
            if options.only:
                chosen = [part for part in chosen if part.name.startswith(tuple(options.only))]
            # What benchmarks and Trainer print on the way is no part of the table.
            with contextlib.redirect_stdout(sys.stderr):
                rows = run_parts(chosen, options.budget, started, says=partial(print, flush=True))
    title = f"{device}, tiny: figures mean nothing" if options.tiny else device
    text = table(rows, title, time.monotonic() - started)
    print(text, end="")
    if options.output:
        options.output.write_text(text)
    nothing = len(rows) == 1 and rows[0].part == "all"
    return 1 if nothing or any(row.verdict == "failed" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
