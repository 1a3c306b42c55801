import pytest
import torch
from torch import Tensor

from visiontasks.backbones.matching import below, match_names, numbered, plain_name


def shaped(*names: str, size: int = 2) -> dict[str, Tensor]:
    return {name: torch.zeros(size) for name in names}


NETWORK = shaped("conv.weight", "layer1.0.weight", "layer1.1.weight")


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("_orig_mod.a.weight", "a.weight"),
        ("a._orig_mod._fsdp_wrapped_module.b", "a.b"),
        ("model._checkpoint_wrapped_module.b", "model.b"),
        ("my_orig_mod.b", "my_orig_mod.b"),
        ("module.b", "module.b"),
    ],
)
def test_only_parts_that_wrappers_put_in_are_left_out(name: str, plain: str) -> None:
    assert plain_name(name) == plain


def test_the_set_with_the_most_fitting_shapes_is_taken_then_averaged_weights_then_the_first() -> None:
    small, good = (shaped(*NETWORK, size=size) for size in (3, 2))

    def taken(**sets: dict[str, Tensor]) -> str:
        tensors = {f"{place}.{key}": value for place, of in sets.items() for key, value in of.items()}
        return match_names(tensors, NETWORK).prefix

    assert taken(a=small, b=good) == "b."
    assert taken(a=good, b=good) == "a."
    assert taken(b=good, a=good) == "b."
    for averaged in ("model_ema", "ema", "teacher", "swa_model", "averaged"):
        assert taken(a=good, **{averaged: good}) == f"{averaged}."
        assert taken(a=good, **{averaged: small}) == "a."
    assert taken(a=good, schema=good) == "a."


def test_what_lies_within_a_module_is_surplus_and_the_rest_is_not() -> None:
    extra = shaped("m.layer1.2.weight", "m.layer2.0.weight", "m.conv_head.weight", "m.fc.weight", "o.layer1.9.weight")
    tensors = {**{f"m.{key}": value for key, value in NETWORK.items()}, **extra}
    match = match_names(tensors, NETWORK)
    assert match.surplus == {"layer1.2.weight": "m.layer1.2.weight"}
    assert match.others == ["m.layer2.0.weight", "m.conv_head.weight", "m.fc.weight"]
    assert match_names(tensors, NETWORK, cut=("layer1.2",)).surplus == {}


def test_a_point_is_as_good_as_an_underscore_and_names_in_front_of_ours_count_for_nothing() -> None:
    expected = shaped("model.stages_0.weight", "model.stages_1.0.weight")
    theirs = shaped("stages.0.weight", "stages.1.0.weight", "stages.2.weight", "head.weight")
    match = match_names(theirs, expected)
    assert match.keys == dict(zip(expected, theirs, strict=False))
    assert (match.prefix, match.surplus) == ("", {})
    # Not so in the middle of a word.
    assert not match_names(shaped("my_conv.weight"), shaped("conv.weight", "bn.weight")).keys


def test_blocks_behind_those_of_a_backbone_of_one_sequence_are_surplus() -> None:
    for ours, more in (
        (shaped("stages.0.0.conv.weight", "stages.0.0.norm.weight"), "stages.0.1.conv.weight"),
        (shaped("stages.0.0.conv.weight", "stages.0.0.norm.weight"), "stages.1.0.conv.weight"),
        (shaped("net.0.weight", "net.2.weight"), "net.4.weight"),
    ):
        assert match_names({**ours, **shaped(more, "head.weight")}, ours).surplus == {more: more}
    theirs = shaped("0.weight", "2.weight", "4.weight")
    assert match_names(theirs, shaped("net.0.weight", "net.2.weight")).surplus == {"net.4.weight": "4.weight"}


def test_a_head_beside_a_network_within_a_backbone_is_no_surplus() -> None:
    theirs = {f"model.{name}": tensor for name, tensor in {**NETWORK, **shaped("head.weight")}.items()}
    match = match_names(theirs, {f"model.{name}": tensor for name, tensor in NETWORK.items()})
    assert (match.prefix, match.surplus, match.others) == ("model.", {}, ["model.head.weight"])


def test_counters_that_a_file_has_beside_our_constants_are_no_surplus() -> None:
    match = match_names(shaped("bn.weight", "bn.num_batches_tracked"), shaped("bn.weight"))
    assert match.surplus == {}


def test_nothing_matches_nothing() -> None:
    assert match_names(shaped("a.b"), NETWORK).keys == {}
    assert match_names({}, NETWORK).keys == {}


def test_a_sequence_is_named_in_the_order_of_its_numbers() -> None:
    theirs = shaped("net.10.1.weight", "net.2.weight", "net.10.0.weight", "net.11.weight", "other.0.weight")
    named = next(numbered(theirs, NETWORK))
    assert list(named) == [
        "net.layer1.1.weight", "net.conv.weight", "net.layer1.0.weight", "net.11.weight", "other.0.weight"
    ]  # fmt: skip


def test_a_network_is_found_below_its_mark_averaged_first() -> None:
    tensors = {**shaped("model.decoder.weight", "model.backbone.weight"), **shaped("ema.module.decoder.weight")}
    assert list(below(tensors, "decoder")) == ["decoder.weight"]
    assert list(below({"x.weight": torch.ones(1), **shaped("m._orig_mod.decoder.w")}, "decoder")) == ["decoder.w"]
    assert below(shaped("my_decoder.weight"), "decoder") == {}
