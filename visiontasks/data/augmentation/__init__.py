"""Augmentation and resizing of images and their annotations."""

import os

# Albumentations checks online for its newest version when it is imported.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
