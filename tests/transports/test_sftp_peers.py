"""Clients that other people wrote, as their users start them."""

import asyncio
import hashlib
import os
from pathlib import Path

import asyncssh
import paramiko  # type: ignore[import-untyped]
import pytest

from sekisho.transports.sftp import SftpLimits

from .sftp_house import BOX, DAY, PASSWORD, House, known_hosts, serving, user_key

LETTERS = f"/out/{BOX}/{DAY}"
AWKWARD = bytes(range(256)) * 5


def options(house: House, folder: Path) -> list[str]:
    """What OpenSSH's programs need: this host's key, this user's key, and nothing of this machine's settings."""
    files = [f"-oUserKnownHostsFile={known_hosts(house, folder)}", f"-oIdentityFile={user_key(house, folder)}"]
    return ["-F/dev/null", *files, "-oBatchMode=yes", "-oIdentitiesOnly=yes", "-P", str(house.port)]


async def run(*command: str | Path, say: str = "", status: int = 0, **environment: str) -> str:
    """Run a program to its end; what it wrote."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "LC_ALL": "C", **environment},
    )
    async with asyncio.timeout(60):
        out, _ = await process.communicate(say.encode())
    text = out.decode("utf-8", "replace")
    assert process.returncode == status, text
    return text


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with files to send: ten small ones, one of 3 MB."""
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(10):
        (folder / f"f{number}.edi").write_bytes(AWKWARD + b"%d" % number)
    (folder / "large.edi").write_bytes(AWKWARD * 2_400)
    return folder


def contents(house: House) -> dict[str, bytes]:
    """What was taken, by file name."""
    return {one.transport_id.split("|")[0]: one.content for one in house.taken}


@pytest.mark.peer("sftp")
@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"])
async def test_openssh_sftp(tmp_path: Path, files: Path, cipher: str) -> None:
    """put, put -p, put -f, put -a, reput, rename, ls, get -p, get -r, rm: each line of the batch must succeed."""
    async with serving() as house:
        house.add(1, AWKWARD, "SAS1360", "12345678901")
        house.add(2, AWKWARD * 500, "*SOLA")
        (tmp_path / "half.part").write_bytes(AWKWARD)
        batch = f"""
            pwd
            ls -la
            cd in
            put {files}/f0.edi
            put -p {files}/f1.edi
            put -f {files}/f2.edi other-name.edi
            put {tmp_path}/half.part x.part
            put -a {files}/large.edi x.part
            rename x.part x.edi
            put {files}/f3.edi f3.tmp
            rename -l f3.tmp f3.edi
            put {files}/f[4-6].edi
            ls -l
            cd ../out/{BOX}
            ls -l */*
            get -p */S* {tmp_path}
            get -r /out {tmp_path}/copy
            rm */R*
            ls */*
            cd /sent
            ls
            """
        arguments = [*options(house, tmp_path), f"-oCiphers={cipher}", "-b", "-", f"{BOX}@127.0.0.1"]
        text = await run("sftp", *arguments, say=batch)
        assert contents(house) == {
            "f0.edi": AWKWARD + b"0",
            "f1.edi": AWKWARD + b"1",
            "other-name.edi": AWKWARD + b"2",
            "x.edi": AWKWARD * 2_400,
            "f3.edi": AWKWARD + b"3",
            **{f"f{n}.edi": AWKWARD + b"%d" % n for n in (4, 5, 6)},
        }
        assert "denied" not in text.lower()
        assert "fail" not in text.lower()
        assert (tmp_path / "SAS1360_12345678901_7-1.edi").read_bytes() == AWKWARD
        copied = {path.name: path.read_bytes() for path in (tmp_path / "copy").rglob("*.edi")}
        assert copied == {"SAS1360_12345678901_7-1.edi": AWKWARD, "R-SOLA_-_7-2.edi": AWKWARD * 500}
        assert house.collected == [(BOX, 2, "sftp", house.collected[0][3])]


