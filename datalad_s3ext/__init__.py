"""DataLad and git-annex data sets on S3-compatible object storage.

Importing this package does nothing: git-annex starts the special remote several times per command,
so nothing heavy may load before it is needed.
"""

__version__ = "0.1.0"
