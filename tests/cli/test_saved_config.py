from pathlib import Path

from visiontasks.cli.saved_config import keep_config


def test_a_configuration_that_differs_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    for text in ("a: 1\nckpt_path: null\n", "a: 1\nckpt_path: last\n", "a: 2\nckpt_path: last\n", "a: 3\n"):
        keep_config(file, text)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "config.yaml": "a: 3\n",
        "config-1.yaml": "a: 1\nckpt_path: last\n",
        "config-2.yaml": "a: 2\nckpt_path: last\n",
    }
