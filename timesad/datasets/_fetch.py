"""Download of archives, with a checksum and a cache."""

from __future__ import annotations

import os
import re
import tarfile
import tempfile
import zipfile
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit

from sklearn.datasets import fetch_file

HOME_VARIABLE = "TIMESAD_DATA_HOME"
DEFAULT_HOME = "~/timesad_data"
SHA256 = re.compile(r"[0-9a-f]{64}")
CACHE_KEY_LENGTH = 16  # hexadecimal digits of the checksum that name the folder


def fetch_archive(
    url: str,
    sha256: str,
    *,
    data_home: str | os.PathLike[str] | None = None,
    n_retries: int = 3,
    delay: int = 1,
) -> Path:
    """Download a zip or tar archive, check its SHA-256 checksum, unpack it and return the folder.

    The unpacked folder is cached under `data_home` by its checksum. The next call with that
    checksum returns it without network access. A failed download leaves no files.

    Parameters
    ----------
    url : str
        Address of the archive, ``https://…`` or ``http://…``.
    sha256 : str
        SHA-256 checksum of the archive, 64 hexadecimal digits. Another checksum is an error.
    data_home : str or path-like, default=None
        Folder of the cache. None takes the environment variable ``TIMESAD_DATA_HOME``, or
        ``~/timesad_data`` if it is not set.
    n_retries : int, default=3
        Number of further attempts after a failed download.
    delay : int, default=1
        Seconds between two attempts.

    Returns
    -------
    Path
        Folder with the contents of the archive. If the archive holds a single folder, that folder.

    Raises
    ------
    OSError
        If the archive cannot be downloaded (``ConnectionError``), or if its checksum differs.
    ValueError
        If `url` or `sha256` is malformed, or if the download is neither a zip nor a tar archive.

    Warns
    -----
    UserWarning
        Before each further attempt.

    Notes
    -----
    timesad contains no checksums of these archives, because most of them may change under the same
    address. Compute the checksum of a download that you trust (``sha256sum``, or
    ``hashlib.sha256``) and pass it in every call. Addresses of the sources:

    ===================== ============================================== ============================
    loader                download                                       stable address
    ===================== ============================================== ============================
    ``load_tsb_ad``       https://www.thedatum.org/datasets/TSB-AD-M.zip not versioned
                          (and ``TSB-AD-U.zip``)
    ``load_tsb_uad``      linked from                                    not versioned
                          https://github.com/TheDatumOrg/TSB-UAD
    ``load_nab``          archives of tags of                            by tag; GitHub may repack
                          https://github.com/numenta/NAB
    ``load_skab``         archives of commits of                         by commit; GitHub may repack
                          https://github.com/waico/SKAB
    ``load_smap_msl``     https://github.com/khundman/telemanom          not versioned
                          names the archive; the labels are in the
                          repository
    ``load_ucr_anomaly``  https://www.cs.ucr.edu/~eamonn/                not versioned
                          time_series_data_2018/
    ===================== ============================================== ============================

    Examples
    --------
    >>> from timesad.datasets import fetch_archive
    >>> fetch_archive("ftp://example.org/series.zip", "0" * 64)
    Traceback (most recent call last):
    ...
    ValueError: url='ftp://example.org/series.zip' must begin with https:// or http://.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"url={url!r} must begin with https:// or http://.")
    checksum = sha256.lower()
    if not SHA256.fullmatch(checksum):
        raise ValueError(f"sha256={sha256!r} must be the archive's SHA-256 checksum, 64 hexadecimal digits.")
    home = Path(data_home or os.environ.get(HOME_VARIABLE, DEFAULT_HOME)).expanduser()
    home.mkdir(parents=True, exist_ok=True)
    cached = home / checksum[:CACHE_KEY_LENGTH]
    if not cached.is_dir():
        # Unpacked inside the cache, because a rename on one file system is atomic: no folder is ever half-full.
        with tempfile.TemporaryDirectory(dir=home) as scratch:
            archive = _download(url, checksum, Path(scratch), n_retries, delay)
            unpacked = Path(scratch, "unpacked")
            _unpack(archive, unpacked, url)
            _move(unpacked, cached)
    return _only_folder(cached)


def _download(url: str, checksum: str, folder: Path, n_retries: int, delay: int) -> Path:
    try:
        path = fetch_file(url, folder, local_filename="archive", sha256=checksum, n_retries=n_retries, delay=delay)
    except (URLError, ConnectionError, TimeoutError, HTTPException) as error:
        raise ConnectionError(
            f"{url} could not be downloaded: {error}. Check the address and the connection, or download it on another "
            "machine and pass the unpacked folder to the loader."
        ) from error
    except OSError as error:
        if error.errno is not None:  # an error of the disk, not of the checksum
            raise
        raise OSError(f"{url}: {error} The download has changed or is damaged; nothing was kept.") from error
    return Path(path)


def _unpack(archive: Path, target: Path, url: str) -> None:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zip_stream:
            zip_stream.extractall(target)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar_stream:
            # The filter refuses members with paths outside the target. zipfile always does.
            tar_stream.extractall(target, filter="data")
    else:
        raise ValueError(f"{url} is neither a zip nor a tar archive. Pass the archive's address, not its page's.")


def _move(unpacked: Path, cached: Path) -> None:
    try:
        unpacked.rename(cached)
    except OSError:
        # Another process has stored the same archive meanwhile.
        if not cached.is_dir():
            raise


def _only_folder(folder: Path) -> Path:
    entries = list(folder.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else folder
