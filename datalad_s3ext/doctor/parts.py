"""What the service does with uploads in parts."""

from __future__ import annotations

from collections.abc import Iterator

from datalad_s3ext.doctor.bench import Bench, Measured, md5_of, why
from datalad_s3ext.doctor.bucket import is_denied
from datalad_s3ext.store.diagnose import Reply
from datalad_s3ext.store.s3_answers import bare_etag


def multipart(bench: Bench) -> Iterator[Measured]:
    """Upload an object in parts, one of them copied, and yield what that tells."""
    begun, upload_id = bench.workplace.begin_upload("parts")
    if not begun.done:
        yield Measured("upload.part_etag_is_md5", None, f"uploads in parts: {why(begun)}")
        return
    where = {"Key": bench.workplace.name("parts"), "UploadId": upload_id}
    parts = [
        bench.inquiry.ask("upload_part", **where, PartNumber=number, Body=bench.data)
        for number in (1, 2)
    ]
    if not all(part.done for part in parts):
        yield Measured("upload.part_etag_is_md5", None, f"uploads in parts: {why(parts[-1])}")
        return
    etags = [str(part.data.get("ETag") or "") for part in parts]
    yield _part_etag(bench, etags)
    source = {"Bucket": bench.inquiry.bucket, "Key": bench.workplace.name("object")}
    copied = bench.inquiry.ask("upload_part_copy", **where, PartNumber=3, CopySource=source)
    yield _part_copy(copied)
    rows = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)]
    done = bench.workplace.complete("parts", upload_id, rows)
    yield _small_parts(done)
    if not done.done:
        rows = rows[:1]
        done = bench.workplace.complete("parts", upload_id, rows)
    if done.done:
        yield _whole_etag(bench, done, len(rows))


def _part_etag(bench: Bench, etags: list[str]) -> Measured:
    is_md5 = bare_etag(etags[0]).lower() == md5_of(bench.data).hex()
    words = "is the MD5 of its bytes" if is_md5 else "is not the MD5 of its bytes"
    return Measured("upload.part_etag_is_md5", is_md5, f"the ETag of a part {words}")


def _part_copy(copied: Reply) -> Measured:
    field = "capabilities.upload_part_copy"
    if copied.done:
        return Measured(field, True, "large objects can be copied inside the service, in parts")
    if 400 <= copied.status < 500 or copied.status == 501:
        value = None if is_denied(copied) else False
        return Measured(field, value, f"copying in parts is refused: {why(copied)}")
    return Measured(field, None, f"copying in parts: {why(copied)}")


def _small_parts(done: Reply) -> Measured:
    if done.done:
        return Measured("small_parts", True, "parts may be smaller than 5 MiB")
    if done.code == "EntityTooSmall":
        return Measured("small_parts", False, "parts must have 5 MiB or more, but for the last")
    return Measured("small_parts", None, f"two small parts: {why(done)}")


def _whole_etag(bench: Bench, done: Reply, count: int) -> Measured:
    wanted = f"{md5_of(md5_of(bench.data) * count).hex()}-{count}"
    is_md5 = bare_etag(str(done.data.get("ETag") or "")).lower() == wanted
    words = "is" if is_md5 else "is not"
    text = f"the ETag of an object uploaded in parts {words} the MD5 of their MD5s"
    return Measured("upload.multipart_etag_is_md5_of_md5s", is_md5, text)
