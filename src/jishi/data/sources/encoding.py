"""Tell UTF-8 from GB18030 by the first lines that are not plain ASCII."""

import codecs
from typing import BinaryIO

from jishi.core.errors import DataError

SAMPLE_BYTES = 64 * 1024
SEARCH_BYTES = 16 * 1024 * 1024  # how far to look for the first byte that is not ASCII
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


def detect(stream: BinaryIO, path: str) -> str:
    """The codec of a binary stream standing at its start; the stream is read on and must be opened anew.

    Lines are split on the byte 0x0A, which is no part of a longer character in either encoding. The encoding that can
    decode most lines of the sample wins, so that one damaged line does not decide for the file.
    """
    sample = stream.read(SAMPLE_BYTES)
    if sample.startswith(codecs.BOM_UTF8):
        return "utf-8"
    if sample.startswith(_WIDE):
        raise DataError("data.wide-encoding", path=path)
    seen = len(sample)
    while sample.isascii():
        sample = stream.read(SAMPLE_BYTES)
        seen += len(sample)
        if not sample or seen > SEARCH_BYTES:
            return "utf-8"
    whole, cut, _ = sample.rpartition(b"\n")
    lines = [line for line in (whole if cut else sample).split(b"\n") if not line.isascii()] or [sample]
    if sum(_decodes(line, "utf-8") for line in lines) * 2 >= len(lines):
        return "utf-8"
    if sum(_decodes(line, "gb18030") and _is_chinese(line) for line in lines) * 2 >= len(lines):
        return "gb18030"
    raise DataError("data.binary" if b"\0" in sample else "data.unknown-encoding", path=path)


def _decodes(line: bytes, codec: str) -> bool:
    try:
        codecs.getincrementaldecoder(codec)().decode(line)  # a character cut off by the sample's end is no fault
    except UnicodeDecodeError:
        return False
    return True


def _is_chinese(line: bytes) -> bool:
    """Whether what GB18030 makes of a line is everyday Chinese: Latin-1 text decodes too, into characters nobody uses."""
    foreign = [character for character in line.decode("gb18030", "ignore") if not character.isascii()]
    common = sum(bool(character.encode("gb2312", "ignore")) for character in foreign)
    return common >= 0.8 * len(foreign)
