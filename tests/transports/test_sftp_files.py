import asyncio
import hashlib
import os
import random
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sekisho.transports.sftp_files import Shelf, Spool, Upload
from sekisho.transports.sftp_wire import Failure


@pytest.fixture
async def spool() -> AsyncIterator[Spool]:
    """Small bounds: 8,000 bytes a file, 1,000 of them in memory."""
    made = Spool(object_bytes=8_000, memory_each=1_000, memory=2_500, disk=20_000)
    yield made
    assert (made.memory, made.disk) == (2_500, 20_000), "something was not given back"
    made.close()


async def content(upload: Upload) -> bytes:
    """The bytes, with their hash checked."""
    data, digest = upload.content() or await upload.whole()
    assert digest == hashlib.sha256(data).hexdigest()
    return data


def descriptors() -> int:
    """Open files of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("seed", range(30))
async def test_random_writes_and_cuts(spool: Spool, seed: int) -> None:
    """Whatever the order, in memory or spilled: the bytes are those of a plain file under the same calls."""
    chance = random.Random(seed)
    before = descriptors()
    upload, model = Upload(spool, "a", 0, 0.0), bytearray()
    for _ in range(chance.randint(1, 40)):
        if chance.random() < 0.2:
            size = chance.randint(0, 8_000 if chance.random() < 0.3 else 1_200)
            upload.truncate(size)
            del model[size:]
            model.extend(bytes(size - len(model)))
        else:
            data = chance.randbytes(chance.randint(0, 700))
            offset = chance.choice([len(model), chance.randint(0, len(model) + 50)])
            if offset + len(data) > 8_000:
                continue
            waiting = upload.write(offset, data)
            if waiting is not None:
                await waiting
            if data:
                model.extend(bytes(max(0, offset - len(model))))
                model[offset : offset + len(data)] = data
        assert upload.size == len(model)
    assert await content(upload) == model
    upload.drop()
    upload.drop()
    assert descriptors() == before


async def test_memory_of_all_uploads_is_bounded(spool: Spool) -> None:
    """When the memory of all is taken, the next upload goes to disk from its first byte."""
    first, second, third = (Upload(spool, name, 0, 0.0) for name in "abc")
    for upload in (first, second, third):
        upload.write(0, b"x" * 1_000)
    assert [upload.spilled for upload in (first, second, third)] == [False, False, True]
    assert [len(await content(upload)) for upload in (first, second, third)] == [1_000] * 3
    for upload in (first, second, third):
        upload.drop()


async def test_disk_of_all_uploads_is_bounded(spool: Spool) -> None:
    """Temporary files together stay under their bound; who comes too late is told to try again."""
    uploads = [Upload(spool, str(number), 0, 0.0) for number in range(3)]
    for upload in uploads[:2]:
        upload.write(0, b"x" * 8_000)
    with pytest.raises(Failure, match="try again later"):
        uploads[2].write(0, b"x" * 8_000)
    uploads[0].drop()
    again = Upload(spool, "again", 0, 0.0)
    again.write(0, b"y" * 8_000)
    assert await content(again) == b"y" * 8_000
    for upload in (*uploads, again):
        upload.drop()
    await asyncio.sleep(0.05)


async def test_temporary_files_have_no_name(tmp_path: Path) -> None:
    """A spilled upload leaves nothing in the folder, however the process ends; its bytes are private meanwhile."""
    spool = Spool(object_bytes=8_000, memory_each=10, memory=2_500, disk=20_000, folder=str(tmp_path))
    upload = Upload(spool, "a", 0, 0.0)
    upload.write(0, b"x" * 5_000)
    assert await content(upload) == b"x" * 5_000
    assert os.listdir(tmp_path) == []  # noqa: PTH208 (a test may block)
    assert os.fstat(upload._descriptor).st_mode & 0o077 == 0
    upload.drop()
    spool.close()


async def test_a_disk_that_fails_is_told(tmp_path: Path) -> None:
    """The write behind the client's back failed: the next request on the file says so, and the bytes are given back."""
    spool = Spool(object_bytes=8_000, memory_each=10, memory=2_500, disk=20_000, folder=str(tmp_path / "none"))
    upload = Upload(spool, "a", 0, 0.0)
    upload.write(0, b"x" * 5_000)
    with pytest.raises(Failure, match="try again later"):
        await upload.whole()
    with pytest.raises(Failure, match="try again later"):
        upload.write(5_000, b"x")
    assert spool.disk == 20_000
    spool.close()


async def test_a_fast_client_waits_for_the_disk() -> None:
    """More than a MiB behind: the write says what to wait for, so memory stays flat."""
    spool = Spool(object_bytes=64 << 20, memory_each=1_000, memory=10_000, disk=1 << 30)
    upload, block, waited = Upload(spool, "a", 0, 0.0), b"x" * 262_144, 0
    for number in range(64):
        waiting = upload.write(number * len(block), block)
        assert upload._behind <= (1 << 20) + len(block)
        if waiting is not None:
            waited += 1
            await waiting
    assert waited
    assert len(await content(upload)) == 16 << 20
    upload.drop()
    spool.close()


async def test_dropped_in_the_middle_of_writing() -> None:
    """A session that ends while the thread writes: no descriptor and no byte of the pools is left over."""
    spool = Spool(object_bytes=64 << 20, memory_each=1_000, memory=10_000, disk=1 << 30)
    before = descriptors()
    for _ in range(20):
        upload = Upload(spool, "a", 0, 0.0)
        upload.write(0, b"x" * 900_000)
        await asyncio.sleep(0)
        upload.drop()
    async with asyncio.timeout(10):
        while descriptors() > before:  # noqa: ASYNC110 (a thread has no event)
            await asyncio.sleep(0.01)
    assert (spool.memory, spool.disk) == (10_000, 1 << 30)
    spool.close()


async def test_a_gigabyte_is_refused_flat() -> None:
    """R7: 1 GB against the bound of 12 MiB fails at the bound and grows memory by 16 MB at most."""
    spool = Spool(object_bytes=12 << 20, memory_each=1 << 20, memory=64 << 20, disk=1 << 30)
    upload, block, refused = Upload(spool, "a", 0, 0.0), b"x" * 262_144, 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(4096):
        try:
            waiting = upload.write(number * len(block), block)
        except Failure:
            refused += 1
        else:
            if waiting is not None:
                await waiting
    assert refused == 4096 - 48
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024
    upload.drop()
    await asyncio.sleep(0.05)
    assert (spool.memory, spool.disk) == (64 << 20, 1 << 30)
    spool.close()


def test_the_shelf_keeps_what_was_read_last() -> None:
    """Contents are loaded once while they fit, the oldest go first, and one that is too large is kept alone."""
    shelf, loads = Shelf(100), []

    def load(key: str, size: int) -> bytes:
        def read() -> bytes:
            loads.append(key)
            return b"x" * size

        return shelf.get(key, read)

    for key in ("a", "b", "a", "c", "a", "b"):
        load(key, 40)
    assert loads == ["a", "b", "c", "b"]
    assert len(load("big", 500)) == 500
    load("a", 40)
    assert loads == ["a", "b", "c", "b", "big", "a"]
