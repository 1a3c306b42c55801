"""Reading, checking, augmenting and batching images and their annotations."""
