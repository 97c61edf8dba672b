"""Every way this program can fail, in one tree.

S3xError
├── ConfigError           a setting is wrong or missing                  (the user changes it)
├── CredentialsError      keys are missing, expired or refused           (the user logs in)
├── AccessDenied          the keys are known but may not do this         (the owner grants it)
├── NotFound              a fact about the store, not a fault
│   ├── ObjectNotFound
│   ├── BucketNotFound
│   └── UploadNotFound    a multipart upload that is gone
├── IntegrityError        bytes differ from what was asked for           (never hidden)
├── NotS3                 what answers is no S3 service                  (wrong host, port or proxy)
├── ObjectChanged         the object was replaced during a transfer      (start the object anew)
├── Unsupported           this provider cannot do it
│   ├── ObjectTooLarge
│   └── ObjectArchived    must be restored before it can be read
├── LocalError            this machine failed: disk full, file unreadable
└── TransientError        network, 429, 5xx, short read                  (the only kind worth retrying)
    └── Unreachable       no connection at all: name, network, port, TLS

An answer is yes, no, or one of these: an error never becomes "absent", "present" or "done".
The message of every error is one line of the form *what happened; what to do*, without secrets.
"""

from __future__ import annotations


def one_line(text: str) -> str:
    """Return `text` fit for one line of a terminal.

    Every run of white space, line breaks included, becomes one blank; characters that would act on
    the terminal instead of being shown become ``?``. Texts of servers and clones pass through here.
    """
    joined = " ".join(text.split())
    if joined.isprintable():  # nearly always, and a hundred times faster than to look at each
        return joined
    return "".join(char if char.isprintable() else "?" for char in joined)


class S3xError(Exception):
    """Base of all our errors.

    Parameters
    ----------
    what : str
        What failed and why, in words of the user.
    remedy : str
        What to do about it, in the imperative; may be empty.
    http_status : int, optional
        Status of the server's answer, when there was one.
    code : str, optional
        The S3 error code (``NoSuchBucket``, ...), when there was one.
    request_id : str, optional
        The provider's own id of the failed request, for their support.
    """

    retryable = False

    def __init__(
        self,
        what: str,
        *,
        remedy: str = "",
        http_status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        self.what = one_line(what)
        self.remedy = one_line(remedy)
        self.http_status = http_status
        self.code = code
        self.request_id = one_line(request_id) if request_id else None
        super().__init__(self.what)

    def __str__(self) -> str:
        """Return cause, remedy and request id on one line."""
        text = self.what
        if self.remedy:
            text += f"; {self.remedy}"
        if self.request_id:
            text += f" (request id {self.request_id})"
        return text


class ConfigError(S3xError):
    """A setting is wrong or missing."""


class CredentialsError(S3xError):
    """Keys are missing, expired or refused by the provider."""


class AccessDenied(S3xError):
    """The provider knows who asks and refuses this operation."""


class NotFound(S3xError):
    """The server says with certainty that the thing does not exist."""


class ObjectNotFound(NotFound):
    """There is no such object."""


class BucketNotFound(NotFound):
    """There is no such bucket."""


class UploadNotFound(NotFound):
    """The multipart upload was completed, aborted, or never began."""


class IntegrityError(S3xError):
    """Bytes differ from what was sent or asked for."""


class NotS3(S3xError):
    """Something answers at the endpoint, but it is not an S3 service."""


class ObjectChanged(S3xError):
    """The object was replaced while it was being read."""


class Unsupported(S3xError):
    """The provider cannot do this."""


class ObjectTooLarge(Unsupported):
    """The object exceeds what the provider takes."""


class ObjectArchived(Unsupported):
    """The object lies in an archive and must be restored before it can be read."""


class LocalError(S3xError):
    """The fault is on this machine, not in the store: disk full, file unreadable."""


class TransientError(S3xError):
    """A fault that may pass: network, throttling, an internal error of the server."""

    retryable = True

    def __init__(self, what: str, *, retry_after_s: float | None = None, **details: object) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(what, **details)  # type: ignore[arg-type]


class Unreachable(TransientError):
    """No connection to the endpoint at all."""
