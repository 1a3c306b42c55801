import re

from tests.report.pages import NAMES, make_report
from tests.report.reading import Page, check_self_contained
from visiontasks.report import Environment, Gallery, Sample, page


def test_any_text_is_text() -> None:
    sample = Sample(b"\xff\xd8", '<img src=x onerror="alert(1)">', 100)
    html = page(make_report(galleries=[Gallery("<b>Best</b>", [sample])]))
    read = Page(html)
    check_self_contained(read)
    assert {"b", "i"}.isdisjoint(read.tags)
    assert "<script>alert" not in html
    assert read.tags.count("script") == 2
    assert read.tags.count("img") == 1
    for text in (*NAMES, "A & <b>B</b>", "x < y", "a: <b>", "how <b>", sample.caption, "--a '<b>'"):
        assert text in read.text


def test_numbers_are_exact_and_what_is_undefined_is_a_dash() -> None:
    read = Page(page(make_report()))
    assert read.table("metric", "value") == {"metric": ["value"], "test/loss": ["0.123456789"], "test/map": ["nan"]}
    assert read.table("class", "images") == {
        "class": ["images", "precision", "recall", "ap"],
        NAMES[0]: ["4", "1.0", "0.75", "nan"],
        NAMES[1]: ["20,005", repr(20_000 / 20_001), repr(20_000 / 20_005), "nan"],
        NAMES[2]: ["0", "0.0", "nan", "0.5"],
    }
    assert '<data value="nan">-</data>' in read.html
    frequent = read.table("true class", "predicted")
    assert frequent[NAMES[1]] == [NAMES[2], "5", "0.0%"]


def test_what_there_is_none_of_is_left_out() -> None:
    read = Page(page(make_report(history={}, confusion=None, thresholds=None, class_names=[], metrics={})))
    check_self_contained(read)
    assert "There are no metrics of a training" in read.text
    assert "Score threshold" not in read.text
    assert "Confusion" not in read.text
    assert "script" not in read.tags
    assert "nan" not in re.sub(r"<style>.*?</style>", "", read.html, flags=re.DOTALL)


def test_training_and_test_are_told_apart() -> None:
    trained = Environment("visiontasks fit", "2025-12-31", versions={"torch": "1", "numpy": "3"})
    read = Page(page(make_report(trained=trained)))
    assert "Training, 2025-12-31" in read.text
    assert read.table("", "training", "test") == {
        "": ["training", "test"],
        "torch": ["1", "2"],
        "numpy": ["3", "-"],
    }


def test_the_colour_of_a_stage_does_not_depend_on_the_others() -> None:
    read = Page(page(make_report(history={"map": {"val": [(1.0, 0.1), (2.0, 0.2)]}}, thresholds=None)))
    assert 'class="curve c1"' in read.html
    assert 'class="curve c0"' not in read.html
