from visiontasks.visualization import class_color
from visiontasks.visualization.colors import IGNORED_COLOR


def test_the_colours_of_neighbouring_classes_differ() -> None:
    colors = [class_color(label) for label in range(30)]
    for index, color in enumerate(colors):
        others = [*colors[max(0, index - 5) : index], IGNORED_COLOR]
        assert min(sum(abs(a - b) for a, b in zip(color, other, strict=True)) for other in others) > 60
