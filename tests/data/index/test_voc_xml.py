import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.index.voc_writer import thing, xml
from visiontasks.data.index.voc_xml import read_annotation, read_annotations
from visiontasks.data.loading import processes

LAUGHS = "".join(f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' for level in range(1, 10))
BILLION_LAUGHS = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l0 "lol">{LAUGHS}]><annotation>&l9;</annotation>'
QUADRATIC = f'<!DOCTYPE a [<!ENTITY l "{"x" * 50_000}">]><annotation>{"&l;" * 50_000}</annotation>'
EXTERNAL = '<!DOCTYPE a [<!ENTITY l SYSTEM "file:///etc/passwd">]><annotation><filename>&l;</filename></annotation>'


@pytest.mark.parametrize("text", [BILLION_LAUGHS, QUADRATIC, EXTERNAL], ids=["laughs", "quadratic", "external"])
def test_entities_are_refused_at_once(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.xml"
    file.write_text(text)
    start = time.perf_counter()
    annotation = read_annotation(file)
    assert time.perf_counter() - start < 10
    (problem,) = annotation.problems
    assert (problem.severity, problem.file, problem.value) == ("error", str(file), "EntitiesForbidden")
    assert not annotation.objects


def test_a_billion_laughs_take_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "a.xml"
    file.write_text(BILLION_LAUGHS)
    code = f"""
import resource
from pathlib import Path
from visiontasks.data.index.voc_xml import read_annotation
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert read_annotation(Path({str(file)!r})).problems
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert int(run.stdout) < 100_000  # KiB


@pytest.mark.parametrize(
    "content", [b"", b"<annotation>", b"not xml", b"\xff\xfe\x00", b'<?xml version="1.0" encoding="none"?><a/>']
)
def test_what_is_no_xml_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.xml"
    file.write_bytes(content)
    (problem,) = read_annotation(file).problems
    assert (problem.kind, problem.file) == ("file is not XML", str(file))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    (problem,) = read_annotation(tmp_path / "none.xml").problems
    assert problem.kind == "annotation file cannot be read"


def test_parts_of_an_object_are_no_objects(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></part>"
    file = tmp_path / "a.xml"
    file.write_text(xml([thing(" dog ", (1, 2, 3.5, 4), "Unspecified").replace("</object>", f"{part}</object>")]))
    (found,) = read_annotation(file).objects
    assert (found.name, found.box, found.difficult) == ("dog", (1, 2, 3.5, 4), False)


def write_xml(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    file = folder / "a.xml"
    file.write_bytes(text.encode(encoding))
    return file


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("<annotation>", '<annotation xmlns="http://a.org/voc">'),
        lambda text: text.replace("<annotation>", '<v:annotation xmlns:v="http://a.org">').replace(
            "</annotation>", "</v:annotation>"
        ),
        lambda text: text.replace("<object>", "<objects><object>").replace("</object>", "</object></objects>"),
        lambda text: f"<annotations>{text}</annotations>",
        lambda text: re.sub(r"<(/?)(\w)(\w+)>", lambda tag: f"<{tag[1]}{tag[2].upper()}{tag[3]}>", text),
        lambda text: re.sub(r"<(/?)(\w+)>", lambda tag: f"<{tag[1]}{tag[2].upper()}>", text),
    ],
    ids=["namespace", "prefix", "wrapped objects", "wrapped annotation", "Capitalised", "CAPITALS"],
)
def test_objects_are_found_however_they_are_written(tmp_path: Path, change: Callable[[str], str]) -> None:
    text = xml([thing("dog", (1, 2, 3, 4))], file_name="a.jpg")
    changed = change(text)
    assert changed != text
    expected, found = read_annotation(write_xml(tmp_path, text)), read_annotation(write_xml(tmp_path, changed))
    assert found == expected
    assert (found.size, len(found.objects)) == ((40, 60), 1)


def test_each_bndbox_of_an_object_is_taken(tmp_path: Path) -> None:
    frames = "".join(
        f"<bndbox><xmin>{x}</xmin><ymin>1</ymin><xmax>{x + 5}</xmax><ymax>9</ymax></bndbox>" for x in (1, 20)
    )
    text = f"<annotation><object><name>dog</name><difficult>1</difficult>{frames}</object></annotation>"
    annotation = read_annotation(write_xml(tmp_path, text))
    assert [(entry.name, entry.box[0], entry.difficult) for entry in annotation.objects] == [
        ("dog", 1, True),
        ("dog", 20, True),
    ]
    assert annotation.objects[1].record == "object 1 (dog), bndbox 2"
    text = text.replace("<name>dog</name>", "<name>dog</name><name>cat</name>")
    (problem,) = read_annotation(write_xml(tmp_path, text)).problems
    assert (problem.severity, problem.kind) == ("error", "object with several names")


def test_other_elements_without_an_object_are_named(tmp_path: Path) -> None:
    annotation = read_annotation(write_xml(tmp_path, "<annotation><size/><item><name>dog</name></item></annotation>"))
    (problem,) = annotation.problems
    assert (problem.severity, problem.value) == ("warning", "item")
    plain = "<annotation><folder>a</folder><filename>a.jpg</filename><size/><segmented>0</segmented></annotation>"
    assert not read_annotation(write_xml(tmp_path, plain)).problems


@pytest.mark.parametrize(
    "declared", ["gb2312", "GBK", "gb18030", "big5", "Shift_JIS", "EUC-JP", "euc-kr", "windows-1252"]
)
def test_the_declared_encoding_is_used(tmp_path: Path, declared: str) -> None:
    name = {"s": "日本", "e": "日本"}.get(declared[0].lower(), "中文")
    name = {"euc-kr": "고양이", "windows-1252": "müde"}.get(declared, name)
    text = f'<?xml version="1.0" encoding="{declared}"?>{xml([thing(name, (1, 2, 3, 4))])}'
    assert read_annotation(write_xml(tmp_path, text, declared)).objects[0].name == name


@pytest.mark.parametrize(("declared", "encoding"), [("utf-16", "utf-8"), ("utf-16", "utf-16"), ("utf-8", "utf-8-sig")])
def test_unicode_is_read_whatever_is_declared(tmp_path: Path, declared: str, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{declared}"?>{xml([thing("中文", (1, 2, 3, 4))])}'
    assert read_annotation(write_xml(tmp_path, text, encoding)).objects[0].name == "中文"


def test_a_file_for_several_images_is_refused(tmp_path: Path) -> None:
    text = f"<annotations>{xml([thing('dog', (1, 2, 3, 4))]) * 2}</annotations>"
    annotation = read_annotation(write_xml(tmp_path, text))
    assert [(problem.severity, problem.kind) for problem in annotation.problems] == [
        ("error", "file annotates several images")
    ]
    assert not annotation.objects


def test_several_processes_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / f"{number}.xml" for number in range(40)]
    for number, file in enumerate(files):
        file.write_text(xml([thing(f"class {number}", (1, 2, 3 + number, 4 + number))]))
    alone = read_annotations(files)
    monkeypatch.setattr(processes, "_PARALLEL", 10)
    monkeypatch.setattr(processes, "_CHUNK", 7)
    assert read_annotations(files) == alone
    assert [annotation.objects[0].name for annotation in alone] == [f"class {number}" for number in range(40)]


def test_the_source_of_vocs_own_files_is_not_an_annotation(tmp_path: Path) -> None:
    source = "<source><database>The VOC2007 Database</database><annotation>PASCAL VOC2007</annotation></source>"
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"
    file = tmp_path / "a.xml"
    file.write_text(f"<annotation>{source}<object><name>dog</name>{box}</object></annotation>")
    annotation = read_annotation(file)
    assert not annotation.problems
    assert [entry.name for entry in annotation.objects] == ["dog"]
