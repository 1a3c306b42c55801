"""Transforms that a pipeline may have, by where a user learns of the others: when it is made."""

from typing import Any

import albumentations as A
import numpy as np
import pytest
import torch
from albumentations.pytorch import ToTensorV2
from torchvision import transforms as v1
from torchvision.transforms import v2

from visiontasks.data.augmentation.steps import import_pipeline, leaves
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.errors import ArgumentError

NORMALIZED = r"pixels stay uint8, and the task normalises them \(its argument normalization\). Leave it out"
FLIP = A.HorizontalFlip(p=1)


def divided(image: np.ndarray, **_: object) -> np.ndarray:
    """Scale pixels as many pipelines do."""
    return image / 255.0


TO_FLOAT = v2.ToDtype(torch.float32, scale=True)


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ([FLIP, A.Normalize()], f"has Normalize: {NORMALIZED}"),
        (A.Compose([FLIP, ToTensorV2()]), "has ToTensorV2: images become tensors after the augmentation. Leave it out"),
        ([A.OneOf([A.ToFloat(), FLIP])], f"has ToFloat: {NORMALIZED}"),
        (v2.Compose([v2.ToImage(), TO_FLOAT]), f"has ToDtype: {NORMALIZED}"),
        ([v2.RandomApply([v2.Normalize([0.5], [0.5])])], f"has Normalize: {NORMALIZED}"),
        (v1.Compose([v1.ToTensor()]), "has ToTensor: images become tensors"),
        (v1.RandomHorizontalFlip(), r"RandomHorizontalFlip of torchvision.transforms.transforms; expected .*\.v2"),
        (v2.MixUp(num_classes=3), "has MixUp: it mixes images of a batch"),
        ([FLIP, v2.RandomHorizontalFlip()], "has transforms of torchvision beside others; expected those of one"),
        (lambda image: image, r"has <function .*; expected transforms of Albumentations or torchvision.transforms.v2"),
        (None, "has None; expected transforms"),
    ],
)  # fmt: skip
def test_what_does_not_belong_there_is_refused_with_the_remedy(pipeline: Any, message: str) -> None:  # noqa: ANN401 - anything
    with pytest.raises(ArgumentError, match=message):
        Augmentation.create("classification", pipeline)


@pytest.mark.parametrize(
    ("task", "pipeline", "message"),
    [
        ("detection", v2.TrivialAugmentWide(), "changes images alone; the samples of detection have boxes"),
        ("segmentation", [v2.RandAugment()], "changes images alone; the samples of segmentation have masks"),
        ("classification", v2.RandomIoUCrop(), "needs boxes; the samples of classification have classes alone"),
        ("segmentation", v2.SanitizeBoundingBoxes(), "needs boxes; the samples of segmentation have masks"),
    ],
)
def test_transforms_have_to_fit_the_samples(task: str, pipeline: Any, message: str) -> None:  # noqa: ANN401 - of torchvision
    for given in (pipeline, Augmentation(pipeline)):
        with pytest.raises(ArgumentError, match=message):
            Augmentation.create(task, given)
    Augmentation.create("classification" if "images alone" in message else "detection", pipeline)


@pytest.mark.parametrize(
    ("pipeline", "form"),
    [
        (A.Lambda(image=divided), r"float64, shape \[4, 6, 3\]"),
        (v2.Grayscale(), r"uint8, shape \[4, 6, 1\]"),
        (v2.Lambda(lambda image: image.float()), r"float32, shape \[4, 6, 3\]"),
    ],
)
def test_an_image_has_to_stay_one(pipeline: Any, form: str) -> None:  # noqa: ANN401 - of either library
    with pytest.raises(ArgumentError, match=f"made {form} of an image of uint8, shape .*; expected uint8 and as many"):
        Augmentation(pipeline)(np.zeros((4, 6, 3), np.uint8), seed=0)


PIPELINE = A.HorizontalFlip(p=1)


def returned() -> list[A.BasicTransform]:
    return [PIPELINE]


def broken() -> None:
    message = "of my own"
    raise ValueError(message)


def test_a_pipeline_is_imported_or_made_by_a_function() -> None:
    kinds = (A.BasicTransform, A.BaseCompose)
    assert import_pipeline(f"{__name__}.PIPELINE", kinds) is PIPELINE
    assert import_pipeline(f"{__name__}.returned", kinds) == [PIPELINE]
    with pytest.raises(ArgumentError, match=r"divided' needs arguments .*'image'.*Lambda\(image=FUNCTION, name="):
        import_pipeline(f"{__name__}.divided", kinds)
    with pytest.raises(ArgumentError, match=r"broken' failed: ValueError: of my own\. Correct the function"):
        import_pipeline(f"{__name__}.broken", kinds)


def test_a_lambda_without_a_name_is_described() -> None:
    assert "Lambda" in Augmentation([A.Lambda(image=divided)]).describe()["transform"]["transforms"][0]["__name__"]


def test_leaves_are_found_at_any_depth() -> None:
    inner = A.HorizontalFlip()
    assert list(leaves([A.Compose([A.OneOf([inner]), inner]), inner])) == [inner] * 3
    assert list(leaves([])) == []
