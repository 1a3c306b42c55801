from xml.etree.ElementTree import fromstring

import pytest

from visiontasks.data.index.foreign import json_form, xml_form


@pytest.mark.parametrize("content", [None, 3, [], {}, [3], {"images": []}, {"a": {"b": 1}}, {"annotations": []}, [[]]])
def test_unknown_json_has_no_form(content: object) -> None:
    assert json_form(content) is None


def test_instances_have_no_foreign_form() -> None:
    entry = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
    assert json_form({"images": [], "annotations": [entry], "categories": []}) is None


@pytest.mark.parametrize("text", ["<annotation/>", "<annotation><object/></annotation>", "<a/>"])
def test_voc_and_unknown_xml_have_no_form(text: str) -> None:
    assert xml_form(fromstring(text)) is None
