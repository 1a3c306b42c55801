import builtins
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
import timm
import torch
from torch import nn

from visiontasks import ClassificationTask, create_backbone
from visiontasks.backbones.timm_backbone import TimmBackbone, timm_normalization
from visiontasks.errors import ArgumentError
from visiontasks.testing import check_backbone

# ConvNeXt, DenseNet and VGG leave out the last row and column of an odd map; Swin gives [B, H, W, C].
MODELS: dict[str, dict[str, Any]] = {
    "resnet18": {},
    "convnext_atto": {},
    "vgg11": {},
    "densenet121": {},
    "efficientnet_b0": {},
    "mobilenetv3_small_050": {},
    "mobilevit_xxs": {},
    "vit_tiny_patch16_224": {"dynamic_img_size": True},
    "swin_tiny_patch4_window7_224": {"strict_img_size": False},
    "inception_v3": {},
    "legacy_xception": {},
    "nasnetalarge": {},
}
QUICK = {"resnet18", "convnext_atto"}
BIG = {"nasnetalarge", "densenet121", "legacy_xception"}
# Of the models without a pyramid, newer releases give maps that are none.
NO_PYRAMID = r"map 0 has shape .* expected a stride that is a power of two|features_only not implemented"
SIZES = [(64, 64), (97, 131), (224, 224), (28, 32), (1, 1)]


