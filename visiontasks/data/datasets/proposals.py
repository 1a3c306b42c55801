"""Images with all their objects and with proposals, which are boxes that may contain objects."""

from typing import Any

import numpy as np
import torch

from visiontasks.data.datasets.file_dataset import FileDataset, ImageFiles
from visiontasks.data.index.proposal_files import ProposalFile
from visiontasks.errors import ArgumentError
from visiontasks.types import ProposalBatch


class ProposalDataset(FileDataset[ProposalBatch]):
    """Images with all their objects and with proposals, which are flipped, cropped and resized with the images.

    Args:
        index: Files and annotations.
        proposals: The file of proposals.
        **kwargs: Arguments of :class:`~visiontasks.data.datasets.file_dataset.FileDataset`.

    Raises:
        ArgumentError: If the augmentation pastes objects of other images, of which there are no proposals.
        DataError: If the file lacks the proposals of an image.
    """

    def __init__(self, index: ImageFiles, *, proposals: ProposalFile, **kwargs: Any) -> None:  # noqa: ANN401 (see Args)
        super().__init__(index, **kwargs)
        if self.augmentation is not None and self.augmentation.pasted:
            message = "copy-paste adds objects of other images, for which there are no proposals. Leave it out."
            raise ArgumentError(message)
        self.proposals = proposals
        self.rows = proposals.rows([index.file(image) for image in range(len(index))])

    def sample(self, index: int, epoch: int) -> ProposalBatch:
        """Make one sample."""
        boxes, labels, ignore = self.index.objects(index)
        view = self.view(index, epoch, np.concatenate([boxes, self.proposals.boxes(int(self.rows[index]))]))
        objects = view.kept < len(boxes)
        kept = view.kept[objects]
        return ProposalBatch(
            view.image,
            view.boxes[torch.from_numpy(objects)],
            torch.from_numpy(labels[kept].astype(np.int64)),
            torch.from_numpy(ignore[kept]),
            view.size,
            view.scale,
            torch.tensor(index),
            torch.from_numpy(self.index.areas_of(index)[kept].astype(np.float32)),
            view.boxes[torch.from_numpy(~objects)],
        )
