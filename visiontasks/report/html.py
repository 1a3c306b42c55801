"""The page of a run, from plain data to HTML."""

from base64 import b64encode
from collections.abc import Mapping
from html import escape
from importlib.resources import files

from visiontasks.report.charts import svg_chart
from visiontasks.report.content import Report
from visiontasks.report.environment import Environment
from visiontasks.report.history import History
from visiontasks.report.tables import class_table, confusion_table, metric_table, number, table
from visiontasks.report.thresholds import threshold_section

_FIRST_CURVES = 6
# What the page may load: nothing but what is in it.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(report: Report) -> str:
    """Create the page: one self-contained HTML file.

    Args:
        report: Contents of the page. Texts may contain any characters.

    Returns:
        HTML.
    """
    sections = [
        ("Result", _highlights(report)),
        ("What was trained on what", _facts(report.facts)),
        ("Training", _curves(report.history, report.monitor)),
        ("Metrics of the test", metric_table(report.metrics)),
        ("Classes", class_table(report.metrics, report.class_names, report.confusion)),
        ("Confusion matrix", confusion_table(report.confusion) if report.confusion else ""),
        ("Score threshold", threshold_section(report.thresholds) if report.thresholds else ""),
        ("Samples", _galleries(report)),
        ("To repeat it", _reproduction(report)),
    ]
    shown = [(title, content) for title, content in sections if content]
    links = "".join(f'<a href="#{_anchor(title)}">{title}</a>' for title, _ in shown[1:])
    body = "".join(f'<section id="{_anchor(title)}"><h2>{title}</h2>{content}</section>' for title, content in shown)
    style = files("visiontasks.report").joinpath("style.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(report.title)}</title><style>{style}</style></head>"
        f'<body><header><h1>{escape(report.title)}</h1><p class="note">Tested {escape(report.tested.time)}</p>'
        f"<nav>{links}</nav></header><main>{body}</main></body></html>\n"
    )


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _highlights(report: Report) -> str:
    names = dict.fromkeys((f"test/{report.monitor}", "test/loss"))
    tiles = [
        f'<div class="tile"><span>{escape(name)}</span><strong>{number(report.metrics[name])}</strong></div>'
        for name in names
        if name in report.metrics
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _facts(facts: Mapping[str, str]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts.items())
    return f"<dl>{rows}</dl>"


def _curves(history: History, monitor: str) -> str:
    if not history:
        return '<p class="note">There are no metrics of a training (metrics.csv) beside the checkpoint.</p>'
    order = sorted(history, key=lambda name: (name != "loss", name != monitor, name.startswith("loss_")))
    charts = []
    for name in order:
        # Every stage has a fixed colour, whichever stages there are.
        stages = {stage: history[name].get(stage, []) for stage in dict.fromkeys(["train", "val", *history[name]])}
        charts.append(svg_chart(name, stages, "epoch"))
    first, more = "".join(charts[:_FIRST_CURVES]), charts[_FIRST_CURVES:]
    rest = f'<details><summary>{len(more)} more</summary><div class="charts">{"".join(more)}</div></details>'
    return f'<div class="charts">{first}</div>{rest if more else ""}'


def _galleries(report: Report) -> str:
    parts = [f'<p class="note">{escape(report.quality)}</p>'] if report.quality else []
    for gallery in report.galleries:
        figures = "".join(
            f'<figure><img alt="{escape(sample.caption)}" src="data:image/jpeg;base64,'
            f'{b64encode(sample.jpeg).decode()}"><figcaption>{escape(sample.caption)}</figcaption></figure>'
            for sample in gallery.samples
        )
        # Several images side by side are too wide for a tile on a phone.
        width = min(440, max(118, *(sample.width for sample in gallery.samples)))
        tiles = f'<div class="gallery" style="--tile:{width}px">{figures}</div>'
        parts.append(f"<h3>{escape(gallery.title)}</h3>{tiles}")
    return "".join(parts) if report.galleries else ""


def _reproduction(report: Report) -> str:
    parts = []
    trained, tested = report.trained, report.tested
    if trained is not None and trained.command != tested.command:
        parts.append(_environment("Training", trained))
    parts.append(_environment("Test" if parts or trained is None else "Training and test", tested))
    versions = [env.versions for env in (trained, tested) if env is not None]
    names = dict.fromkeys(name for version in versions for name in version)
    if len(versions) == 2 and versions[0] == versions[1]:
        versions = versions[1:]
    header = ("", "training", "test") if len(versions) == 2 else ("", "version")
    rows = [[name, *(escape(version.get(name, "-")) for version in versions)] for name in names]
    parts.append(f"<details><summary>Versions</summary>{table(header, rows)}</details>")
    configuration = f"<pre>{escape(report.configuration)}</pre>"
    parts.append(f"<details><summary>Configuration</summary>{configuration}</details>")
    return "".join(parts)


def _environment(title: str, environment: Environment) -> str:
    return f'<h3>{title}, {escape(environment.time)}</h3><pre class="command">{escape(environment.command)}</pre>'
