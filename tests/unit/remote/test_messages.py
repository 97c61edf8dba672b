from io import BytesIO

import pytest

from datalad_s3ext.remote.messages import Channel, DirectChannel, Wire, decode, split_job


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("J 1 PREPARE", ("1", "PREPARE")),
        ("J 12 TRANSFER STORE k a file ", ("12", "TRANSFER STORE k a file ")),
        ("J 3 VALUE ", ("3", "VALUE ")),
        ("J 3 ", ("3", "")),
        ("J x PREPARE", None),
        ("J 3", None),
        ("JOB 3 x", None),
        ("PREPARE", None),
        ("", None),
    ],
)
def test_job_numbers_are_split_off(line: str, expected: tuple[str, str] | None) -> None:
    assert split_job(line) == expected


def test_bytes_that_are_no_text_pass_through() -> None:
    out = BytesIO()

    Wire(out).send(decode(b"EXPORT caf\xe9 \n"))

    assert out.getvalue() == b"EXPORT caf\xe9 \n"


def test_blanks_at_the_end_of_a_line_are_kept() -> None:
    assert decode(b"EXPORT a  \n") == "EXPORT a  "


def test_every_line_of_an_answer_names_the_job() -> None:
    out = BytesIO()
    channel = Channel(Wire(out), "7")

    channel.write("CONFIG a b\nCONFIG")
    channel.write("END")
    channel.write("\n")

    assert out.getvalue() == b"J 7 CONFIG a b\nJ 7 CONFIGEND\n"


def test_a_channel_ends_for_good() -> None:
    channel = Channel(Wire(BytesIO()), "7")

    channel.deliver("VALUE x")
    channel.hang_up()

    assert [channel.readline() for _ in range(3)] == ["VALUE x\n", "", ""]


def test_without_jobs_lines_come_from_standard_input() -> None:
    channel = DirectChannel(Wire(BytesIO()), BytesIO(b"VALUE a \nVALUE b"))

    assert [channel.readline() for _ in range(3)] == ["VALUE a \n", "VALUE b\n", ""]


def test_a_reader_that_has_gone_is_no_crash() -> None:
    class Gone(BytesIO):
        def write(self, _: object) -> int:
            raise BrokenPipeError

    Wire(Gone()).send("PROGRESS 1")
