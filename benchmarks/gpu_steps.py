"""Training steps beside other libraries: images per second, memory per image, and where the time goes."""

import gc
import resource
import statistics
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import NamedTuple

import torch
from gpu_contests import Contest, compile_side
from gpu_report import Row, judged
from torch import Tensor, nn
from torch.autograd import DeviceType  # type: ignore[attr-defined]  # documented, and not exported
from torch.profiler import ProfilerActivity, profile

RATIO = 1.2
BUSY = 90


class Setting(NamedTuple):
    """How both sides compute.

    Attributes:
        name: What is said of it.
        bf16: Whether in mixed precision.
        channels_last: Whether the weights are channels-last in memory; the images always are.
        compiled: Whether backbone, neck and heads are compiled.
        fused: Whether AdamW is fused; otherwise it is ``foreach``.
    """

    name: str
    bf16: bool = False
    channels_last: bool = False
    compiled: bool = False
    fused: bool = True


SETTINGS = (
    Setting("bf16, channels-last, eager, fused AdamW", bf16=True, channels_last=True),
    Setting("float32, eager, fused AdamW"),
    Setting("bf16, eager, fused AdamW", bf16=True),
    Setting("bf16, channels-last, eager, foreach AdamW", bf16=True, channels_last=True, fused=False),
    Setting("bf16, channels-last, compiled, fused AdamW", bf16=True, channels_last=True, compiled=True),
)


class Machine(NamedTuple):
    """What is measured on.

    Attributes:
        device: The device.
        tiny: Whether everything is as small as possible, to see that it runs.
    """

    device: torch.device
    tiny: bool

    def wait(self) -> None:
        """Wait until the device has computed everything."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def training_step(
    network: nn.Module, loss: Callable[[nn.Module], Tensor], setting: Setting, device: torch.device
) -> Callable[[], Tensor]:
    """Prepare the training step of a side, which returns its loss."""
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4, fused=setting.fused, foreach=not setting.fused)

    def step() -> Tensor:
        with torch.autocast(device.type, torch.bfloat16) if setting.bf16 else nullcontext():
            value = loss(network)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value.detach()

    return step


def prepared(contest: Contest, setting: Setting, machine: Machine) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """Prepare the training steps of both sides under a setting."""
    networks: Iterable[nn.Module] = contest.networks()
    steps = []
    for network, loss in zip(networks, contest.losses, strict=True):
        if setting.channels_last:
            network.to(memory_format=torch.channels_last)
        if setting.compiled:
            # The compiler for the CPU takes minutes; a small run is to see that the graphs are found.
            compile_side(network, contest, "eager" if machine.tiny else "inductor")
        steps.append(training_step(network, loss, setting, machine.device))
    return steps[0], steps[1]


def compare(contest: Contest, setting: Setting, machine: Machine) -> list[Row]:
    """Measure the steps of both sides in turn, and the memory of each."""
    steps, rounds, warm = (1, 1, 1) if machine.tiny else (5, 3, 3)
    ours, theirs = prepared(contest, setting, machine)
    sides = (ours, theirs)
    memory = []
    for side in sides:
        gc.collect()
        before = _start_peak(machine)
        for _ in range(warm):
            loss = side()
        memory.append((_peak(machine) - before) / contest.images / 2**20)
        assert bool(loss.isfinite()), f"the loss of {contest.name} is {loss.item()}"
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for side, found in zip(sides, rates, strict=True):
            machine.wait()
            begun = time.perf_counter()
            for _ in range(steps):
                side()
            machine.wait()
            found.append(steps * contest.images / (time.perf_counter() - begun))
    name = f"{contest.name}: {setting.name}"
    own, other = (statistics.median(found) for found in rates)
    ratio = statistics.median(a / b for a, b in zip(*rates, strict=True))
    row = judged("steps", f"{name}; ours / {contest.theirs}", ratio, "", RATIO)
    rows = [row._replace(found=f"{ratio:.2f} ({own:,.1f} against {other:,.1f} images/s)")]
    if contest.least and setting is SETTINGS[0]:
        rows.append(judged("steps", f"{name}; ours", own, " images/s", *contest.least))
    text = f"{memory[0]:,.1f} MiB an image, {contest.theirs} {memory[1]:,.1f} MiB"
    kind = "on the device" if machine.device.type == "cuda" else "of the process so far, not of a side"
    rows.append(Row("memory", f"{name}; peak {kind}", text))
    return rows


def where_time_goes(contest: Contest, machine: Machine) -> list[Row]:
    """Profile our step: the share in which the device computes, and what it computes longest."""
    ours, _ = prepared(contest, SETTINGS[0], machine)
    steps = 1 if machine.tiny else 5
    for _ in range(1 if machine.tiny else 3):
        ours()
    machine.wait()
    on_gpu = machine.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiled:
        begun = time.perf_counter()
        for _ in range(steps):
            ours()
        machine.wait()
        seconds = time.perf_counter() - begun
    kind = DeviceType.CUDA if on_gpu else DeviceType.CPU
    ranges = [
        (event.time_range.start, event.time_range.end) for event in profiled.events() if event.device_type == kind
    ]
    busy = min(100.0, union(ranges) / seconds / 1e4)

    def own_time(entry: object) -> float:
        return float(getattr(entry, "self_device_time_total" if on_gpu else "self_cpu_time_total"))

    entries = sorted(profiled.key_averages(), key=own_time, reverse=True)
    total = sum(map(own_time, entries)) or 1.0
    most = ", ".join(f"{entry.key[:48]} {100 * own_time(entry) / total:.0f} %" for entry in entries[:6])
    name = f"{contest.name}: {SETTINGS[0].name}"
    return [
        judged("device busy", f"{name}; ours", busy, " % of the step", BUSY),
        Row("where its time goes", f"{name}; ours, {1e3 * seconds / steps:.1f} ms a step under the profiler", most),
    ]


def union(ranges: Iterable[tuple[float, float]]) -> float:
    """Return the length of the union of intervals."""
    total, end = 0.0, float("-inf")
    for start, stop in sorted(ranges):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def _start_peak(machine: Machine) -> float:
    if machine.device.type != "cuda":
        return 0.0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(machine.device)
    return torch.cuda.memory_allocated(machine.device)


def _peak(machine: Machine) -> float:
    if machine.device.type == "cuda":
        return torch.cuda.max_memory_allocated(machine.device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
