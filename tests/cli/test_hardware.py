"""The choice of the arithmetic, and of what happens to freed memory."""

import ctypes
import sys
from types import SimpleNamespace

import pytest
import torch
from jsonargparse import Namespace

from visiontasks.cli import hardware
from visiontasks.cli.hardware import choose_precision, default_precision, has_bf16, keep_freed_memory


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, "bf16-mixed"),
        ({"amx_bf16": True}, "bf16-mixed"),
        ({"avx512_f": True, "avx512_bf16": False}, "32-true"),
        ({}, "32-true"),
    ],
)
def test_cpu(capabilities: dict[str, bool], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert default_precision("cpu") == expected


def test_old_torch_and_other_accelerators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not has_bf16("cpu")
    assert not has_bf16("tpu")


@pytest.mark.parametrize("accelerator", ["auto", "gpu", "cuda"])
def test_a_gpu_is_asked_whether_it_computes_natively(accelerator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False}, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert not has_bf16(accelerator)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    assert has_bf16(accelerator)
    assert not has_bf16("cpu")


def test_an_apple_chip_that_would_be_chosen_is_not_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"bf16": True}, raising=False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert not has_bf16("auto")
    assert has_bf16("cpu")


def test_freed_memory_is_kept_where_there_is_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda option, value: calls.append((option, value)))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(sys, "platform", "linux")
    keep_freed_memory()
    # malloc.h: M_TRIM_THRESHOLD is -1, M_MMAP_THRESHOLD -3.
    assert sorted(calls) == [(-3, 2**30), (-1, 2**30)]
    monkeypatch.setattr(sys, "platform", "darwin")
    keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "linux")
    del library.mallopt  # as in musl
    keep_freed_memory()
    assert len(calls) == 2


def test_a_precision_that_was_given_stays(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "has_bf16", lambda accelerator: accelerator == "cpu")
    for accelerator, given, expected, said in (
        ("cpu", None, "bf16-mixed", "part of the arithmetic has 16 bits (bf16)"),
        ("cuda", None, "32-true", "this hardware has none of 16 (bf16)"),
        ("cpu", "64-true", "64-true", ""),
    ):
        trainer = Namespace(precision=given, accelerator=accelerator)
        choose_precision(trainer)
        assert trainer.precision == expected
        printed = capsys.readouterr().out
        assert said in printed
        assert bool(said) == bool(printed)
