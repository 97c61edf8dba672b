"""Object storage, nothing about annex: one bucket is one :class:`~.base.ObjectStore`.

This package imports nothing by itself: boto3's relatives load when :mod:`.s3` is first imported.
"""