@pytest.mark.peer("sftp")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mkdir /new", "Permission denied"),
        ("mkdir /in", "Failure"),
        ("rmdir /in", "Permission denied"),
        ("ln -s /etc/passwd /in/x", "Permission denied"),
        ("ln /in/a /in/b", "does not support"),
        ("chmod 777 /out", "Permission denied"),
        ("rename /out /in/x", "Permission denied"),
        ("rm /sent/x", "Permission denied"),
        ("get /etc/passwd", "not found"),
        ("get /in/../../etc/passwd", "not found"),
        ("put {files}/f0.edi /out/x", "No such file"),
        ("put {files}/f0.edi /sent/x", "Permission denied"),
        ("df /", "not support"),
    ],
)
async def test_openssh_sftp_is_refused(tmp_path: Path, files: Path, line: str, words: str) -> None:
    """What the tree does not offer ends the batch with the program's own words and exit status 1."""
    async with serving() as house:
        arguments = [*options(house, tmp_path), "-b", "-", f"{BOX}@127.0.0.1"]
        text = await run("sftp", *arguments, say=line.format(files=files), status=1)
        assert words.lower() in text.lower()
        assert house.taken == []


@pytest.mark.peer("scp")
@pytest.mark.parametrize("legacy", [True, False])
async def test_openssh_scp(tmp_path: Path, files: Path, legacy: bool) -> None:
    """Scp, in its own protocol (-O) and over SFTP: files, times, wild cards, directories."""
    async with serving() as house:
        house.add(1, AWKWARD, "SAS1360")
        house.add(2, AWKWARD * 500, "*SOLA")
        scp = ["scp", *(["-O"] if legacy else []), *options(house, tmp_path)]
        there = f"{BOX}@127.0.0.1"
        await run(*scp, files / "f0.edi", files / "large.edi", f"{there}:/in")
        await run(*scp, "-p", files / "f1.edi", f"{there}:/in/f1.edi")
        assert contents(house) == {
            "f0.edi": AWKWARD + b"0",
            "large.edi": AWKWARD * 2_400,
            "f1.edi": AWKWARD + b"1",
        }
        await run(*scp, "-p", f"{there}:{LETTERS}/*", tmp_path)
        assert (tmp_path / "R-SOLA_-_7-2.edi").read_bytes() == AWKWARD * 500
        await run(*scp, "-r", f"{there}:/out", tmp_path / "copy")
        assert (tmp_path / "copy" / BOX / DAY / "SAS1360_-_7-1.edi").read_bytes() == AWKWARD
        await run(*scp, files / "f0.edi", f"{there}:/sent/x", status=1)
        await run(*scp, "-r", files, f"{there}:/in", status=1)
        await run(*scp, f"{there}:/etc/passwd", tmp_path, status=1)
        assert len(house.taken) == 3


@pytest.mark.peer("sftp")
async def test_openssh_reads_the_reason(tmp_path: Path) -> None:
    """An ended session is told in words that its user sees."""
    async with serving(SftpLimits(idle=1.5)) as house:
        *arguments, _, port = options(house, tmp_path)
        process = await asyncio.create_subprocess_exec(
            "ssh", *arguments, "-p", port, "-s", f"{BOX}@127.0.0.1", "sftp", stdin=-1, stdout=-1, stderr=-1
        )
        async with asyncio.timeout(20):
            assert process.stderr is not None
            assert b"Idle for too long" in await process.stderr.read()
            assert await process.wait()


@pytest.mark.peer("lftp")
async def test_lftp(tmp_path: Path, files: Path) -> None:
    """Its put, mput, reput, put over a temporary name, cls, mget, mirror both ways, mrm."""
    async with serving() as house:
        for number in range(1, 6):
            house.add(number, AWKWARD * number)
        connect = "ssh -a -x -F/dev/null " + " ".join(
            option for option in options(house, tmp_path) if option.startswith("-o")
        )
        script = f"""
            set sftp:connect-program "{connect}"
            set net:max-retries 1
            set cmd:fail-exit yes
            open -p {house.port} -u {BOX}, sftp://127.0.0.1
            cd /in
            put {files}/f0.edi
            mput {files}/f[1-3].edi
            put {files}/f4.edi -o renamed.part
            mv renamed.part renamed.edi
            set xfer:use-temp-file yes
            put {files}/large.edi
            set xfer:use-temp-file no
            reput {files}/f5.edi
            cls -l
            cd {LETTERS}
            lcd {tmp_path}
            mget *-1.edi *-2.edi
            mirror . {tmp_path}/copy
            mrm *-3.edi
            cls -1
            mirror -R -I f[67].edi {files} /in
            """
        text = await run("lftp", "--norc", "-c", script)
        assert "denied" not in text.lower()
        assert contents(house) == {
            **{f"f{n}.edi": AWKWARD + b"%d" % n for n in (0, 1, 2, 3, 5, 6, 7)},
            "renamed.edi": AWKWARD + b"4",
            "large.edi": AWKWARD * 2_400,
        }
        assert (tmp_path / "SAS1360_-_7-2.edi").read_bytes() == AWKWARD * 2
        assert len(list((tmp_path / "copy").iterdir())) == 5
        assert [number for _, number, _, _ in house.collected] == [3]


