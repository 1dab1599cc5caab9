"""Download an archive once, check it, and keep it unpacked."""

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
CACHE_KEY_LENGTH = 16  # hexadecimal digits of the checksum: enough to keep archives apart


def fetch_archive(
    url: str,
    sha256: str,
    *,
    data_home: str | os.PathLike[str] | None = None,
    n_retries: int = 3,
    delay: int = 1,
) -> Path:
    """Download a zip or tar archive, check its SHA-256, unpack it, and return the folder.

    The unpacked folder is kept under `data_home`, by its checksum; the next call with that checksum
    returns it without asking the network. Nothing is left behind by a download that fails.

    Parameters
    ----------
    url : str
        Where the archive is, ``https://…`` or ``http://…``.
    sha256 : str
        Its SHA-256 checksum, 64 hexadecimal digits. An archive with another one is refused.
    data_home : str or path-like, default=None
        The folder of the cache. None means the environment variable ``TIMESAD_DATA_HOME``, or
        ``~/timesad_data`` where that is not set.
    n_retries : int, default=3
        How often to try again after a failed download.
    delay : int, default=1
        Seconds between two tries.

    Returns
    -------
    Path
        The folder with the archive's contents; where the archive holds a single folder, that one.

    Raises
    ------
    OSError
        If the archive cannot be downloaded, or its checksum is another one. Being offline is a
        ``ConnectionError``, which is an ``OSError``.
    ValueError
        If `url` or `sha256` is malformed, or the download is neither a zip nor a tar archive.

    Warns
    -----
    UserWarning
        Before each new try.

    Notes
    -----
    timesad ships no checksums of other people's data: it states none that it has not verified, and
    most of these downloads may change under the same address. Compute one of the download that you
    trust (``sha256sum``, or ``hashlib.sha256``) and pin it. Where the sources publish:

    ===================== ============================================= ============================
    loader                download                                      stable address
    ===================== ============================================= ============================
    ``load_tsb_ad``       https://www.thedatum.org/datasets/TSB-AD-M.zip not versioned
                          (and ``TSB-AD-U.zip``)
    ``load_tsb_uad``      linked from                                   not versioned
                          https://github.com/TheDatumOrg/TSB-UAD
    ``load_nab``          archives of tags of                           by tag; GitHub may repack
                          https://github.com/numenta/NAB
    ``load_skab``         archives of commits of                        by commit; GitHub may repack
                          https://github.com/waico/SKAB
    ``load_smap_msl``     https://github.com/khundman/telemanom         not versioned
                          names the archive; the labels are in the
                          repository
    ``load_ucr_anomaly``  https://www.cs.ucr.edu/~eamonn/               not versioned
                          time_series_data_2018/
    ===================== ============================================= ============================

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
        # Inside the cache, so that the last step is a rename on one file system: there or not there, never half.
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
        if error.errno is not None:  # the disk's, not the checksum's
            raise
        raise OSError(f"{url}: {error} The download has changed or is damaged; nothing was kept.") from error
    return Path(path)


def _unpack(archive: Path, target: Path, url: str) -> None:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zip_stream:
            zip_stream.extractall(target)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar_stream:
            # The filter refuses members that would land outside the target; zipfile does so by itself.
            tar_stream.extractall(target, filter="data")
    else:
        raise ValueError(f"{url} is neither a zip nor a tar archive. Pass the archive's address, not its page's.")


def _move(unpacked: Path, cached: Path) -> None:
    try:
        unpacked.rename(cached)
    except OSError:
        # Another process was first with the same archive.
        if not cached.is_dir():
            raise


def _only_folder(folder: Path) -> Path:
    entries = list(folder.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else folder
