import subprocess
import sys
import time
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
    assert time.perf_counter() - start < 1
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
    assert (problem.kind, problem.file) == ("file is no XML", str(file))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    (problem,) = read_annotation(tmp_path / "none.xml").problems
    assert problem.kind == "annotation file cannot be read"


def test_parts_of_an_object_are_no_objects(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></part>"
    file = tmp_path / "a.xml"
    file.write_text(xml([thing(" dog ", (1, 2, 3.5, 4), "Unspecified").replace("</object>", f"{part}</object>")]))
    (found,) = read_annotation(file).objects
    assert (found.name, found.box, found.difficult) == ("dog", (1, 2, 3.5, 4), False)


def test_several_processes_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / f"{number}.xml" for number in range(40)]
    for number, file in enumerate(files):
        file.write_text(xml([thing(f"class {number}", (1, 2, 3 + number, 4 + number))]))
    alone = read_annotations(files)
    monkeypatch.setattr(processes, "_PARALLEL", 10)
    monkeypatch.setattr(processes, "_CHUNK", 7)
    assert read_annotations(files) == alone
    assert [annotation.objects[0].name for annotation in alone] == [f"class {number}" for number in range(40)]