async def test_paramiko(tmp_path: Path, files: Path) -> None:
    """Its put with a look at the size afterwards, append mode, r+, prefetched get, posix_rename, remove, chdir."""

    def work(port: int) -> None:
        transport = paramiko.Transport(("127.0.0.1", port))
        transport.connect(username=BOX, password=PASSWORD)
        sftp = paramiko.SFTPClient.from_transport(transport)
        assert sftp is not None
        shown = sftp.put(str(files / "large.edi"), "/in/large.edi", confirm=True)
        assert shown.st_size == len(AWKWARD) * 2_400
        sftp.chdir("/in")
        for piece in (b"one ", b"two ", b"three"):
            with sftp.open("appended.tmp", "a") as file:
                file.write(piece)
        with sftp.open("appended.tmp", "r+") as file:
            file.seek(4)
            file.write(b"TWO")
        sftp.posix_rename("appended.tmp", "appended.edi")
        with sftp.open("pipelined.edi", "wb", bufsize=4096) as file:
            file.set_pipelined(True)
            for number in range(200):
                file.write(b"%05d" % number)
        with pytest.raises(OSError, match="accepted already"):
            sftp.open("appended.edi", "a")
        with pytest.raises(PermissionError):
            sftp.symlink("/etc/passwd", "/in/x")
        (name,) = sftp.listdir(LETTERS)
        sftp.get(f"{LETTERS}/{name}", str(tmp_path / "got"), prefetch=True)
        with sftp.open(f"{LETTERS}/{name}") as file:
            assert file.readv([(0, 10), (256, 4)]) is not None
        sftp.remove(f"{LETTERS}/{name}")
        assert sftp.listdir(f"/out/{BOX}") == []
        transport.close()

    async with serving() as house:
        house.add(1, AWKWARD * 3_000)
        await asyncio.to_thread(work, house.port)
        assert contents(house) == {
            "large.edi": AWKWARD * 2_400,
            "appended.edi": b"one TWO three",
            "pipelined.edi": b"".join(b"%05d" % number for number in range(200)),
        }
        assert (tmp_path / "got").read_bytes() == AWKWARD * 3_000
        assert len(house.collected) == 1


async def test_the_habit_of_winscp() -> None:
    """Scripted: a look at the target, an upload to ``.filepart``, rename, times and permissions, another look.

    The program itself runs on Windows only. For a name that is there it removes the target before the rename.
    """
    async with serving() as house, house.client() as sftp:
        for turn in range(2):
            if turn == 0:
                with pytest.raises(asyncssh.SFTPNoSuchFile):
                    await sftp.lstat("/in/a.edi")
            async with sftp.open("/in/a.edi.filepart", "wb") as file:
                await file.write(AWKWARD)
            if turn:
                await sftp.remove("/in/a.edi")
            await sftp.rename("/in/a.edi.filepart", "/in/a.edi")
            await sftp.setstat("/in/a.edi", asyncssh.SFTPAttrs(permissions=0o644))
            await sftp.setstat("/in/a.edi", asyncssh.SFTPAttrs(atime=1_700_000_000, mtime=1_700_000_000))
            shown = await sftp.lstat("/in/a.edi")
            assert (shown.size, shown.mtime) == (len(AWKWARD), 1_700_000_000)
        first, second = house.taken
        assert first.transport_id == second.transport_id == f"a.edi|1280|{hashlib.sha256(AWKWARD).hexdigest()}"
