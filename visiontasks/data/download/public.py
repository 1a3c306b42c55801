"""Public data sets: the addresses of their archives, and how these are downloaded and unpacked."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from visiontasks.data.download.archive import extract_archive
from visiontasks.data.download.transfer import download


class Archive(NamedTuple):
    """A published archive.

    Attributes:
        server: Beginning of its address, which a mirror replaces.
        path: The rest of its address.
        checksum: ``"md5:<hex>"``.
        folder: Folder below the data set's root that it is unpacked into.
    """

    server: str
    path: str
    checksum: str
    folder: str = ""


_COCO = "http://images.cocodataset.org"
_VOC = "http://host.robots.ox.ac.uk/pascal/VOC"

COCO_2017 = (
    Archive(_COCO, "annotations/annotations_trainval2017.zip", "md5:f4bbac642086de4f52a3fdda2de5fa2c"),
    Archive(_COCO, "zips/val2017.zip", "md5:442b8da7639aecaf257c1dceb8ba8c80"),
    Archive(_COCO, "zips/train2017.zip", "md5:cced6f7f71b7629ddf16f17bbcfab6b2"),
)
VOC = {
    "2007": (
        Archive(_VOC, "voc2007/VOCtrainval_06-Nov-2007.tar", "md5:c52e279531787c972589f7e41ab4ae64"),
        Archive(_VOC, "voc2007/VOCtest_06-Nov-2007.tar", "md5:b6e924de25625d8de591ea690078ad9f"),
    ),
    "2012": (Archive(_VOC, "voc2012/VOCtrainval_11-May-2012.tar", "md5:6cd6e144f989b92b3379bac3b3de84fd"),),
}


def download_archives(archives: Sequence[Archive], root: Path, mirrors: Sequence[str] = ()) -> None:
    """Download and unpack archives unless that is done already; an archive is deleted once it is unpacked.

    Args:
        archives: The archives.
        root: Folder of the data set. A file ``.NAME.unpacked`` marks an archive as done.
        mirrors: Servers to try first.

    Raises:
        DownloadError: If no server provides an archive.
        DataError: If an archive is damaged or unsafe.
    """
    for archive in archives:
        name = Path(archive.path).name
        done = root / f".{name}.unpacked"
        if done.exists():
            continue
        servers = [*(mirror.rstrip("/") for mirror in mirrors), archive.server]
        file = download([f"{server}/{archive.path}" for server in servers], root / name, archive.checksum)
        extract_archive(file, root / archive.folder, done)