def quick_first(names: Mapping[str, object]) -> list[object]:
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name in BIG else ()) for name in MODELS])
def test_features_have_the_stated_channels_and_strides_at_every_size(name: str) -> None:
    with torch.device("meta"):  # shapes without arithmetic
        backbone = create_backbone(f"timm/{name}", **MODELS[name])
        info = backbone.model.feature_info  # type: ignore[union-attr]
        stated = dict(zip(info.reduction(), info.channels(), strict=True))  # type: ignore[operator, union-attr]
        assert (backbone.strides, backbone.channels) == (tuple(stated), tuple(stated.values()))
        for height, width in SIZES:
            features = backbone(torch.empty(2, 3, height, width))
            maps = zip(backbone.channels, backbone.strides, strict=True)
            expected = [(2, channels, -(-height // stride), -(-width // stride)) for channels, stride in maps]
            assert [tuple(feature.shape) for feature in features] == expected


@pytest.mark.parametrize("name", quick_first(dict.fromkeys(MODELS.keys() - {"nasnetalarge"})))
def test_contract(name: str) -> None:
    backbone = create_backbone(f"timm/{name}", in_channels=2, **MODELS[name])
    check_backbone(backbone, in_channels=2, sizes=[(33, 40)] if name in QUICK else [(33, 40), (97, 131)])


def test_at_a_multiple_of_the_coarsest_stride_the_features_are_those_of_timm() -> None:
    backbone = create_backbone("timm/densenet121").eval()
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        for ours, theirs in zip(backbone(images), backbone.model(images), strict=True):  # type: ignore[operator]
            assert torch.equal(ours, theirs)


def test_a_map_without_padding_of_its_own_lies_over_its_place_of_the_image() -> None:
    backbone = create_backbone("timm/inception_v3").eval()
    images = torch.zeros(1, 3, 160, 160)
    images[..., 64:96, 64:96] = 5 * torch.rand(32, 32)
    with torch.no_grad():
        changes = [(a - b).abs().sum((0, 1)) for a, b in zip(backbone(images), backbone(0 * images), strict=True)]
    for change, stride in zip(changes[:3], backbone.strides[:3], strict=True):
        places = torch.arange(len(change)) + 0.5
        centre = (change.sum(0) * places).sum() / change.sum()
        assert abs(centre * stride - 80) < stride


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet18", "convnext_atto", "vgg11", "densenet121"])
def test_a_stage_is_what_its_map_is_computed_by(name: str) -> None:
    backbone = TimmBackbone(name)
    known: set[nn.Parameter] = set()
    for level, modules in enumerate(backbone.stage_modules()):
        known |= {parameter for module in modules for parameter in module.parameters()}
        backbone.zero_grad()
        backbone(torch.randn(2, 3, 64, 64))[level].sum().backward()
        assert known == {parameter for parameter in backbone.parameters() if parameter.grad is not None}
    backbone.freeze(2)
    assert 0 < sum(not parameter.requires_grad for parameter in backbone.parameters()) < len([*backbone.parameters()])


def test_branches_beside_one_another_are_no_stages() -> None:
    assert TimmBackbone("hrnet_w18_small").stage_modules() == []


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnett18", {}, r"timm .* has no model 'resnett18'\. Did you mean 'resnet18'"),
        (
            "vit_tiny_patch16_224",
            {},
            r"fixed input size cannot be one\. Some .* dynamic_img_size=True",
        ),
        (
            "swin_tiny_patch4_window7_224",
            {},
            r"fixed input size cannot be one\. Some .* strict_img_size=False",
        ),
        ("convmixer_768_32", {}, NO_PYRAMID),
        ("crossvit_9_240", {}, NO_PYRAMID),
        ("resnet18", {"widht": 3}, r"cannot make 'resnet18' give feature maps .*unexpected keyword argument 'widht'"),
        ("tf_mixnet_l", {"out_indices": (9,)}, r"cannot make 'tf_mixnet_l' give feature maps"),
    ],
)
def test_what_cannot_be_a_backbone_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    with torch.device("meta"), pytest.raises(ArgumentError, match=message):
        create_backbone(f"timm/{name}", **options)


def test_a_model_without_feature_maps_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        message = "features_only not implemented for this model."
        raise RuntimeError(message)

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(ArgumentError, match=r"cannot make 'resnet18' .*features_only not implemented"):
        create_backbone("timm/resnet18")


def test_missing_timm_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without_timm(name: str, *arguments: object, **options: object) -> object:
        if name == "timm":
            message = "No module named 'timm'"
            raise ImportError(message)
        return imported(name, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without_timm)
    with pytest.raises(ArgumentError, match=r'pip install "visiontasks\[timm\]"'):
        create_backbone("timm/resnet18")


def test_importing_backbones_imports_no_optional_library() -> None:
    code = (
        "import sys, visiontasks.backbones; visiontasks.backbones.create_backbone('resnet18-small'); "
        "print(sorted({'timm', 'albumentations', 'wandb', 'torchvision', 'cv2'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert run.stdout.strip() == "[]"


def test_a_task_saves_the_name_and_loads_again() -> None:
    task = ClassificationTask(num_classes=2, backbone="timm/mobilenetv3_small_050", in_channels=1)
    assert isinstance(task.backbone, TimmBackbone)
    assert task.hparams["backbone"] == "timm/mobilenetv3_small_050"
    assert task.eval()(torch.zeros(2, 1, 40, 33)).shape == (2, 2)


@pytest.mark.slow
@pytest.mark.parametrize("module", timm.list_modules())
def test_one_model_of_every_family_keeps_the_contract_or_is_refused_with_a_message(module: str) -> None:
    names = timm.list_models(module=module)
    if not names:
        pytest.skip("a module without models")
    with torch.device("meta"):
        try:
            backbone = create_backbone(f"timm/{min(names, key=len)}")
        except ArgumentError as error:
            assert "timm/" in str(error)  # noqa: PT017 (either outcome is right)
            return
        for height, width in SIZES:
            features = backbone(torch.empty(2, 3, height, width))
            maps = zip(backbone.channels, backbone.strides, strict=True)
            expected = [(2, channels, -(-height // stride), -(-width // stride)) for channels, stride in maps]
            assert [tuple(feature.shape) for feature in features] == expected
        parameters = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
        torch.autograd.grad([feature.sum() for feature in features], parameters)  # fails where one is unused


def test_the_pixels_that_published_weights_expect_are_those_of_timm() -> None:
    assert timm_normalization("tf_efficientnet_lite0") == "unit"
    assert timm_normalization("resnet18") == "imagenet"
    clip = timm_normalization("vit_base_patch16_clip_224")
    assert isinstance(clip, dict)
    assert clip["mean"] == [0.48145466, 0.4578275, 0.40821073]
    assert clip["std"] == [0.26862954, 0.26130258, 0.27577711]


def test_a_conversion_that_does_not_apply_is_passed_over() -> None:
    backbone = create_backbone("timm/test_convnext")
    # Its conversion looks for a matrix of ours that is not there, and fails.
    assert list(backbone.converted({f"other.{number}.weight": torch.ones(1, 1) for number in range(99)})) == []
    # A model of timm that converts nothing.
    assert list(create_backbone("timm/test_resnet").converted({})) == []
