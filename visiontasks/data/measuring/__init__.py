"""What is measured of a data set: statistics, frequencies, fingerprint."""
